import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Row } from '../wire';
import { arrange, type Entry, matches, NO_FILTER, sorted } from './order';
import { anAlert, aRow } from './rows.fixture';

const ids = (rows: Row[]) => rows.map((row) => row.call_id).join(' ');
const lines = (entries: Entry[]) => entries.map(({ row, over }) => row.call_id + (over ? '!' : '')).join(' ');
const all = (rows: Row[]) => new Map(rows.map((row) => [row.call_id, row]));

test('filters work with each other', () => {
  const row = aRow('1', { team: 'Cards', queue: 'retention', agent_name: 'Ana Ruiz', alerts: [anAlert(1, { title: 'Wants to cancel' })] });
  assert.ok(matches(row, NO_FILTER));
  assert.ok(matches(row, { team: 'Cards', queue: 'retention', moment: 'Wants to cancel', search: 'ruiz CANCEL' }));
  assert.ok(!matches(row, { ...NO_FILTER, team: 'Cards', queue: 'claims' }));
  assert.ok(!matches(row, { ...NO_FILTER, moment: 'Complaint' }));
  assert.ok(!matches(row, { ...NO_FILTER, search: 'ruiz complaint' }));
});

test('a column sorts both ways, what has no value last', () => {
  const rows = [aRow('a', { score: 50 }), aRow('b', { score: null }), aRow('c', { score: 90 })];
  assert.equal(ids(sorted(rows, { by: 'score', down: false })), 'a c b');
  assert.equal(ids(sorted(rows, { by: 'score', down: true })), 'c a b');
});

test('length up is shortest first', () => {
  const rows = [aRow('long', { started_at: '2026-11-25T09:00:00Z' }), aRow('short', { started_at: '2026-11-25T10:00:00Z' })];
  assert.equal(ids(sorted(rows, { by: 'length', down: false })), 'short long');
});

test('equals keep one order, whatever order they come in', () => {
  const rows = ['c', 'a', 'b'].map((id) => aRow(id));
  assert.equal(ids(sorted(rows, { by: 'worst' })), 'a b c');
  assert.equal(ids(sorted(rows.reverse(), { by: 'worst' })), 'a b c');
});

test('a held list moves nothing, keeps what is gone and puts new calls last', () => {
  const [a, b, c] = ['a', 'b', 'c'].map((id) => aRow(id)) as [Row, Row, Row];
  const before = arrange([], [a, b], all([a, b]), false);
  const worse = aRow('b', { alerts: [anAlert(1)] });
  const held = arrange(before, [worse, c], all([worse, c]), true);
  assert.equal(lines(held), 'a! b c');
  assert.equal(held[1]?.row, worse, 'the row is patched in place');
  assert.equal(lines(arrange(held, [worse, c], all([worse, c]), false)), 'b c');
});

test('a held row that no longer passes the filter stays while it is held', () => {
  const a = aRow('a');
  const held = arrange([{ row: a, over: false }], [], all([a]), true);
  assert.equal(lines(held), 'a');
});

test('a list held all day is not full of calls that are gone', () => {
  const gone = Array.from({ length: 300 }, (_, place) => ({ row: aRow(`gone-${place}`), over: true }));
  const on = aRow('on');
  const held = arrange([...gone, { row: on, over: false }], [on], all([on]), true);
  assert.equal(held.length, 101);
  assert.equal(held[0]?.row.call_id, 'gone-200');
  assert.equal(held.at(-1)?.row, on);
});
