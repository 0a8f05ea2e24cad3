// What the server says, as `dashboards/openapi.json` and `docs/scores.md` describe it. Times of the wall clock are RFC 3339
// strings, media times are seconds from the start of the call.

export type Role = 'admin' | 'supervisor' | 'agent' | 'viewer';
export type Permission = 'see_numbers' | 'see_calls' | 'read_calls' | 'acknowledge' | 'speak' | 'erase';

/** GET /v1/session; 401 when nobody is logged in. */
export interface Session {
  user: { login: string; tenant: string; name: string; role: Role; teams: string[] };
  may: Permission[];
  expires_at: string;
}

/** Every error of the API: `message` is for people, `code` for programs. */
export interface Problem {
  error: { code: string; message: string };
}

export type Level = 'notice' | 'warning' | 'urgent';

/** Raised by a moment or a forbidden phrase. */
export interface Alert {
  /** `seq` of the kept event: with the call's id, its name. */
  seq: number;
  /** Id of the moment in the scorecard. */
  moment: string;
  title: string;
  level: Level;
  /** Media time. */
  at: number;
  raised_at: string;
  /** Name of who has it in hand. */
  acknowledged_by: string | null;
}

export type Trend = 'rising' | 'falling' | 'steady';

/** One call on air. */
export interface Row {
  call_id: string;
  agent: string | null;
  agent_name: string | null;
  team: string | null;
  queue: string | null;
  /** The caller's number, masked: `***-***-1234`. */
  caller: string | null;
  started_at: string;
  /** `waiting`: its socket broke; it may come back. */
  state: 'live' | 'waiting';
  /** What each channel is: `agent`, `customer`, ... */
  channels: string[];
  /** Channels that speak at this moment. */
  speaking: number[];
  /** Since when nobody speaks. */
  quiet_since: string | null;
  /** A channel each, 0 to 1. */
  talk_share: number[];
  /** The customer's, -1 to 1. */
  sentiment: { score: number; trend: Trend } | null;
  script: { done: number; overdue: number; of: number } | null;
  /** Of the scorecard, 0 to 100. */
  score: number | null;
  /** Not acknowledged first, then newest first; at most five. */
  alerts: Alert[];
}

export interface Numbers {
  calls: number;
  /** Alerts nobody has acknowledged. */
  alerts: number;
  agents: number;
  /** Mean score of the calls that have one. */
  score: number | null;
  /** Mean sentiment of customers. */
  sentiment: number | null;
}

/** GET /v1/board/live, event `board`: first, and again after every reconnect. A viewer gets no rows. */
export interface Board {
  now: string;
  rows: Row[];
  numbers: Numbers;
}

/** GET /v1/board/live, event `rows`: rows that changed, whole, and calls that are over. */
export interface BoardChange {
  now: string;
  rows: Row[];
  gone: string[];
  numbers: Numbers;
}

export interface Evidence {
  channel: number;
  utterance: number;
  at: number;
}

export interface Stretch {
  start: number;
  end: number;
}

export interface Measures {
  version: string;
  channels: {
    talk: number;
    talk_share: number;
    words: number;
    words_per_minute: number;
    longest_monologue: Stretch | null;
    interruptions: number;
    interrupted_at: Evidence[];
  }[];
  overlap: number;
  dead_air: number;
  longest_silence: Stretch | null;
}

/** `early`: said before the step it must follow. `late`: said after its time. `overdue`: its time is over, not said. */
export type StepState = 'open' | 'done' | 'early' | 'late' | 'overdue';

export interface StepScore {
  id: string;
  state: StepState;
  /** How near to the phrase, 0 to 1, once said. */
  nearness: number | null;
  evidence: Evidence | null;
  /** Media time by which it must be said. */
  due: number | null;
}

export interface CriterionScore {
  id: string;
  weight: number;
  /** 0 to 1; none when there is nothing to judge yet. */
  score: number | null;
  /** What was measured, in the criterion's own unit. */
  value: number | null;
  evidence: Evidence[];
}

export interface Scores {
  version: string;
  scorecard: { name: string; version: string } | null;
  /** A channel each; none for one that said nothing. */
  sentiment: ({ score: number; recent: number; trend: Trend; lowest: Evidence | null; highest: Evidence | null } | null)[];
  script: StepScore[];
  /** Share of the script's weight that was said in time, 0 to 1. */
  adherence: number | null;
  moments: { id: string; count: number; last: Evidence }[];
  criteria: CriterionScore[];
  /** 0 to 100. */
  total: number | null;
}

