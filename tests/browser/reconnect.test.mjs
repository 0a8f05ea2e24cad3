// The server loses its power in mid-call and comes back; nobody reloads anything.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { openBrowser, Visitor } from './browser.mjs';
import { eventually, Sotto } from './sotto.mjs';

describe('after a power cut in mid-call', () => {
  let sotto;
  let browser;
  let board;
  let call;

  before(async () => {
    [sotto, browser] = await Promise.all([Sotto.start(), openBrowser()]);
    const maria = await Visitor.as(browser, sotto, 'maria');
    sotto.play('power-1', { agent: 'grace', queue: 'cards' });
    await sotto.onAir('power-1');
    [board, call] = [await maria.go('/'), await maria.go('/calls/power-1')];
    for (const page of [board, call]) await page.evaluate(() => (globalThis.loadedOnce = true));
    await call.getByRole('region', { name: 'Moments' }).getByRole('button', { name: 'Lost card', exact: true }).waitFor({ timeout: 20_000 });
    await board.getByRole('row', { name: 'Grace Hill' }).getByTitle('Lost card').waitFor();
    await sotto.kill();
  });
  after(async () => {
    await browser?.close();
    await sotto?.stop();
  });

  test('the board says that it is cut off and since when', async () => {
    await board.getByText(/Connection lost since \d\d:\d\d:\d\d, retrying/).waitFor();
    await call.getByText(/connection lost since \d\d:\d\d:\d\d, retrying/).waitFor();
  });

  test('when the server is back the call is there again, once, with its alert', async () => {
    await sotto.serve();
    await board.getByText(/Connection lost/).waitFor({ state: 'detached', timeout: 25_000 });
    const row = board.getByRole('row', { name: 'Grace Hill' });
    await row.getByTitle('Lost card').waitFor();
    assert.equal(await row.count(), 1);
    await board.getByText('Live 1').waitFor();
  });

  test('its transcript goes on, and no utterance is there twice', async () => {
    await call.getByText(/connection lost/).waitFor({ state: 'detached', timeout: 25_000 });
    const log = call.getByRole('log', { name: 'Transcript' });
    const before = await log.locator('time').count();
    await eventually(async () => assert.ok((await log.locator('time').count()) > before, 'nothing new was said'), 25_000);
    const lines = await log.evaluate((element) => [...element.querySelectorAll('[id]')].map(({ id }) => id));
    assert.equal(new Set(lines).size, lines.length);
    assert.equal(await log.getByText(/I lost my credit card/).count(), 1);
    assert.equal(await log.getByText('Lost card').count(), 1);
  });

  test('nothing was reloaded', async () => {
    for (const page of [board, call]) assert.equal(await page.evaluate(() => globalThis.loadedOnce), true);
  });
});
