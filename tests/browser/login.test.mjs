// Getting in, staying in, getting out.
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { openBrowser, Visitor } from './browser.mjs';
import { PASSWORD, Sotto } from './sotto.mjs';

let sotto;
let browser;
let visitor;

before(async () => {
  [sotto, browser] = await Promise.all([Sotto.start(), openBrowser()]);
});
after(async () => {
  await browser?.close();
  await sotto?.stop();
});
afterEach(() => visitor?.close());

async function fresh(path) {
  visitor = await Visitor.open(browser, sotto.url);
  return visitor.go(path);
}

async function logIn(page, login, password = PASSWORD) {
  await page.getByLabel('Login').fill(login);
  await page.getByLabel('Password').fill(password);
  await page.getByRole('button', { name: 'Log in' }).click();
}

function inside(page, name) {
  return page.getByRole('banner').getByText(name).first().waitFor();
}

test('a password logs in, by a cookie that scripts and other sites do not get', async () => {
  const page = await fresh('/');
  await logIn(page, 'maria');
  await inside(page, 'Maria Keller');
  const [cookie, ...others] = await visitor.context.cookies();
  assert.deepEqual(others, []);
  assert.equal(cookie.httpOnly, true);
  assert.equal(cookie.sameSite, 'Strict');
  assert.equal(await page.evaluate(() => document.cookie), '');
});

test('a wrong password says so and lets one try again', async () => {
  const page = await fresh('/');
  await logIn(page, 'maria', 'not the password');
  await page.getByRole('alert').getByText('wrong').waitFor();
  await logIn(page, 'maria');
  await inside(page, 'Maria Keller');
});

test('ci9 five wrong passwords lock a login, also for the right one, and nobody else', async () => {
  const page = await fresh('/');
  for (let tries = 0; tries < 5; tries += 1) {
    const answered = page.waitForResponse('**/v1/session');
    await logIn(page, 'tom', `guess number ${tries}`);
    assert.equal((await answered).status(), 401);
  }
  await logIn(page, 'tom');
  await page.getByRole('alert').getByText('too many wrong passwords').waitFor();
  assert.equal(await page.getByRole('button', { name: 'Log in' }).isDisabled(), true);
  await visitor.logIn('maria');
});

test('a link logs in once, and its secret does not stay in the address', async () => {
  const link = await sotto.link('vera');
  const page = await fresh(link);
  await inside(page, 'Vera Lind');
  assert.equal(page.url(), `${sotto.url}/`);
  await visitor.close();
  const again = await fresh(link);
  await again.getByText('has been used or has expired').waitFor();
  assert.equal(await visitor.status('/v1/session'), 401);
});

test('logging out ends the session on the server too', async () => {
  const page = await fresh('/');
  await logIn(page, 'maria');
  await inside(page, 'Maria Keller');
  const [cookie] = await visitor.context.cookies();
  await page.getByRole('banner').getByText('Maria Keller').first().click();
  await page.getByRole('button', { name: 'Log out' }).click();
  await page.getByRole('button', { name: 'Log in' }).waitFor();
  assert.equal(await visitor.status('/v1/session'), 401);
  await visitor.context.addCookies([cookie]);
  assert.equal(await visitor.status('/v1/session'), 401, 'the old cookie is worth nothing');
});

test('a session that has ended leads to the login, and from there back to where one was', async () => {
  const page = await fresh('/trends');
  await logIn(page, 'maria');
  // the answer to the page's own question is there: none is on its way that could go without the cookie
  await page.getByText('No trends yet').waitFor();
  await visitor.context.clearCookies();
  await page.getByRole('button', { name: '7 days' }).click();
  await logIn(page, 'maria');
  await page.getByRole('heading', { name: 'Trends', exact: true }).waitFor({ state: 'attached' });
  assert.equal(new URL(page.url()).pathname, '/trends');
  await page.goto('/login?next=//other.example/');
  await logIn(page, 'maria');
  await inside(page, 'Maria Keller');
  assert.equal(new URL(page.url()).origin, sotto.url, 'it leads to no other site');
});
