import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { backoff } from './backoff';
import { Connection, type Link, type Server } from './connection';

type Answer = (init: RequestInit) => Promise<Response>;

/** A body that is written to by hand. */
function stream(signal: AbortSignal | null | undefined) {
  let pen: ReadableStreamDefaultController<Uint8Array>;
  const body = new ReadableStream<Uint8Array>({ start: (controller) => void (pen = controller) });
  signal?.addEventListener('abort', () => pen.error(new Error('aborted')));
  return { response: new Response(body), write: (text: string) => pen.enqueue(new TextEncoder().encode(text)), close: () => pen.close() };
}

function connect(answers: Answer[], server: Partial<Server> = {}) {
  const links: Link['state'][] = [];
  const events: [string, unknown][] = [];
  const tokens: (string | null)[] = [];
  const connection = new Connection(
    {
      url: () => 'http://sotto.test/v1/overlay/live',
      token: async () => 'st_1',
      renews: () => false,
      fetch: async (_url, init) => {
        tokens.push(new Headers(init?.headers).get('authorization'));
        const answer = answers.shift();
        if (answer === undefined) throw new Error('unreachable');
        return answer(init ?? {});
      },
      ...server,
    },
    { link: ({ state }) => links.push(state), event: (name, data) => events.push([name, data]) },
  );
  return { connection, links, events, tokens };
}

/** Lets promises and the streams between them run. */
const settle = () => new Promise<void>((resolve) => setImmediate(() => setImmediate(() => setImmediate(resolve))));

test('events come whole, however they are cut, and a break is told and mended', async (t) => {
  mock.timers.enable({ apis: ['setTimeout'] });
  t.after(() => mock.timers.reset());
  const made: ReturnType<typeof stream>[] = [];
  const answer: Answer = async ({ signal }) => {
    const next = stream(signal);
    made.push(next);
    return next.response;
  };
  const { connection, links, events, tokens } = connect([answer, answer]);
  await settle();
  made[0]?.write('event: partial\nda');
  await settle();
  assert.deepEqual(events, []);
  made[0]?.write('ta: {"stable":"ä"}\n\nevent: idle\ndata:\n\n');
  await settle();
  assert.deepEqual(events, [['partial', { stable: 'ä' }], ['idle', null]]);
  made[0]?.close();
  await settle();
  assert.deepEqual(links, ['live', 'lost']);
  mock.timers.tick(500);
  await settle();
  made[1]?.write('event: idle\ndata: {}\n\n');
  await settle();
  assert.deepEqual(links, ['live', 'lost', 'live']);
  assert.deepEqual(tokens, ['Bearer st_1', 'Bearer st_1']);
  connection.stop();
});

test('fifteen silent seconds count as a break', async (t) => {
  mock.timers.enable({ apis: ['setTimeout'] });
  t.after(() => mock.timers.reset());
  let live: ReturnType<typeof stream> | undefined;
  const { connection, links } = connect([async ({ signal }) => (live = stream(signal)).response]);
  await settle();
  live?.write('event: tick\ndata: {}\n\n');
  await settle();
  mock.timers.tick(14_999);
  await settle();
  assert.deepEqual(links, ['live']);
  mock.timers.tick(1);
  await settle();
  assert.deepEqual(links, ['live', 'lost']);
  connection.stop();
});

test('a refusal waits for a fresh token instead of trying again', async (t) => {
  mock.timers.enable({ apis: ['setTimeout'] });
  t.after(() => mock.timers.reset());
  const refuse: Answer = async () => new Response('{}', { status: 401 });
  const { connection, links, tokens } = connect([refuse, refuse]);
  await settle();
  mock.timers.tick(60_000);
  await settle();
  assert.deepEqual(links, ['refused']);
  assert.equal(tokens.length, 1);
  connection.retry();
  await settle();
  assert.equal(tokens.length, 2);
  connection.stop();
});

test('where tokens are renewed each try asks for one', async (t) => {
  mock.timers.enable({ apis: ['setTimeout'] });
  t.after(() => mock.timers.reset());
  let made = 0;
  const refuse: Answer = async () => new Response('{}', { status: 401 });
  const { connection, tokens } = connect([refuse, refuse], { token: async () => `st_${++made}`, renews: () => true });
  await settle();
  mock.timers.tick(500);
  await settle();
  assert.deepEqual(tokens, ['Bearer st_1', 'Bearer st_2']);
  connection.stop();
});

test('waits double from half a second to ten, and are spread', () => {
  assert.deepEqual([0, 1, 2, 3, 4, 5, 99].map((failures) => backoff(failures, () => 1)), [500, 1000, 2000, 4000, 8000, 10_000, 10_000]);
  assert.equal(backoff(99, () => 0), 5000);
});
