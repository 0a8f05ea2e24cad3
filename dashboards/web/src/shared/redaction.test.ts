import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parts } from './redaction';

test('markers become labels, other brackets stay text', () => {
  assert.deepEqual(parts('It is [card], says [unknown] [national-id]'), [
    { text: 'It is ' },
    { marker: 'card', label: 'card number' },
    { text: ', says [unknown] ' },
    { marker: 'national-id', label: 'national id' },
  ]);
  assert.deepEqual(parts(''), []);
});
