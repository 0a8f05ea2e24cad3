import type { CallEvent, LiveScores, OverlayCall, Partial, Scores, StepState } from '../wire';

/** The last thing the other side said. */
export interface Speech {
  channel: number;
  utterance: number;
  stable: string;
  tail: string;
  final: boolean;
}

export interface CallState {
  call: OverlayCall;
  /** Of the last kept event. */
  seq: number;
  /** Media time up to which something was heard. */
  position: number;
  scores: Scores | null;
  speech: Speech | null;
}

/** What the server sends about a call on air. */
export type OverlayEvent =
  | CallEvent
  | ({ type: 'partial' } & Partial)
  | ({ type: 'scores' } & LiveScores);

export function begin(call: OverlayCall): CallState {
  return { call, seq: 0, position: 0, scores: null, speech: null };
}

/** After a break the kept events come again from the first: those that were heard before change nothing, so nothing flashes. */
export function heardBefore(state: CallState, event: OverlayEvent): boolean {
  return 'seq' in event && event.seq <= state.seq;
}

export function apply(state: CallState, event: OverlayEvent): CallState {
  const next = 'seq' in event ? { ...state, seq: event.seq } : state;
  switch (event.type) {
    case 'partial':
      return { ...at(next, event.end), speech: said(next, { ...event, final: false }) };
    case 'final':
      return { ...at(next, event.end), speech: said(next, { ...event, stable: event.text, tail: '', final: true }) };
    case 'gap':
      return at(next, event.end);
    case 'moment':
      return at(next, event.at);
    case 'scores':
      return { ...at(next, event.position), scores: event.scores };
    case 'scored':
      return { ...next, scores: event };
    default:
      return next;
  }
}

/** A sentence that was broken off with the connection is not shown again. */
export function broken(state: CallState): CallState {
  return state.speech === null || state.speech.final ? state : { ...state, speech: null };
}

/** Whose words are shown: the customer's; where there is no customer the others', and where only the agent speaks its own. */
export function listensTo(channels: string[]): string {
  return ['customer', 'other'].find((role) => channels.includes(role)) ?? 'agent';
}

export interface Step {
  id: string;
  title: string;
  state: StepState;
}

export function checklist({ call, scores }: CallState): Step[] {
  return (call.scorecard?.script ?? []).map(({ id, title }) => ({
    id,
    title,
    state: scores?.script.find((step) => step.id === id)?.state ?? 'open',
  }));
}

function at(state: CallState, time: number): CallState {
  return time > state.position ? { ...state, position: time } : state;
}

function said(state: CallState, { channel, utterance, stable, tail, final }: Speech): Speech | null {
  const { speech, call } = state;
  if (call.channels[channel] !== listensTo(call.channels)) return speech;
  const older = speech !== null && speech.channel === channel && (utterance < speech.utterance || (utterance === speech.utterance && speech.final));
  return older ? speech : { channel, utterance, stable, tail, final };
}
