import { Redacted } from '../shared/redaction';
import { clock, dayOf, lengthOf, timeOf } from '../shared/time';
import type { HistoryCall } from '../wire';
import { markWords } from './history-query';
import { Link } from './link';
import { callPath } from './route';
import { agentOf, NONE, percent, sentimentWord, spoken, whole } from './words';

export function FoundCall({ call, words, opened }: { call: HistoryCall; words: string; opened: boolean }) {
  const { summary } = call;
  const at = Date.parse(call.created_at);
  return (
    <li class={opened ? 'found-call opened' : 'found-call'}>
      <Link class="found-link" href={callPath(call.call_id)} aria-current={opened ? 'true' : undefined}>
        <span class="found-agent cut">{agentOf({ agent: call.metadata['agent'] ?? null, agent_name: call.agent_name })}</span>
        <span class="figures muted">
          {dayOf(at)}, {timeOf(at)}
        </span>
      </Link>
      <dl class="found-facts figures">
        <Fact name="length" value={summary ? lengthOf(summary.duration) : call.state === 'open' ? 'on air' : call.state === 'erased' ? 'erased' : NONE} />
        <Fact name="score" value={whole(summary?.score ?? null)} />
        <Fact name="script" value={summary?.adherence == null ? NONE : percent(summary.adherence)} />
        <Fact name="customer" value={summary?.sentiment == null ? NONE : sentimentWord(summary.sentiment)} />
      </dl>
      {summary && summary.moments.length > 0 && (
        <ul class="found-moments">
          {summary.moments.slice(0, 8).map((moment) => (
            <li key={moment} class="chip">
              {spoken(moment)}
            </li>
          ))}
        </ul>
      )}
      {call.hits.length > 0 && (
        <ul class="hits">
          {call.hits.map((hit) => (
            <li key={hit.seq}>
              <span class="figures muted">{clock(hit.at)}</span> <span class="muted">{call.format.channels[hit.channel]}</span>{' '}
              <Redacted text={hit.text} render={(plain) => markWords(plain, words).map((part) => (part.found ? <mark>{part.text}</mark> : part.text))} />
            </li>
          ))}
        </ul>
      )}
    </li>
  );
}

/** Where there is room, instead of a label in every row; to a screen reader the labels stay. */
export function Heads() {
  return (
    <li class="found-call found-heads" aria-hidden="true">
      <span>Call</span>
      <span class="found-facts">
        {['Length', 'Score', 'Script', 'Customer'].map((head) => (
          <span key={head}>{head}</span>
        ))}
      </span>
      <span>Moments</span>
    </li>
  );
}

function Fact({ name, value }: { name: string; value: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}
