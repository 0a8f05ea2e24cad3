// What of docs/protocol.md a call from the browser needs.

/** Of `start`. */
export interface Call {
  call_id: string;
  rate: number;
  channels: string[];
  metadata: Record<string, string>;
}

/** What the server says; the overlay follows the call by other means. */
export type Said =
  | { type: 'ready' | 'ack' | 'reconnect'; position: number }
  | { type: 'error'; code: string; message: string }
  | { type: 'ended' | 'started' | 'partial' | 'final' | 'gap' | 'moment' | 'measured' | 'scored' | 'scores' };

/** After these the call waits, and another try may go well. */
export const MENDABLE = new Set(['storage', 'engine', 'idle', 'not_reading', 'message_rate', 'draining', 'full', 'tenant_full', 'start_timeout']);
