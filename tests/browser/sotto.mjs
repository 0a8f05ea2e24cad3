// A real `sotto serve` with a data folder, keys and people of its own, and calls that are played to it in real time.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** 45 s, agent left, customer right: a credit card was lost. */
export const SAMPLE = join(ROOT, 'tests/audio/sample_call.flac');
const BINARY = process.env.SOTTO_BIN ?? join(ROOT, 'target/debug/sotto');
const READY = /calls on (\S+), API on (\S+)/;
const START_MS = 20_000;

export const PASSWORD = 'quiet enough for a wall';
/** Who there is in each test: role and teams. */
export const PEOPLE = {
  ada: { name: 'Ada Stone', role: 'admin', teams: '' },
  maria: { name: 'Maria Keller', role: 'supervisor', teams: 'cards' },
  lou: { name: 'Lou Fisher', role: 'supervisor', teams: 'loans' },
  grace: { name: 'Grace Hill', role: 'agent', teams: 'cards' },
  tom: { name: 'Tom Berg', role: 'agent', teams: 'loans' },
  vera: { name: 'Vera Lind', role: 'viewer', teams: '' },
};

// a process that is told to go ends what it began
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1));

/** Tries until `attempt` no longer throws; its last failure when it never does. */
export async function eventually(attempt, milliseconds = 10_000) {
  const until = Date.now() + milliseconds;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (Date.now() > until) throw error;
    }
    await pause(50);
  }
}

export class Sotto {
  #folder = mkdtempSync(join(tmpdir(), 'sotto-browser-'));
  #config = join(this.#folder, 'sotto.toml');
  #children = new Set();
  #server = null;
  #abandoned = () => {
    this.#end();
    this.#clear();
  };

  /** Calls come in here. */
  calls = '127.0.0.1:0';
  /** `host:port` of pages and API. */
  api = '127.0.0.1:0';
  key = '';

  /** `capacity`: TOML of that section. */
  static async start({ capacity = '', people = Object.keys(PEOPLE) } = {}) {
    const sotto = new Sotto();
    process.once('exit', sotto.#abandoned);
    try {
      sotto.#configure(capacity);
      sotto.key = (await sotto.run(['keys', 'create', 'acme', '--purposes', 'ingest,read'])).trim();
      for (const login of people) await sotto.#invite(login);
      await sotto.serve();
    } catch (error) {
      await sotto.stop();
      throw error;
    }
    return sotto;
  }

  get url() {
    return `http://${this.api}`;
  }

  /** Begins, or begins again on the same data and ports. */
  async serve() {
    const server = this.#spawn(['--config', this.#config, 'serve'], {
      SOTTO_LISTEN_CALLS: this.calls,
      SOTTO_LISTEN_API: this.api,
    });
    this.#server = server;
    const told = [];
    server.stderr.on('data', (data) => told.push(data));
    const ready = (async () => {
      for await (const line of createInterface({ input: server.stdout })) {
        const [, calls, api] = READY.exec(line) ?? [];
        if (api) return Object.assign(this, { calls, api });
      }
      throw new Error(`sotto did not start: ${Buffer.concat(told)}`);
    })();
    await bounded(ready, START_MS, 'sotto is not ready');
    server.stdout.resume();
    told.length = 0;
    server.stderr.removeAllListeners('data').resume();
  }

  /** A power cut. */
  async kill() {
    this.#server.kill('SIGKILL');
    await gone(this.#server);
  }

  async stop() {
    process.removeListener('exit', this.#abandoned);
    const children = [...this.#children];
    this.#end();
    await Promise.all(children.map(gone));
    this.#clear();
  }

  /** A command line of the same server; what it says on standard output. */
  async run(words, input = '') {
    const child = this.#spawn(['--config', this.#config, ...words], {}, input ? 'pipe' : 'ignore');
    child.stdin?.end(input);
    const [out, err] = [gather(child.stdout), gather(child.stderr)];
    const code = await gone(child);
    if (code !== 0) throw new Error(`sotto ${words.join(' ')}: ${await err}`);
    return out;
  }

  /** Plays a file as a live call; `over` is its exit code, `hangUp` takes the sender away in mid-call. */
  play(call, metadata = {}, file = SAMPLE) {
    const labels = Object.entries(metadata).flatMap(([name, value]) => ['--metadata', `${name}=${value}`]);
    const sender = this.#spawn(['send', file, '--url', `ws://${this.calls}/v1/stream`, '--key', this.key, '--call', call, ...labels]);
    sender.stdout.resume();
    sender.stderr.resume();
    return { over: gone(sender), hangUp: () => sender.kill('SIGKILL') };
  }

  /** With the key; the answer's JSON. */
  async ask(method, path, body) {
    const headers = { authorization: `Bearer ${this.key}`, 'content-type': 'application/json' };
    const response = await fetch(this.url + path, { method, headers, body: body && JSON.stringify(body) });
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
    return response.json();
  }

  /** Until the call is on air. */
  async onAir(call) {
    await eventually(() => this.ask('GET', `/v1/calls/${call}`));
  }

  async overlayToken(agent) {
    return (await this.ask('POST', '/v1/tokens', { purpose: 'overlay', agent })).token;
  }

  /** A link that logs in once. */
  async link(login) {
    return (await this.run(['users', 'link', login, '--url', this.url])).trim();
  }

  #configure(capacity) {
    const top = [`data = "${join(this.#folder, 'data')}"`, `scorecards = "${join(ROOT, 'docs/examples/scorecards')}"`];
    // many tests at once overload the machine, which is no reason to refuse their calls
    writeFileSync(this.#config, `${top.join('\n')}\n[capacity]\nslowest_partials = 60.0\n${capacity}\n`);
  }

  async #invite(login) {
    const { name, role, teams } = PEOPLE[login];
    const inTeams = teams ? ['--teams', teams] : [];
    await this.run(['users', 'put', 'acme', login, '--name', name, '--role', role, ...inTeams]);
    await this.run(['users', 'password', login], PASSWORD);
  }

  #spawn(words, environment = {}, input = 'ignore') {
    const child = spawn(BINARY, words, { stdio: [input, 'pipe', 'pipe'], env: { ...process.env, ...environment } });
    this.#children.add(child);
    child.once('exit', () => this.#children.delete(child));
    return child;
  }

  #end() {
    for (const child of this.#children) child.kill('SIGKILL');
  }

  #clear() {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

async function gone(child) {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  return child.exitCode;
}

async function gather(stream) {
  const parts = [];
  for await (const part of stream) parts.push(part);
  return Buffer.concat(parts).toString();
}

async function bounded(promise, milliseconds, otherwise) {
  const over = new AbortController();
  const late = pause(milliseconds, null, { signal: over.signal }).then(() => Promise.reject(new Error(otherwise)));
  late.catch(() => {});
  return Promise.race([promise, late]).finally(() => over.abort());
}
