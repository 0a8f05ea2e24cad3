import { useEffect, useState } from 'preact/hooks';
import { request } from '../shared/api';
import type { Session, TrendGroup, Trends } from '../wire';
import { Chart } from './chart';
import { Leaderboard } from './leaderboard';
import { may } from './session';
import { Failed, Skeleton, State } from './state';
import { chosenFirst, DASHES, MAX_LINES, METRICS } from './trend-data';

type By = 'agent' | 'team';

/** Numbers of named agents are for those who may see whose calls they are. */
export function TrendsPage({ session }: { session: Session }) {
  const agents = may(session, 'see_calls');
  const [by, setBy] = useState<By>(agents ? 'agent' : 'team');
  const [days, setDays] = useState(30);
  const [trends, setTrends] = useState<Trends | null>(null);
  const [error, setError] = useState<Error | null>(null);
  const [chosen, setChosen] = useState<string[]>([]);
  const [attempt, setAttempt] = useState(0);

  useEffect(() => {
    const asking = new AbortController();
    setError(null);
    request<Trends>('GET', `/v1/trends?by=${by}&days=${days}`, undefined, asking.signal).then(
      (answer) => {
        setTrends(answer);
        setChosen(chosenFirst(answer.groups));
      },
      (failure: Error) => {
        if (!asking.signal.aborted) setError(failure);
      },
    );
    return () => asking.abort();
  }, [by, days, attempt]);

  return (
    <main class="trends">
      <h1 class="visually-hidden">Trends</h1>
      <div class="filters">
        {agents && <Choice name="By" options={[['agent', 'Agents'], ['team', 'Teams']]} value={by} onChoose={(value) => setBy(value as By)} />}
        <Choice name="Over" options={[['7', '7 days'], ['30', '30 days']]} value={String(days)} onChoose={(value) => setDays(Number(value))} />
        {trends && <span class="muted figures">{trends.calls} calls{trends.truncated && '; there were more, the newest are counted'}</span>}
      </div>
      {error && <Failed error={error} retry={() => setAttempt(attempt + 1)} />}
      {!error && !trends && <Skeleton rows={6} label="Loading trends" />}
      {!error && trends && trends.groups.length === 0 && (
        <State title="No trends yet" text="They are made of calls that have ended. Numbers stay when the words have expired." />
      )}
      {!error && trends && trends.groups.length > 0 && <Shown trends={trends} chosen={chosen} onChoose={setChosen} />}
    </main>
  );
}

function Shown({ trends, chosen, onChoose }: { trends: Trends; chosen: string[]; onChoose: (chosen: string[]) => void }) {
  const groups = chosen.map((id) => trends.groups.find((group) => group.id === id)).filter((group): group is TrendGroup => group !== undefined);
  return (
    <>
      <ul class="legend" aria-label="Lines">
        {groups.map((group, place) => (
          <li key={group.id}>
            <button class="chip" type="button" onClick={() => onChoose(chosen.filter((id) => id !== group.id))}>
              <svg class={`series-${place + 1}`} width="28" height="8" aria-hidden="true">
                <line x1="0" x2="28" y1="4" y2="4" stroke="currentColor" stroke-width="2" stroke-dasharray={DASHES[place]?.join(' ')} />
              </svg>
              {group.name}
              <span class="visually-hidden">, take this line away</span>
            </button>
          </li>
        ))}
        <li class="muted">Choose up to {MAX_LINES} in the table.</li>
      </ul>
      <div class="charts">
        {METRICS.map(({ metric, title }) => (
          <Chart key={metric} title={title} metric={metric} days={trends.days} groups={groups} />
        ))}
      </div>
      <Leaderboard groups={trends.groups} chosen={chosen} onChoose={onChoose} />
    </>
  );
}

function Choice({ name, options, value, onChoose }: { name: string; options: [string, string][]; value: string; onChoose: (value: string) => void }) {
  return (
    <div class="choice" role="group" aria-label={name}>
      {options.map(([option, title]) => (
        <button key={option} class="button" type="button" aria-pressed={option === value} onClick={() => onChoose(option)}>
          {title}
        </button>
      ))}
    </div>
  );
}
