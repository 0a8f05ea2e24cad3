// The overlay inside a page of somebody else, such as a CRM.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { after, before, describe, test } from 'node:test';
import { openBrowser, Visitor } from './browser.mjs';
import { Sotto } from './sotto.mjs';

describe('the overlay in a page of another origin', () => {
  let sotto;
  let browser;
  let host;
  let visitor;
  let page;
  const overlay = () => page.locator('sotto-overlay');

  before(async () => {
    [sotto, browser] = await Promise.all([Sotto.start(), openBrowser()]);
    const token = await sotto.overlayToken('grace');
    host = createServer((_, response) => {
      response.setHeader('content-type', 'text/html');
      response.end(`<!doctype html><html lang="en"><title>CRM</title>
        <label>Notes <input></label>
        <sotto-overlay server="${sotto.url}" token="${token}"></sotto-overlay>
        <script type="module" src="${sotto.url}/assets/overlay.js"></script>`);
    }).listen(0, '127.0.0.1');
    await once(host, 'listening');
    visitor = await Visitor.open(browser, `http://127.0.0.1:${host.address().port}`);
    page = await visitor.go('/');
  });
  after(async () => {
    await browser?.close();
    host?.close();
    host?.closeAllConnections();
    await sotto?.stop();
  });

  test('says that there is no call', async () => {
    await overlay().getByText('No call').waitFor();
  });

  test('ci12 shows who calls as soon as the call is there', async () => {
    await page.evaluate(() => {
      globalThis.told = [];
      for (const name of ['sotto-call', 'sotto-moment', 'sotto-ended']) addEventListener(name, ({ type, detail }) => globalThis.told.push({ type, ...detail }));
      globalThis.leftFor = [];
      document.querySelector('input').addEventListener('blur', () => globalThis.leftFor.push(document.activeElement?.localName));
    });
    await page.getByLabel('Notes').focus();
    sotto.play('overlay-1', { agent: 'grace', queue: 'cards', customer_name: 'Daniel Foster', tier: 'gold' });
    await overlay().getByText('Daniel Foster').waitFor();
    await overlay().getByText('gold').waitFor();
    await overlay().getByText('Greet and name the bank').waitFor();
  });

  test('ticks the step that was said and shows the next one', async () => {
    await overlay().getByText('0 of 5').waitFor();
    await overlay().getByText('Ask for the name').waitFor();
    await overlay().getByText(/[1-4] of 5/).waitFor();
  });

  test('shows what the customer says while it is said', async () => {
    await overlay().getByText(/lost my credit/).waitFor();
  });

  test('prompts what to say, why, and where to read more', async () => {
    await overlay().getByText('I will block the card right away.').waitFor();
    await overlay().getByText('A lost card can be used until it is blocked.').waitFor();
    const link = overlay().getByRole('link');
    assert.equal(await link.getAttribute('href'), 'https://intranet.example/cards/block');
    assert.match(await link.getAttribute('rel'), /noopener/);
  });

  test('never takes the focus from where somebody types', async () => {
    await page.keyboard.type('lost card, to be blocked');
    assert.equal(await page.getByLabel('Notes').inputValue(), 'lost card, to be blocked');
    assert.deepEqual(await page.evaluate(() => globalThis.leftFor), []);
  });

  test('a prompt goes when it is dismissed', async () => {
    await overlay().getByRole('button', { name: 'Dismiss' }).click();
    await overlay().getByText('I will block the card right away.').waitFor({ state: 'detached' });
  });

  test('tells its page ids only', async () => {
    const told = await page.evaluate(() => globalThis.told);
    assert.deepEqual(told, [
      { type: 'sotto-call', call_id: 'overlay-1' },
      { type: 'sotto-moment', call_id: 'overlay-1', seq: told[1].seq, moment: 'lost-card' },
    ]);
  });

  test('a token opens nothing but the overlay of its agent', async () => {
    const token = await sotto.overlayToken('grace');
    for (const path of ['/v1/calls', '/v1/calls/overlay-1/events', '/v1/board/live', '/v1/trends?by=team']) {
      const response = await fetch(sotto.url + path, { headers: { authorization: `Bearer ${token}` } });
      await response.body?.cancel();
      assert.equal(response.status, 403, path);
    }
  });

  test('shows all steps on demand, those that were said by a word too', async () => {
    await overlay().getByRole('button', { name: 'All steps' }).click();
    const step = overlay().getByRole('listitem').filter({ hasText: 'Greet and name the bank' });
    await step.getByText('said', { exact: true }).waitFor();
  });

  test('asks nobody but the server it belongs to', () => {
    assert.deepEqual(visitor.wrongs.filter((wrong) => !wrong.startsWith(`asks ${sotto.url}/`)), []);
  });

  test('another agent sees nothing of it', async () => {
    const token = await sotto.overlayToken('tom');
    await page.evaluate((other) => {
      const element = document.createElement('sotto-overlay');
      element.setAttribute('server', document.querySelector('sotto-overlay').getAttribute('server'));
      element.setAttribute('token', other);
      element.id = 'other';
      document.body.append(element);
    }, token);
    await page.locator('#other').getByText('No call').waitFor();
  });
});
