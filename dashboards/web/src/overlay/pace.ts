import type { Pace, Scorecard } from '../wire';

export type Hint = 'let-finish' | 'let-speak' | 'slower';

export interface Advice {
  hint: Hint | null;
  since: number;
  /** When the pace was heard last. */
  heard: number;
  /** When each hint went. */
  gone: Partial<Record<Hint, number>>;
}

export const NO_ADVICE: Advice = { hint: null, since: 0, heard: 0, gone: {} };

export const HINTS: Record<Hint, string> = {
  'let-finish': 'Let them finish',
  'let-speak': 'Let them speak',
  slower: 'A little slower',
};

/** A hint stays so long at least, … */
export const STAYS = 4_000;
/** … does not come back sooner than this, … */
export const RESTS = 8_000;
/** … and goes when nothing was heard of the pace for so long. */
export const EXPIRES = 15_000;

const ORDER: Hint[] = ['let-finish', 'let-speak', 'slower'];

type Limits = Scorecard['pace'];

/** One hint at a time: it comes when a limit is passed and goes only when the pace is well below it, so it does not flicker. */
export function advise(advice: Advice, pace: Pace, limits: Limits, now: number): Advice {
  const heard = { ...advice, heard: now };
  if (advice.hint !== null) {
    return now - advice.since >= STAYS && calm(advice.hint, pace, limits) ? leave(heard, now) : heard;
  }
  const hint = ORDER.find((each) => beyond(each, pace, limits) && now - (advice.gone[each] ?? -RESTS) >= RESTS);
  return hint === undefined ? heard : { ...heard, hint, since: now };
}

export function settleAdvice(advice: Advice, now: number): Advice {
  return advice.hint !== null && now - advice.heard >= EXPIRES ? leave(advice, now) : advice;
}

export function adviceDue(advice: Advice): number | null {
  return advice.hint === null ? null : advice.heard + EXPIRES;
}

function leave(advice: Advice, now: number): Advice {
  return { ...advice, hint: null, gone: advice.hint === null ? advice.gone : { ...advice.gone, [advice.hint]: now } };
}

function beyond(hint: Hint, pace: Pace, limits: Limits): boolean {
  switch (hint) {
    case 'let-finish':
      return pace.interruptions > limits.interruptions;
    case 'let-speak':
      return pace.monologue > limits.monologue;
    case 'slower':
      return (pace.words_per_minute ?? 0) > limits.words_per_minute;
  }
}

function calm(hint: Hint, pace: Pace, limits: Limits): boolean {
  switch (hint) {
    case 'let-finish':
      return pace.interruptions <= Math.max(0, limits.interruptions - 1);
    case 'let-speak':
      return pace.monologue < 0.8 * limits.monologue;
    case 'slower':
      return (pace.words_per_minute ?? 0) < 0.92 * limits.words_per_minute;
  }
}
