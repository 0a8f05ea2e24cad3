import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pace } from '../wire';
import { type Advice, advise, EXPIRES, NO_ADVICE, RESTS, settleAdvice, STAYS } from './pace';

const LIMITS = { words_per_minute: 180, monologue: 45, interruptions: 2 };

function pace(part: Partial<Pace>): Pace {
  return { words_per_minute: 150, monologue: 3, interruptions: 0, ...part };
}

/** One reading a second. */
function follow(readings: Partial<Pace>[], from = 0, advice: Advice = NO_ADVICE): { advice: Advice; hints: (string | null)[] } {
  const hints = readings.map((reading, second) => (advice = advise(advice, pace(reading), LIMITS, from + second * 1000)).hint);
  return { advice, hints };
}

test('a pace that sways around its limit gives one steady hint', () => {
  const sway = [181, 179, 182, 178, 181, 177, 183, 176, 181, 179];
  const { hints } = follow(sway.map((words_per_minute) => ({ words_per_minute })));
  assert.deepEqual(new Set(hints), new Set(['slower']));
});

test('a hint stays its time, goes when all is calm, and rests before it comes back', () => {
  const { advice, hints } = follow([{ words_per_minute: 200 }, {}, {}, {}, {}]);
  assert.deepEqual(hints, ['slower', 'slower', 'slower', 'slower', null]);
  assert.equal(advise(advice, pace({ words_per_minute: 220 }), LIMITS, STAYS + RESTS - 1).hint, null);
  assert.equal(advise(advice, pace({ words_per_minute: 220 }), LIMITS, STAYS + RESTS).hint, 'slower');
});

test('a rest of one hint does not silence another', () => {
  const { advice } = follow([{ words_per_minute: 200 }, {}, {}, {}, {}]);
  assert.equal(advise(advice, pace({ words_per_minute: 220, monologue: 60 }), LIMITS, STAYS + 1).hint, 'let-speak');
});

test('the most pressing comes first, and is not pushed aside while it lasts', () => {
  const { hints } = follow([
    { monologue: 50, words_per_minute: 200 },
    { monologue: 51, interruptions: 5 },
  ]);
  assert.deepEqual(hints, ['let-speak', 'let-speak']);
  assert.equal(follow([{ monologue: 50, interruptions: 3, words_per_minute: 200 }]).hints[0], 'let-finish');
});

test('exactly the limit is not beyond it, and unknown words a minute are not fast', () => {
  assert.equal(follow([{ words_per_minute: 180, monologue: 45, interruptions: 2 }]).hints[0], null);
  assert.equal(follow([{ words_per_minute: null }]).hints[0], null);
});

test('a limit of no interruptions is calm again at none', () => {
  const limits = { ...LIMITS, interruptions: 0 };
  const raised = advise(NO_ADVICE, pace({ interruptions: 1 }), limits, 0);
  assert.equal(raised.hint, 'let-finish');
  assert.equal(advise(raised, pace({ interruptions: 1 }), limits, STAYS).hint, 'let-finish');
  assert.equal(advise(raised, pace({ interruptions: 0 }), limits, STAYS).hint, null);
});

test('a hint goes when nothing more is heard', () => {
  const { advice } = follow([{ words_per_minute: 200 }]);
  assert.equal(settleAdvice(advice, EXPIRES - 1).hint, 'slower');
  assert.equal(settleAdvice(advice, EXPIRES).hint, null);
});
