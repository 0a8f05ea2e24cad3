import { useEffect, useRef, useState } from 'preact/hooks';
import uPlot from 'uplot';
import { useStore } from '../shared/store';
import { theme } from '../shared/theme';
import type { TrendGroup } from '../wire';
import { DASHES, isolated, labelled, measureOf, type Metric, textOf } from './trend-data';

interface Props {
  title: string;
  metric: Metric;
  days: string[];
  groups: TrendGroup[];
}

const HEIGHT = 180;
const STEPS = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100];
const dark = matchMedia('(prefers-color-scheme: dark)');
const dayName = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short', timeZone: 'UTC' });
const nameOf = (day: string | undefined) => (day ? dayName.format(Date.parse(`${day}T00:00:00Z`)) : '');

/** One measure over days, a line each group. What the lines say stands in the table too, so the picture is named only. */
export function Chart({ title, metric, days, groups }: Props) {
  const holder = useRef<HTMLDivElement>(null);
  const chosen = useStore(theme);
  const [day, setDay] = useState<number | null>(null);

  useEffect(() => {
    const element = holder.current;
    if (!element) return;
    let plot = draw();
    function draw(): uPlot {
      return new uPlot(options(element as HTMLElement, metric, days, groups, setDay), data(metric, days, groups), element as HTMLElement);
    }
    const again = () => {
      plot.destroy();
      plot = draw();
    };
    const observer = new ResizeObserver(() => plot.setSize({ width: element.clientWidth, height: HEIGHT }));
    observer.observe(element);
    dark.addEventListener('change', again);
    return () => {
      observer.disconnect();
      dark.removeEventListener('change', again);
      plot.destroy();
    };
  }, [metric, days, groups, chosen]);

  return (
    <figure class="chart panel">
      <figcaption>
        <h2>{title}</h2>
        <span class="muted figures">{day === null ? '' : nameOf(days[day])}</span>
      </figcaption>
      <div ref={holder} class="chart-plot" role="img" aria-label={`${title} of ${groups.map(({ name }) => name).join(', ')} over ${days.length} days`} />
      {day !== null && (
        <ul class={`chart-values figures ${day < days.length / 2 ? 'right' : 'left'}`} aria-hidden="true">
          {groups.map((group) => (
            <li key={group.id}>
              <span class="cut">{group.name}</span> <b>{textOf(metric, group.daily[day]?.[metric] ?? null)}</b>
            </li>
          ))}
        </ul>
      )}
    </figure>
  );
}

function data(metric: Metric, days: string[], groups: TrendGroup[]): uPlot.AlignedData {
  return [days.map((_, place) => place), ...groups.map((group) => group.daily.map((point) => point[metric]))];
}

function options(element: HTMLElement, metric: Metric, days: string[], groups: TrendGroup[], onDay: (day: number | null) => void): uPlot.Options {
  const colour = resolver(element);
  const { range, step = 0 } = measureOf(metric) ?? {};
  const axis: uPlot.Axis = { stroke: colour('--text-muted'), font: `12px ${getComputedStyle(element).fontFamily}`, ticks: { show: false } };
  const grid = { stroke: colour('--border'), width: 1 };
  return {
    width: element.clientWidth,
    height: HEIGHT,
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, sync: { key: 'trends' }, points: { size: 6 } },
    scales: { x: { time: false }, y: range ? { range } : {} },
    axes: [
      {
        ...axis,
        grid: { show: false },
        splits: (_plot, _axis, _first, _last, every) => labelled(days.length, every),
        values: (_, places) => places.map((place) => nameOf(days[place])),
        incrs: [1, 2, 3, 5, 7, 10],
        space: 64,
        size: 32,
        gap: 10,
      },
      { ...axis, grid, values: (_, values) => values.map((value) => textOf(metric, value)), incrs: STEPS.filter((each) => each >= step), size: 52, space: 24 },
    ],
    series: [
      {},
      ...groups.map((group, place) => ({
        label: group.name,
        stroke: colour(`--series-${place + 1}`),
        width: 2,
        dash: DASHES[place] ?? [],
        spanGaps: true,
        points: {
          show: days.length <= 7,
          size: 6,
          fill: colour(`--series-${place + 1}`),
          filter: (plot: uPlot, index: number, all: boolean) => (all ? null : isolated(Array.from(plot.data[index] ?? []))),
        },
      })),
    ],
    hooks: { setCursor: [(plot) => onDay(plot.cursor.idx ?? null)] },
  };
}

/** A canvas takes no var(): what a token comes to here, in this theme. */
function resolver(element: HTMLElement): (token: string) => string {
  return (token) => {
    element.style.color = `var(${token})`;
    const { color } = getComputedStyle(element);
    element.style.color = '';
    return color;
  };
}
