import { messageOf, request } from '../shared/api';
import { Store } from '../shared/store';

/** Something that went wrong beside the way; shown until it is closed or replaced. */
export const trouble = new Store<string | null>(null);

/** Alerts on their way to being acknowledged, by name. */
export const pending = new Store<ReadonlySet<string>>(new Set());

export function alertName(call: string, seq: number): string {
  return `${call}/${seq}`;
}

/** The board's next change says who has it in hand; until then the alert is pending. */
export async function acknowledge(call: string, seq: number): Promise<void> {
  const name = alertName(call, seq);
  if (pending.value.has(name)) return;
  pending.set(new Set([...pending.value, name]));
  try {
    await request('POST', `/v1/calls/${encodeURIComponent(call)}/alerts/${seq}/acknowledge`);
  } catch (error) {
    trouble.set(`The alert was not acknowledged. ${messageOf(error)}`);
  }
  const rest = new Set(pending.value);
  rest.delete(name);
  pending.set(rest);
}
