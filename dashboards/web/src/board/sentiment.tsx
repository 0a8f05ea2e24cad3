import type { Trend } from '../wire';
import { Icon } from '../shared/icon';
import { NONE, sentimentWord, signed } from './words';

export function Sentiment({ of }: { of: { score: number; trend: Trend } | null }) {
  if (!of) return <span class="muted">{NONE}</span>;
  const word = sentimentWord(of.score);
  return (
    <span class={`sentiment ${word}`} title={`${signed(of.score)}, ${of.trend}`}>
      {word}
      {of.trend !== 'steady' && (
        <>
          <Icon name={of.trend} />
          <span class="visually-hidden"> {of.trend}</span>
        </>
      )}
    </span>
  );
}
