import type { TrendGroup, TrendPoint } from '../wire';
import { NONE, percent, signed } from './words';

export type Metric = Exclude<keyof TrendPoint, 'calls'>;

interface Measure {
  metric: Metric;
  title: string;
  text: (value: number) => string;
  /** Labels nearer to each other than this would read the same. */
  step: number;
  /** The whole axis; without it the axis goes as far as the lines do. */
  range?: [number, number];
}

export const METRICS: Measure[] = [
  { metric: 'score', title: 'Score', text: (value) => String(Math.round(value)), step: 1, range: [0, 100] },
  { metric: 'adherence', title: 'Script in time', text: percent, step: 0.01, range: [0, 1] },
  { metric: 'sentiment', title: 'Customer sentiment', text: signed, step: 0.1 },
  { metric: 'talk_share', title: 'Agent\u2019s share of talk', text: percent, step: 0.01 },
  { metric: 'words_per_minute', title: 'Agent\u2019s words a minute', text: (value) => String(Math.round(value)), step: 1 },
];

export const MAX_LINES = 6;

/** Dash patterns, in pixels, so that lines differ without colour as well. */
export const DASHES: number[][] = [[], [8, 4], [2, 3], [10, 3, 2, 3], [4, 4], [14, 5]];

export function measureOf(metric: Metric | 'calls'): Measure | undefined {
  return METRICS.find((known) => known.metric === metric);
}

export function textOf(metric: Metric | 'calls', value: number | null): string {
  if (value === null) return NONE;
  return measureOf(metric)?.text(value) ?? String(value);
}

/** The groups with most calls, as many as a chart can tell apart; those without a score only where none has one. */
export function chosenFirst(groups: TrendGroup[]): string[] {
  const scored = groups.filter(({ total }) => total.score !== null);
  return [...(scored.length > 0 ? scored : groups)]
    .sort((one, other) => other.total.calls - one.total.calls)
    .slice(0, MAX_LINES)
    .map(({ id }) => id);
}

/** Which of so many days stand under the axis: today, and back from it. */
export function labelled(days: number, every: number): number[] {
  return Array.from({ length: Math.ceil(days / every) }, (_, back) => days - 1 - back * every).reverse();
}

/** Places of the points that no line leads to or from. */
export function isolated(values: readonly (number | null | undefined)[]): number[] {
  return [...values.keys()].filter((place) => values[place] != null && values[place - 1] == null && values[place + 1] == null);
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
