import { Icon } from '../shared/icon';
import type { Prompts } from './prompts';

export interface PromptedProps {
  shown: Prompts['shown'];
  dismiss: () => void;
  /** The pointer or the focus is on it: it stays. */
  hold: (held: boolean) => void;
}

/** What to say, why, and where to read more. */
export function Prompted({ shown, dismiss, hold }: PromptedProps) {
  return (
    <div class="slot" aria-live="polite" aria-atomic="true">
      {shown && (
        <div
          key={shown.key}
          class="prompt"
          onPointerEnter={() => hold(true)}
          onPointerLeave={() => hold(false)}
          onFocusIn={() => hold(true)}
          onFocusOut={() => hold(false)}
        >
          <p class="label">{shown.title}</p>
          <p class="say">{shown.prompt.say}</p>
          {shown.prompt.why && <p class="why">{shown.prompt.why}</p>}
          {isLink(shown.prompt.link) && (
            <a href={shown.prompt.link} target="_blank" rel="noopener noreferrer">
              Read more
            </a>
          )}
          <button class="plain dismiss" onClick={dismiss} aria-label="Dismiss" title="Dismiss">
            <Icon name="cross" />
          </button>
        </div>
      )}
    </div>
  );
}

/** A scorecard is written by people: nothing but the web is opened from it. */
function isLink(link: string | undefined): link is string {
  return link !== undefined && /^https?:\/\//i.test(link);
}
