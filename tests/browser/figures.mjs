// From event to pixels with few and with many who look, and how much memory a tab takes after a long day.
//   SOTTO_BIN=target/release/sotto node tests/browser/figures.mjs --commit $(git describe --always --dirty)
// Writes bench-results/browser.json.
import { mkdirSync, writeFileSync } from 'node:fs';
import { arch, cpus, platform } from 'node:os';
import { join, relative } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { openBrowser, Visitor } from './browser.mjs';
import { eventually, ROOT, Sotto } from './sotto.mjs';
import { standIn } from './stand-in.mjs';
import { ahead, delays, follow, percentiles, shownText, watchText } from './watchers.mjs';

const { values: options } = parseArgs({ options: { commit: { type: 'string', default: 'unknown' } } });
const MANY = 200;
/** Calls played for each number of watchers. */
const CALLS = 2;
const EVENTS = 10_000;
const ROWS = 100;

const [sotto, browser] = await Promise.all([Sotto.start(), openBrowser()]);
const figures = {
  at: new Date().toISOString(),
  command: ['node', relative(process.cwd(), process.argv[1]), ...process.argv.slice(2)].join(' '),
  commit: options.commit,
  machine: { processor: cpus()[0].model, cores: cpus().length, system: `${platform()} ${arch()}` },
  browser: `Chromium ${browser.version()}, headless`,
};
try {
  figures.event_to_pixels = {
    unit: 'ms',
    how: 'from the arrival of a partial at the first of all readers to the start of the frame after the one that shows it; call and overlay are open at once',
    watchers: [await eventToPixels(1), await eventToPixels(MANY)],
  };
  figures.memory = {
    unit: 'MB of JavaScript heap after collecting garbage',
    how: `events of real calls, repeated by a stand-in for the live stream over HTTP; ${ROWS} rows, of which 5 change an event`,
    board: await boardMemory(),
    call: await callMemory(),
  };
} finally {
  await browser.close();
  await sotto.stop();
}
mkdirSync(join(ROOT, 'bench-results'), { recursive: true });
writeFileSync(join(ROOT, 'bench-results/browser.json'), `${JSON.stringify(figures, null, 2)}\n`);
console.log(JSON.stringify(figures, null, 2));

async function eventToPixels(watchers) {
  const [page, overlay] = [[], []];
  for (let turn = 0; turn < CALLS; turn += 1) {
    const { onPage, onOverlay } = await oneCall(`pixels-${watchers}-${turn}`, watchers);
    page.push(onPage);
    overlay.push(onOverlay);
  }
  return { watchers, call: summary(page), overlay: summary(overlay) };
}

function summary(calls) {
  const missed = calls.reduce((sum, call) => sum + call.missed, 0);
  return { ...percentiles(calls.flatMap(({ measured }) => measured)), missed };
}

/** One call, watched from its beginning by two tabs and by readers that draw nothing. */
async function oneCall(id, watchers) {
  const [maria, grace] = [await Visitor.as(browser, sotto, 'maria'), await Visitor.as(browser, sotto, 'grace')];
  const overlay = await grace.go('/overlay');
  const played = sotto.play(id, { agent: 'grace', queue: 'cards' });
  await sotto.onAir(id);
  const page = await maria.go(`/calls/${id}`);
  const log = await page.getByRole('log', { name: 'Transcript' }).elementHandle();
  const onLog = await log.evaluateHandle(watchText);
  const help = await overlay.locator('sotto-overlay').evaluateHandle(({ shadowRoot }) => shadowRoot.querySelector('section'));
  const onHelp = await help.evaluateHandle(watchText);
  const cookie = (await maria.context.cookies()).map(({ name, value }) => `${name}=${value}`).join('; ');
  const partials = new Map();
  const note = (name, data, at) => {
    if (name !== 'partial') return;
    const first = partials.get(data);
    if (!first || at < first) partials.set(data, at);
  };
  const readers = [follow(`${sotto.url}/v1/calls/${id}/live`, { cookie }, note)];
  for (let other = 1; other < watchers; other += 1) {
    readers.push(follow(`${sotto.url}/v1/calls/${id}/live`, { cookie }, note));
    readers.push(follow(`${sotto.url}/v1/board/live`, { cookie }, () => {}));
  }
  await Promise.all(readers.map(({ begun }) => begun));
  await played.over;
  const heard = [...partials].map(([data, at]) => ({ ...JSON.parse(data), at })).map((partial) => ({ ...partial, text: shownText(partial) }));
  const notes = async (tab, handle) => {
    const by = await ahead(tab);
    return (await handle.jsonValue()).map(({ at, words }) => ({ at: at - by, words }));
  };
  const onPage = delays(heard, await notes(page, onLog));
  const onOverlay = delays(heard.filter(({ channel }) => channel === 1), await notes(overlay, onHelp));
  for (const { stop } of readers) stop();
  await Promise.all([maria.close(), grace.close()]);
  return { onPage, onOverlay };
}

