import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { OverlayCall, Scorecard } from '../wire';
import { checklist } from './call';
import { Model, type Notice } from './model';

const SCORECARD: Scorecard = {
  name: 'cards',
  version: '1',
  script: ['greeting', 'verify', 'bye'].map((id) => ({ id, title: id, phrases: [], speaker: 'agent' })),
  moments: [],
  criteria: [],
  pace: { words_per_minute: 180, monologue: 45, interruptions: 2 },
};

function call(part: Partial<OverlayCall> = {}): OverlayCall {
  return { call_id: 'c1', started_at: '2026-11-25T10:00:00Z', channels: ['agent', 'customer'], scorecard: SCORECARD, pop: null, ...part };
}

const partial = (utterance: number, stable: string, tail = '') => ({ channel: 1, utterance, revision: 1, start: 0, end: utterance * 10, stable, tail, degraded: false });
const final = (seq: number, utterance: number, text: string) => ({ seq, channel: 1, utterance, start: 0, end: utterance * 10, text, words: [] });
const moment = (seq: number, at: number) => ({ seq, id: 'cancel', title: 'Cancels', forbidden: false, channel: 1, utterance: 1, at, nearness: 0.9, prompt: { say: `say ${seq}` } });
const scores = (states: string[], total: number | null = null) => ({
  position: 20,
  scores: { script: SCORECARD.script.map(({ id }, place) => ({ id, state: states[place] ?? 'open' })), total },
  pace: [{ words_per_minute: 250, monologue: 0, interruptions: 0 }, { words_per_minute: 100, monologue: 0, interruptions: 0 }],
});

function overlay() {
  const notices: Notice[] = [];
  const time = { now: 1_000_000 };
  const model = new Model((notice) => notices.push(notice), () => time.now);
  model.link({ state: 'live' });
  const wait = (milliseconds: number) => {
    time.now += milliseconds;
    model.settle();
  };
  const shown = () => model.screen.prompts.shown?.prompt.say ?? null;
  const words = () => model.screen.call?.speech && [model.screen.call.speech.stable, model.screen.call.speech.tail].join('|');
  return { model, notices, time, wait, shown, words };
}

test('the customer is shown as it speaks; the agent, older utterances and a late partial are not', () => {
  const { model, words } = overlay();
  model.event('call', call());
  model.event('partial', partial(2, 'I want to', 'canc'));
  assert.equal(words(), 'I want to|canc');
  model.event('partial', { ...partial(3, 'hello'), channel: 0 });
  model.event('partial', partial(1, 'before'));
  assert.equal(words(), 'I want to|canc');
  model.event('final', final(1, 2, 'I want to cancel.'));
  model.event('partial', partial(2, 'I want to', 'cancel'));
  assert.equal(words(), 'I want to cancel.|');
});

test('a partial that nothing follows goes', () => {
  const { model, words, wait } = overlay();
  model.event('call', call());
  model.event('partial', partial(1, '', 'hm'));
  wait(11_999);
  assert.equal(words(), '|hm');
  assert.equal(model.due(), 1_012_000);
  wait(1);
  assert.equal(words(), null);
});

test('after a break the same events change nothing, and what was broken off is gone', () => {
  const { model, notices, shown, words } = overlay();
  const past = () => {
    model.event('call', call());
    model.event('final', final(1, 1, 'Hello.'));
    model.event('moment', moment(2, 9));
    model.event('scores', scores(['done']));
  };
  past();
  assert.equal(shown(), 'say 2');
  model.event('partial', partial(2, 'I', 'wa'));
  model.link({ state: 'lost', since: 0 });
  assert.equal(words(), null);
  model.link({ state: 'live' });
  model.dismiss();
  past();
  assert.equal(shown(), null);
  assert.deepEqual(checklist(model.screen.call!).map(({ state }) => state), ['done', 'open', 'open']);
  assert.deepEqual(notices.map(({ type }) => type), ['sotto-call', 'sotto-moment']);
});

test('on connecting late only a moment that is fresh prompts, and only the last', () => {
  const { model, shown, wait } = overlay();
  model.event('call', call());
  model.event('moment', moment(1, 5));
  model.event('moment', moment(2, 95));
  model.event('moment', moment(3, 96));
  model.event('final', final(4, 10, 'Well.'));
  assert.equal(shown(), null);
  wait(500);
  assert.equal(shown(), 'say 3');

  const late = overlay();
  late.model.event('call', call());
  late.model.event('moment', moment(1, 5));
  late.model.event('partial', partial(10, 'Now'));
  assert.equal(late.shown(), null);
});

test('who is calling goes when its time is over, whatever the server says within five minutes, also after a sleep', () => {
  const { model, time, wait } = overlay();
  const pop = (milliseconds: number) => ({ fields: { name: 'Ana' }, until: new Date(time.now + milliseconds).toISOString() });
  model.event('call', call({ pop: pop(60_000) }));
  assert.deepEqual(model.screen.pop?.fields, [['name', 'Ana']]);
  assert.equal(model.screen.call?.call.pop, null);
  wait(60_000);
  assert.equal(model.screen.pop, null);
  model.event('call', call({ pop: pop(60_000) }));
  assert.equal(model.screen.pop, null);

  model.event('call', call({ call_id: 'c2', pop: pop(3_600_000) }));
  wait(299_999);
  assert.notEqual(model.screen.pop, null);
  wait(8 * 3_600_000);
  assert.equal(model.screen.pop, null);
});

test('the end is summed up for ten seconds, unless another call begins; what was said too early does not count', () => {
  const { model, notices, wait } = overlay();
  model.event('call', call());
  model.event('scores', scores(['done', 'late', 'early'], 81));
  model.event('ended', { seq: 9, reason: 'stopped', duration: 60 });
  model.event('idle', null);
  assert.deepEqual(model.screen.summary, { score: 81, said: 2, steps: 3, until: 1_010_000 });
  assert.deepEqual(notices.at(-1), { type: 'sotto-ended', call_id: 'c1' });
  wait(10_000);
  assert.equal(model.screen.summary, null);
  assert.equal(model.due(), null);

  model.event('call', call());
  model.event('ended', { seq: 9, reason: 'stopped', duration: 60 });
  model.event('call', call({ call_id: 'c2' }));
  assert.equal(model.screen.summary, null);
  assert.equal(model.screen.call?.call.call_id, 'c2');
});

test("the pace is the agent's, wherever its channel is", () => {
  const { model } = overlay();
  model.event('call', call({ channels: ['customer', 'agent'] }));
  model.event('scores', scores([]));
  assert.equal(model.screen.advice.hint, null);
  model.event('call', call({ call_id: 'c2' }));
  model.event('scores', scores([]));
  assert.equal(model.screen.advice.hint, 'slower');
});

test('nothing of a call is left for one who may not see it', () => {
  const { model } = overlay();
  model.event('call', call());
  model.link({ state: 'refused', status: 403 });
  assert.equal(model.screen.call, null);
});
