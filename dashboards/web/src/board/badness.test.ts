import assert from 'node:assert/strict';
import { test } from 'node:test';
import { badness, CONCERN, worstAlert } from './badness';
import { anAlert, aRow } from './rows.fixture';

test('a level is never outweighed by all that is below it', () => {
  const terrible = { sentiment: { score: -1, trend: 'falling' as const }, script: { done: 0, overdue: 9, of: 9 }, score: 0 };
  const five = (level: 'notice' | 'warning') => [1, 2, 3, 4, 5].map((seq) => anAlert(seq, { level }));
  const ordered = [
    aRow('urgent', { alerts: [anAlert(1, { level: 'urgent' })] }),
    aRow('warnings', { ...terrible, alerts: five('warning') }),
    aRow('warning', { alerts: [anAlert(1)] }),
    aRow('notices', { ...terrible, alerts: five('notice') }),
    aRow('notice', { alerts: [anAlert(1, { level: 'notice' })] }),
    aRow('terrible', terrible),
    aRow('well'),
  ].map(badness);
  assert.deepEqual(ordered, [...ordered].sort((one, other) => other - one));
  assert.equal(new Set(ordered).size, ordered.length);
});

test('what somebody has in hand no longer counts', () => {
  const row = aRow('1', { alerts: [anAlert(2, { level: 'notice' }), anAlert(1, { level: 'urgent', acknowledged_by: 'K. Meyer' })] });
  assert.equal(worstAlert(row)?.seq, 2);
  assert.equal(badness(row), 200);
});

test('small changes do not move a call', () => {
  const at = (score: number) => badness(aRow('1', { sentiment: { score, trend: 'steady' } }));
  assert.equal(at(-0.31), at(-0.34));
  assert.ok(at(-0.5) > at(-0.3));
});

test('a call without any numbers is well', () => {
  assert.ok(badness(aRow('1', { sentiment: null, script: null, score: null })) < CONCERN);
});
