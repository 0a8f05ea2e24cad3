import assert from 'node:assert/strict';
import { test } from 'node:test';
import { clock, lengthOf, span } from './time';

test('lengths', () => {
  assert.deepEqual([0, 59.9, 494, 3_600, 36_061].map(clock), ['00:00', '00:59', '08:14', '1:00:00', '10:01:01']);
  assert.equal(clock(-3), '00:00');
  assert.deepEqual([44.4, 44.5, 59.9].map(lengthOf), ['00:44', '00:45', '01:00']);
});

test('spans have one unit', () => {
  assert.deepEqual([12.7, 60, 7_300, 200_000].map(span), ['12 s', '1 min', '2 h', '2 d']);
});
