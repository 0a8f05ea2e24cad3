/** `since`: when something was last heard, by this machine's clock. */
export type Connection = { state: 'connecting' } | { state: 'live' } | { state: 'lost'; since: number };

export type Handlers<Events> = { [Name in keyof Events & string]: (data: Events[Name]) => void };

export interface LiveOptions<Events> {
  /** Asked for on each attempt, so that it can say from where to go on. */
  url: () => string;
  on: Handlers<Events>;
  onConnection?: (connection: Connection) => void;
  /** The server answered, but not with events: logged out, gone, or not allowed. */
  onRefused?: () => void;
  /** Seconds without an event after which the connection counts as lost; the server must send more often. */
  silence?: number;
  open?: (url: string) => EventSource;
  random?: () => number;
}

/** Seconds; the server says `tick` every five. */
export const SILENCE = 20;

const FIRST_DELAY = 1_000;
const LONGEST_DELAY = 15_000;

/** Milliseconds to wait before attempt `attempt` (from 0): doubling, half of it jitter, never outside 1 to 15 s. */
export function backoff(attempt: number, random: number): number {
  const full = Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** (attempt + 1));
  return Math.max(FIRST_DELAY, full / 2 + (full / 2) * random);
}

/**
 * Server-sent events that come back by themselves. EventSource alone gives up after an HTTP error and does not notice a
 * connection that has gone silent, so each attempt has an EventSource of its own.
 */
export class LiveStream<Events> {
  private source: EventSource | null = null;
  private attempt = 0;
  private heard = Date.now();
  private lost = false;
  private retry: ReturnType<typeof setTimeout> | undefined;
  private watch: ReturnType<typeof setInterval> | undefined;

  constructor(private readonly options: LiveOptions<Events>) {
    options.onConnection?.({ state: 'connecting' });
    this.connect();
    const { silence } = options;
    if (silence) {
      this.watch = setInterval(() => {
        if (this.source && Date.now() - this.heard > silence * 1_000) this.fail();
      }, 1_000);
    }
  }

  close(): void {
    clearTimeout(this.retry);
    clearInterval(this.watch);
    this.source?.close();
    this.source = null;
  }

  private connect(): void {
    const open = this.options.open ?? ((url: string) => new EventSource(url));
    const source = open(this.options.url());
    this.source = source;
    // silence counts from here, what is shown as `since` does not
    const before = this.heard;
    this.heard = Date.now();
    source.onopen = () => this.hear();
    source.onerror = () => {
      if (source !== this.source) return;
      const refused = source.readyState === 2;
      if (this.lost) this.heard = before;
      this.fail();
      if (refused) this.options.onRefused?.();
    };
    for (const name of Object.keys(this.options.on) as (keyof Events & string)[]) {
      source.addEventListener(name, (event) => {
        if (source !== this.source) return;
        this.hear();
        this.options.on[name](JSON.parse((event as MessageEvent<string>).data || 'null') as Events[typeof name]);
      });
    }
  }

  private hear(): void {
    this.heard = Date.now();
    this.attempt = 0;
    this.lost = false;
    this.options.onConnection?.({ state: 'live' });
  }

  private fail(): void {
    this.source?.close();
    this.source = null;
    if (!this.lost) this.options.onConnection?.({ state: 'lost', since: this.heard });
    this.lost = true;
    this.retry = setTimeout(() => this.connect(), backoff(this.attempt++, (this.options.random ?? Math.random)()));
  }
}
