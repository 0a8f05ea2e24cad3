import { Icon, type IconName } from '../shared/icon';
import { isSaid } from '../shared/steps';
import { useRef } from 'preact/hooks';
import type { StepScore, StepState } from '../wire';
import { EvidenceButton, type OnShow } from './evidence';
import type { Transcript } from './transcript-model';
import { percent, STEP_WORD } from './words';

const ICON: Record<StepState, IconName> = { open: 'ring', done: 'check', early: 'warning', late: 'clock', overdue: 'clock' };

export function ScriptList({ transcript, now, onShow }: { transcript: Transcript; now: number; onShow: OnShow }) {
  const { scores, scorecard } = transcript;
  const position = usePosition(transcript, now);
  if (!scores || scores.script.length === 0) return null;
  const titles = new Map(scorecard?.script.map(({ id, title }) => [id, title]));
  const said = scores.script.filter(isSaid).length;
  return (
    <section class="side-part" aria-label="Script">
      <h2 class="side-title">
        Script{' '}
        <span class="figures muted">
          {said}/{scores.script.length}
          {scores.adherence !== null && `, ${percent(scores.adherence)} in time`}
        </span>
      </h2>
      <ul class="steps">
        {scores.script.map((step) => (
          <li key={step.id} class={`step ${step.state}`}>
            <Icon name={ICON[step.state]} />
            <EvidenceButton at={step.evidence} onShow={onShow}>
              {titles.get(step.id) ?? step.id}
            </EvidenceButton>
            <span class="step-state figures">{stateText(step, position)}</span>
          </li>
        ))}
      </ul>
    </section>
  );
}

export function stateText(step: StepScore, position: number | null): string {
  if (step.state === 'open' && step.due !== null && position !== null) return `due in ${Math.max(0, Math.ceil(step.due - position))} s`;
  const word = STEP_WORD[step.state];
  return step.nearness === null || step.state === 'open' ? word : `${word}, ${percent(step.nearness)} near`;
}

/** How far the call has come by now: what the server said, and the seconds since. None once the call is over. */
function usePosition(transcript: Transcript, now: number): number | null {
  const said = useRef({ position: 0, at: now });
  if (said.current.position !== transcript.position) said.current = { position: transcript.position, at: now };
  if (transcript.ended) return null;
  return said.current.position + Math.max(0, now - said.current.at) / 1000;
}
