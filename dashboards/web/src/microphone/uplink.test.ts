import assert from 'node:assert/strict';
import { mock, test, type TestContext } from 'node:test';
import { Uplink, type UplinkState } from './uplink';

const RATE = 8000;

class FakeSocket {
  readyState = 1;
  bufferedAmount = 0;
  binaryType = '';
  closed = false;
  readonly texts: Record<string, unknown>[] = [];
  readonly audio: number[] = [];
  onopen = () => {};
  onmessage = (_event: { data: string }) => {};
  onclose = () => {};

  send(data: string | Int16Array): void {
    if (typeof data === 'string') this.texts.push(JSON.parse(data) as Record<string, unknown>);
    else this.audio.push(...data);
  }

  close(): void {
    this.closed = true;
  }

  says(message: object): void {
    this.onmessage({ data: JSON.stringify(message) });
  }

  breaks(): void {
    this.readyState = 3;
    this.onclose();
  }
}

const settle = () => new Promise<void>((resolve) => setImmediate(resolve));
const count = (from: number, to: number) => Array.from({ length: to - from }, (_, at) => from + at);

async function begin(t: TestContext) {
  mock.timers.enable({ apis: ['setTimeout', 'Date'] });
  t.after(() => mock.timers.reset());
  const sockets: FakeSocket[] = [];
  const states: UplinkState[] = [];
  const uplink = new Uplink({
    call: { call_id: 'mic-1', rate: RATE, channels: ['agent'], metadata: {} },
    token: async () => 'st_1',
    open: () => {
      const socket = new FakeSocket();
      sockets.push(socket);
      return socket as unknown as WebSocket;
    },
    changed: (state) => states.push(state),
  });
  let said = 0;
  /** Says numbers that go on counting. */
  const say = (samples: number) => {
    uplink.push(Int16Array.from(count(said, said + samples)));
    said += samples;
  };
  const next = async (position?: number) => {
    await settle();
    const socket = sockets.at(-1);
    assert.ok(socket);
    socket.onopen();
    if (position !== undefined) socket.says({ type: 'ready', position });
    return socket;
  };
  const tick = async (milliseconds: number) => {
    mock.timers.tick(milliseconds);
    await settle();
  };
  return { uplink, sockets, states, say, next, tick, state: () => states.at(-1)?.state };
}

test('starts, sends from the position of `ready`, and stops when all is sent', async (t) => {
  const { uplink, say, next, state } = await begin(t);
  say(160);
  const socket = await next();
  assert.deepEqual(socket.texts[0], { type: 'start', encoding: 's16le', resume: true, call_id: 'mic-1', rate: RATE, channels: ['agent'], metadata: {} });
  assert.deepEqual(socket.audio, []);
  socket.says({ type: 'ready', position: 0 });
  say(160);
  assert.deepEqual(socket.audio, count(0, 320));
  uplink.stop();
  assert.deepEqual(socket.texts[1], { type: 'stop' });
  assert.equal(state(), 'ending');
  socket.says({ type: 'ended' });
  assert.equal(state(), 'ended');
});

test('after a break goes on from where the server is, with what was said meanwhile', async (t) => {
  const { say, next, tick, states, state } = await begin(t);
  const first = await next(0);
  say(800);
  first.says({ type: 'ack', position: 320 });
  first.breaks();
  assert.equal(state(), 'waiting');
  say(800);
  await tick(500);
  const second = await next(320);
  assert.deepEqual(second.audio, count(320, 1600));
  assert.deepEqual(states.map(({ state }) => state), ['live', 'waiting', 'live']);
});

test('a socket that has gone silent counts as broken', async (t) => {
  const { next, tick, sockets, state } = await begin(t);
  const first = await next(0);
  await tick(24_000);
  first.says({ type: 'ack', position: 0 });
  await tick(24_999);
  assert.equal(state(), 'live');
  await tick(1);
  assert.equal(state(), 'waiting');
  assert.ok(first.closed);
  await tick(500);
  assert.equal(sockets.length, 2);
});

test('a long backlog is sent little by little, below the rate that the server allows', async (t) => {
  const { say, next, tick } = await begin(t);
  const first = await next(0);
  first.breaks();
  say(10_000);
  await tick(500);
  const second = await next(0);
  assert.equal(second.audio.length, 3200);
  say(1);
  assert.equal(second.audio.length, 6400);
});

test('a stop during a break waits for the way back, then for the end', async (t) => {
  const { uplink, say, next, tick, state } = await begin(t);
  const first = await next(0);
  first.breaks();
  say(400);
  uplink.stop();
  await tick(500);
  const second = await next(0);
  assert.deepEqual(second.audio, count(0, 400));
  assert.deepEqual(second.texts.at(-1), { type: 'stop' });
  second.says({ type: 'ended' });
  assert.equal(state(), 'ended');
});

test('an end that the server never hears of is told as such', async (t) => {
  const { uplink, next, tick, states } = await begin(t);
  const first = await next(0);
  first.breaks();
  uplink.stop();
  await tick(10_000);
  assert.deepEqual(states.at(-1), { state: 'ended', told: false });
});

test('what can be mended is tried again, what cannot is not', async (t) => {
  const { next, tick, sockets, states } = await begin(t);
  const first = await next(0);
  first.says({ type: 'error', code: 'storage', message: 'Later.' });
  assert.deepEqual(states.at(-1), { state: 'waiting', reason: 'Later.' });
  await tick(500);
  const second = await next(0);
  second.says({ type: 'error', code: 'taken_over', message: 'The call goes on elsewhere.' });
  assert.deepEqual(states.at(-1), { state: 'failed', message: 'The call goes on elsewhere.' });
  await tick(60_000);
  assert.equal(sockets.length, 2);
});

test('gives up when the server has been away for longer than it keeps a call', async (t) => {
  const { next, tick, sockets, state } = await begin(t);
  (await next(0)).breaks();
  for (let second = 0; second < 110; second += 10) {
    await tick(10_000);
    const latest = sockets.at(-1);
    if (latest && !latest.closed) latest.breaks();
  }
  assert.equal(state(), 'failed');
});
