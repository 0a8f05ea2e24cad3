import type { Connection } from '../shared/live';
import { Icon } from '../shared/icon';
import { clock, dayOf, lengthOf, secondsSince, timeOf, timeWithSecondsOf } from '../shared/time';
import type { Call, Row } from '../wire';
import { Link } from './link';
import { useNarrow } from './wide';
import { agentOf, maskedCaller, whereOf } from './words';

interface Props {
  call: Call | null;
  row: Row | null;
  ended: { reason: string; duration: number } | null;
  now: number;
  connection: Connection;
  closeTo: string;
}

const REASON: Record<string, string> = {
  stopped: 'ended',
  lost: 'ended: connection lost',
  too_long: 'ended: longest length reached',
  idle: 'ended: nothing more came',
  drained: 'ended: the server was stopped',
};

export function CallHead({ call, row, ended, now, connection, closeTo }: Props) {
  const agent = row ? agentOf(row) : call ? agentOf({ agent: call.metadata['agent'] ?? null, agent_name: call.agent_name }) : '';
  const caller = row?.caller ?? maskedCaller(call?.metadata ?? {});
  const where = whereOf(row?.team ?? call?.metadata['team'], row?.queue ?? call?.metadata['queue']);
  return (
    <header class="call-head">
      <div class="call-title">
        <h1>
          {agent} {caller && <span class="muted">with {caller}</span>}
        </h1>
        <Length call={call} ended={ended} row={row} now={now} connection={connection} />
        <Link class="button quiet square" href={closeTo} title="Close (Esc)" aria-label="Close the call">
          <Icon name="cross" />
        </Link>
      </div>
      <ul class="facts">
        {where && <li>{where}</li>}
        {call && (
          <>
            <li>
              {dayOf(Date.parse(call.created_at))}, {timeOf(Date.parse(call.created_at))}
            </li>
            <li>
              recorded <b>never</b>
            </li>
            <li>
              <Kept until={call.kept_until} />
            </li>
            {call.dialect !== 'native' && <li>over {call.dialect}</li>}
          </>
        )}
      </ul>
    </header>
  );
}

/** Until when what is kept; the rest behind the first where there is little room. */
function Kept({ until }: { until: Call['kept_until'] }) {
  const narrow = useNarrow();
  const day = (name: string, at: string) => (
    <>
      {name} until <b>{dayOf(Date.parse(at))}</b>
    </>
  );
  const words = <>keeps {day('words', until.transcript)}</>;
  const rest = (
    <>
      {day('names', until.personal)}, {day('scores', until.score)}
    </>
  );
  if (!narrow) {
    return (
      <>
        {words}, {rest}
      </>
    );
  }
  return (
    <details>
      <summary>{words}</summary>
      {rest}
    </details>
  );
}

function Length({ call, row, ended, now, connection }: Omit<Props, 'closeTo'>) {
  if (ended) return <span class="figures length">{lengthOf(ended.duration)} {REASON[ended.reason] ?? `ended: ${ended.reason}`}</span>;
  if (!call) return null;
  if (call.state === 'erased') return <span class="length">erased</span>;
  if (connection.state === 'lost') {
    return <span class="length stale-word" role="status">connection lost since {timeWithSecondsOf(connection.since)}, retrying</span>;
  }
  if (call.state === 'ended') return <span class="length">ended</span>;
  const waiting = row?.state === 'waiting';
  return (
    <span class="figures length">
      <span class={waiting ? 'dot waiting' : 'dot'} aria-hidden="true" /> {clock(secondsSince(row?.started_at ?? call.created_at, now))} {waiting ? 'waiting' : 'live'}
    </span>
  );
}
