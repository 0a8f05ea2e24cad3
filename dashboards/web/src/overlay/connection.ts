import { createParser } from 'eventsource-parser';
import { backoff } from './backoff';

export type Link =
  | { state: 'connecting' }
  | { state: 'live' }
  | { state: 'lost'; since: number }
  | { state: 'refused'; status: 401 | 403 };

export interface Server {
  url: () => string;
  /** None: the session cookie is used. */
  token: () => Promise<string | null>;
  /** Whether asking again gives a fresh token. */
  renews: () => boolean;
  fetch?: typeof fetch;
}

export interface Listener {
  link(link: Link): void;
  /** `data` is the event's JSON. */
  event(name: string, data: unknown): void;
}

/** The server sends something every 5 s. */
const SILENCE = 15_000;
/** A line beyond this is not one of ours. */
const LONGEST = 4_000_000;

/** Server-sent events by fetch, which can send a token where EventSource cannot; connects again until it is stopped. */
export class Connection {
  private readonly stopped = new AbortController();
  private link: Link = { state: 'connecting' };
  private failures = 0;
  private wake = () => {};

  constructor(
    private readonly server: Server,
    private readonly listener: Listener,
  ) {
    void this.run();
  }

  stop(): void {
    this.stopped.abort();
    this.wake();
  }

  /** Ends a wait, for instance when there is a fresh token or the network is back. */
  retry(): void {
    this.wake();
  }

  private async run(): Promise<void> {
    while (!this.stopped.signal.aborted) {
      const status = await this.listen().catch(() => 0);
      if (this.stopped.signal.aborted) return;
      const refused = status === 401 || status === 403;
      if (refused) this.tell({ state: 'refused', status });
      else if (this.link.state !== 'lost') this.tell({ state: 'lost', since: Date.now() });
      await this.pause(refused && !(status === 401 && this.server.renews()) ? null : backoff(this.failures));
      this.failures += 1;
    }
  }

  /** Until the stream is over; gives the status it was answered with. */
  private async listen(): Promise<number> {
    const attempt = new AbortController();
    const abort = () => attempt.abort();
    this.stopped.signal.addEventListener('abort', abort);
    let silence = setTimeout(abort, SILENCE);
    try {
      const token = await this.server.token();
      const response = await (this.server.fetch ?? fetch)(this.server.url(), {
        headers: { accept: 'text/event-stream', ...(token === null ? {} : { authorization: `Bearer ${token}` }) },
        credentials: token === null ? 'same-origin' : 'omit',
        cache: 'no-store',
        signal: attempt.signal,
      });
      if (!response.ok || response.body === null) {
        await response.body?.cancel();
        return response.status;
      }
      const parser = createParser({ maxBufferSize: LONGEST, onEvent: ({ event, data }) => this.hear(event, data) });
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) {
        clearTimeout(silence);
        silence = setTimeout(abort, SILENCE);
        parser.feed(chunk.value);
      }
      return response.status;
    } finally {
      clearTimeout(silence);
      attempt.abort();
      this.stopped.signal.removeEventListener('abort', abort);
    }
  }

  private hear(name: string | undefined, data: string): void {
    if (this.stopped.signal.aborted) return;
    this.failures = 0;
    if (this.link.state !== 'live') this.tell({ state: 'live' });
    this.listener.event(name ?? 'message', data === '' ? null : JSON.parse(data));
  }

  private tell(link: Link): void {
    this.link = link;
    this.listener.link(link);
  }

  /** For so many milliseconds, or until something wakes us. */
  private pause(time: number | null): Promise<void> {
    return new Promise((resolve) => {
      const timer = time === null ? undefined : setTimeout(resolve, time);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
