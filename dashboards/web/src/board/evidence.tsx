import { clock } from '../shared/time';
import type { ComponentChildren } from 'preact';
import type { Evidence } from '../wire';

export type OnShow = (evidence: Evidence) => void;

/** What was measured, as a button that shows where it was said; plain where there is no such place. */
export function EvidenceButton({ at, onShow, children }: { at: Evidence | null | undefined; onShow: OnShow; children: ComponentChildren }) {
  if (!at) return <span>{children}</span>;
  return (
    <button class="evidence" type="button" title={`Show at ${clock(at.at)}`} onClick={() => onShow(at)}>
      {children}
    </button>
  );
}

/** The places of several, the first few by their time: at 00:21 00:48. */
export function EvidenceTimes({ places, onShow }: { places: Evidence[]; onShow: OnShow }) {
  return (
    <>
      {places.length > 0 && <span class="muted">at </span>}
      {places.slice(0, 5).map((place) => (
        <EvidenceButton key={`${place.channel}-${place.utterance}-${place.at}`} at={place} onShow={onShow}>
          <span class="figures">{clock(place.at)}</span>
        </EvidenceButton>
      ))}
    </>
  );
}
