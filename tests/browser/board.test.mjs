// The supervisor's board while calls come and go.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { openBrowser, textOf, Visitor } from './browser.mjs';
import { eventually, Sotto } from './sotto.mjs';

describe('the board', () => {
  let sotto;
  let browser;
  let page;
  const calls = {};
  const row = (name) => page.getByRole('row', { name });
  const leaveTheList = () => page.evaluate(() => document.activeElement.blur());

  before(async () => {
    // a call whose sender is gone ends soon
    [sotto, browser] = await Promise.all([Sotto.start({ capacity: 'resume_seconds = 2' }), openBrowser()]);
    page = await (await Visitor.as(browser, sotto, 'ada')).go('/');
  });
  after(async () => {
    await browser?.close();
    await sotto?.stop();
  });

  test('says that there are no calls', async () => {
    await page.getByRole('heading', { name: 'No calls on air' }).waitFor();
  });

  test('shows a call that begins, without a reload', async () => {
    await page.evaluate(() => (globalThis.loadedOnce = true));
    calls.cards = sotto.play('cards-1', { agent: 'grace', queue: 'cards', customer_number: '+1 212 555 0147' });
    calls.loans = sotto.play('loans-1', { agent: 'tom', queue: 'loans' });
    await row('Grace Hill').waitFor();
    await row('Tom Berg').waitFor();
    assert.equal(await page.evaluate(() => globalThis.loadedOnce), true);
    await page.getByText('Live 2').waitFor();
  });

  test('raises an alert with its title, level and age on the row', async () => {
    await row('Grace Hill').evaluate((element) => (element.seenBefore = true));
    await row('Grace Hill').getByTitle('Lost card').waitFor({ timeout: 20_000 });
    await row('Grace Hill').getByText('Warning').waitFor({ state: 'attached' });
    assert.match(await textOf(row('Grace Hill')), /Lost card \d+ s ago/);
    await page.getByText('Waiting alerts 1').waitFor();
  });

  test('changes a row in its place while the call goes on', async () => {
    const seen = await row('Grace Hill').evaluate((element) => element.seenBefore === true);
    assert.equal(seen, true, 'the row is the element it was');
    assert.equal(await row('Grace Hill').count(), 1);
    assert.match(await textOf(row('Grace Hill')), /\d\/5/, 'script');
    assert.match(await row('Grace Hill').getByText(/agent \d+ %, customer \d+ %/).innerText(), /\d/);
  });

  test('puts the worst call first', async () => {
    await leaveTheList();
    await eventually(async () => {
      const [, first] = await page.getByRole('row').allInnerTexts();
      assert.match(first, /Grace Hill/);
    });
  });

  test('filters by queue and by moment, and says when nothing fits', async () => {
    await page.getByLabel('Queue', { exact: true }).selectOption('loans');
    await row('Grace Hill').waitFor({ state: 'detached' });
    await row('Tom Berg').waitFor();
    await page.getByLabel('Moment', { exact: true }).selectOption('Lost card');
    await page.getByRole('heading', { name: 'No call fits' }).waitFor();
    await page.getByRole('button', { name: 'Clear filters' }).click();
    await page.getByLabel('Moment', { exact: true }).selectOption('Lost card');
    await row('Tom Berg').waitFor({ state: 'detached' });
    await page.getByRole('button', { name: /Lost card remove this filter/ }).click();
    await row('Tom Berg').waitFor();
  });

  test('is walked, opened, closed and searched by keys', async () => {
    await leaveTheList();
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('Home');
    const name = () => page.evaluate(() => document.activeElement.innerText.match(/Grace Hill|Tom Berg/)?.[0]);
    const first = await name();
    await page.keyboard.press('ArrowDown');
    const second = await name();
    assert.deepEqual(new Set([first, second]), new Set(['Grace Hill', 'Tom Berg']));
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: second }).waitFor();
    assert.match(page.url(), /\/calls\//);
    await page.keyboard.press('Escape');
    await eventually(async () => assert.equal(new URL(page.url()).pathname, '/'));
    assert.equal(await name(), second, 'the focus is where it was');
    await page.keyboard.press('?');
    await page.getByRole('dialog', { name: 'Keys' }).waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('dialog', { name: 'Keys' }).waitFor({ state: 'hidden' });
    await eventually(async () => {
      await page.keyboard.press('/');
      assert.equal(await page.evaluate(() => document.activeElement.type), 'search');
    });
    await page.keyboard.type('berg');
    await row('Grace Hill').waitFor({ state: 'detached' });
    await row('Tom Berg').waitFor();
    await page.getByRole('searchbox').fill('');
    await row('Grace Hill').waitFor();
  });

  test('takes an alert in hand, and says who has it', async () => {
    await leaveTheList();
    await row('Grace Hill').getByRole('button', { name: /Got it.*Lost card/ }).click();
    await page.getByText('Waiting alerts 0').waitFor();
    await row('Grace Hill').getByRole('link', { name: 'Open the call of Grace Hill' }).click();
    await page.getByRole('region', { name: 'Moments' }).getByText('Ada Stone has it').waitFor();
    await page.keyboard.press('Escape');
  });

  test('the wall shows the same calls, and Esc leaves it', async () => {
    await page.keyboard.press('w');
    await page.getByRole('list', { name: /worst first/ }).getByText('Grace Hill').waitFor();
    await page.getByText('waiting alerts').waitFor();
    await page.keyboard.press('Escape');
    await row('Grace Hill').waitFor();
  });

  test('says when a call waits for its sender, and lets it go when it ends', async () => {
    await page.mouse.move(0, 0);
    await leaveTheList();
    calls.loans.hangUp();
    await row('Tom Berg').getByText(/waiting|may come back/).waitFor();
    await row('Tom Berg').waitFor({ state: 'detached' });
    calls.cards.hangUp();
    await page.getByRole('heading', { name: 'No calls on air' }).waitFor();
  });
});
