/** What the fields of the search hold; `from` and `to` are days of this machine's calendar, both included. */
export interface Search {
  words: string;
  agent: string;
  team: string;
  queue: string;
  moment: string;
  from: string;
  to: string;
}

export const NO_SEARCH: Search = { words: '', agent: '', team: '', queue: '', moment: '', from: '', to: '' };

const PAGE = 50;

/**
 * The body of POST /v1/calls/search: only what is filled in. In a body, since addresses are logged on their way. A moment is
 * looked for by its id; its words, as they are shown, will do.
 */
export function searchBody(search: Search, before: string | null): Record<string, string | number> {
  const moment = search.moment.trim().toLowerCase().replaceAll(/\s+/g, '-');
  const given = { ...search, moment, from: startOfDay(search.from, 0), to: startOfDay(search.to, 1), before: before ?? '' };
  const filled = Object.entries(given).map(([name, value]) => [name, value.trim()]);
  return { limit: PAGE, ...Object.fromEntries(filled.filter(([, value]) => value)) };
}

function startOfDay(day: string, later: number): string {
  if (!day) return '';
  const start = new Date(`${day}T00:00:00`);
  start.setDate(start.getDate() + later);
  return start.toISOString();
}

const WORD = "[\\p{L}\\p{N}']";

/** Cuts text at the words that were searched for: one after the other, whatever their case and what stands between. */
export function markWords(text: string, searched: string): { text: string; found: boolean }[] {
  const words = searched.match(new RegExp(`${WORD}+`, 'gu'));
  if (!words) return [{ text, found: false }];
  const phrase = words.join(`${WORD.replace('[', '[^')}+`);
  return text
    .split(new RegExp(`(?<!${WORD})(${phrase})(?!${WORD})`, 'iu'))
    .map((part, place) => ({ text: part, found: place % 2 === 1 }))
    .filter((part) => part.text);
}
