import { useCallback, useEffect, useReducer, useRef, useState } from 'preact/hooks';
import { request } from '../shared/api';
import { type Connection, LiveStream, SILENCE } from '../shared/live';
import type { Call, CallEvent, LiveScores, Partial } from '../wire';
import { loadSession } from './session';
import { type Keep, Transcript } from './transcript-model';

const KEPT = ['started', 'final', 'gap', 'moment', 'measured', 'scored', 'ended'] as const;

type LiveEvents = Record<(typeof KEPT)[number], CallEvent> & { partial: Partial; scores: LiveScores; tick: { now: string } };

export interface FollowedCall {
  call: Call | null;
  error: Error | null;
  transcript: Transcript;
  connection: Connection;
  /** Counts what has been drawn, since the transcript is changed in place. */
  version: number;
  retry: () => void;
  /** Reads the call once more and keeps its start or its end, where it is longer than a tab holds. */
  reread: (keep: Keep) => void;
}

/** A call and what is said in it, until it is over or the component goes. */
export function useCall(id: string): FollowedCall {
  const [call, setCall] = useState<Call | null>(null);
  const [error, setError] = useState<Error | null>(null);
  const [connection, setConnection] = useState<Connection>({ state: 'connecting' });
  const [reading, setReading] = useState<{ keep: Keep; times: number }>({ keep: 'end', times: 0 });
  const [version, draw] = useReducer<number, void>((count) => count + 1, 0);
  const transcript = useRef(new Transcript());
  const frame = useRef(0);
  const path = `/v1/calls/${encodeURIComponent(id)}`;
  const readable = call !== null && call.state !== 'erased';

  const load = useCallback(() => {
    setError(null);
    request<Call>('GET', path).then(setCall, setError);
  }, [path]);
  useEffect(load, [load]);

  useEffect(() => {
    if (!readable) return;
    const now = (transcript.current = new Transcript(reading.keep));
    // many events come at once when a call is opened: one drawing a frame is enough
    const changed = () => {
      frame.current ||= requestAnimationFrame(() => {
        frame.current = 0;
        draw();
      });
    };
    const onEvent = (event: CallEvent) => {
      now.event(event);
      changed();
      if (event.type !== 'ended') return;
      // the server ends the stream now, which must not count as a break
      stream.close();
      load();
    };
    const stream = new LiveStream<LiveEvents>({
      url: () => `${path}/live?after=${now.seq}`,
      silence: SILENCE,
      on: {
        ...(Object.fromEntries(KEPT.map((name) => [name, onEvent])) as Record<(typeof KEPT)[number], typeof onEvent>),
        partial: (partial) => (now.partial(partial), changed()),
        scores: (scores) => (now.live(scores), changed()),
        tick: () => {},
      },
      onConnection: (next) => setConnection((before) => (before.state === 'live' && next.state === 'live' ? before : next)),
      onRefused: () => void loadSession(),
    });
    return () => {
      stream.close();
      cancelAnimationFrame(frame.current);
      frame.current = 0;
    };
  }, [path, readable, reading]);

  const reread = useCallback((keep: Keep) => setReading(({ times }) => ({ keep, times: times + 1 })), []);
  return { call, error, transcript: transcript.current, connection, version, retry: load, reread };
}
