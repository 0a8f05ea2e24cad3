import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { Window } from 'happy-dom';
import { anAlert, aRow } from './rows.fixture';

let sound: typeof import('./sound');
const NOW = Date.parse('2026-11-25T10:05:02Z');

before(async () => {
  Object.assign(globalThis, { localStorage: new Window().localStorage });
  sound = await import('./sound');
});

test('each alert is heard once, the highest of several', () => {
  const heard = new sound.Heard();
  const rows = [aRow('a', { alerts: [anAlert(1)] }), aRow('b', { alerts: [anAlert(1, { level: 'urgent' })] })];
  assert.equal(heard.next(rows, NOW)?.row.call_id, 'b');
  assert.equal(heard.next(rows, NOW), null);
  assert.equal(heard.next([aRow('a', { alerts: [anAlert(2), anAlert(1)] })], NOW)?.alert.seq, 2);
});

test('what is acknowledged or was raised before the tab was opened is not heard', () => {
  const heard = new sound.Heard();
  const alerts = [anAlert(1, { acknowledged_by: 'K. Meyer' }), anAlert(2, { raised_at: '2026-11-25T09:00:00Z' })];
  assert.equal(heard.next([aRow('a', { alerts })], NOW), null);
});
