import { backoff } from '../overlay/backoff';
import { Held } from './held';
import { type Call, MENDABLE, type Said } from './protocol';

export type UplinkState =
  | { state: 'connecting'; reason: string | null }
  | { state: 'live' }
  /** The socket broke; what is said meanwhile is held. */
  | { state: 'waiting'; reason: string | null }
  /** What is held is sent, and the server writes down the rest. */
  | { state: 'ending' }
  /** `told`: the server said so. Otherwise it lets the call wait for a while and ends it then. */
  | { state: 'ended'; told: boolean }
  | { state: 'failed'; message: string };

export interface Line {
  call: Call;
  /** A fresh token; sockets are opened with one each. */
  token: () => Promise<string>;
  open: (token: string) => WebSocket;
  changed: (state: UplinkState) => void;
}

const HELD_SECONDS = 60;
/** The server lets a call wait for a minute from when it notices the break. */
const GIVE_UP = 90_000;
const STOPPING = 10_000;
/** A server that is well says something at least every 16 s, if only `ack`. */
const SILENCE = 25_000;
/** One call over as many sockets as it takes. */
export class Uplink {
  private readonly held: Held;
  private socket: WebSocket | null = null;
  private state: UplinkState = { state: 'connecting', reason: null };
  /** Position up to which this socket has had the audio; none before `ready`. */
  private sent: number | null = null;
  private stopping = false;
  /** The server has heard of this call. */
  private begun = false;
  private failures = 0;
  private broken = Date.now();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private stopTimer: ReturnType<typeof setTimeout> | undefined;
  private silence: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly line: Line) {
    this.held = new Held(line.call.channels.length, HELD_SECONDS * line.call.rate);
    void this.connect();
  }

  push(samples: Int16Array): void {
    if (this.over || this.stopping) return;
    this.held.push(samples);
    this.pump();
  }

  /** What was said so far is sent, then the call ends. */
  stop(): void {
    if (this.over || this.stopping) return;
    this.stopping = true;
    if (!this.begun) {
      this.finish({ state: 'ended', told: false });
      return;
    }
    this.tell({ state: 'ending' });
    this.stopTimer = setTimeout(() => this.finish({ state: 'ended', told: false }), STOPPING);
    this.pump();
  }

  private get over(): boolean {
    return this.state.state === 'ended' || this.state.state === 'failed';
  }

  private async connect(): Promise<void> {
    let token: string;
    try {
      token = await this.line.token();
    } catch (error) {
      this.again(error instanceof Error ? error.message : null);
      return;
    }
    if (this.over) return;
    const socket = this.line.open(token);
    socket.binaryType = 'arraybuffer';
    this.socket = socket;
    this.listen();
    socket.onopen = () => socket.send(JSON.stringify({ type: 'start', encoding: 's16le', resume: true, ...this.line.call }));
    socket.onmessage = ({ data }) => {
      if (socket === this.socket) this.hear(JSON.parse(String(data)) as Said);
    };
    socket.onclose = () => {
      if (socket === this.socket) this.again(null);
    };
  }

  /** A network that is gone closes no socket. */
  private listen(): void {
    clearTimeout(this.silence);
    this.silence = setTimeout(() => this.again(null), SILENCE);
  }

  private hear(said: Said): void {
    this.listen();
    switch (said.type) {
      case 'ready':
        this.sent = said.position;
        this.failures = 0;
        this.held.acknowledge(said.position);
        this.begun = true;
        if (!this.stopping) this.tell({ state: 'live' });
        this.pump();
        break;
      case 'ack':
        this.held.acknowledge(said.position);
        break;
      case 'ended':
        this.finish({ state: 'ended', told: true });
        break;
      case 'error':
        if (this.stopping && said.code === 'over') this.finish({ state: 'ended', told: true });
        else if (MENDABLE.has(said.code)) this.again(said.message);
        else this.finish({ state: 'failed', message: said.message });
        break;
    }
  }

  /** Sends what is due; after a break a little at a time, well below what the server takes. */
  private pump(): void {
    const { socket } = this;
    if (socket?.readyState !== 1 || this.sent === null) return;
    for (let messages = 0; messages < 4 && this.sent < this.held.end && socket.bufferedAmount < 500_000; messages += 1) {
      const samples = this.held.from(this.sent, this.line.call.rate / 10);
      socket.send(samples);
      this.sent += samples.length / this.held.channels;
    }
    if (!this.stopping) return;
    if (this.sent < this.held.end) this.later(20, () => this.pump());
    else {
      this.sent = null;
      socket.send(JSON.stringify({ type: 'stop' }));
    }
  }

  /** No reason is known of a socket that just closed: a browser does not tell what a handshake was answered. */
  private again(reason: string | null): void {
    if (this.over) return;
    this.hangUp();
    if (this.failures === 0) this.broken = Date.now();
    if (Date.now() - this.broken > GIVE_UP) {
      this.finish({ state: 'failed', message: reason ?? 'The server cannot be reached, or is full.' });
      return;
    }
    if (!this.stopping) this.tell({ state: this.begun ? 'waiting' : 'connecting', reason });
    this.later(backoff(this.failures++), () => void this.connect());
  }

  private finish(state: UplinkState): void {
    clearTimeout(this.timer);
    clearTimeout(this.stopTimer);
    this.hangUp();
    this.tell(state);
  }

  private hangUp(): void {
    const { socket } = this;
    clearTimeout(this.silence);
    this.socket = null;
    this.sent = null;
    socket?.close(1000);
  }

  private later(time: number, what: () => void): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(what, time);
  }

  private tell(state: UplinkState): void {
    this.state = state;
    this.line.changed(state);
  }
}
