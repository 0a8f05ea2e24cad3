import { Icon } from '../shared/icon';
import { clock } from '../shared/time';
import type { Row, Session } from '../wire';
import { EvidenceButton, type OnShow } from './evidence';
import { AcknowledgeButton } from './row';
import { may } from './session';
import type { Transcript } from './transcript-model';
import { percent } from './words';

interface Props {
  call: string;
  transcript: Transcript;
  row: Row | null;
  session: Session;
  onShow: OnShow;
}

/** Newest first. Who has an alert in hand is known from the board, while the call is on air. */
const SHOWN = 50;

export function MomentList({ call, transcript, row, session, onShow }: Props) {
  const moments = transcript.moments.slice(-SHOWN).reverse();
  if (moments.length === 0) return null;
  const alerts = new Map(row?.alerts.map((alert) => [alert.seq, alert]));
  return (
    <section class="side-part" aria-label="Moments">
      <h2 class="side-title">
        Moments <span class="figures muted">{transcript.moments.length}</span>
      </h2>
      <ul class="moments">
        {moments.map((moment) => {
          const alert = alerts.get(moment.seq);
          return (
            <li key={moment.seq}>
              <span class={`level-${moment.level ?? 'notice'}`}>
                <Icon name={moment.level ?? 'notice'} />
                <span class="visually-hidden">{moment.level ?? 'notice'}</span>
              </span>
              <EvidenceButton at={moment} onShow={onShow}>
                {moment.title}
              </EvidenceButton>
              <span class="moment-at muted figures" title={`${percent(moment.nearness)} near`}>
                {clock(moment.at)}
              </span>
              {alert?.acknowledged_by && <span class="muted in-hand">{alert.acknowledged_by} has it</span>}
              {alert && alert.acknowledged_by === null && may(session, 'acknowledge') && <AcknowledgeButton call={call} alert={alert} />}
            </li>
          );
        })}
      </ul>
    </section>
  );
}
