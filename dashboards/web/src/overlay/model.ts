import { isSaid } from '../shared/steps';
import type { OverlayCall } from '../wire';
import { apply, begin, broken, type CallState, checklist, heardBefore, type OverlayEvent } from './call';
import type { Link } from './connection';
import { adviceDue, type Advice, advise, NO_ADVICE, settleAdvice } from './pace';
import { dismiss, NO_PROMPTS, offer, type Prompts, promptsDue, settle } from './prompts';

export interface Summary {
  score: number | null;
  said: number;
  steps: number;
  until: number;
}

/** Who is calling. */
export interface Pop {
  fields: [name: string, value: string][];
  until: number;
}

/** All that the overlay shows. */
export interface Screen {
  link: Link;
  call: CallState | null;
  summary: Summary | null;
  pop: Pop | null;
  prompts: Prompts;
  advice: Advice;
}

/** What a host page is told: ids only. */
export type Notice =
  | { type: 'sotto-call'; call_id: string }
  | { type: 'sotto-moment'; call_id: string; seq: number; moment: string }
  | { type: 'sotto-ended'; call_id: string };

type Moment = Extract<OverlayEvent, { type: 'moment' }>;

const SUMMARY = 10_000;
const LONGEST_POP = 5 * 60_000;
/** A partial comes every half second; one that is not followed up turned out to hold no words. */
const PARTIAL = 12_000;
/** What happened before we connected comes in one go. */
const CATCHING_UP = 500;
/** Seconds of media time; a moment that is older when we connect is not worth a prompt. */
const RECENT = 12;

const NOTHING: Omit<Screen, 'link'> = { call: null, summary: null, pop: null, prompts: NO_PROMPTS, advice: NO_ADVICE };

export class Model {
  screen: Screen = { link: { state: 'connecting' }, ...NOTHING };
  /** The pointer or the focus is on the prompt. */
  private held = false;
  private partialUntil = 0;
  /** While the past of a call comes: the last of its moments. */
  private past: { until: number; moment: Moment | null } | null = null;

  constructor(
    private readonly notify: (notice: Notice) => void,
    private readonly clock: () => number = Date.now,
  ) {}

  link(link: Link): void {
    this.set({ link });
    if (link.state === 'lost' && this.screen.call !== null) this.set({ call: broken(this.screen.call), advice: NO_ADVICE });
    // without a fresh token nothing is shown, but the call may go on with one
    if (link.state === 'refused' && link.status === 403) this.set(NOTHING);
  }

  event(name: string, data: unknown): void {
    if (name === 'idle') this.set({ ...NOTHING, summary: this.screen.summary });
    else if (name === 'call') this.begin(data as OverlayCall);
    else if (this.screen.call !== null) this.hear(this.screen.call, { ...(data as object), type: name } as OverlayEvent);
    this.settle();
  }

  dismiss(): void {
    this.held = false;
    this.set({ prompts: dismiss(this.screen.prompts, this.clock()) });
  }

  hold(held: boolean): void {
    this.held = held;
    this.settle();
  }

  /** Lets go what has had its time. */
  settle(): void {
    const now = this.clock();
    // a prompt that goes from under the pointer does not see it leave
    if (this.screen.prompts.shown === null) this.held = false;
    if (this.past !== null && now >= this.past.until) this.caughtUp();
    const { call, summary, pop, prompts, advice } = this.screen;
    this.set({
      call: call !== null && now >= this.partialUntil ? broken(call) : call,
      summary: summary !== null && now >= summary.until ? null : summary,
      pop: pop !== null && now >= pop.until ? null : pop,
      prompts: settle(prompts, now, this.held),
      advice: settleAdvice(advice, now),
    });
  }

  /** When `settle` has something to do next. */
  due(): number | null {
    const { call, summary, pop, prompts, advice } = this.screen;
    const partial = call?.speech?.final === false ? this.partialUntil : null;
    const prompt = this.held ? null : promptsDue(prompts);
    const times = [this.past?.until, partial, summary?.until, pop?.until, prompt, adviceDue(advice)];
    const next = Math.min(...times.map((time) => time ?? Infinity));
    return next === Infinity ? null : next;
  }

  private begin(call: OverlayCall): void {
    const now = this.clock();
    const known = this.screen.call?.call.call_id === call.call_id ? this.screen.call : null;
    this.past = { until: now + CATCHING_UP, moment: null };
    // of the pop only what is on screen is held, and only as long
    const bare = { ...call, pop: null };
    if (known !== null) {
      this.set({ call: { ...known, call: bare } });
      return;
    }
    const pop = call.pop && { fields: Object.entries(call.pop.fields), until: Math.min(Date.parse(call.pop.until), now + LONGEST_POP) };
    this.set({ ...NOTHING, call: begin(bare), pop });
    this.notify({ type: 'sotto-call', call_id: call.call_id });
  }

  private hear(state: CallState, event: OverlayEvent): void {
    if (heardBefore(state, event)) return;
    const call = apply(state, event);
    this.set({ call });
    if (!('seq' in event)) this.caughtUp();
    if (event.type === 'partial') this.partialUntil = this.clock() + PARTIAL;
    if (event.type === 'scores') this.advise(call, event);
    if (event.type === 'moment' && this.past !== null) this.past.moment = event;
    else if (event.type === 'moment') this.moment(event);
    if (event.type === 'ended') this.end(call);
  }

  private advise({ call }: CallState, { pace }: Extract<OverlayEvent, { type: 'scores' }>): void {
    const own = pace[call.channels.indexOf('agent')];
    if (own === undefined || call.scorecard === null) return;
    this.set({ advice: advise(this.screen.advice, own, call.scorecard.pace, this.clock()) });
  }

  private moment({ seq, id, title, prompt }: Moment): void {
    const call_id = this.screen.call?.call.call_id ?? '';
    this.notify({ type: 'sotto-moment', call_id, seq, moment: id });
    if (prompt) this.set({ prompts: offer(this.screen.prompts, { key: `${call_id} ${seq}`, title, prompt }, this.clock()) });
  }

  private caughtUp(): void {
    const moment = this.past?.moment;
    this.past = null;
    if (moment && this.screen.call !== null && this.screen.call.position - moment.at <= RECENT) this.moment(moment);
  }

  private end(state: CallState): void {
    const steps = checklist(state);
    const summary = { score: state.scores?.total ?? null, said: steps.filter(isSaid).length, steps: steps.length, until: this.clock() + SUMMARY };
    this.past = null;
    this.set({ ...NOTHING, summary });
    this.notify({ type: 'sotto-ended', call_id: state.call.call_id });
  }

  private set(part: Partial<Screen>): void {
    this.screen = { ...this.screen, ...part };
  }
}
