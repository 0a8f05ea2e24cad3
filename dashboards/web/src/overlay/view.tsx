import type { ComponentChildren } from 'preact';
import { Icon } from '../shared/icon';
import { timeWithSecondsOf } from '../shared/time';
import { checklist } from './call';
import { Checklist } from './checklist';
import type { Link } from './connection';
import type { Screen, Summary } from './model';
import { HINTS } from './pace';
import { Prompted } from './prompted';
import { Caller, Said } from './speech';

export interface Actions {
  dismiss(): void;
  hold(held: boolean): void;
  toggleSteps(): void;
  retry(): void;
  /** None where the browser cannot. */
  float: (() => void) | null;
}

export interface ViewProps {
  screen: Screen;
  actions: Actions;
  stepsShown: boolean;
  /** Where to log in; none when the page that embeds us gives the token. */
  login: string | null;
}

export function View({ screen, actions, stepsShown, login }: ViewProps) {
  const escape = (event: KeyboardEvent) => event.key === 'Escape' && actions.dismiss();
  return (
    <section class="overlay" aria-label="Help for this call" onKeyDown={escape}>
      <header>
        <span class={`state ${screen.link.state === 'live' && screen.call ? 'on' : ''}`}>{word(screen)}</span>
        {actions.float && (
          <button class="plain" onClick={actions.float} title="Show this in a small window that stays on top">
            Float
          </button>
        )}
      </header>
      <Body screen={screen} actions={actions} stepsShown={stepsShown} login={login} />
    </section>
  );
}

/** What stays in the page while the view is in a window of its own. */
export function Floating({ back }: { back: () => void }) {
  return (
    <section class="overlay" aria-label="Help for this call">
      <State title="In a window of its own" act={{ label: 'Bring back', run: back }} />
    </section>
  );
}

function Body({ screen, actions, stepsShown, login }: ViewProps) {
  const { link, call, summary, prompts, advice, pop } = screen;
  if (link.state === 'refused') return <Refused status={link.status} login={login} retry={actions.retry} />;
  if (call !== null) {
    const live = link.state === 'live';
    const hint = live && advice.hint !== null ? HINTS[advice.hint] : null;
    return (
      <div class={live ? 'call' : 'call stale'}>
        <Lost link={link} />
        <Checklist steps={checklist(call)} expanded={stepsShown} toggle={actions.toggleSteps} />
        <Prompted shown={prompts.shown} dismiss={actions.dismiss} hold={actions.hold} />
        {pop !== null && prompts.shown === null && <Caller fields={pop.fields} />}
        <Said call={call} live={live} />
        <p class="hint">
          {hint !== null && <Icon name="notice" />}
          {hint}
        </p>
      </div>
    );
  }
  return (
    <>
      <Lost link={link} />
      {summary !== null && <Ended summary={summary} />}
      {summary === null && link.state === 'live' && <State title="No call">The next step and prompts are shown here during a call.</State>}
      {summary === null && link.state === 'connecting' && <State title="Connecting" />}
    </>
  );
}

function word({ link, call, summary }: Screen): string {
  if (link.state === 'lost') return 'Not connected';
  if (link.state !== 'live') return 'Sotto';
  if (call !== null) return 'On a call';
  return summary === null ? 'Ready' : 'Call ended';
}

function Lost({ link }: { link: Link }) {
  if (link.state !== 'lost') return null;
  return (
    <p class="lost">
      <Icon name="warning" />
      <span>Connection lost at {timeWithSecondsOf(link.since)}, retrying</span>
    </p>
  );
}

function State({ title, children, act }: { title: string; children?: ComponentChildren; act?: { label: string; run: () => void } }) {
  return (
    <div class="blank">
      <h2>{title}</h2>
      {children && <p>{children}</p>}
      {act && (
        <button class="button" onClick={act.run}>
          {act.label}
        </button>
      )}
    </div>
  );
}

function Refused({ status, login, retry }: { status: 401 | 403; login: string | null; retry: () => void }) {
  const act = { label: 'Try again', run: retry };
  if (status === 403) {
    return (
      <State title="Not allowed" act={act}>
        This account may not see the help for calls.
      </State>
    );
  }
  if (login === null) {
    return (
      <State title="Access has run out" act={act}>
        Waiting for this page to renew it.
      </State>
    );
  }
  return (
    <State title="Not logged in" act={act}>
      <a href={login} target="_blank" rel="noopener">
        Log in to Sotto
      </a>{' '}
      and come back to this page.
    </State>
  );
}

function Ended({ summary: { score, said, steps } }: { summary: Summary }) {
  return (
    <div class="ended">
      {score !== null && (
        <p>
          <strong>{Math.round(score)}</strong> score of 100
        </p>
      )}
      {steps > 0 && (
        <p>
          <strong>
            {said} of {steps}
          </strong>{' '}
          steps said
        </p>
      )}
      {score === null && steps === 0 && <p>It was written down.</p>}
    </div>
  );
}
