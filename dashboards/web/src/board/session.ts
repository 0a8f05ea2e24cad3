import type { Permission, Session } from '../wire';
import { ApiError, onUnauthorised, request } from '../shared/api';
import { Store } from '../shared/store';

export type SessionState = { state: 'loading' } | { state: 'none' } | { state: 'failed'; error: Error } | { state: 'in'; session: Session };

export const session = new Store<SessionState>({ state: 'loading' });

onUnauthorised(() => session.set({ state: 'none' }));

/** Asks who is logged in. What is shown stays until the answer says otherwise. */
export async function loadSession(): Promise<void> {
  try {
    session.set({ state: 'in', session: await request<Session>('GET', '/v1/session') });
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) return;
    if (session.value.state !== 'in') session.set({ state: 'failed', error: error as Error });
  }
}

export async function logIn(login: string, password: string): Promise<void> {
  await request('POST', '/v1/session', { login, password });
  await loadSession();
}

export async function logInByLink(secret: string): Promise<void> {
  await request('POST', '/v1/session/link', { secret });
  await loadSession();
}

export async function logOut(): Promise<void> {
  await request('DELETE', '/v1/session');
  session.set({ state: 'none' });
}

export function may(session: Session, permission: Permission): boolean {
  return session.may.includes(permission);
}
