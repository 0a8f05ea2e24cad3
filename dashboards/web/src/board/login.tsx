import { useEffect, useRef, useState } from 'preact/hooks';
import { ApiError, messageOf } from '../shared/api';
import { clock, useNow } from '../shared/time';
import { Link } from './link';
import { navigate, nextPath } from './route';
import { logIn, logInByLink } from './session';

function Card({ children }: { children: preact.ComponentChildren }) {
  return (
    <main class="door">
      <div class="panel door-card">
        <h1 class="brand">Sotto</h1>
        {children}
      </div>
    </main>
  );
}

export function LoginPage() {
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState<string | null>(null);
  const [lockedUntil, setLockedUntil] = useState(0);
  const form = useRef<HTMLFormElement>(null);
  const now = useNow();
  const locked = Math.ceil((lockedUntil - now) / 1000);

  async function submit(event: Event) {
    event.preventDefault();
    const data = new FormData(form.current ?? undefined);
    setBusy(true);
    setFailure(null);
    try {
      await logIn(String(data.get('login')), String(data.get('password')));
      enter();
    } catch (error) {
      if (error instanceof ApiError && error.code === 'locked') setLockedUntil(Date.now() + (error.retryAfter ?? 60) * 1000);
      else setFailure(messageOf(error));
      form.current?.querySelector<HTMLInputElement>('[name=password]')?.select();
    }
    setBusy(false);
  }

  return (
    <Card>
      <form ref={form} class="door-form" onSubmit={submit}>
        <label class="label">
          Login
          <input class="field" name="login" autocomplete="username" autocapitalize="none" spellcheck={false} required autofocus />
        </label>
        <label class="label">
          Password
          <input class="field" name="password" type="password" autocomplete="current-password" required />
        </label>
        <div>
          <p class="door-failure" role="alert">
            {locked > 0 ? 'Too many wrong passwords.' : failure}
          </p>
          {/* not in the alert, or every second would be read out */}
          {locked > 0 && <p class="muted figures">Try again in {clock(locked)}.</p>}
        </div>
        <button class="button primary" type="submit" disabled={busy || locked > 0}>
          {busy ? 'Logging in' : 'Log in'}
        </button>
      </form>
    </Card>
  );
}

/** Back to where one was; the address has not changed unless it was the login's own. */
function enter() {
  const next = nextPath(location.search, location.origin);
  if (next) location.assign(next);
  else if (location.pathname === '/login') navigate('/', 'replace');
}

/** The secret stands behind `#`, so it is sent to nobody but by us; it goes from the address bar at once. */
export function OpenLinkPage() {
  const [failure, setFailure] = useState<string | null>(null);
  useEffect(() => {
    const secret = location.hash.slice(1);
    history.replaceState(null, '', '/open');
    if (!secret) {
      setFailure('This link is not complete.');
      return;
    }
    logInByLink(secret).then(
      () => navigate('/', 'replace'),
      (error: unknown) => setFailure(error instanceof ApiError && error.status === 401 ? 'This link has been used or has expired.' : messageOf(error)),
    );
  }, []);
  return (
    <Card>
      <div role="status">{failure ? <p>{failure}</p> : <p class="muted">Opening</p>}</div>
      {failure && (
        <p class="muted">
          Ask for a new link, or <Link href="/login">log in with a password</Link>.
        </p>
      )}
    </Card>
  );
}
