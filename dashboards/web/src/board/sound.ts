import type { Alert, Level, Row } from '../wire';
import { Store } from '../shared/store';
import { openAlerts } from './badness';

/** Names of alerts that have sounded; the oldest are forgotten. */
const REMEMBERED = 5_000;

/** Alerts that are older than this when first seen (the tab was just opened) do not sound. */
const STALE_MS = 30_000;

const RANK: Record<Level, number> = { notice: 0, warning: 1, urgent: 2 };

/** Which alerts are new, each once. */
export class Heard {
  private readonly names = new Set<string>();

  /** Of the open alerts not seen before one of the highest level. */
  next(rows: Iterable<Row>, now: number): { row: Row; alert: Alert } | null {
    let highest: { row: Row; alert: Alert } | null = null;
    for (const row of rows) {
      for (const alert of openAlerts(row)) {
        const name = `${row.call_id}/${alert.seq}`;
        if (this.names.has(name)) continue;
        this.names.add(name);
        if (now - Date.parse(alert.raised_at) > STALE_MS) continue;
        if (highest === null || RANK[alert.level] > RANK[highest.alert.level]) highest = { row, alert };
      }
    }
    for (const name of this.names) {
      if (this.names.size <= REMEMBERED) break;
      this.names.delete(name);
    }
    return highest;
  }
}

export const muted = new Store<boolean>(localStorage.getItem('muted') === 'yes');

export function toggleMuted(): void {
  localStorage.setItem('muted', muted.value ? 'no' : 'yes');
  muted.set(!muted.value);
}

let audio: AudioContext | null = null;

/** A browser lets a page sound only once somebody has used it. */
export function allowSoundAfterGesture(): void {
  const allow = () => {
    audio ??= new AudioContext();
    void audio.resume();
  };
  addEventListener('pointerdown', allow, { once: true });
  addEventListener('keydown', allow, { once: true });
}

/** Urgent: three rising tones. Else one, low and short. */
export function chime(level: Level): void {
  if (muted.value || audio?.state !== 'running') return;
  const tones = level === 'urgent' ? [660, 830, 990] : level === 'warning' ? [520, 520] : [440];
  tones.forEach((frequency, place) => tone(frequency, place * 0.16));
}

function tone(frequency: number, after: number): void {
  if (!audio) return;
  const start = audio.currentTime + after;
  const oscillator = new OscillatorNode(audio, { type: 'sine', frequency });
  const gain = new GainNode(audio, { gain: 0 });
  gain.gain.setValueAtTime(0, start);
  gain.gain.linearRampToValueAtTime(0.12, start + 0.01);
  gain.gain.exponentialRampToValueAtTime(0.001, start + 0.14);
  oscillator.connect(gain).connect(audio.destination);
  oscillator.start(start);
  oscillator.stop(start + 0.15);
}
