import type { ComponentType } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { Failed, Skeleton } from './state';

/** A page whose script is fetched when it is first opened: few who watch a board look at charts. */
export function later<Props extends object>(load: () => Promise<ComponentType<Props>>): ComponentType<Props> {
  return function Later(props: Props) {
    const [Page, setPage] = useState<ComponentType<Props> | null>(null);
    const [error, setError] = useState<Error | null>(null);
    const [attempt, setAttempt] = useState(0);
    useEffect(() => {
      setError(null);
      load().then((page) => setPage(() => page), setError);
    }, [attempt]);
    if (Page) return <Page {...props} />;
    return (
      <main class="whole">
        {error ? <Failed error={error} retry={() => setAttempt(attempt + 1)} /> : <Skeleton rows={6} label="Loading the page" />}
      </main>
    );
  };
}
