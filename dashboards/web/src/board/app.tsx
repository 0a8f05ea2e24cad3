import { useEffect, useRef } from 'preact/hooks';
import type { Session } from '../wire';
import { useStore } from '../shared/store';
import { Alerts, Title } from './alerts';
import { BoardPage } from './board';
import { CallPage } from './call';
import { Header } from './header';
import { HistoryPage } from './history';
import { Keys } from './keys';
import { later } from './later';
import { followBoard } from './live-board';
import { LoginPage, OpenLinkPage } from './login';
import { NumbersPage } from './numbers';
import { type Route, route } from './route';
import { loadSession, may, session } from './session';
import { Failed, State } from './state';
import { Trouble } from './trouble';
import { WallPage } from './wall';
import { useWide } from './wide';

const TrendsPage = later(async () => (await import('./trends')).TrendsPage);

export function App() {
  const current = useStore(route);
  const who = useStore(session);
  if (current.page === 'open') return <OpenLinkPage />;
  if (who.state === 'loading') return <div class="app" aria-busy="true" />;
  if (who.state === 'failed') {
    return (
      <main class="whole">
        <Failed error={who.error} retry={() => void loadSession()} />
      </main>
    );
  }
  if (who.state === 'none' || current.page === 'login') return <LoginPage />;
  return <Pages session={who.session} current={current} />;
}

function Pages({ session, current }: { session: Session; current: Route }) {
  const seesNumbers = may(session, 'see_numbers');
  useEffect(() => (seesNumbers ? followBoard() : undefined), [seesNumbers, session.user.login]);
  const from = useRef<From>('board');
  if (current.page === 'board' || current.page === 'history') from.current = current.page;
  const wall = current.page === 'wall' && may(session, 'see_calls');
  return (
    <>
      <Title page={current.page} />
      <Alerts />
      {wall ? <WallPage /> : <Desk session={session} current={current} from={from.current} />}
    </>
  );
}

function Desk({ session, current, from }: { session: Session; current: Route; from: From }) {
  return (
    <div class="app">
      <Header session={session} here={current.page === 'call' ? from : current.page} />
      <Trouble />
      <Page session={session} current={current} from={from} />
      <Keys />
    </div>
  );
}

/** Where a call is opened from, and closed to. */
type From = 'board' | 'history';

/** A call opens beside the list it was chosen from, when there is room; else the list waits unseen. */
function Page({ session, current, from }: { session: Session; current: Route; from: From }) {
  const wide = useWide();
  if (current.page === 'trends') return may(session, 'see_numbers') ? <TrendsPage session={session} /> : <Refused />;
  if (current.page === 'unknown') return <Instead title="There is no such page" text="The address may be mistyped." />;
  if (!may(session, 'see_calls')) return current.page === 'board' ? <NumbersPage /> : <Refused />;
  const call = current.page === 'call' ? current.id : null;
  return (
    <main class={call && wide ? 'split' : 'whole'}>
      <div class="calls" hidden={call !== null && !wide}>
        {from === 'history' ? <HistoryPage session={session} opened={call} /> : <BoardPage session={session} opened={call} />}
      </div>
      {call && <CallPage key={call} id={call} session={session} closeTo={from === 'history' ? '/history' : '/'} />}
    </main>
  );
}

function Refused() {
  return <Instead title="Not for your role" text="Your account may not see this page. Ask an administrator if you need it." />;
}

function Instead(props: { title: string; text: string }) {
  return (
    <main class="whole">
      <h1 class="visually-hidden">Sotto</h1>
      <State {...props} />
    </main>
  );
}
