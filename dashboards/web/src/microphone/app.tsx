import type { HTMLAttributes } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { ApiError, messageOf, request } from '../shared/api';
import { theme } from '../shared/theme';
import type { Session } from '../wire';
import { Conversation } from './conversation';
import { obstacle } from './devices';
import { OnAir } from './on-air';
import { Setup } from './setup';

declare module 'preact' {
  namespace JSX {
    interface IntrinsicElements {
      'sotto-overlay': HTMLAttributes<HTMLElement> & { theme?: string };
    }
  }
}

export function App() {
  const [session, setSession] = useState<Session | null>(null);
  const [failure, setFailure] = useState<string | null>(obstacle);
  const [conversation, setConversation] = useState<Conversation | null>(null);

  useEffect(() => {
    request<Session>('GET', '/v1/session').then(setSession, (error: unknown) => {
      if (error instanceof ApiError && error.status === 401) location.assign('/login?next=/microphone');
      else setFailure(messageOf(error));
    });
  }, []);

  if (failure !== null) return <Stopped title="A call cannot begin here" text={failure} />;
  if (session === null) return <main class="microphone" aria-busy="true" />;
  if (!session.may.includes('speak')) return <Stopped title="Not allowed" text="This account may not make calls. An administrator can allow it." />;
  return (
    <main class="microphone">
      {conversation === null ? (
        <Setup name={session.user.name} begin={async (source, metadata) => setConversation(await Conversation.start(source, metadata))} />
      ) : (
        <OnAir conversation={conversation} again={() => setConversation(null)} />
      )}
      <sotto-overlay theme={theme.value} />
    </main>
  );
}

function Stopped({ title, text }: { title: string; text: string }) {
  return (
    <main class="state">
      <h2>{title}</h2>
      <p>{text}</p>
      <a class="button" href="/microphone">
        Try again
      </a>
    </main>
  );
}
