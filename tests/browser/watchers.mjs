// Readers of live streams without a browser, and when what they read is on the screen of one.
import { Agent, get } from 'node:http';

const agent = new Agent({ keepAlive: false, maxSockets: Infinity });

/** The wall clock with fractions, the same one as `performance.timeOrigin + performance.now()` in a tab. */
export function clock() {
  return performance.timeOrigin + performance.now();
}

/** Follows a stream until `stop`; `heard` gets the name and the data of each event, and when it arrived. */
export function follow(url, headers, heard) {
  const asked = get(url, { headers, agent }, (response) => {
    let rest = '';
    response.setEncoding('utf8');
    response.on('data', (chunk) => {
      const at = clock();
      const blocks = (rest + chunk).split('\n\n');
      rest = blocks.pop();
      for (const block of blocks) {
        const name = /^event: ?(.*)$/m.exec(block)?.[1];
        const data = /^data: ?(.*)$/m.exec(block)?.[1];
        if (name && data) heard(name, data, at);
      }
    });
    response.on('error', () => {});
  });
  asked.on('error', () => {});
  return { begun: new Promise((resolve) => asked.once('response', resolve)), stop: () => asked.destroy() };
}

/** Notes what an element says each time it has changed, by the start of the frame after. */
export function watchText(element) {
  const seen = [];
  let asked = false;
  const note = () => {
    asked = false;
    const words = (element.innerText ?? element.textContent).replaceAll(/\s+/g, ' ');
    seen.push({ at: performance.timeOrigin + performance.now(), words });
  };
  const changed = () => {
    if (!asked) requestAnimationFrame(note);
    asked = true;
  };
  new MutationObserver(changed).observe(element, { subtree: true, childList: true, characterData: true });
  return seen;
}

const LABELS = { card: 'card number', 'national-id': 'national id', account: 'account number', phone: 'phone number', 'date-of-birth': 'date of birth', email: 'e-mail address' };

/** A partial as people read it. */
export function shownText({ stable, tail }) {
  const text = [stable, tail].filter(Boolean).join(' ');
  return text.replaceAll(/\[([a-z-]+)\]/g, (_, marker) => LABELS[marker] ?? marker).replaceAll(/\s+/g, ' ');
}

/** How far the clock of a tab is ahead of ours, in milliseconds: the answer of the quickest of several asks. */
export async function ahead(page) {
  let best = { took: Infinity, by: 0 };
  for (let ask = 0; ask < 30; ask += 1) {
    const before = clock();
    const there = await page.evaluate(() => performance.timeOrigin + performance.now());
    const took = clock() - before;
    if (took < best.took) best = { took, by: there - before - took / 2 };
  }
  return best.by;
}

/** Text is looked for from shortly before its arrival, since the tab may hear of it first, until it must be there. */
const [EARLIEST, LATEST] = [-50, 2_000];

/**
 * Milliseconds from the arrival of each partial to its paint, and how many were never painted. Text that stood there
 * before is no news and is left out.
 */
export function delays(partials, seen) {
  const found = { measured: [], missed: 0 };
  for (const { at, text } of partials) {
    const near = seen.findIndex((note) => note.at >= at + EARLIEST);
    if (near < 0 || seen[near - 1]?.words.includes(text)) continue;
    const shown = seen.slice(near).find((note) => note.words.includes(text));
    if (shown && shown.at <= at + LATEST) found.measured.push(shown.at - at);
    else found.missed += 1;
  }
  return found;
}

export function percentiles(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share) => Number((sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? NaN).toFixed(1));
  return { count: sorted.length, p50: at(0.5), p99: at(0.99) };
}
