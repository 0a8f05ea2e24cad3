import type { CallEvent, LiveScores, Measures, Pace, Partial, Scorecard, Scores } from '../wire';

/** A tab holds no more lines of one call than this. */
export const MAX_LINES = 2_000;
/** Dropped at a time, so that it happens seldom. */
const DROPPED = 250;

export type MomentEvent = Extract<CallEvent, { type: 'moment' }>;

/** One utterance, or a gap. Replaced when it changes, never mutated, so that lines can be compared. */
export interface Line {
  key: string;
  channel: number;
  /** None for a gap. */
  utterance: number | null;
  start: number;
  end: number;
  /** What no longer changes. */
  text: string;
  /** What still may; empty once the utterance is final. */
  tail: string;
  final: boolean;
  moments: MomentEvent[];
}

/** Which part stays when there are more lines than a tab holds. */
export type Keep = 'end' | 'start';

/** A call as its events and live events tell it. */
export class Transcript {
  lines: Line[] = [];
  /** Lines not held, at the other end than the one that is kept. */
  dropped = 0;
  moments: MomentEvent[] = [];
  scorecard: Scorecard | null = null;
  measures: Measures | null = null;
  scores: Scores | null = null;
  pace: Pace[] = [];
  position = 0;
  model: string | null = null;
  ended: { reason: string; duration: number } | null = null;
  seq = 0;

  constructor(
    readonly keep: Keep = 'end',
    private readonly limit = MAX_LINES,
  ) {}

  event(event: CallEvent): void {
    // a stream that was opened again may repeat itself
    if (event.seq <= this.seq) return;
    this.seq = event.seq;
    switch (event.type) {
      case 'started':
        this.scorecard = event.scorecard ?? null;
        break;
      case 'final':
        this.model = event.model;
        this.put({ ...event, key: key(event), text: event.text, tail: '', final: true, moments: this.momentsOf(event) });
        break;
      case 'gap':
        this.put({ ...event, key: `gap-${event.seq}`, utterance: null, text: '', tail: '', final: true, moments: [] });
        break;
      case 'moment':
        if (this.moments.length < this.limit) this.moments.push(event);
        this.change(key(event), (line) => ({ ...line, moments: [...line.moments, event] }));
        break;
      case 'measured':
        this.measures = event;
        break;
      case 'scored':
        this.scores = event;
        break;
      case 'ended':
        this.ended = event;
        this.lines = this.lines.filter((line) => line.final);
        break;
    }
  }

  partial(partial: Partial): void {
    const name = key(partial);
    const line = this.lines.findLast((known) => known.key === name);
    if (line?.final || this.ended) return;
    // one utterance is open a channel; one before it that never became final held no words
    this.lines = this.lines.filter((known) => known.final || known.channel !== partial.channel || known.key === name);
    const { stable, tail, channel, utterance, end } = partial;
    this.put({ key: name, channel, utterance, start: line?.start ?? partial.start, end, text: stable, tail, final: false, moments: line?.moments ?? this.momentsOf(partial) });
  }

  live(live: LiveScores): void {
    ({ position: this.position, measures: this.measures, scores: this.scores, pace: this.pace } = live);
  }

  /** By start: an utterance stands where it began, also while a later one of the other channel is over before it. */
  private put(line: Line): void {
    const place = this.lines.findLastIndex((known) => known.key === line.key);
    if (place >= 0) {
      this.lines[place] = line;
      return;
    }
    this.lines.splice(this.lines.findLastIndex((known) => known.start <= line.start) + 1, 0, line);
    if (this.lines.length <= this.limit) return;
    const surplus = this.keep === 'end' ? Math.min(DROPPED, this.lines.length - 1) : this.lines.length - this.limit;
    this.lines.splice(this.keep === 'end' ? 0 : this.limit, surplus);
    this.dropped += surplus;
  }

  private change(name: string, changed: (line: Line) => Line): void {
    const place = this.lines.findLastIndex((known) => known.key === name);
    const line = this.lines[place];
    if (line) this.lines[place] = changed(line);
  }

  private momentsOf(of: { channel: number; utterance: number }): MomentEvent[] {
    return this.moments.filter((moment) => key(moment) === key(of));
  }
}

export function key(of: { channel: number; utterance: number }): string {
  return `${of.channel}-${of.utterance}`;
}
