// What holds for every page: its headers, its policy, and that everybody can use it.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { flaws, openBrowser, Visitor } from './browser.mjs';
import { Sotto } from './sotto.mjs';

const CALL = 'pages-1';

describe('every page', () => {
  let sotto;
  let browser;

  before(async () => {
    [sotto, browser] = await Promise.all([Sotto.start(), openBrowser('--use-fake-ui-for-media-stream', '--use-fake-device-for-media-stream')]);
    sotto.play(CALL, { agent: 'grace', queue: 'cards', customer_name: 'Daniel Foster' });
    sotto.play('pages-2', { agent: 'tom', queue: 'loans' });
    await sotto.onAir(CALL);
  });
  after(async () => {
    await browser?.close();
    await sotto?.stop();
  });

  test('mh3 carries the headers that guard it', async () => {
    for (const path of ['/', '/login', '/open', '/wall', '/history', '/trends', `/calls/${CALL}`, '/overlay', '/microphone']) {
      const { status, headers } = await fetch(sotto.url + path);
      const says = (name, wanted) => assert.match(headers.get(name) ?? '', wanted, `${name} of ${path}`);
      assert.equal(status, 200, path);
      says('content-security-policy', /default-src 'none'/);
      says('content-security-policy', /frame-ancestors 'none'/);
      assert.doesNotMatch(headers.get('content-security-policy'), /unsafe|\*|https?:/);
      says('x-frame-options', /^DENY$/);
      says('x-content-type-options', /^nosniff$/);
      says('referrer-policy', /^no-referrer$/);
      says('strict-transport-security', /max-age=63072000; includeSubDomains; preload/);
      says('permissions-policy', path === '/microphone' ? /microphone=\(self\)/ : /microphone=\(\)/);
    }
    const { headers } = await fetch(`${sotto.url}/v1/session`);
    assert.equal(headers.get('cache-control'), 'no-store');
  });

  // who looks at what, and what must be there before it is judged
  const PAGES = [
    [null, '/login', (page) => page.getByRole('button', { name: 'Log in' })],
    ['ada', '/', (page) => page.getByRole('row', { name: 'Grace Hill' }).getByTitle('Lost card')],
    ['ada', `/calls/${CALL}`, (page) => page.getByRole('region', { name: 'Moments' }).getByRole('button', { name: 'Lost card', exact: true })],
    ['ada', '/history', (page) => page.getByRole('link', { name: /Grace Hill/ })],
    ['ada', '/trends', (page) => page.getByRole('heading', { name: /Trends/ })],
    ['ada', '/wall', (page) => page.getByText('Grace Hill')],
    ['vera', '/', (page) => page.getByText('Agents in calls')],
    ['grace', '/overlay', (page) => page.locator('sotto-overlay').getByText('Next')],
    ['grace', '/microphone', (page) => page.getByRole('button', { name: 'Begin the call' })],
  ];

  for (const colorScheme of ['light', 'dark']) {
    test(`can be used by everybody and keeps to its policy, ${colorScheme}`, async () => {
      const found = [];
      for (const login of [null, 'ada', 'vera', 'grace']) {
        const visitor = await Visitor.open(browser, sotto.url, { colorScheme });
        if (login) await visitor.logIn(login);
        for (const [, path, there] of PAGES.filter(([who]) => who === login)) {
          const page = await visitor.go(path);
          await there(page).first().waitFor({ state: 'attached', timeout: 20_000 });
          for (const flaw of await flaws(page)) found.push(`${path}: ${flaw}`);
          await page.close();
        }
        found.push(...visitor.wrongs);
        await visitor.close();
      }
      assert.deepEqual(found, []);
    });
  }
});
