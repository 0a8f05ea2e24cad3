// Chromium, people who are logged in, and what no page may do.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { PASSWORD } from './sotto.mjs';

const require = createRequire(new URL('../../dashboards/web/package.json', import.meta.url));
const { chromium } = require('playwright-core');
const AXE = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');

export const WAIT = 10_000;

/** `inputs`: further arguments, such as a microphone that plays a file. */
export function openBrowser(...inputs) {
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox', ...inputs] });
}

/** One person's browser window; what its pages do wrong is gathered in `wrongs`. */
export class Visitor {
  wrongs = [];

  /** A window of its own: cookies are not shared with others. */
  static async open(browser, url, options = {}) {
    const context = await browser.newContext({ baseURL: url, viewport: { width: 1280, height: 800 }, ...options });
    context.setDefaultTimeout(WAIT);
    const visitor = new Visitor(context, url);
    await visitor.#watch();
    return visitor;
  }

  static async as(browser, sotto, login, options) {
    const visitor = await Visitor.open(browser, sotto.url, options);
    await visitor.logIn(login);
    return visitor;
  }

  constructor(context, url) {
    this.context = context;
    this.url = url;
  }

  async logIn(login) {
    const answer = await this.context.request.post('/v1/session', { data: { login, password: PASSWORD } });
    assert.equal(answer.status(), 204, await answer.text());
  }

  async go(path) {
    const page = await this.context.newPage();
    await page.goto(path);
    return page;
  }

  /** Status of a path, asked for with this session. */
  async status(path, method = 'GET', data = undefined) {
    const request = data === undefined ? { method } : { method, data };
    return (await this.context.request.fetch(path, request)).status();
  }

  async close() {
    await this.context.close();
  }

  async #watch() {
    await this.context.exposeBinding('toldByPage', (_, what) => this.wrongs.push(what));
    await this.context.addInitScript(() => {
      document.addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI }) => {
        globalThis.toldByPage(`breaks ${violatedDirective}: ${blockedURI}`);
      });
    });
    this.context.on('page', (page) => {
      page.on('pageerror', (error) => this.wrongs.push(`throws ${error.message}`));
      page.on('console', (message) => {
        if (/content security policy/i.test(message.text())) this.wrongs.push(message.text());
      });
      page.on('request', (request) => {
        if (!request.url().startsWith(this.url)) this.wrongs.push(`asks ${request.url()}`);
      });
    });
  }
}

/** What axe-core finds on a page, in words. */
export async function flaws(page) {
  // evaluated, not added as a script, which the content security policy would refuse
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  return violations.map(({ id, help, nodes }) => `${id}: ${help} (${nodes.map(({ target }) => target.join(' ')).join(', ')})`);
}

/** Text as people read it: spaces and lines folded. */
export async function textOf(locator) {
  return (await locator.innerText()).replaceAll(/\s+/g, ' ').trim();
}
