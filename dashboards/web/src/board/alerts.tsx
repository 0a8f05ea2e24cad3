import { useEffect, useState } from 'preact/hooks';
import { useStore } from '../shared/store';
import { board } from './live-board';
import type { Route } from './route';
import { chime, Heard } from './sound';
import { agentOf, LEVEL_WORD } from './words';

/** Sounds new alerts, and says them to those who listen to the page. */
export function Alerts() {
  const [newest, setNewest] = useState('');
  useEffect(() => {
    const heard = new Heard();
    return board.subscribe(() => {
      const { rows, offset } = board.value;
      const next = heard.next(rows.values(), Date.now() + offset);
      if (!next) return;
      chime(next.alert.level);
      setNewest(`${LEVEL_WORD[next.alert.level]}: ${next.alert.title}, ${agentOf(next.row)}`);
    });
  }, []);
  return (
    <p class="visually-hidden" role="status">
      {newest}
    </p>
  );
}

const TITLES: Partial<Record<Route['page'], string>> = { call: 'Call', wall: 'Wall', history: 'History', trends: 'Trends' };

/** The tab's title, with the count of waiting alerts. */
export function Title({ page }: { page: Route['page'] }) {
  const { numbers } = useStore(board);
  const name = [TITLES[page], 'Sotto'].filter(Boolean).join(' \u2013 ');
  const title = numbers?.alerts ? `(${numbers.alerts}) ${name}` : name;
  useEffect(() => {
    document.title = title;
    return () => void (document.title = 'Sotto');
  }, [title]);
  return null;
}
