import assert from 'node:assert/strict';
import { test } from 'node:test';
import { aRow } from './rows.fixture';
import { maskedCaller, quietFor, sentimentWord, shares, signed, spoken, whereOf } from './words';

test('sentiment has four words', () => {
  assert.deepEqual([0.21, 0.2, -0.2, -0.21, -0.5, -0.51].map(sentimentWord), ['warm', 'calm', 'calm', 'tense', 'tense', 'upset']);
  assert.deepEqual([0.34, -0.04, -0.5].map(signed), ['+0.3', '0.0', '\u22120.5']);
});

test('channels of one role are one share', () => {
  assert.deepEqual(shares(['agent', 'customer', 'customer'], [0.5, 0.2, 0.3]), [
    { role: 'agent', share: 0.5 },
    { role: 'customer', share: 0.5 },
  ]);
});

test('quiet counts from ten seconds, and only on a call that is connected', () => {
  const now = Date.parse('2026-11-25T10:00:24Z');
  const quiet = (since: string, state: 'live' | 'waiting' = 'live') => quietFor(aRow('1', { quiet_since: since, state }), now);
  assert.equal(quiet('2026-11-25T10:00:00Z'), 24);
  assert.equal(quiet('2026-11-25T10:00:15Z'), null);
  assert.equal(quiet('2026-11-25T10:00:00Z', 'waiting'), null);
});

test('of a number only the end is shown', () => {
  assert.equal(maskedCaller({ agent: '123456', from: '+49 (30) 5550 1234' }), '***-***-1234');
  assert.equal(maskedCaller({ from: '123', customer_name: '5550 1234' }), null);
});

test('team and queue are told apart, and of one name said once', () => {
  assert.equal(whereOf('cards', 'lost cards'), 'team cards, queue lost cards');
  assert.equal(whereOf('cards', 'cards'), 'team cards');
  assert.equal(whereOf(null, 'cards'), 'queue cards');
  assert.equal(whereOf(undefined, ''), '');
});

test('ids of moments read as words', () => {
  assert.equal(spoken('lost-card_again'), 'lost card again');
});
