import assert from 'node:assert/strict';
import { test } from 'node:test';
import { historyPath, markWords, NO_SEARCH } from './history-query';

test('only what is filled in is asked for, and the last day is included', () => {
  assert.equal(historyPath(NO_SEARCH, null), '/v1/calls?limit=50');
  const url = new URL(historyPath({ ...NO_SEARCH, q: ' cancel ', from: '2026-11-01', to: '2026-11-01' }, '9'), 'http://x');
  const of = (name: string) => url.searchParams.get(name);
  assert.deepEqual([of('q'), of('before'), of('team')], ['cancel', '9', null]);
  assert.equal(Date.parse(of('to') ?? '') - Date.parse(of('from') ?? ''), 86_400_000);
});

test('words are marked as they stand, whatever they are made of', () => {
  assert.deepEqual(markWords('Cancel it, (cancel) now', 'cancel NOW').filter(({ found }) => found).map(({ text }) => text), ['Cancel', 'cancel', 'now']);
  assert.deepEqual(markWords('a (b', '(b'), [
    { text: 'a ', found: false },
    { text: '(b', found: true },
  ]);
});
