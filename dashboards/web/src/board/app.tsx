import { useEffect, useRef, useState } from 'preact/hooks';
import type { Session } from '../wire';
import { useStore } from '../shared/store';
import { BoardPage } from './board';
import { CallPage } from './call';
import { Header } from './header';
import { HistoryPage } from './history';
import { board, followBoard } from './live-board';
import { LoginPage, OpenLinkPage } from './login';
import { NumbersPage } from './numbers';
import { type Route, route } from './route';
import { loadSession, may, session } from './session';
import { chime, Heard } from './sound';
import { Failed, State } from './state';
import { Trouble } from './trouble';
import { TrendsPage } from './trends';
import { useWide } from './wide';
import { WallPage } from './wall';
import { agentOf, LEVEL_WORD } from './words';

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
  const seesNumbers = may(session, 'see_numbers') || may(session, 'see_calls');
  useEffect(() => (seesNumbers ? followBoard() : undefined), [seesNumbers, session.user.login]);
  const raised = useAlerts();
  const from = useRef<From>('board');
  if (current.page === 'board' || current.page === 'history') from.current = current.page;
  if (current.page === 'wall' && may(session, 'see_calls')) return <WallPage />;
  return (
    <div class="app">
      <Header session={session} here={current.page === 'call' ? from.current : current.page} />
      <Trouble />
      <p class="visually-hidden" role="status">
        {raised}
      </p>
      <Page session={session} current={current} from={from.current} />
    </div>
  );
}

/** Where a call is opened from, and closed to. */
type From = 'board' | 'history';

/** A call opens beside the list it was chosen from, when there is room; else the list waits unseen. */
function Page({ session, current, from }: { session: Session; current: Route; from: From }) {
  const wide = useWide();
  if (current.page === 'trends') return may(session, 'see_numbers') ? <TrendsPage /> : <Refused />;
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

/** Sounds new alerts and counts open ones in the tab's title; returns the newest in words. */
function useAlerts(): string {
  const [raised, setRaised] = useState('');
  useEffect(() => {
    const heard = new Heard();
    const title = document.title;
    const look = () => {
      const { rows, numbers, offset } = board.value;
      const next = heard.next(rows.values(), Date.now() + offset);
      if (next) {
        chime(next.alert.level);
        setRaised(`${LEVEL_WORD[next.alert.level]}: ${next.alert.title}, ${agentOf(next.row)}`);
      }
      document.title = numbers?.alerts ? `(${numbers.alerts}) ${title}` : title;
    };
    const leave = board.subscribe(look);
    return () => {
      leave();
      document.title = title;
    };
  }, []);
  return raised;
}
