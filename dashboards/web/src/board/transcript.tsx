import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { Icon } from '../shared/icon';
import { pure } from '../shared/pure';
import { Redacted } from '../shared/redaction';
import { clock, timeWithSecondsOf } from '../shared/time';
import type { Shown } from './call';
import { State } from './state';
import type { Line } from './transcript-model';
import type { FollowedCall } from './use-call';

interface Props {
  followed: FollowedCall;
  channels: string[];
  /** Start of the call, milliseconds. */
  startedAt: number;
  shown: Shown | null;
  live: boolean;
}

/** Nearer than this to the end, in pixels, the reader follows. */
const AT_END = 24;
const MARKED_MS = 2_000;

export function TranscriptView({ followed, channels, startedAt, shown, live }: Props) {
  const { transcript, version, reread } = followed;
  const scroller = useRef<HTMLDivElement>(null);
  const [following, setFollowing] = useState(true);
  const [marked, setMarked] = useState<string | null>(null);
  const finals = transcript.lines.reduce((count, line) => count + (line.final ? 1 : 0), transcript.dropped);
  const read = useRef(finals);
  const fromStart = transcript.dropped > 0 && transcript.keep === 'start';
  if (following) read.current = finals;

  useLayoutEffect(() => {
    const element = scroller.current;
    if (element && following) element.scrollTop = element.scrollHeight;
  }, [version, following]);
  useShown(shown, followed, (key) => {
    if (key) setFollowing(false);
    setMarked(key);
  });

  return (
    <div class="transcript">
      <div
        ref={scroller}
        class="transcript-scroll"
        role="log"
        aria-live="off"
        aria-label="Transcript"
        tabIndex={0}
        onScroll={(event) => {
          const { scrollHeight, scrollTop, clientHeight } = event.currentTarget;
          setFollowing(scrollHeight - scrollTop - clientHeight < AT_END);
        }}
      >
        {transcript.dropped > 0 && !fromStart && (
          <p class="cut-line">
            The first {transcript.dropped} lines are not held here.{' '}
            <button class="button small" type="button" onClick={() => reread('start')}>
              Load from the start
            </button>
          </p>
        )}
        {transcript.lines.length === 0 && (
          <State title={live ? 'Nothing said yet' : 'No words'} text={live ? 'Words appear here while they are spoken.' : 'The call had no words, or they have expired.'} />
        )}
        {transcript.lines.map((line) => (
          <LineView key={line.key} line={line} role={channels[line.channel] ?? 'other'} startedAt={startedAt} marked={marked === line.key} />
        ))}
        {fromStart && (
          <p class="cut-line">
            {transcript.dropped} later lines are not held here.{' '}
            <button class="button small" type="button" onClick={() => reread('end')}>
              Load the end
            </button>
          </p>
        )}
      </div>
      {!following && live && (
        <button class="button primary to-end" type="button" onClick={() => setFollowing(true)}>
          <Icon name="down" /> {finals > read.current ? `${finals - read.current} new` : 'To the end'}
        </button>
      )}
    </div>
  );
}

/** Scrolls to what is to be shown and marks it for a while; a line that is not held is read first. */
function useShown(shown: Shown | null, { transcript, version, reread }: FollowedCall, mark: (key: string | null) => void) {
  const done = useRef(0);
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  useEffect(() => {
    if (!shown || done.current === shown.count) return;
    const line = document.getElementById(lineId(shown.key));
    if (line) {
      done.current = shown.count;
      line.scrollIntoView({ block: 'center' });
      mark(shown.key);
      clearTimeout(timer.current);
      timer.current = setTimeout(() => mark(null), MARKED_MS);
    } else if (transcript.dropped > 0 && transcript.keep === 'end') {
      reread('start');
    }
  }, [shown, version]);
  useEffect(() => () => clearTimeout(timer.current), []);
}

function lineId(key: string): string {
  return `line-${key}`;
}

const LineView = pure(({ line, role, startedAt, marked }: { line: Line; role: string; startedAt: number; marked: boolean }) => {
  const at = timeWithSecondsOf(startedAt + line.start * 1000);
  if (line.utterance === null) {
    return (
      <p class="gap">
        {role}: nothing was written down from {clock(line.start)} to {clock(line.end)}
      </p>
    );
  }
  return (
    <div id={lineId(line.key)} class={`line ${role} ${marked ? 'marked' : ''}`}>
      <p class="line-head">
        <span class="line-role">{role}</span>{' '}
        <time class="figures" title={`${clock(line.start)} into the call`}>
          {at}
        </time>
      </p>
      <p class="line-text">
        <Redacted text={line.text} />
        {line.tail && (
          <span class="tail">
            {line.text && ' '}
            <Redacted text={line.tail} />
          </span>
        )}
      </p>
      {line.moments.map((moment) => (
        <p key={moment.seq} class={`line-moment level-${moment.level ?? 'notice'}`}>
          <Icon name={moment.level ?? 'notice'} /> {moment.title}
        </p>
      ))}
    </div>
  );
});
