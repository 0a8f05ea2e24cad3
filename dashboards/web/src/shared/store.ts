import { useLayoutEffect, useReducer } from 'preact/hooks';

/** A value that components follow. */
export class Store<T> {
  private readonly listeners = new Set<() => void>();

  constructor(private current: T) {}

  get value(): T {
    return this.current;
  }

  set(value: T): void {
    if (Object.is(value, this.current)) return;
    this.current = value;
    for (const listener of this.listeners) listener();
  }

  /** Returns how to leave again. */
  subscribe(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }
}

export type Followed<T> = Pick<Store<T>, 'value' | 'subscribe'>;

export function useStore<T>(store: Followed<T>): T {
  const [, render] = useReducer<number, void>((count) => count + 1, 0);
  const rendered = store.value;
  useLayoutEffect(() => {
    if (!Object.is(store.value, rendered)) render();
    return store.subscribe(() => render());
  }, [store]);
  return rendered;
}
