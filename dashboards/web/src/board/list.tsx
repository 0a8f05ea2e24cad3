import { useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { Session } from '../wire';
import { Icon } from '../shared/icon';
import { acknowledge } from './acknowledge';
import { openAlerts } from './badness';
import { useHold } from './hold';
import type { Entry, Sort } from './order';
import { openCall } from './route';
import { CallRow } from './row';
import { may } from './session';
import { COLUMNS, nextSort } from './sort';
import { visible } from './window';

interface Props {
  entries: Entry[];
  now: number;
  session: Session;
  opened: string | null;
  sort: Sort;
  onSort: (sort: Sort) => void;
  /** The pointer or the focus is in the list, or has left it. */
  onHeld: (held: boolean) => void;
}

const ROW = 40;
const COMPACT_ROW = 72;
/** Narrower than this a call takes two lines. */
const COMPACT = 840;

export function CallList({ entries, now, session, opened, sort, onSort, onHeld }: Props) {
  const list = useRef<HTMLDivElement>(null);
  const [size, setSize] = useState({ width: 1280, height: 800 });
  const [scrollTop, setScrollTop] = useState(0);
  const [active, setActive] = useState<string | null>(opened);
  const walked = useRef(false);
  const compact = size.width < COMPACT;
  const rowHeight = compact ? COMPACT_ROW : ROW;
  const activeIndex = Math.max(0, entries.findIndex(({ row }) => row.call_id === active));

  useLayoutEffect(() => {
    const element = list.current;
    if (!element) return;
    const observer = new ResizeObserver(() => setSize({ width: element.clientWidth, height: element.clientHeight }));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  useLayoutEffect(() => {
    if (walked.current) list.current?.querySelector<HTMLElement>('[role=row][tabindex="0"]')?.focus({ preventScroll: true });
    walked.current = false;
  });
  useHold(list, onHeld);

  function walk(to: number) {
    const index = Math.min(entries.length - 1, Math.max(0, to));
    const element = list.current;
    if (!element || index < 0) return;
    const head = compact ? 0 : ROW;
    const [top, bottom] = [index * rowHeight, (index + 1) * rowHeight - (element.clientHeight - head)];
    element.scrollTop = Math.max(bottom, Math.min(element.scrollTop, top));
    setScrollTop(element.scrollTop);
    setActive(entries[index]?.row.call_id ?? null);
    walked.current = true;
  }

  function onKeyDown(event: KeyboardEvent) {
    const entry = entries[activeIndex];
    if (!entry || event.ctrlKey || event.metaKey || event.altKey) return;
    const inButton = event.target instanceof HTMLElement && event.target.matches('button, a');
    const actions: Record<string, () => void> = {
      ArrowDown: () => walk(activeIndex + 1),
      ArrowUp: () => walk(activeIndex - 1),
      Home: () => walk(0),
      End: () => walk(entries.length - 1),
      a: () => {
        const alert = openAlerts(entry.row)[0];
        if (alert && may(session, 'acknowledge')) void acknowledge(entry.row.call_id, alert.seq);
      },
    };
    if (!inButton) actions['Enter'] = () => openCall(entry.row.call_id);
    const action = actions[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  }

  return (
    <div
      ref={list}
      class={`list ${compact ? 'compact' : ''}`}
      role="grid"
      aria-label="Calls"
      aria-rowcount={entries.length + 1}
      onScroll={(event) => setScrollTop(event.currentTarget.scrollTop)}
    >
      <Head sort={sort} onSort={onSort} />
      <div class="rows" role="rowgroup" style={{ height: `${entries.length * rowHeight}px` }} onKeyDown={onKeyDown}>
        {visible(entries.length, rowHeight, scrollTop, size.height, activeIndex).map((index) => {
          const entry = entries[index];
          return (
            entry && (
              <CallRow
                key={entry.row.call_id}
                entry={entry}
                index={index}
                top={index * rowHeight}
                now={now}
                active={index === activeIndex}
                opened={entry.row.call_id === opened}
                mayAcknowledge={may(session, 'acknowledge')}
                onActive={setActive}
              />
            )
          );
        })}
      </div>
    </div>
  );
}

function Head({ sort, onSort }: { sort: Sort; onSort: (sort: Sort) => void }) {
  const worst = sort.by === 'worst';
  return (
    <div class="head" role="rowgroup">
      <div class="grid-row" role="row" aria-rowindex={1}>
        <div role="columnheader" aria-sort={worst ? 'descending' : 'none'} class="head-worst">
          <button type="button" title="Worst first" aria-label="Worst first" onClick={() => onSort({ by: 'worst' })}>
            <Icon name={worst ? 'down' : 'warning'} />
          </button>
        </div>
        {COLUMNS.map(({ column, title }) => {
          const way = sort.by === column ? (sort.down ? 'descending' : 'ascending') : 'none';
          return (
            <div key={column} role="columnheader" aria-sort={way} class={`cell-${column}`}>
              <button type="button" onClick={() => onSort(nextSort(sort, column))}>
                {title}
                {way !== 'none' && <span class={`way ${way}`} aria-hidden="true" />}
              </button>
            </div>
          );
        })}
        <div role="columnheader" class="cell-alert">
          Alert
        </div>
        <div role="columnheader">
          <span class="visually-hidden">Actions</span>
        </div>
      </div>
    </div>
  );
}