/** How each channel does at the moment. */
export interface Pace {
  /** Over the last half minute of its own speech. */
  words_per_minute: number | null;
  /** Seconds it has been speaking without the other side. */
  monologue: number;
  /** Interruptions in the last minute. */
  interruptions: number;
}

/** Live event `scores`. */
export interface LiveScores {
  /** Media time up to which the call has been heard. */
  position: number;
  measures: Measures;
  scores: Scores;
  pace: Pace[];
}

/** What the agent is shown when a moment comes. */
export interface Prompt {
  say: string;
  why?: string;
  link?: string;
}

/** The scorecard a call began with; it keeps it to its end. */
export interface Scorecard {
  name: string;
  version: string;
  script: { id: string; title: string; phrases: string[]; within?: number; after?: string; speaker: string }[];
  moments: { id: string; title: string; phrases: string[]; speaker: string; level?: Level; prompt?: Prompt; forbidden: boolean }[];
  criteria: { id: string; title: string; weight: number; measure: string }[];
  /** Beyond these the agent gets a gentle word. */
  pace: { words_per_minute: number; monologue: number; interruptions: number };
}

export interface AudioFormat {
  rate: number;
  channels: string[];
  [more: string]: unknown;
}

/** Kept events, in order of `seq`; GET /v1/calls/{call}/events and, as they come, GET /v1/calls/{call}/live. */
export type CallEvent = { seq: number } & (
  | { type: 'started'; format: AudioFormat; dialect: string; scorecard?: Scorecard }
  | { type: 'final'; channel: number; utterance: number; start: number; end: number; text: string; confidence: number; model: string; words: { text: string; start: number; end: number }[] }
  | { type: 'gap'; channel: number; start: number; end: number }
  | { type: 'moment'; id: string; title: string; forbidden: boolean; scorecard: { name: string; version: string }; level?: Level; channel: number; utterance: number; at: number; nearness: number; prompt?: Prompt }
  | ({ type: 'measured' } & Measures)
  | ({ type: 'scored' } & Scores)
  | { type: 'ended'; reason: string; duration: number }
);

/** Live event `partial`; text may hold markers such as `[card]`, `[name]`, `[phone]`. */
export interface Partial {
  channel: number;
  utterance: number;
  revision: number;
  start: number;
  end: number;
  stable: string;
  tail: string;
  degraded: boolean;
}

/** GET /v1/calls/{call}. */
export interface Call {
  call_id: string;
  state: 'open' | 'ended' | 'erased';
  dialect: string;
  format: AudioFormat;
  created_at: string;
  ended_at: string | null;
  expires_at: string;
  /** Until when each class of data is kept. */
  kept_until: { transcript: string; personal: string; score: string };
  seq: number;
  /** `agent`, `team`, `queue`, names and numbers; empty once expired. */
  metadata: Record<string, string>;
  /** Name of the agent, where there is such a user. */
  agent_name: string | null;
}

/** POST /v1/calls/search with what is looked for in the body (`words` and the like never stand in a URL); newest first. */
export interface History {
  calls: HistoryCall[];
  /** For `before` of the next page; none when there is no more. */
  next: string | null;
  /** Calls looked at for this page: a search that found nothing in them may go on with `next`. */
  searched: number;
}

export interface HistoryCall extends Call {
  /** Closed with the call; none while it is on air or when it has expired. */
  summary: { duration: number; score: number | null; adherence: number | null; sentiment: number | null; talk_share: number[]; moments: string[] } | null;
  /** Where the words that were looked for were said; at most five. */
  hits: { seq: number; channel: number; at: number; text: string }[];
}

/** GET /v1/trends?by=agent|team&days=30 */
export interface Trends {
  /** Days, oldest first, as 2026-11-25. */
  days: string[];
  groups: TrendGroup[];
  calls: number;
  /** There were more calls than one answer reads; the newest are in it. */
  truncated: boolean;
}

export interface TrendGroup {
  id: string;
  name: string;
  /** Over all days. */
  total: TrendPoint;
  /** A day each. */
  daily: TrendPoint[];
}

export interface TrendPoint {
  calls: number;
  score: number | null;
  adherence: number | null;
  sentiment: number | null;
  /** The agent's. */
  talk_share: number | null;
  words_per_minute: number | null;
}

/** GET /v1/overlay/live, event `call`: the agent's call on air. Event `idle` (no data to speak of) when there is none. */
export interface OverlayCall {
  call_id: string;
  started_at: string;
  channels: string[];
  scorecard: Scorecard | null;
  /** Who is calling; gone at `until`. */
  pop: { fields: Record<string, string>; until: string } | null;
}
