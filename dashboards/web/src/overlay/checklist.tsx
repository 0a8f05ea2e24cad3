import { Icon } from '../shared/icon';
import { isSaid } from '../shared/steps';
import type { StepState } from '../wire';
import type { Step } from './call';

const WORDS: Record<StepState, string> = {
  open: 'to say',
  done: 'said',
  early: 'too early',
  late: 'said late',
  overdue: 'still to say',
};

/** The next step large, the others as a row of marks, all of them on demand. */
export function Checklist({ steps, expanded, toggle }: { steps: Step[]; expanded: boolean; toggle: () => void }) {
  if (steps.length === 0) return null;
  const next = steps.find((step) => !isSaid(step));
  const said = steps.filter(isSaid).length;
  return (
    <div class="script">
      <p class="label">
        <span>{next?.state === 'overdue' ? 'Next, a little late' : 'Next'}</span>
        <span class="figures">
          {said} of {steps.length}
        </span>
      </p>
      <p class="next">{next?.title ?? 'All steps said'}</p>
      <div class="marks" aria-hidden="true">
        {steps.map((step) => (
          <span key={step.id} class={isSaid(step) ? 'said' : step === next ? 'due' : ''} />
        ))}
      </div>
      <button class="plain" aria-expanded={expanded} onClick={toggle}>
        {expanded ? 'Hide steps' : 'All steps'}
      </button>
      {expanded && (
        <ol>
          {steps.map((step) => (
            <li key={step.id} class={isSaid(step) ? 'said' : ''}>
              <Icon name={isSaid(step) ? 'check' : step.state === 'overdue' ? 'clock' : 'ring'} />
              <span class="title">{step.title}</span>
              <span class="word">{WORDS[step.state]}</span>
            </li>
          ))}
        </ol>
      )}
    </div>
  );
}
