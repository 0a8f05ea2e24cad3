import { Icon } from '../shared/icon';
import { useStore } from '../shared/store';
import { clock, secondsSince, span } from '../shared/time';
import type { Alert, Row } from '../wire';
import { acknowledge, alertName, pending } from './acknowledge';
import { openAlerts, worstAlert } from './badness';
import { Link } from './link';
import type { Entry } from './order';
import { callPath, openCall } from './route';
import { Sentiment } from './sentiment';
import { TalkBar } from './talk';
import { agentOf, LEVEL_WORD, NONE, quietFor, whole } from './words';

interface Props {
  entry: Entry;
  index: number;
  top: number;
  now: number;
  active: boolean;
  opened: boolean;
  mayAcknowledge: boolean;
  onActive: (call: string) => void;
}

/** An alert is new for this long, in seconds. */
const FRESH = 10;

export function CallRow({ entry: { row, over }, index, top, now, active, opened, mayAcknowledge, onActive }: Props) {
  const worst = worstAlert(row);
  const newest = openAlerts(row)[0];
  const fresh = newest !== undefined && secondsSince(newest.raised_at, now) < FRESH;
  const marks = [over && 'over', fresh && 'fresh', opened && 'opened', worst && `has-${worst.level}`].filter(Boolean).join(' ');
  return (
    <div
      class={`grid-row row ${marks}`}
      role="row"
      aria-rowindex={index + 2}
      aria-selected={opened}
      tabIndex={active ? 0 : -1}
      data-call={row.call_id}
      style={{ top: `${top}px` }}
      onFocusCapture={() => onActive(row.call_id)}
      onClick={(event) => {
        if (!(event.target as HTMLElement).closest('a, button')) openCall(row.call_id);
      }}
    >
      <div role="gridcell" class="cell-mark">
        {worst && !over && (
          <span class={`level-${worst.level}`} title={LEVEL_WORD[worst.level]}>
            <Icon name={worst.level} />
            <span class="visually-hidden">{LEVEL_WORD[worst.level]}</span>
          </span>
        )}
      </div>
      <div role="gridcell" class="cell-agent" title={[agentOf(row), row.team, row.queue, row.caller].filter(Boolean).join(', ')}>
        <span class="agent cut">{agentOf(row)}</span> <span class="muted cut">{row.queue ?? row.team}</span>
      </div>
      <div role="gridcell" class="cell-length figures">
        {over ? 'ended' : clock(secondsSince(row.started_at, now))}
      </div>
      <div role="gridcell" class="cell-talk">
        <TalkBar channels={row.channels} talkShare={row.talk_share} speaking={over ? [] : row.speaking} />
      </div>
      <div role="gridcell" class="cell-sentiment">
        <Sentiment of={row.sentiment} />
      </div>
      <div role="gridcell" class="cell-script figures">
        <Script of={row.script} />
      </div>
      <div role="gridcell" class="cell-score figures">
        <span class="visually-hidden">score </span>
        {whole(row.score)}
      </div>
      <div role="gridcell" class="cell-alert">
        {over ? null : newest ? <AlertText row={row} alert={newest} now={now} /> : <Quiet row={row} now={now} />}
      </div>
      <div role="gridcell" class="cell-actions">
        {newest && mayAcknowledge && !over && <AcknowledgeButton call={row.call_id} alert={newest} reachable={active} />}
        <Link class="button quiet small square" href={callPath(row.call_id)} tabIndex={active ? 0 : -1} title="Open (Enter)" aria-label={`Open the call of ${agentOf(row)}`}>
          <Icon name="open" />
        </Link>
      </div>
    </div>
  );
}

function Script({ of }: { of: Row['script'] }) {
  if (!of || of.of === 0) return <span class="muted">{NONE}</span>;
  return (
    <>
      <span class="visually-hidden">script </span>
      {of.done}/{of.of}
      {of.overdue > 0 && <span class="overdue"> {of.overdue} late</span>}
    </>
  );
}

function AlertText({ row, alert, now }: { row: Row; alert: Alert; now: number }) {
  const more = openAlerts(row).length - 1;
  return (
    <>
      <span class="cut" title={alert.title}>
        {alert.title}
      </span>
      <span class="muted figures alert-age">
        {more > 0 && `+${more}, `}
        {span(secondsSince(alert.raised_at, now))} ago
      </span>
    </>
  );
}

function Quiet({ row, now }: { row: Row; now: number }) {
  if (row.state === 'waiting') return <span class="muted cut">waiting for its connection</span>;
  const quiet = quietFor(row, now);
  return quiet === null ? null : <span class="muted figures">quiet {span(quiet)}</span>;
}

/** Also used in the call, where it is always within reach of the Tab key. */
export function AcknowledgeButton({ call, alert, reachable = true }: { call: string; alert: Pick<Alert, 'seq' | 'title'>; reachable?: boolean }) {
  const busy = useStore(pending).has(alertName(call, alert.seq));
  return (
    <button
      class="button small"
      type="button"
      tabIndex={reachable ? 0 : -1}
      aria-disabled={busy}
      title="Acknowledge (a)"
      onClick={() => void acknowledge(call, alert.seq)}
    >
      <Icon name="check" /> Got it<span class="visually-hidden">: {alert.title}</span>
    </button>
  );
}
