import type { Row } from '../wire';
import { badness, openAlerts } from './badness';
import { agentOf } from './words';

export type Column = 'agent' | 'length' | 'talk' | 'sentiment' | 'script' | 'score';

/** `worst` is the order of badness; a column is sorted as its name says, or turned round. */
export type Sort = { by: 'worst' } | { by: Column; down: boolean };

export interface Filter {
  team: string | null;
  queue: string | null;
  moment: string | null;
  /** Words that must all occur in agent, queue, team or the title of an open alert. */
  search: string;
}

export const NO_FILTER: Filter = { team: null, queue: null, moment: null, search: '' };

export function matches(row: Row, filter: Filter): boolean {
  if (filter.team !== null && row.team !== filter.team) return false;
  if (filter.queue !== null && row.queue !== filter.queue) return false;
  if (filter.moment !== null && !row.alerts.some((alert) => alert.title === filter.moment)) return false;
  const words = filter.search.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return true;
  const text = [row.agent_name, row.agent, row.queue, row.team, ...openAlerts(row).map((alert) => alert.title)].join('\n').toLowerCase();
  return words.every((word) => text.includes(word));
}

const MISSING = Number.NEGATIVE_INFINITY;

const KEYS: Record<Exclude<Column, 'agent'>, (row: Row) => number> = {
  length: (row) => -Date.parse(row.started_at),
  talk: (row) => row.talk_share[row.channels.indexOf('agent')] ?? MISSING,
  sentiment: (row) => row.sentiment?.score ?? MISSING,
  script: (row) => (row.script && row.script.of > 0 ? row.script.done / row.script.of : MISSING),
  score: (row) => row.score ?? MISSING,
};

const names = new Intl.Collator(undefined, { numeric: true });

function keyed(rows: Row[], key: (row: Row) => number, down: boolean): Row[] {
  const keys = new Map(rows.map((row) => [row, key(row)]));
  return rows.sort((one, other) => {
    const [a, b] = [keys.get(one) ?? MISSING, keys.get(other) ?? MISSING];
    if (a === b) return tie(one, other);
    // what has no value comes last, whichever way
    if (a === MISSING || b === MISSING) return a === MISSING ? 1 : -1;
    return down ? b - a : a - b;
  });
}

/** The longest call first, then by id: an order that does not change by itself. */
function tie(one: Row, other: Row): number {
  if (one.started_at !== other.started_at) return one.started_at < other.started_at ? -1 : 1;
  return one.call_id < other.call_id ? -1 : 1;
}

export function sorted(rows: Iterable<Row>, sort: Sort): Row[] {
  const list = [...rows];
  if (sort.by === 'worst') return keyed(list, badness, true);
  if (sort.by !== 'agent') return keyed(list, KEYS[sort.by], sort.down);
  return list.sort((one, other) => names.compare(agentOf(one), agentOf(other)) * (sort.down ? -1 : 1) || tie(one, other));
}

/** A line of the list. `over`: its call is gone, the line only keeps its place. */
export interface Entry {
  row: Row;
  over: boolean;
}

/** Lines that only keep a place; beyond these the topmost go, or a list held all day would be full of them. */
const MAX_OVER = 100;

/**
 * The lines to show. While the list is held (the pointer or the focus is in it) every line stays where it is, those of calls
 * that are gone too, and new calls come at the end; else `wanted` is the order.
 */
export function arrange(before: readonly Entry[], wanted: readonly Row[], all: ReadonlyMap<string, Row>, held: boolean): Entry[] {
  if (!held) return wanted.map((row) => ({ row, over: false }));
  let kept = before.map(({ row }) => {
    const current = all.get(row.call_id);
    return { row: current ?? row, over: current === undefined };
  });
  let surplus = kept.filter(({ over }) => over).length - MAX_OVER;
  if (surplus > 0) kept = kept.filter(({ over }) => !over || surplus-- <= 0);
  const known = new Set(before.map(({ row }) => row.call_id));
  return [...kept, ...wanted.filter((row) => !known.has(row.call_id)).map((row) => ({ row, over: false }))];
}
