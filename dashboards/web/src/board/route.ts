import { Store } from '../shared/store';

export type Route =
  | { page: 'board' | 'wall' | 'history' | 'trends' | 'login' | 'open' | 'unknown' }
  | { page: 'call'; id: string };

const PAGES = new Map<string, Route>([
  ['/', { page: 'board' }],
  ['/wall', { page: 'wall' }],
  ['/history', { page: 'history' }],
  ['/trends', { page: 'trends' }],
  ['/login', { page: 'login' }],
  ['/open', { page: 'open' }],
]);

export function parse(path: string): Route {
  const page = PAGES.get(path);
  if (page) return page;
  const [, id] = /^\/calls\/([^/]+)\/?$/.exec(path) ?? [];
  if (!id) return { page: 'unknown' };
  try {
    return { page: 'call', id: decodeURIComponent(id) };
  } catch {
    return { page: 'unknown' };
  }
}

export const route = new Store<Route>(parse(location.pathname));

addEventListener('popstate', () => route.set(parse(location.pathname)));

export function navigate(path: string, how: 'push' | 'replace' = 'push'): void {
  if (how === 'replace' || path === location.pathname) history.replaceState(null, '', path);
  else history.pushState(null, '', path);
  route.set(parse(path));
}

export function callPath(id: string): string {
  return `/calls/${encodeURIComponent(id)}`;
}

export function openCall(id: string): void {
  navigate(callPath(id));
}

/** Where to go after login when another page of this server sent us: only its own paths are followed. */
export function nextPath(search: string, origin: string): string | null {
  const next = new URLSearchParams(search).get('next');
  if (!next?.startsWith('/')) return null;
  const url = new URL(next, origin);
  return url.origin === origin ? url.pathname + url.search : null;
}
