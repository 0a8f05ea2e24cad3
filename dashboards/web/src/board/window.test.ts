import assert from 'node:assert/strict';
import { test } from 'node:test';
import { visible } from './window';

test('draws what can be seen and a few more, never what is not there', () => {
  assert.deepEqual(visible(3, 40, 0, 800), [0, 1, 2]);
  assert.deepEqual(visible(0, 40, 0, 800), []);
  const middle = visible(500, 40, 4_000, 400);
  assert.deepEqual([middle[0], middle.at(-1)], [96, 113]);
});

test('the row that has the focus is drawn wherever it is', () => {
  assert.equal(visible(500, 40, 4_000, 400, 3)[0], 3);
  assert.equal(visible(500, 40, 4_000, 400, 400).at(-1), 400);
  assert.equal(visible(500, 40, 4_000, 400, 100).length, 18);
  assert.equal(visible(5, 40, 0, 400, 9).length, 5);
});
