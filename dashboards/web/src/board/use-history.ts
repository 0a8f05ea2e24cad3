import { useEffect, useRef, useState } from 'preact/hooks';
import { request } from '../shared/api';
import type { History, HistoryCall } from '../wire';
import { NO_SEARCH, type Search, searchBody } from './history-query';

/** A tab holds no more calls of a search than this. */
export const MAX_FOUND = 500;

export interface Found {
  search: Search;
  calls: HistoryCall[];
  next: string | null;
  searched: number;
  busy: boolean;
  error: Error | null;
}

const NOTHING: Found = { search: NO_SEARCH, calls: [], next: null, searched: 0, busy: true, error: null };

export function useHistory() {
  const [found, setFound] = useState<Found>(NOTHING);
  const asking = useRef<AbortController | null>(null);

  async function ask(before: Found, from: string | null) {
    asking.current?.abort();
    const { signal } = (asking.current = new AbortController());
    setFound({ ...before, busy: true, error: null });
    try {
      const page = await request<History>('POST', '/v1/calls/search', searchBody(before.search, from), signal);
      setFound({
        ...before,
        calls: [...before.calls, ...page.calls].slice(0, MAX_FOUND),
        next: page.next,
        searched: before.searched + page.searched,
        busy: false,
        error: null,
      });
    } catch (error) {
      if (!signal.aborted) setFound({ ...before, busy: false, error: error as Error });
    }
  }

  useEffect(() => {
    void ask(NOTHING, null);
    return () => asking.current?.abort();
  }, []);
  return {
    found,
    search: (search: Search) => void ask({ ...NOTHING, search }, null),
    older: () => void ask(found, found.next),
    retry: () => void ask(found, found.calls.length > 0 ? found.next : null),
  };
}
