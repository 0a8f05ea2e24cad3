// A call from the browser: a microphone that plays a file stands in for a person.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { openBrowser, Visitor } from './browser.mjs';
import { ROOT, Sotto } from './sotto.mjs';

const VOICE = join(ROOT, 'tests/audio/formats/sample.wav');

describe('the microphone page', () => {
  let sotto;
  let browser;
  let grace;
  let page;

  before(async () => {
    const fake = ['--use-fake-ui-for-media-stream', '--use-fake-device-for-media-stream', `--use-file-for-fake-audio-capture=${VOICE}`];
    [sotto, browser] = await Promise.all([Sotto.start(), openBrowser(...fake)]);
    grace = await Visitor.as(browser, sotto, 'grace');
    page = await grace.go('/microphone');
  });
  after(async () => {
    await browser?.close();
    await sotto?.stop();
  });

  test('begins a call of who is logged in', async () => {
    await page.getByLabel(/Queue/).fill('cards');
    await page.getByRole('button', { name: 'Begin the call' }).click();
    await page.getByRole('status').getByText('Live').waitFor();
  });

  test('what is said appears beside it as words', async () => {
    await page.locator('sotto-overlay').getByText(/Harbor ?Bank/i).waitFor({ timeout: 20_000 });
    // words may appear in a pause; the recording begins again
    const level = page.getByRole('meter', { name: 'Level: Agent' });
    await level.and(page.locator(':not([aria-valuenow="0.00"])')).waitFor();
  });

  test('a muted call goes on in silence', async () => {
    await page.getByRole('button', { name: 'Mute' }).click();
    await page.getByRole('status').getByText('muted').waitFor();
    await page.getByRole('button', { name: 'Unmute' }).click();
  });

  test('when it is ended it is in the history of the agent', async () => {
    await page.getByRole('button', { name: 'End the call' }).click();
    await page.getByRole('status').getByText('Call ended').waitFor();
    await page.getByRole('link', { name: 'Open the call' }).click();
    await page.getByRole('log', { name: 'Transcript' }).getByText(/Harbor ?Bank/i).first().waitFor();
    await page.goto('/history');
    const found = page.getByRole('link', { name: /Grace Hill/ });
    await found.waitFor();
    assert.equal(await found.count(), 1);
  });

  test('no page broke its policy, asked elsewhere or threw', () => assert.deepEqual(grace.wrongs, []));
});
