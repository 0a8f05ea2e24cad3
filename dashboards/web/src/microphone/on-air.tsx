import { useEffect, useRef } from 'preact/hooks';
import { Icon } from '../shared/icon';
import { useStore } from '../shared/store';
import { clock, useNow } from '../shared/time';
import type { Conversation } from './conversation';
import type { UplinkState } from './uplink';

const WORDS: Record<UplinkState['state'], string> = {
  connecting: 'Connecting',
  live: 'Live',
  waiting: 'Connection lost, retrying; what you say is held',
  ending: 'Ending',
  ended: 'Call ended',
  failed: 'Call broken off',
};

export function OnAir({ conversation, again }: { conversation: Conversation; again: () => void }) {
  const state = useStore(conversation.state);
  const over = state.state === 'ended' || state.state === 'failed';
  return over ? <Over state={state} call_id={conversation.call_id} again={again} /> : <Talking conversation={conversation} state={state} />;
}

function Talking({ conversation, state }: { conversation: Conversation; state: UplinkState }) {
  const muted = useStore(conversation.muted);
  const unplugged = useStore(conversation.unplugged);
  const now = useNow();
  useEffect(() => {
    const ask = (event: BeforeUnloadEvent) => event.preventDefault();
    window.addEventListener('beforeunload', ask);
    return () => window.removeEventListener('beforeunload', ask);
  }, []);
  return (
    <section class="panel on-air" aria-label="Call">
      <p class={`air ${state.state}`} role="status">
        {state.state === 'waiting' && <Icon name="warning" />}
        {WORDS[state.state]}
        {muted && ', muted'}
      </p>
      {'reason' in state && state.reason !== null && <p class="muted">{state.reason}</p>}
      <p class="length figures" role="timer" aria-label="Length of the call">
        {clock((now - conversation.started) / 1000)}
      </p>
      {conversation.channels.map((role, channel) => (
        <Level key={role} label={role === 'agent' ? 'Agent' : 'Customer'} level={() => conversation.levels[channel] ?? 0} />
      ))}
      {unplugged && <p class="failure">A microphone was unplugged. End the call and begin another one.</p>}
      <div class="controls">
        <button class="button" onClick={() => conversation.mute(!muted)}>
          {muted ? 'Unmute' : 'Mute'}
        </button>
        <button class="button primary" disabled={state.state === 'ending'} onClick={() => conversation.end()}>
          End the call
        </button>
      </div>
    </section>
  );
}

/** Follows the sound ten times a second without drawing anything else again. */
function Level({ label, level }: { label: string; level: () => number }) {
  const meter = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const timer = setInterval(() => {
      // the ear hears ratios: -60 dB and below is nothing
      const loudness = Math.max(0, 1 + Math.log10(Math.max(level(), 1e-6)) / 3);
      meter.current?.setAttribute('aria-valuenow', loudness.toFixed(2));
      const bar = meter.current?.firstElementChild;
      if (bar instanceof HTMLElement) bar.style.transform = `scaleX(${loudness})`;
    }, 100);
    return () => clearInterval(timer);
  }, []);
  return (
    <div class="label">
      {label}
      <div ref={meter} class="level" role="meter" aria-label={`Level: ${label}`} aria-valuemin={0} aria-valuemax={1} aria-valuenow={0}>
        <span />
      </div>
    </div>
  );
}

function Over({ state, call_id, again }: { state: UplinkState; call_id: string; again: () => void }) {
  return (
    <section class="panel on-air" aria-label="Call">
      <p class={`air ${state.state}`} role="status">
        {WORDS[state.state]}
      </p>
      {state.state === 'failed' && <p class="failure">{state.message}</p>}
      {state.state === 'ended' && !state.told && <p class="muted">The server could not be told; it ends the call by itself.</p>}
      <div class="controls">
        <a class="button primary" href={`/calls/${call_id}`}>
          Open the call
        </a>
        <button class="button" onClick={again}>
          Another call
        </button>
      </div>
    </section>
  );
}
