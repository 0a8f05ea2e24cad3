import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { Window } from 'happy-dom';
import type { Numbers } from '../wire';
import { aRow } from './rows.fixture';

const NUMBERS: Numbers = { calls: 1, alerts: 0, agents: 1, score: null, sentiment: null };
const at = (seconds: number) => new Date(1_000_000 + seconds * 1000).toISOString();
let model: typeof import('./live-board');

before(async () => {
  const window = new Window({ url: 'https://sotto.example/' });
  Object.assign(globalThis, { location: window.location, addEventListener: window.addEventListener.bind(window) });
  model = await import('./live-board');
});

test('a change patches rows and drops calls that are over; a snapshot replaces all', () => {
  const { applyBoard, applyChange, EMPTY } = model;
  const first = applyBoard(EMPTY, { now: at(0), rows: [aRow('a'), aRow('b')], numbers: NUMBERS }, 1_000_000);
  const next = applyChange(first, { now: at(1), rows: [aRow('b', { score: 1 }), aRow('c')], gone: ['a'], numbers: NUMBERS }, 1_001_000);
  assert.deepEqual([...next.rows.keys()], ['b', 'c']);
  assert.equal(next.rows.get('b')?.score, 1);
  assert.deepEqual([...first.rows.keys()], ['a', 'b'], 'what was drawn is not changed');
  assert.deepEqual([...applyBoard(next, { now: at(2), rows: [], numbers: NUMBERS }, 1_002_000).rows.keys()], []);
});

test('a tab holds a limited number of rows and still follows those it has', () => {
  const { applyBoard, applyChange, EMPTY, MAX_ROWS } = model;
  const many = Array.from({ length: MAX_ROWS + 5 }, (_, place) => aRow(String(place)));
  const full = applyBoard(EMPTY, { now: at(0), rows: many, numbers: NUMBERS }, 0);
  const next = applyChange(full, { now: at(0), rows: [aRow('new'), aRow('0', { score: 3 })], gone: [], numbers: NUMBERS }, 0);
  assert.equal(next.rows.size, MAX_ROWS);
  assert.equal(next.rows.get('0')?.score, 3);
});

test('the offset of the clock is that of the quickest message, unless a clock was set', () => {
  const { EMPTY, nextOffset } = model;
  const state = (offset: number) => ({ ...EMPTY, numbers: NUMBERS, offset });
  assert.equal(nextOffset(EMPTY, at(10), 1_000_000), 10_000);
  assert.equal(nextOffset(state(10_000), at(10), 1_000_400), 10_000);
  assert.equal(nextOffset(state(9_600), at(10), 1_000_000), 10_000);
  assert.equal(nextOffset(state(90_000), at(10), 1_000_000), 10_000);
});

test('time stands still while the connection is lost', () => {
  const { EMPTY, shownTime } = model;
  assert.equal(shownTime({ ...EMPTY, offset: 5, connection: { state: 'lost', since: 100 } }, 900), 105);
  assert.equal(shownTime({ ...EMPTY, offset: 5, connection: { state: 'live' } }, 900), 905);
});
