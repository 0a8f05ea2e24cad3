import assert from 'node:assert/strict';
import { test } from 'node:test';
import { markWords, NO_SEARCH, searchBody } from './history-query';

test('only what is filled in is asked for, and the last day is included', () => {
  assert.deepEqual(searchBody(NO_SEARCH, null), { limit: 50 });
  const { from, to, ...rest } = searchBody({ ...NO_SEARCH, words: ' cancel ', from: '2026-11-01', to: '2026-11-01' }, '9~a');
  assert.deepEqual(rest, { limit: 50, words: 'cancel', before: '9~a' });
  assert.equal(Date.parse(String(to)) - Date.parse(String(from)), 86_400_000);
});

test('a moment may be given as it is shown', () => {
  const moment = (given: string) => searchBody({ ...NO_SEARCH, moment: given }, null)['moment'];
  assert.equal(moment(' Lost  card '), 'lost-card');
  assert.equal(moment('lost_card'), 'lost_card');
  assert.equal(moment(' '), undefined);
});

test('words are marked in their order, whole, whatever stands between them', () => {
  const found = (text: string, words: string) =>
    markWords(text, words)
      .filter((part) => part.found)
      .map((part) => part.text);
  assert.deepEqual(found('Cancel, my CONTRACT. Do cancel my contract!', 'cancel  my contract'), ['Cancel, my CONTRACT', 'cancel my contract']);
  assert.deepEqual(found('my cancel contracts', 'cancel contract'), []);
  assert.deepEqual(found('Straße (b) [c]', '(b) stra'), []);
  assert.deepEqual(markWords('a b', ' .* '), [{ text: 'a b', found: false }]);
});
