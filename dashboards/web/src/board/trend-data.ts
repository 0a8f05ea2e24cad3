import type { TrendGroup, TrendPoint } from '../wire';
import { NONE, percent, signed } from './words';

export type Metric = Exclude<keyof TrendPoint, 'calls'>;

export const METRICS: { metric: Metric; title: string; text: (value: number) => string }[] = [
  { metric: 'score', title: 'Score', text: (value) => String(Math.round(value)) },
  { metric: 'adherence', title: 'Script in time', text: percent },
  { metric: 'sentiment', title: 'Customer sentiment', text: signed },
  { metric: 'talk_share', title: 'Agent\u2019s share of talk', text: percent },
  { metric: 'words_per_minute', title: 'Agent\u2019s words a minute', text: (value) => String(Math.round(value)) },
];

export const MAX_LINES = 6;

/** Dash patterns, in pixels, so that lines differ without colour as well. */
export const DASHES: number[][] = [[], [8, 4], [2, 3], [10, 3, 2, 3], [4, 4], [14, 5]];

export function textOf(metric: Metric | 'calls', value: number | null): string {
  if (value === null) return NONE;
  return METRICS.find((known) => known.metric === metric)?.text(value) ?? String(value);
}

/** The groups with most calls, as many as a chart can tell apart. */
export function chosenFirst(groups: TrendGroup[]): string[] {
  return [...groups]
    .sort((one, other) => other.total.calls - one.total.calls)
    .slice(0, MAX_LINES)
    .map(({ id }) => id);
}

export type Leader = keyof TrendPoint | 'name';

/** Groups by a column; those without a value last. */
export function leaders(groups: TrendGroup[], by: Leader, down: boolean): TrendGroup[] {
  const way = down ? -1 : 1;
  return [...groups].sort((one, other) => {
    if (by === 'name') return way * one.name.localeCompare(other.name);
    const [a, b] = [one.total[by], other.total[by]];
    if (a === null || b === null) return Number(a === null) - Number(b === null);
    return way * (a - b) || one.name.localeCompare(other.name);
  });
}
