import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Held } from './held';

/** Two channels: sample `n` of the left is n, of the right -n. */
function stereo(from: number, to: number): Int16Array {
  const samples = new Int16Array((to - from) * 2);
  for (let at = from; at < to; at += 1) samples.set([at, -at], (at - from) * 2);
  return samples;
}

test('gives back what was said from any position it holds, across the seam of the ring', () => {
  const held = new Held(2, 10);
  for (let at = 0; at < 21; at += 3) held.push(stereo(at, at + 3));
  assert.equal(held.end, 21);
  assert.equal(held.start, 11);
  assert.deepEqual(held.from(11, 100), stereo(11, 21));
  assert.deepEqual(held.from(18, 2), stereo(18, 20));
  assert.equal(held.from(21, 5).length, 0);
  assert.equal(held.from(30, 5).length, 0);
});

test('what had to be let go comes back as silence, so that times stay right', () => {
  const held = new Held(2, 4);
  held.push(stereo(0, 6));
  assert.deepEqual([...held.from(1, 3)], [0, 0, 2, -2, 3, -3]);
  assert.deepEqual([...held.from(0, 2)], [0, 0, 0, 0]);
});

test('what is acknowledged need not be held', () => {
  const held = new Held(2, 10);
  held.push(stereo(0, 8));
  held.acknowledge(5);
  held.acknowledge(3);
  assert.equal(held.start, 5);
  held.acknowledge(100);
  assert.equal(held.start, 8);
});

test('takes more at once than it can hold', () => {
  const held = new Held(2, 4);
  held.push(stereo(0, 11));
  assert.deepEqual(held.from(7, 9), stereo(7, 11));
});
