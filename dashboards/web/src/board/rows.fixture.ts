import type { Alert, Row } from '../wire';

/** A call on which everything is well. */
export function aRow(call_id: string, other: Partial<Row> = {}): Row {
  return {
    call_id,
    agent: `agent-${call_id}`,
    agent_name: `Agent ${call_id}`,
    team: 'Cards',
    queue: 'retention',
    caller: '***-***-1234',
    started_at: '2026-11-25T10:00:00Z',
    state: 'live',
    channels: ['agent', 'customer'],
    speaking: [],
    quiet_since: null,
    talk_share: [0.5, 0.5],
    sentiment: { score: 0.3, trend: 'steady' },
    script: { done: 4, overdue: 0, of: 8 },
    score: 100,
    alerts: [],
    ...other,
  };
}

export function anAlert(seq: number, other: Partial<Alert> = {}): Alert {
  return { seq, moment: 'cancel', title: 'Wants to cancel', level: 'warning', at: 10, raised_at: '2026-11-25T10:05:00Z', acknowledged_by: null, ...other };
}
