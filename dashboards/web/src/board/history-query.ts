import { query } from '../shared/api';

/** What the fields of the search hold; `from` and `to` are days of this machine's calendar, both included. */
export interface Search {
  q: string;
  agent: string;
  team: string;
  queue: string;
  moment: string;
  from: string;
  to: string;
}

export const NO_SEARCH: Search = { q: '', agent: '', team: '', queue: '', moment: '', from: '', to: '' };

const PAGE = 50;

export function historyPath(search: Search, before: string | null): string {
  const { from, to, ...words } = search;
  const trimmed = Object.fromEntries(Object.entries(words).map(([name, value]) => [name, value.trim()]));
  return `/v1/calls${query({ limit: PAGE, ...trimmed, from: startOfDay(from, 0), to: startOfDay(to, 1), before })}`;
}

function startOfDay(day: string, later: number): string | null {
  if (!day) return null;
  const start = new Date(`${day}T00:00:00`);
  start.setDate(start.getDate() + later);
  return start.toISOString();
}

/** Cuts text at the words that were searched for. */
export function markWords(text: string, searched: string): { text: string; found: boolean }[] {
  const words = searched.split(/\s+/).filter(Boolean).slice(0, 16);
  if (words.length === 0) return [{ text, found: false }];
  const any = new RegExp(`(${words.map((word) => word.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('|')})`, 'iu');
  return text
    .split(any)
    .map((part, place) => ({ text: part, found: place % 2 === 1 }))
    .filter((part) => part.text);
}
