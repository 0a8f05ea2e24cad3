import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { backoff, type Connection, LiveStream } from './live';

class FakeSource {
  readyState = 0;
  onopen: (() => void) | null = null;
  onerror: (() => void) | null = null;
  closed = false;
  private readonly listeners = new Map<string, (event: { data: string }) => void>();

  constructor(readonly url: string) {}

  addEventListener(name: string, listener: (event: { data: string }) => void) {
    this.listeners.set(name, listener);
  }

  say(name: string, data: unknown) {
    this.listeners.get(name)?.({ data: JSON.stringify(data) });
  }

  close() {
    this.closed = true;
  }
}

let sources: FakeSource[];
let connections: Connection[];
let heard: number[];
let refused: number;
let stream: LiveStream<{ count: number }>;

beforeEach(() => {
  mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'Date'], now: 1_000 });
  [sources, connections, heard, refused] = [[], [], [], 0];
  stream = new LiveStream<{ count: number }>({
    url: () => `/live?after=${heard.length}`,
    silence: 20,
    on: { count: (count) => heard.push(count) },
    onConnection: (connection) => connections.push(connection),
    onRefused: () => refused++,
    open: (url) => {
      const source = new FakeSource(url);
      sources.push(source);
      return source as unknown as EventSource;
    },
    random: () => 0,
  });
});

afterEach(() => {
  stream.close();
  mock.timers.reset();
});

const last = () => sources.at(-1) as FakeSource;

test('waits 1 to 15 seconds between attempts, longer each time', () => {
  for (let attempt = 0; attempt < 12; attempt++) {
    for (const random of [0, 0.5, 1]) {
      const delay = backoff(attempt, random);
      assert.ok(delay >= 1_000 && delay <= 15_000, `${attempt}: ${delay}`);
    }
  }
  assert.ok(backoff(3, 0) > backoff(0, 0));
});

test('goes on from where it was after a break', () => {
  last().say('count', 1);
  last().onerror?.();
  assert.ok(last().closed);
  mock.timers.tick(1_000);
  assert.deepEqual(sources.map(({ url }) => url), ['/live?after=0', '/live?after=1']);
  last().say('count', 2);
  assert.deepEqual(heard, [1, 2]);
  assert.deepEqual(connections.map(({ state }) => state), ['connecting', 'live', 'lost', 'live']);
});

test('silence is a break, since the last that was heard', () => {
  last().say('count', 1);
  mock.timers.tick(20_000);
  assert.equal(connections.at(-1)?.state, 'live');
  mock.timers.tick(1_000);
  assert.deepEqual(connections.at(-1), { state: 'lost', since: 1_000 });
  assert.ok(last().closed);
});

test('an answer that is not a stream is told, a broken network is not', () => {
  last().onerror?.();
  assert.equal(refused, 0);
  mock.timers.tick(1_000);
  last().readyState = 2;
  last().onerror?.();
  assert.equal(refused, 1);
  assert.equal(connections.filter(({ state }) => state === 'lost').length, 1, 'lost is said once');
});

test('what a source that was given up says later is not heard', () => {
  const first = last();
  first.onerror?.();
  mock.timers.tick(1_000);
  first.say('count', 7);
  first.onerror?.();
  assert.deepEqual(heard, []);
  assert.equal(sources.length, 2);
});

test('nothing happens after close', () => {
  last().onerror?.();
  stream.close();
  mock.timers.tick(60_000);
  assert.equal(sources.length, 1);
});
