import { ApiError, request } from '../shared/api';
import { Store } from '../shared/store';
import { capture, type Capture, type Source } from './capture';
import { Uplink, type UplinkState } from './uplink';
import type { Frame } from './worklet';

/** A call from this browser: what the microphones give goes up to the server. */
export class Conversation {
  readonly call_id = `mic-${crypto.randomUUID()}`;
  readonly started = Date.now();
  readonly channels: string[];
  readonly state = new Store<UplinkState>({ state: 'connecting', reason: null });
  readonly muted = new Store(false);
  /** A microphone is gone. */
  readonly unplugged = new Store(false);
  /** How loud each channel was last, 0 to 1. */
  levels: number[] = [];
  private readonly uplink: Uplink;

  static async start(source: Source, metadata: Record<string, string>): Promise<Conversation> {
    let conversation: Conversation | null = null;
    const captured = await capture(source, {
      frame: (frame) => conversation?.hear(frame),
      lost: () => conversation?.unplugged.set(true),
    });
    conversation = new Conversation(captured, metadata);
    return conversation;
  }

  private constructor(
    private readonly captured: Capture,
    metadata: Record<string, string>,
  ) {
    const { rate, channels } = captured;
    this.channels = channels;
    this.uplink = new Uplink({
      call: { call_id: this.call_id, rate, channels, metadata },
      token,
      open: (token) => new WebSocket(streamUrl(location.href, this.call_id, token)),
      changed: (state) => {
        if (state.state === 'ended' || state.state === 'failed') captured.close();
        this.state.set(state);
      },
    });
  }

  /** A muted call sends silence: time goes on. */
  mute(muted: boolean): void {
    this.captured.mute(muted);
    this.muted.set(muted);
  }

  end(): void {
    this.captured.close();
    this.uplink.stop();
  }

  private hear({ samples, peaks }: Frame): void {
    this.levels = peaks;
    this.uplink.push(samples);
  }
}

async function token(): Promise<string> {
  try {
    return (await request<{ token: string }>('POST', '/v1/tokens', { purpose: 'ingest' })).token;
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) throw new Error('You are logged out. Log in again in another tab; what you say is held.');
    throw error;
  }
}

function streamUrl(page: string, call_id: string, token: string): string {
  const url = new URL('/v1/stream', page);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  url.search = new URLSearchParams({ token, resume: call_id }).toString();
  return url.href;
}
