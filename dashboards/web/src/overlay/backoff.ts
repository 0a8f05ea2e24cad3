/** Milliseconds to wait before a try: doubles from 0.5 s to 10 s, half of it left to chance so that clients spread out. */
export function backoff(failures: number, random: () => number = Math.random): number {
  const ceiling = Math.min(10_000, 500 * 2 ** Math.min(failures, 10));
  return ceiling / 2 + (ceiling / 2) * random();
}
