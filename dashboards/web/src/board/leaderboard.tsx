import { useState } from 'preact/hooks';
import type { TrendGroup } from '../wire';
import { type Leader, leaders, MAX_LINES, METRICS, textOf } from './trend-data';

const COLUMNS: { by: Leader; title: string }[] = [
  { by: 'name', title: 'Name' },
  { by: 'calls', title: 'Calls' },
  ...METRICS.map(({ metric, title }) => ({ by: metric, title })),
];

interface Props {
  groups: TrendGroup[];
  /** Ids of the groups that have a line. */
  chosen: string[];
  onChoose: (chosen: string[]) => void;
}

/** Rows drawn at most; the order decides which. */
const SHOWN = 200;

export function Leaderboard({ groups, chosen, onChoose }: Props) {
  const [sort, setSort] = useState<{ by: Leader; down: boolean }>({ by: 'score', down: true });
  const full = chosen.length >= MAX_LINES;
  const turn = (by: Leader) => setSort({ by, down: sort.by === by ? !sort.down : by !== 'name' });
  return (
    <div class="leaders panel" tabIndex={0} role="region" aria-label="Table of all groups">
      <table>
        <thead>
          <tr>
            <th scope="col">
              <span class="visually-hidden">Line</span>
            </th>
            {COLUMNS.map(({ by, title }) => {
              const way = sort.by === by ? (sort.down ? 'descending' : 'ascending') : 'none';
              return (
                <th key={by} scope="col" aria-sort={way}>
                  <button type="button" onClick={() => turn(by)}>
                    {title}
                    {way !== 'none' && <span class={`way ${way}`} aria-hidden="true" />}
                  </button>
                </th>
              );
            })}
          </tr>
        </thead>
        <tbody class="figures">
          {leaders(groups, sort.by, sort.down)
            .slice(0, SHOWN)
            .map((group) => {
              const shown = chosen.includes(group.id);
              return (
                <tr key={group.id}>
                  <td>
                    <input
                      type="checkbox"
                      aria-label={`Line of ${group.name}`}
                      checked={shown}
                      disabled={full && !shown}
                      onChange={() => onChoose(shown ? chosen.filter((id) => id !== group.id) : [...chosen, group.id])}
                    />
                  </td>
                  <th scope="row">{group.name}</th>
                  <td>{group.total.calls}</td>
                  {METRICS.map(({ metric }) => (
                    <td key={metric}>{textOf(metric, group.total[metric])}</td>
                  ))}
                </tr>
              );
            })}
        </tbody>
      </table>
    </div>
  );
}
