import { useRef } from 'preact/hooks';
import type { Session } from '../wire';
import { messageOf } from '../shared/api';
import { Icon } from '../shared/icon';
import { useStore } from '../shared/store';
import { nextTheme, theme } from '../shared/theme';
import { trouble } from './acknowledge';
import { showKeys } from './keys';
import { Link } from './link';
import { board } from './live-board';
import type { Route } from './route';
import { logOut, may } from './session';
import { muted, toggleMuted } from './sound';

export function Header({ session, here }: { session: Session; here: Route['page'] }) {
  const calls = may(session, 'see_calls');
  return (
    <header class="header">
      <Link class="brand" href="/">
        Sotto
      </Link>
      <nav class="nav" aria-label="Pages">
        <Tab href="/" here={here === 'board'}>
          {calls ? 'Board' : 'Now'}
        </Tab>
        {calls && (
          <Tab href="/history" here={here === 'history'}>
            History
          </Tab>
        )}
        {may(session, 'see_numbers') && (
          <Tab href="/trends" here={here === 'trends'}>
            Trends
          </Tab>
        )}
      </nav>
      <Counts />
      <div class="header-tools">
        {calls && <SoundButton />}
        <ThemeButton />
        {calls && (
          <>
            <Link class="button quiet square" href="/wall" title="Wall (w)" aria-label="Wall">
              <Icon name="wall" />
            </Link>
            <button class="button quiet square keys-button" type="button" title="Keys (?)" aria-label="Keys" onClick={() => showKeys.set(true)}>
              <Icon name="keys" />
            </button>
          </>
        )}
        <UserMenu session={session} />
      </div>
    </header>
  );
}

function Tab({ href, here, children }: { href: string; here: boolean; children: string }) {
  return (
    <Link href={href} aria-current={here ? 'page' : undefined}>
      {children}
    </Link>
  );
}

function Counts() {
  const { numbers, connection } = useStore(board);
  if (!numbers) return <div class="counts" />;
  return (
    <div class={`counts figures ${connection.state === 'lost' ? 'stale' : ''}`}>
      <span>
        Live <b>{numbers.calls}</b>
      </span>
      <span class={numbers.alerts > 0 ? 'counts-alerts' : undefined}>
        {numbers.alerts > 0 && <Icon name="warning" />} Waiting alerts <b>{numbers.alerts}</b>
      </span>
    </div>
  );
}

function SoundButton() {
  const off = useStore(muted);
  const title = off ? 'Alerts are silent (m)' : 'Alerts sound, once this page has been clicked or a key pressed (m)';
  return (
    <button class="button quiet square" type="button" aria-label="Sound of alerts" aria-pressed={!off} title={title} onClick={toggleMuted}>
      <Icon name={off ? 'muted' : 'sound'} />
    </button>
  );
}

function ThemeButton() {
  const now = useStore(theme);
  return (
    <button class="button quiet square" type="button" aria-label={`Theme: ${now}`} title={`Theme: ${now}`} onClick={nextTheme}>
      <Icon name={now} />
    </button>
  );
}

function UserMenu({ session }: { session: Session }) {
  const menu = useRef<HTMLDetailsElement>(null);
  const close = () => menu.current?.removeAttribute('open');
  return (
    <details
      ref={menu}
      class="menu"
      onFocusOut={(event) => {
        if (!menu.current?.contains(event.relatedTarget as Node | null)) close();
      }}
      onKeyDown={(event) => {
        if (event.key !== 'Escape' || !menu.current?.open) return;
        event.stopPropagation();
        close();
        menu.current.querySelector('summary')?.focus();
      }}
    >
      <summary class="button quiet">
        <span class="cut">{session.user.name}</span>
      </summary>
      <div class="menu-body panel">
        <p>{session.user.name}</p>
        <p class="muted">
          {session.user.role}
          {session.user.teams.length > 0 && `, ${session.user.teams.join(', ')}`}
        </p>
        <button class="button" type="button" onClick={() => void logOut().catch((error: unknown) => trouble.set(messageOf(error)))}>
          Log out
        </button>
      </div>
    </details>
  );
}