/** Rows as of a real call, changing all the time. */
async function boardMemory() {
  const id = 'memory-board';
  const sender = sotto.play(id, { agent: 'grace', queue: 'cards' });
  await sotto.onAir(id);
  const board = await firstEvent('/v1/board/live', 'rows', ({ rows }) => rows.find(({ call_id, talk_share }) => call_id === id && talk_share[0] > 0));
  sender.hangUp();
  const row = board.rows.find(({ call_id }) => call_id === id);
  const named = (place, tick) => ({ ...row, call_id: `call-${place}`, agent_name: `Agent ${place}`, score: (place + tick) % 100, talk_share: [(tick % 10) / 10, 1 - (tick % 10) / 10] });
  const numbers = { ...board.numbers, calls: ROWS };
  const first = { now: board.now, rows: Array.from({ length: ROWS }, (_, place) => named(place, 0)), numbers };
  return heapAfter('/v1/board/live', '/', (page) => page.getByRole('row', { name: /Agent 0/ }), ['board', first], (tick) => {
    const rows = Array.from({ length: 5 }, (_, place) => named((tick * 5 + place) % ROWS, tick));
    return ['rows', { now: board.now, rows, gone: [], numbers: { ...numbers, alerts: tick } }];
  }, (page) => page.getByText(`Waiting alerts ${EVENTS}`));
}

/** A call that does not end: of seven events five are partials, one is a final, one are scores. */
async function callMemory() {
  const id = 'memory-call';
  const sender = sotto.play(id, { agent: 'grace', queue: 'cards' });
  await sotto.onAir(id);
  const path = `/v1/calls/${id}/live`;
  const final = await firstEvent(path, 'final');
  const scores = await firstEvent(path, 'scores');
  const started = (await sotto.ask('GET', `/v1/calls/${id}/events`)).events[0];
  sender.hangUp();
  const next = (tick) => {
    const [utterance, part] = [Math.floor(tick / 7) + 1, tick % 7];
    const text = sentence(utterance);
    const span = { channel: utterance % 2, utterance, start: utterance * 4, end: utterance * 4 + part };
    if (part < 5) return ['partial', { ...span, revision: part + 1, stable: '', tail: text.slice(0, 12 * (part + 1)), degraded: false }];
    if (part === 5) return ['final', { ...final, ...span, seq: utterance + 1, text }];
    return ['scores', { ...scores, position: span.end }];
  };
  const last = Math.floor((EVENTS - 5) / 7) + 1;
  return heapAfter(path, `/calls/${id}`, (page) => page.getByRole('log'), ['started', started], next, (page) => page.getByRole('log').getByText(sentence(last)));
}

function sentence(utterance) {
  return `So this is what was said in sentence ${utterance} of the call.`;
}

async function heapAfter(stream, path, ready, first, next, done) {
  let go = () => {};
  const begin = new Promise((resolve) => (go = resolve));
  const before = await standIn(sotto.api, {
    [stream]: async (write) => {
      await write(...first);
      await begin;
      for (let tick = 1; tick <= EVENTS; tick += 1) {
        await write(...next(tick));
        // a few a frame, so that the tab draws as it would
        if (tick % 10 === 0) await pause(8);
      }
    },
  });
  const visitor = await Visitor.open(browser, before.url);
  await visitor.logIn('ada');
  const page = await visitor.go(path);
  await ready(page).first().waitFor();
  const start = await heap(page);
  const since = Date.now();
  go();
  await done(page).last().waitFor({ state: 'attached', timeout: 120_000 });
  const seconds = (Date.now() - since) / 1000;
  const end = await heap(page);
  await visitor.close();
  before.close();
  return { events: EVENTS, seconds: Number(seconds.toFixed(1)), before: start, after: end };
}

async function heap(page) {
  const session = await page.context().newCDPSession(page);
  await session.send('HeapProfiler.collectGarbage');
  const { usedSize } = await session.send('Runtime.getHeapUsage');
  await session.detach();
  return Number((usedSize / 1e6).toFixed(1));
}

/** The first event of a name that fits, read with the key. */
async function firstEvent(path, wanted, fits = () => true) {
  let found = null;
  const { stop } = follow(sotto.url + path, { authorization: `Bearer ${sotto.key}` }, (name, data) => {
    if (found || name !== wanted) return;
    const event = JSON.parse(data);
    if (fits(event)) found = event;
  });
  return eventually(() => {
    if (!found) throw new Error(`no ${wanted} on ${path}`);
    return found;
  }, 20_000).finally(stop);
}
