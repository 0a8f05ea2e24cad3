import { useEffect, useRef, useState } from 'preact/hooks';
import { useStore } from '../shared/store';
import { useNow } from '../shared/time';
import type { Evidence, Session } from '../wire';
import { CallHead } from './call-head';
import { isForPage } from './keys';
import { board, shownTime } from './live-board';
import { MeasureTable } from './measures';
import { MomentList } from './moments';
import { navigate } from './route';
import { ScorecardPanel } from './scorecard';
import { ScriptList } from './script';
import { Failed, Skeleton } from './state';
import { TranscriptView } from './transcript';
import { key } from './transcript-model';
import { useCall } from './use-call';
import { Versions } from './versions';
import { useWide } from './wide';

/** What is shown and marked; counted, so that a second click shows it again. */
export interface Shown {
  key: string;
  count: number;
}

export function CallPage({ id, session, closeTo }: { id: string; session: Session; closeTo: string }) {
  const followed = useCall(id);
  const { call, error, transcript, connection } = followed;
  const state = useStore(board);
  const now = shownTime(state, useNow());
  const row = state.rows.get(id) ?? null;
  const [shown, setShown] = useState<Shown | null>(null);
  const show = (evidence: Evidence) => setShown((before) => ({ key: key(evidence), count: (before?.count ?? 0) + 1 }));
  const section = useRef<HTMLElement>(null);
  const wide = useWide();
  useEscape(closeTo);
  // alone on a narrow screen, the call takes the focus from the list that is no longer seen
  useEffect(() => {
    if (!wide) section.current?.focus({ preventScroll: true });
  }, []);

  if (error && !call) {
    return (
      <section class="call" aria-label="Call">
        <Failed error={error} retry={followed.retry} />
      </section>
    );
  }
  const channels = call?.format.channels ?? [];
  return (
    <section ref={section} class="call" aria-label="Call" tabIndex={-1}>
      <CallHead call={call} row={row} ended={transcript.ended} now={now} connection={connection} closeTo={closeTo} />
      <div class="call-body">
        {call ? (
          <TranscriptView
            followed={followed}
            channels={channels}
            startedAt={Date.parse(row?.started_at ?? call.created_at)}
            shown={shown}
            live={transcript.ended === null && call.state === 'open'}
          />
        ) : (
          <Skeleton rows={6} label="Loading the call" />
        )}
        <aside class="call-side" aria-label="Scores">
          <ScorecardPanel transcript={transcript} onShow={show} />
          <ScriptList transcript={transcript} now={now} onShow={show} />
          <MomentList call={id} transcript={transcript} row={row} session={session} onShow={show} />
          <MeasureTable transcript={transcript} channels={channels} onShow={show} />
          <Versions transcript={transcript} />
        </aside>
      </div>
    </section>
  );
}

/** Narrow screens show the call alone, without the board that would listen for this key. */
function useEscape(closeTo: string) {
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.key !== 'Escape' || !isForPage(event)) return;
      event.preventDefault();
      navigate(closeTo);
    };
    addEventListener('keydown', onKey);
    return () => removeEventListener('keydown', onKey);
  }, [closeTo]);
}
