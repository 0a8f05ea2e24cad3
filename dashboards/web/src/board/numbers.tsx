import { useStore } from '../shared/store';
import { Lost } from './board';
import { board } from './live-board';
import { Skeleton } from './state';
import { sentimentWord, signed, whole } from './words';

/** For who may see numbers but no calls. */
export function NumbersPage() {
  const state = useStore(board);
  const { numbers } = state;
  return (
    <main class="whole">
      <h1 class="visually-hidden">Now</h1>
      <Lost state={state} />
      {numbers ? (
        <dl class={`stats ${state.connection.state === 'lost' ? 'stale' : ''}`}>
          <Stat name="Calls on air" value={String(numbers.calls)} />
          <Stat name="Agents in calls" value={String(numbers.agents)} />
          <Stat name="Waiting alerts" value={String(numbers.alerts)} />
          <Stat name="Mean score" value={whole(numbers.score)} note="of 100" />
          <Stat
            name="Customers"
            value={numbers.sentiment === null ? whole(null) : sentimentWord(numbers.sentiment)}
            note={numbers.sentiment === null ? undefined : signed(numbers.sentiment)}
          />
        </dl>
      ) : (
        <Skeleton rows={3} label="Loading numbers" />
      )}
      <p class="foot muted">Calls themselves are shown to supervisors.</p>
    </main>
  );
}

function Stat({ name, value, note }: { name: string; value: string; note?: string | undefined }) {
  return (
    <div class="stat panel">
      <dt>{name}</dt>
      <dd class="figures">
        {value} {note && <span class="muted">{note}</span>}
      </dd>
    </div>
  );
}
