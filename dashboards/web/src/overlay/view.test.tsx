import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Window } from 'happy-dom';
import { render } from 'preact';
import { Model } from './model';
import { View } from './view';

const window = new Window();
Object.assign(globalThis, { document: window.document });

function draw(model: Model): HTMLElement {
  const root = document.createElement('div');
  const nothing = () => {};
  const actions = { dismiss: nothing, hold: nothing, toggleSteps: nothing, retry: nothing, float: null };
  render(<View screen={model.screen} actions={actions} stepsShown={false} login={null} />, root);
  return root;
}

function onCall(): Model {
  const model = new Model(() => {}, () => 0);
  model.link({ state: 'live' });
  model.event('call', { call_id: 'c1', started_at: '', channels: ['agent', 'customer'], scorecard: null, pop: null });
  model.event('partial', { channel: 1, utterance: 1, revision: 1, start: 0, end: 1, stable: 'My card', tail: 'is [digits]', degraded: false });
  return model;
}

test('stable text and tail are told apart, and what is hidden is a chip', () => {
  const words = draw(onCall()).querySelector('.words');
  assert.equal(words?.textContent, 'My card is digits');
  assert.equal(words?.querySelector('.tail .redacted')?.textContent, 'digits');
});

test('without a connection no words are shown, and it says so', () => {
  const model = onCall();
  model.link({ state: 'lost', since: 0 });
  const root = draw(model);
  assert.equal(root.querySelector('.words')?.textContent, '');
  assert.match(root.querySelector('.lost')?.textContent ?? '', /^Connection lost at .*, retrying$/);
});

test('a prompt links to the web and to nothing else', () => {
  const links = ['https://crm.example/offer', 'javascript:alert(1)'].map((link, place) => {
    const model = onCall();
    model.event('moment', { seq: place + 1, id: 'm', title: 'Moment', forbidden: false, channel: 1, utterance: 1, at: 1, nearness: 1, prompt: { say: 'Say', link } });
    return draw(model).querySelector('.prompt a')?.getAttribute('href') ?? null;
  });
  assert.deepEqual(links, ['https://crm.example/offer', null]);
});
