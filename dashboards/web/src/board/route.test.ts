import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { Window } from 'happy-dom';

let route: typeof import('./route');

before(async () => {
  const window = new Window({ url: 'https://sotto.example/' });
  Object.assign(globalThis, { location: window.location, addEventListener: window.addEventListener.bind(window) });
  route = await import('./route');
});

test('a call\u2019s id survives its address', () => {
  for (const id of ['2026-11-25-0017', 'a:b_c.d']) assert.deepEqual(route.parse(route.callPath(id)), { page: 'call', id });
});

test('what is no page is said to be none', () => {
  for (const path of ['/calls/', '/calls/a/b', '/calls/%E0%A4%A', '/nothing']) assert.deepEqual(route.parse(path), { page: 'unknown' });
});

test('login goes on to paths of this server only', () => {
  const next = (search: string) => route.nextPath(search, 'https://sotto.example');
  assert.equal(next('?next=/overlay%3Fpop%3D1'), '/overlay?pop=1');
  for (const search of ['', '?next=', '?next=//evil.example', '?next=https://evil.example', '?next=/\\evil.example']) assert.equal(next(search), null);
});
