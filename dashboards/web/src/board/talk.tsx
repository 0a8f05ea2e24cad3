import { percent, shares } from './words';

/** Who talks: the agent from the left, filled; the customer hatched. A triangle points at who speaks at this moment. */
export function TalkBar({ channels, talkShare, speaking = [] }: { channels: string[]; talkShare: number[]; speaking?: number[] }) {
  const parts = shares(channels, talkShare);
  const text = parts.map(({ role, share }) => `${role} ${percent(share)}`).join(', ');
  const spoken = parts.some(({ share }) => share > 0);
  const speaks = (role: string) => speaking.some((channel) => channels[channel] === role);
  return (
    <span class="talk" title={spoken ? text : 'nobody has spoken yet'}>
      <span class="visually-hidden">{spoken ? text : 'nobody has spoken yet'}</span>
      <span class="talk-tip left" data-on={speaks('agent') || undefined} aria-hidden="true" />
      <span class="talk-bar" aria-hidden="true">
        {spoken && parts.map(({ role, share }) => <span key={role} class={`talk-${role}`} style={{ width: `${share * 100}%` }} />)}
      </span>
      <span class="talk-tip right" data-on={speaks('customer') || undefined} aria-hidden="true" />
    </span>
  );
}
