import type { ComponentChildren } from 'preact';
import { ApiError, messageOf } from '../shared/api';

/** Stands in for content that is not there, and says what to do about it. */
export function State({ title, text, children }: { title: string; text?: ComponentChildren; children?: ComponentChildren }) {
  return (
    <div class="state">
      <h2>{title}</h2>
      {text && <p>{text}</p>}
      {children}
    </div>
  );
}

/** Answers that another attempt would not change. */
const TITLES: Record<number, string> = { 403: 'Not for your role', 404: 'Not here' };

export function Failed({ error, retry }: { error: Error; retry: () => void }) {
  const title = error instanceof ApiError ? TITLES[error.status] : undefined;
  return (
    <div role="alert">
      <State title={title ?? 'This did not work'} text={messageOf(error)}>
        {!title && (
          <button class="button" type="button" onClick={retry}>
            Try again
          </button>
        )}
      </State>
    </div>
  );
}

/** Where rows will be. */
export function Skeleton({ rows, label }: { rows: number; label: string }) {
  return (
    <div class="skeletons" role="status">
      <span class="visually-hidden">{label}</span>
      {Array.from({ length: rows }, (_, row) => (
        <div key={row} class="skeleton" />
      ))}
    </div>
  );
}
