import { Redacted } from '../shared/redaction';
import { type CallState, listensTo } from './call';

const LABELS: Record<string, string> = { customer: 'Customer', other: 'Other side', agent: 'You' };

/**
 * What the other side said last, below all else: it makes do with the lines that are left. The box has its height before there
 * are words, so nothing jumps while they roll.
 */
export function Said({ call: { call, speech }, live }: { call: CallState; live: boolean }) {
  const shown = live ? speech : null;
  return (
    <div class="said">
      <p class="label">{LABELS[listensTo(call.channels)]}</p>
      <div class="words">
        <div class="lines">
          <p>
            {shown && <Redacted text={shown.stable} />}
            {shown?.tail && shown.stable && ' '}
            {shown?.tail && (
              <span class="tail">
                <Redacted text={shown.tail} />
              </span>
            )}
          </p>
        </div>
      </div>
    </div>
  );
}

/** Who is calling. */
export function Caller({ fields }: { fields: [name: string, value: string][] }) {
  return (
    <div class="caller">
      <p class="label">Caller</p>
      <dl>
        {fields.map(([name, value]) => (
          <div key={name}>
            <dt>{name.replaceAll('_', ' ')}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
    </div>
  );
}
