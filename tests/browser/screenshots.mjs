// Makes docs/screens/: pictures of the pages, from a real server with real calls on air.
//   SOTTO_BIN=target/release/sotto node tests/browser/screenshots.mjs [folder]
import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { openBrowser, Visitor } from './browser.mjs';
import { PEOPLE, ROOT, Sotto } from './sotto.mjs';

const FOLDER = resolve(process.argv[2] ?? join(ROOT, 'docs/screens'));

// in the order in which their calls begin
const AGENTS = {
  grace: { name: 'Grace Hill', teams: 'North', queue: 'cards' },
  tom: { name: 'Tom Berg', teams: 'South', queue: 'loans' },
  ana: { name: 'Ana Ruiz', teams: 'North', queue: 'cards' },
  wei: { name: 'Li Wei', teams: 'South', queue: 'cards' },
  noor: { name: 'Noor Haddad', teams: 'South', queue: 'loans' },
  piet: { name: 'Piet Jansen', teams: 'North', queue: 'cards' },
  sam: { name: 'Sam Okoro', teams: 'North', queue: 'service' },
  irma: { name: 'Irma Costa', teams: 'South', queue: 'cards' },
};
const CALLER = { customer_name: 'Daniel Foster', customer_number: '+1 212 555 0147', customer_since: '2014' };
/** Between two calls. */
const SPACING = 3_500;
const CALL = 'call-grace';

const NARROW = { viewport: { width: 360, height: 720 } };
const WALL = { viewport: { width: 3840, height: 2160 }, colorScheme: 'dark' };
const THEMES = ['light', 'dark'];

for (const [login, { name, teams }] of Object.entries(AGENTS)) PEOPLE[login] = { name, role: 'agent', teams };
await mkdir(FOLDER, { recursive: true });
const [sotto, browser] = await Promise.all([Sotto.start(), openBrowser()]);
try {
  const calls = playAll();
  await picture('login', { path: '/login', there: (page) => page.getByRole('button', { name: 'Log in' }) });
  for (const colorScheme of THEMES) {
    const there = (page) => page.locator('sotto-overlay').getByText('I will block the card');
    await picture(`overlay-${colorScheme}`, { login: 'grace', path: '/overlay', there, window: { ...NARROW, colorScheme } });
  }
  const senders = await Promise.all(calls);
  await onAir();
  await Promise.all(senders.map(({ over }) => over));
  await afterwards();
} finally {
  await browser.close();
  await sotto.stop();
}

/** A call of each agent, one after the other. */
function playAll() {
  return Object.entries(AGENTS).map(async ([agent, { queue }], place) => {
    await pause(place * SPACING);
    return sotto.play(`call-${agent}`, { ...CALLER, agent, queue });
  });
}

async function onAir() {
  const ada = { login: 'ada' };
  const board = { ...ada, path: '/', there: (page) => page.getByRole('row', { name: 'Piet Jansen' }).getByTitle('Lost card') };
  const call = { ...ada, path: `/calls/${CALL}`, there: (page) => page.getByRole('log').getByText(/credit card/) };
  for (const colorScheme of THEMES) {
    await picture(`board-${colorScheme}`, { ...board, window: { colorScheme } });
    await picture(`call-${colorScheme}`, { ...call, window: { colorScheme } });
  }
  await picture('call-narrow', { ...call, window: NARROW });
  await picture('board-narrow', { ...board, window: NARROW });
  const there = (page) => page.getByText('Grace Hill');
  await picture('wall', { ...ada, path: '/wall', there, window: WALL, file: { type: 'jpeg', quality: 70 } });
}

async function afterwards() {
  const searched = async (page) => {
    await page.getByRole('searchbox').fill('credit card');
    await page.getByRole('button', { name: 'Search', exact: true }).click();
    return page.locator('mark');
  };
  await picture('history', { login: 'ada', path: '/history', there: searched });
  await picture('trends', { login: 'ada', path: '/trends', there: (page) => page.getByRole('table').getByRole('row', { name: /Grace Hill/ }) });
}

/** What a person sees at a path once something is there, as a file. */
async function picture(name, { login, path, there, window = {}, file = {} }) {
  const visitor = await Visitor.open(browser, sotto.url, { reducedMotion: 'reduce', ...window });
  if (login) await visitor.logIn(login);
  const page = await visitor.go(path);
  await (await there(page)).first().waitFor({ timeout: 30_000 });
  await page.screenshot({ path: join(FOLDER, `${name}.${file.type === 'jpeg' ? 'jpg' : 'png'}`), ...file });
  await visitor.close();
}
