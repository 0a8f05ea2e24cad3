// One call from its first word to the history.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { flaws, openBrowser, textOf, Visitor } from './browser.mjs';
import { eventually, Sotto } from './sotto.mjs';

describe('a call', () => {
  let sotto;
  let browser;
  let maria;
  let page;
  let played;
  const transcript = () => page.getByRole('log', { name: 'Transcript' });
  const part = (name) => page.getByRole('region', { name });

  before(async () => {
    [sotto, browser] = await Promise.all([Sotto.start(), openBrowser()]);
    maria = await Visitor.as(browser, sotto, 'maria');
    played = sotto.play('call-1', { agent: 'grace', queue: 'cards', customer_number: '+1 212 555 0147' });
    await sotto.onAir('call-1');
    page = await maria.go('/calls/call-1');
  });
  after(async () => {
    await browser?.close();
    await sotto?.stop();
  });

  test('a sentence is read before it is over, and its line becomes the final', async () => {
    const text = page.getByText(/lost my credit/).first();
    await text.waitFor();
    const line = await text.evaluateHandle((element) => element.closest('[id]'));
    const early = await sotto.ask('GET', '/v1/calls/call-1/events');
    assert.equal(early.events.some((event) => /replacement/.test(event.text)), false, 'the final is not there yet');
    await transcript().getByText(/I lost my credit card yesterday/).getByText(/replacement/).waitFor();
    assert.equal(await line.evaluate((element) => element.isConnected), true, 'the line is the one it was');
  });

  test('its head says who, how long, and until when each class of data is kept', async () => {
    const head = page.getByRole('region', { name: 'Call', exact: true });
    await head.getByRole('heading', { name: /Grace Hill with \*\*\*-\*\*\*-0147/ }).waitFor();
    const text = await textOf(head);
    assert.match(text, /keeps words until .+, names until .+, scores until .+/);
    assert.match(text, /recorded never/);
    assert.match(text, /\d\d:\d\d live/);
  });

  test('what is hidden stands as a labelled chip', async () => {
    const name = transcript().getByText('name', { exact: true }).first();
    await name.waitFor();
    assert.match(await name.getAttribute('title'), /Hidden before it was kept/);
  });

  test('steps of the script are ticked, and their evidence is one click away', async () => {
    const step = part('Script').getByRole('listitem').filter({ hasText: 'Greet and name the bank' });
    await step.getByText(/done/).waitFor();
    await step.getByRole('button', { name: 'Greet and name the bank' }).click();
    await eventually(async () => {
      const marked = await transcript().evaluate((log) => log.querySelector('.marked')?.innerText);
      assert.match(marked ?? '', /Harbor ?Bank/);
    });
  });

  test('the moment stands in the transcript and in the list of moments', async () => {
    await part('Moments').getByRole('button', { name: 'Lost card', exact: true }).waitFor();
    await transcript().getByText('Lost card').waitFor();
  });

  test('a reader who scrolls up stays there and is told how much is new', async () => {
    await transcript().evaluate((log) => log.scrollTo(0, 0));
    await page.getByRole('button', { name: 'To the end' }).or(page.getByRole('button', { name: /\d new/ })).waitFor();
    await page.getByRole('button', { name: /\d new/ }).waitFor({ timeout: 15_000 });
    await page.getByRole('button', { name: /\d new/ }).click();
    await eventually(async () => {
      const rest = await transcript().evaluate((log) => log.scrollHeight - log.scrollTop - log.clientHeight);
      assert.ok(rest < 24, `${rest} pixels from the end`);
    });
  });

  test('the card number is a chip and none of its digits is on the page', async () => {
    await transcript().getByText('card number', { exact: true }).waitFor({ timeout: 30_000 });
    assert.doesNotMatch(await transcript().innerText(), /3782|822463|10005/);
  });

  test('the same page shows the whole of it when it is over', async () => {
    const code = await played.over;
    assert.equal(code, 0);
    await page.getByText(/00:4\d ended/).waitFor();
    const text = await transcript().innerText();
    assert.match(text, /How can I help you/);
    assert.match(text, /thank you very much/i);
    await part('Scorecard').getByText(/^\d+$/).waitFor();
    assert.equal(await transcript().getByText('Lost card').count(), 1);
    assert.doesNotMatch(text, /Daniel|Foster|3782/, 'what was hidden is nowhere');
  });

  test('the history finds words that were said and opens the call', async () => {
    await page.goto('/history');
    await page.getByLabel('Words said').fill('credit card');
    await page.getByRole('button', { name: 'Search', exact: true }).click();
    await page.locator('mark').filter({ hasText: 'credit card' }).waitFor();
    assert.equal(new URL(page.url()).search, '', 'what is searched for stands in no address');
    await page.getByRole('link', { name: /Grace Hill/ }).click();
    await transcript().getByText(/replacement/).waitFor();
    assert.match(page.url(), /\/calls\/call-1$/);
    await page.goto('/history');
    await page.getByLabel('Words said').fill('pineapple');
    await page.getByRole('button', { name: 'Search', exact: true }).click();
    await page.getByRole('heading', { name: 'Nothing found' }).waitFor();
  });

  test('ci12 trends and the leaderboard have the agent', async () => {
    await page.goto('/trends');
    const agent = page.getByRole('table').getByRole('row', { name: /Grace Hill/ });
    await agent.waitFor();
    assert.match(await textOf(agent), /Grace Hill 1 \d+/);
    await page.getByRole('button', { name: 'Teams' }).click();
    await page.getByRole('table').getByRole('row', { name: /cards/ }).waitFor();
  });

  test('a call that is over, a search and trends can be used by everybody, light and dark', async () => {
    const found = [];
    for (const colorScheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme });
      await page.goto('/trends');
      await page.getByRole('table').getByRole('row', { name: /Grace Hill/ }).waitFor();
      found.push(...(await flaws(page)));
      await page.goto('/history');
      await page.getByLabel('Words said').fill('credit card');
      await page.getByRole('button', { name: 'Search', exact: true }).click();
      await page.locator('mark').first().waitFor();
      await page.getByRole('link', { name: /Grace Hill/ }).click();
      await transcript().getByText(/replacement/).waitFor();
      found.push(...(await flaws(page)));
    }
    assert.deepEqual(found, []);
  });

  test('no page broke its policy, asked elsewhere or threw', () => assert.deepEqual(maria.wrongs, []));
});
