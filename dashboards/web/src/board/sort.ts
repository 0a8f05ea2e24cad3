import type { Column, Sort } from './order';

export const COLUMNS: { column: Column; title: string }[] = [
  { column: 'agent', title: 'Agent' },
  { column: 'length', title: 'Length' },
  { column: 'talk', title: 'Talk' },
  { column: 'sentiment', title: 'Customer' },
  { column: 'script', title: 'Script' },
  { column: 'score', title: 'Score' },
];

export function keptSort(): Sort {
  const [by, way] = (localStorage.getItem('sort') ?? '').split(' ');
  const known = COLUMNS.find(({ column }) => column === by);
  return known ? { by: known.column, down: way === 'down' } : { by: 'worst' };
}

export function keepSort(sort: Sort): void {
  localStorage.setItem('sort', sort.by === 'worst' ? 'worst' : `${sort.by} ${sort.down ? 'down' : 'up'}`);
}

/** First up, then down, then worst first again. */
export function nextSort(sort: Sort, column: Column): Sort {
  if (sort.by !== column) return { by: column, down: false };
  return sort.down ? { by: 'worst' } : { by: column, down: true };
}
