import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TrendGroup } from '../wire';
import { chosenFirst, isolated, labelled } from './trend-data';

function group(id: string, calls: number, score: number | null): TrendGroup {
  return { id, name: id, total: { calls, score, adherence: null, sentiment: null, talk_share: null, words_per_minute: null }, daily: [] };
}

test('the busiest groups with a score are chosen, any where none has one', () => {
  assert.deepEqual(chosenFirst([group('few', 1, 80), group('none', 9, null), group('many', 5, 60)]), ['many', 'few']);
  assert.deepEqual(chosenFirst([group('one', 1, null), group('other', 2, null)]), ['other', 'one']);
});

test('a point without neighbours stands alone', () => {
  assert.deepEqual(isolated([1, null, 2, 3, null, 0]), [0, 5]);
  assert.deepEqual(isolated([7]), [0]);
  assert.deepEqual(isolated([null, null]), []);
});

test('the last day always has its label', () => {
  assert.deepEqual(labelled(7, 2), [0, 2, 4, 6]);
  assert.deepEqual(labelled(30, 7), [1, 8, 15, 22, 29]);
  assert.deepEqual(labelled(1, 5), [0]);
});
