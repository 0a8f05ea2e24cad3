import type { StepState } from '../wire';

/** A step is said once it was said in its place, in time or late. What was said too early still has to be said. */
export function isSaid({ state }: { state: StepState }): boolean {
  return state === 'done' || state === 'late';
}
