import type { Level, Row, StepState } from '../wire';
import { secondsSince } from '../shared/time';

/** Sentiment of -1 to 1 as a word. */
export function sentimentWord(score: number): 'warm' | 'calm' | 'tense' | 'upset' {
  if (score > 0.2) return 'warm';
  if (score >= -0.2) return 'calm';
  return score >= -0.5 ? 'tense' : 'upset';
}

export const LEVEL_WORD: Record<Level, string> = { urgent: 'Urgent', warning: 'Warning', notice: 'Notice' };

export const STEP_WORD: Record<StepState, string> = { open: 'open', done: 'done', early: 'too early', late: 'late', overdue: 'overdue' };

export function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}

/** -0.4 with a true minus sign, so that figures line up. */
export function signed(value: number): string {
  const text = Math.abs(value).toFixed(1);
  if (Number(text) === 0) return '0.0';
  return value < 0 ? `\u2212${text}` : `+${text}`;
}

export const NONE = '\u2013';

export function whole(value: number | null): string {
  return value === null ? NONE : String(Math.round(value));
}

const QUIET_FROM = 10;

/** Seconds that nobody has spoken, from ten on. */
export function quietFor(row: Row, now: number): number | null {
  if (row.quiet_since === null || row.state !== 'live') return null;
  const quiet = secondsSince(row.quiet_since, now);
  return quiet >= QUIET_FROM ? quiet : null;
}

/** Share of the talk by role: channels of one role are one. */
export function shares(channels: string[], talkShare: number[]): { role: string; share: number }[] {
  const byRole = new Map<string, number>();
  channels.forEach((role, channel) => byRole.set(role, (byRole.get(role) ?? 0) + (talkShare[channel] ?? 0)));
  return [...byRole].map(([role, share]) => ({ role, share }));
}

export function agentOf(row: { agent: string | null; agent_name: string | null }): string {
  return row.agent_name ?? row.agent ?? 'Unknown agent';
}

/** An id of a scorecard as words: `lost-card` is lost card. */
export function spoken(id: string): string {
  return id.replaceAll(/[-_]/g, ' ');
}

/** Whose call it is: a team and a queue of one name are said once. */
export function whereOf(team: string | null | undefined, queue: string | null | undefined): string {
  const parts = [team && `team ${team}`, queue && queue !== team && `queue ${queue}`];
  return parts.filter(Boolean).join(', ');
}

const NUMBERS = ['customer_number', 'caller_number', 'from', 'caller', 'phone', 'number'];

/** The caller's number as rows of the board have it, for calls that are no longer on it. */
export function maskedCaller(metadata: Record<string, string>): string | null {
  const digits = NUMBERS.map((name) => (metadata[name] ?? '').replaceAll(/\D/g, '')).find((number) => number.length > 4);
  return digits ? `***-***-${digits.slice(-4)}` : null;
}
