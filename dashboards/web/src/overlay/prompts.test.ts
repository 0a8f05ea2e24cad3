import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dismiss, LONGEST, NO_PROMPTS, offer, type Offer, type Prompts, promptsDue, settle, SHORTEST, STALE } from './prompts';

const named = (key: string): Offer => ({ key, title: key, prompt: { say: key } });
const offered = (keys: string, now = 0, prompts: Prompts = NO_PROMPTS) => [...keys].reduce((all, key) => offer(all, named(key), now), prompts);
const names = ({ shown, waiting }: Prompts) => [shown?.key ?? '-', ...waiting.map(({ key }) => key)].join('');

test('a prompt alone goes by itself after its longest time', () => {
  const prompts = offered('a');
  assert.equal(promptsDue(prompts), LONGEST);
  assert.equal(names(settle(prompts, LONGEST - 1)), 'a');
  assert.equal(names(settle(prompts, LONGEST)), '-');
});

test('one that others wait for stays six seconds, then the newest comes', () => {
  const prompts = offered('abc');
  assert.equal(promptsDue(prompts), SHORTEST);
  assert.equal(names(settle(prompts, SHORTEST - 1)), 'abc');
  assert.equal(names(settle(prompts, SHORTEST)), 'cb');
});

test('of those that wait the three newest are kept, and no prompt twice', () => {
  assert.equal(names(offered('abcdeeb')), 'adeb');
  assert.equal(names(offered('aabb')), 'ab');
});

test('what waited too long is not shown', () => {
  const prompts = settle(offered('ab'), STALE, true);
  assert.equal(names(prompts), 'a');
});

test('one that is being read stays, and goes when it is let go', () => {
  const prompts = offered('ab');
  assert.equal(names(settle(prompts, LONGEST, true)), 'ab');
  assert.equal(names(settle(prompts, LONGEST, false)), 'b');
});

test('dismissed, it makes room for the next at once', () => {
  assert.equal(names(dismiss(offered('ab'), 100)), 'b');
  assert.equal(names(dismiss(offered('a'), 100)), '-');
});
