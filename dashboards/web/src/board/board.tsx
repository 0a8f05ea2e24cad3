import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { Session } from '../wire';
import { useStore } from '../shared/store';
import { timeWithSecondsOf, useNow } from '../shared/time';
import { Filters } from './filters';
import { isForPage, showKeys } from './keys';
import { CallList } from './list';
import { board, type BoardState, MAX_ROWS, shownTime } from './live-board';
import { arrange, type Entry, type Filter, matches, NO_FILTER, sorted, type Sort } from './order';
import { navigate } from './route';
import { toggleMuted } from './sound';
import { Skeleton, State } from './state';
import { keepSort, keptSort } from './sort';

export function BoardPage({ session, opened }: { session: Session; opened: string | null }) {
  const state = useStore(board);
  const now = shownTime(state, useNow());
  const [filter, setFilter] = useState<Filter>(NO_FILTER);
  const [sort, setSort] = useState<Sort>(keptSort);
  const [held, setHeld] = useState(false);
  const search = useRef<HTMLInputElement>(null);
  const entries = useEntries(state, filter, sort, held);
  const lost = state.connection.state === 'lost';
  useBoardKeys(search, opened);

  function changeSort(next: Sort) {
    keepSort(next);
    setSort(next);
  }

  const rows = [...state.rows.values()];
  return (
    <section class={`board ${lost ? 'stale' : ''}`} aria-label="Calls on air">
      <h1 class="visually-hidden">Calls on air</h1>
      <Lost state={state} />
      {rows.length > 0 && <Filters rows={rows} filter={filter} onFilter={setFilter} sort={sort} onSort={changeSort} search={search} held={held} />}
      {!state.numbers ? (
        <Skeleton rows={8} label="Loading the board" />
      ) : entries.length === 0 ? (
        <Nothing any={rows.length > 0} session={session} clear={() => setFilter(NO_FILTER)} />
      ) : (
        <CallList entries={entries} now={now} session={session} opened={opened} sort={sort} onSort={changeSort} onHeld={setHeld} />
      )}
      {state.numbers && state.numbers.calls > MAX_ROWS && state.rows.size >= MAX_ROWS && (
        <p class="foot muted">
          {MAX_ROWS} of {state.numbers.calls} calls are shown.
        </p>
      )}
    </section>
  );
}

/** The lines in their order; while the list is held only a change of filter or sort moves them. */
function useEntries(state: BoardState, filter: Filter, sort: Sort, held: boolean): Entry[] {
  const wanted = useMemo(() => sorted([...state.rows.values()].filter((row) => matches(row, filter)), sort), [state.rows, filter, sort]);
  const before = useRef<{ entries: Entry[]; filter: Filter; sort: Sort }>({ entries: [], filter, sort });
  return useMemo(() => {
    const same = before.current.filter === filter && before.current.sort === sort;
    const entries = arrange(before.current.entries, wanted, state.rows, held && same);
    before.current = { entries, filter, sort };
    return entries;
  }, [wanted, held]);
}

function useBoardKeys(search: { current: HTMLInputElement | null }, opened: string | null) {
  useEffect(() => {
    const actions: Record<string, () => void> = {
      '/': () => search.current?.focus(),
      '?': () => showKeys.set(true),
      m: toggleMuted,
      w: () => navigate('/wall'),
      ArrowDown: () => document.querySelector<HTMLElement>('.list [tabindex="0"]')?.focus(),
      Escape: () => {
        if (!opened) return;
        navigate('/');
        document.querySelector<HTMLElement>(`.list [data-call="${CSS.escape(opened)}"]`)?.focus();
      },
    };
    const onKey = (event: KeyboardEvent) => {
      if (!isForPage(event)) return;
      if (event.key === 'ArrowDown' && event.target !== document.body) return;
      const action = actions[event.key];
      if (!action) return;
      event.preventDefault();
      action();
    };
    addEventListener('keydown', onKey);
    return () => removeEventListener('keydown', onKey);
  }, [opened]);
}

export function Lost({ state }: { state: BoardState }) {
  const { connection } = state;
  return (
    <div role="status">
      {connection.state === 'lost' && (
        <p class="notice-line">
          Connection lost since {timeWithSecondsOf(connection.since)}, retrying. {state.numbers && 'What is shown is from then.'}
        </p>
      )}
    </div>
  );
}

function Nothing({ any, session, clear }: { any: boolean; session: Session; clear: () => void }) {
  if (any) {
    return (
      <State title="No call fits" text="Calls are on air, but none passes these filters.">
        <button class="button" type="button" onClick={clear}>
          Clear filters
        </button>
      </State>
    );
  }
  const own = session.user.role === 'agent';
  return (
    <State
      title={own ? 'You are not in a call' : 'No calls on air'}
      text={own ? 'Your next call appears here as soon as it begins.' : 'A call appears here as soon as its audio reaches Sotto over /v1/stream or Twilio, and leaves when it ends.'}
    />
  );
}
