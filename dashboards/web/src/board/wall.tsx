import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { Icon } from '../shared/icon';
import { useStore } from '../shared/store';
import { clock, secondsSince, span, useNow } from '../shared/time';
import type { Row } from '../wire';
import { badness, CONCERN, openAlerts, worstAlert } from './badness';
import { Lost } from './board';
import { board, shownTime } from './live-board';
import { sorted } from './order';
import { navigate } from './route';
import { Sentiment } from './sentiment';
import { Skeleton, State } from './state';
import { TalkBar } from './talk';
import { agentOf, LEVEL_WORD, quietFor, sentimentWord, whole } from './words';

/** For a screen on a wall: nothing to click, what is well stands back. */
export function WallPage() {
  const state = useStore(board);
  const now = shownTime(state, useNow());
  const [page, setPage] = useState(0);
  const list = useRef<HTMLOListElement>(null);
  const fits = useRowsThatFit(list, state.numbers !== null);
  const rows = sorted(state.rows.values(), { by: 'worst' });
  const pages = Math.max(1, Math.ceil(rows.length / fits));
  const from = (page % pages) * fits;
  const turn = () => setPage((before) => (before + 1) % pages);
  useWallKeys(turn);

  return (
    <main class={`wall ${state.connection.state === 'lost' ? 'stale' : ''}`}>
      <Lost state={state} />
      <header class="wall-head">
        <h1 class="visually-hidden">Calls on air</h1>
        <Numbers />
        <div class="wall-tools">
          {pages > 1 && (
            <button class="button quiet" type="button" onClick={turn} title="Next page (n)">
              <span class="figures">
                {(page % pages) + 1} of {pages}
              </span>
            </button>
          )}
          <button class="button quiet" type="button" onClick={() => navigate('/')} title="Leave the wall (Esc)" aria-label="Leave the wall">
            <Icon name="cross" />
          </button>
        </div>
      </header>
      {!state.numbers && <Skeleton rows={6} label="Loading the wall" />}
      {state.numbers && rows.length === 0 && <State title="No calls on air" />}
      <ol ref={list} class="wall-rows" aria-label="Calls, worst first">
        {rows.slice(from, from + fits).map((row) => (
          <WallRow key={row.call_id} row={row} now={now} />
        ))}
      </ol>
    </main>
  );
}

function Numbers() {
  const { numbers } = useStore(board);
  if (!numbers) return <dl class="wall-numbers" />;
  const shown: [string, string][] = [
    ['live', String(numbers.calls)],
    ['waiting alerts', String(numbers.alerts)],
    ['mean score', whole(numbers.score)],
    ['customers', numbers.sentiment === null ? whole(null) : sentimentWord(numbers.sentiment)],
  ];
  return (
    <dl class="wall-numbers">
      {shown.map(([name, value]) => (
        <div key={name} class={name === 'waiting alerts' && numbers.alerts > 0 ? 'raised' : undefined}>
          <dd class="figures">{value}</dd>
          <dt>{name}</dt>
        </div>
      ))}
    </dl>
  );
}

function WallRow({ row, now }: { row: Row; now: number }) {
  const worst = worstAlert(row);
  const newest = openAlerts(row)[0];
  const quiet = quietFor(row, now);
  return (
    <li class={badness(row) < CONCERN ? 'wall-row well' : 'wall-row'}>
      <span class={worst ? `level-${worst.level}` : undefined}>
        {worst && (
          <>
            <Icon name={worst.level} />
            <span class="visually-hidden">{LEVEL_WORD[worst.level]}</span>
          </>
        )}
      </span>
      <b class="cut">{agentOf(row)}</b>
      <span class="figures">{clock(secondsSince(row.started_at, now))}</span>
      <TalkBar channels={row.channels} talkShare={row.talk_share} speaking={row.speaking} />
      <Sentiment of={row.sentiment} />
      <span class="figures wall-score">{whole(row.score)}</span>
      <span class="cut figures">
        {newest ? `${newest.title}, ${span(secondsSince(newest.raised_at, now))} ago` : quiet !== null && `quiet ${span(quiet)}`}
      </span>
    </li>
  );
}

function useRowsThatFit(list: { current: HTMLElement | null }, ready: boolean): number {
  const [fits, setFits] = useState(10);
  useLayoutEffect(() => {
    const element = list.current;
    if (!element) return;
    const measure = () => {
      const row = parseFloat(getComputedStyle(element).getPropertyValue('line-height'));
      if (row > 0) setFits(Math.max(1, Math.floor(element.clientHeight / row)));
    };
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    return () => observer.disconnect();
  }, [ready]);
  return fits;
}

function useWallKeys(turn: () => void) {
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === 'Escape') navigate('/');
      else if (event.key === 'n') turn();
      else return;
      event.preventDefault();
    };
    addEventListener('keydown', onKey);
    return () => removeEventListener('keydown', onKey);
  });
}
