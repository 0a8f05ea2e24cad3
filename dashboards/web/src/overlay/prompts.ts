import type { Prompt } from '../wire';

export interface Offer {
  key: string;
  title: string;
  prompt: Prompt;
}

export interface Prompts {
  shown: (Offer & { since: number }) | null;
  /** Oldest first. */
  waiting: (Offer & { since: number })[];
}

export const NO_PROMPTS: Prompts = { shown: null, waiting: [] };

/** A prompt stays so long even when others wait; alone it stays until `LONGEST`. */
export const SHORTEST = 6_000;
export const LONGEST = 12_000;
/** One that waited longer is about something that is over. */
export const STALE = 20_000;
const MOST_WAITING = 3;

export function offer(prompts: Prompts, offered: Offer, now: number): Prompts {
  if (prompts.shown?.key === offered.key || prompts.waiting.some(({ key }) => key === offered.key)) return prompts;
  return settle({ ...prompts, waiting: [...prompts.waiting, { ...offered, since: now }].slice(-MOST_WAITING) }, now);
}

/** What is shown at this time; `held` keeps a prompt that is being read or used. The newest of those that wait comes next. */
export function settle(prompts: Prompts, now: number, held = false): Prompts {
  const waiting = prompts.waiting.filter(({ since }) => now - since < STALE);
  const due = leaves(prompts, waiting.length > 0);
  if (due !== null && (held || now < due)) return waiting.length === prompts.waiting.length ? prompts : { ...prompts, waiting };
  const next = waiting.pop();
  if (next === undefined && prompts.shown === null && prompts.waiting.length === 0) return prompts;
  return { shown: next === undefined ? null : { ...next, since: now }, waiting };
}

export function dismiss(prompts: Prompts, now: number): Prompts {
  return settle({ ...prompts, shown: null }, now);
}

/** When `settle` has something to do next. */
export function promptsDue({ shown, waiting }: Prompts): number | null {
  return leaves({ shown, waiting }, waiting.length > 0);
}

function leaves({ shown }: Prompts, others: boolean): number | null {
  return shown === null ? null : shown.since + (others ? SHORTEST : LONGEST);
}
