import { type OnShow, EvidenceTimes } from './evidence';
import type { Transcript } from './transcript-model';
import { NONE, percent, whole } from './words';

export function ScorecardPanel({ transcript, onShow }: { transcript: Transcript; onShow: OnShow }) {
  const { scores, scorecard } = transcript;
  if (!scores) return <p class="side-part muted">Scores come with the first words.</p>;
  const titles = new Map(scorecard?.criteria.map(({ id, title }) => [id, title]));
  const named = scores.scorecard ? `${scores.scorecard.name} ${scores.scorecard.version}` : 'no scorecard';
  return (
    <section class="side-part" aria-label="Scorecard">
      <h2 class="side-title" title={`Scorecard ${named}, scores ${scores.version}`}>
        Scorecard <span class="total figures">{whole(scores.total)}</span>
      </h2>
      <ul class="criteria">
        {scores.criteria.map((criterion) => (
          <li key={criterion.id}>
            <span class="criterion-title">{titles.get(criterion.id) ?? criterion.id}</span>
            <span class="figures" title={`weight ${criterion.weight}${criterion.value === null ? '' : `, measured ${criterion.value.toFixed(2)}`}`}>
              {criterion.score === null ? NONE : percent(criterion.score)}
            </span>
            {criterion.evidence.length > 0 && (
              <span class="places">
                <EvidenceTimes places={criterion.evidence} onShow={onShow} />
              </span>
            )}
          </li>
        ))}
      </ul>
      {scores.criteria.length === 0 && <p class="muted">The call began without a scorecard.</p>}
    </section>
  );
}
