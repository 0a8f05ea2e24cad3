import { Store, useStore } from './store';

/** 08:14, or 1:02:03 from an hour on. */
export function clock(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const two = (value: number) => String(value).padStart(2, '0');
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  return hours > 0 ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${two(minutes)}:${two(whole % 60)}`;
}

/** How long something was that is over, to the nearest second. */
export function lengthOf(seconds: number): string {
  return clock(Math.round(seconds));
}

/** One number and its unit: 12 s, 3 min, 2 h, 4 d. */
export function span(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h`;
  return `${Math.floor(whole / 86400)} d`;
}

/** Seconds from `since` to `now` (milliseconds). */
export function secondsSince(since: string, now: number): number {
  return Math.max(0, (now - Date.parse(since)) / 1000);
}

const time = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', hour12: false });
const timeWithSeconds = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false });
const day = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short', year: 'numeric' });

export const timeOf = (at: number): string => time.format(at);
export const timeWithSecondsOf = (at: number): string => timeWithSeconds.format(at);
export const dayOf = (at: number): string => day.format(at);

const now = new Store(Date.now());
let followers = 0;
let timer: ReturnType<typeof setInterval> | undefined;

const ticking = {
  get value() {
    return now.value;
  },
  subscribe(listener: () => void) {
    if (followers++ === 0) timer = setInterval(() => now.set(Date.now()), 1_000);
    const leave = now.subscribe(listener);
    return () => {
      leave();
      if (--followers === 0) clearInterval(timer);
    };
  },
};

/** This machine's clock, every second; one timer for all who follow it. */
export function useNow(): number {
  return useStore(ticking);
}
