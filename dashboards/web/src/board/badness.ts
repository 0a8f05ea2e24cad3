import type { Alert, Level, Row } from '../wire';

const LEVEL: Record<Level, number> = { urgent: 1_000, warning: 500, notice: 200 };

export function openAlerts(row: Row): Alert[] {
  return row.alerts.filter((alert) => alert.acknowledged_by === null);
}

/** The worst of what nobody has in hand; of equals the newest, since alerts come newest first. */
export function worstAlert(row: Row): Alert | null {
  let worst: Alert | null = null;
  for (const alert of openAlerts(row)) if (!worst || LEVEL[alert.level] > LEVEL[worst.level]) worst = alert;
  return worst;
}

/**
 * How much a call needs a look; the board shows the highest first.
 *
 *   alerts     the worst open one: urgent 1000, warning 500, notice 200; 20 for each further one, up to 80
 *   sentiment  0 to 60 for 0 to -1, in steps of 6; 10 when it falls
 *   script     15 for each overdue step, up to 45
 *   score      0 to 30 for 100 to 0, in steps of 3
 *
 * All below alerts comes to 145 at most, so a level is never outweighed. The steps are coarse on purpose: calls should not
 * change places over nothing.
 */
export function badness(row: Row): number {
  const worst = worstAlert(row);
  const alerts = worst ? LEVEL[worst.level] + 20 * Math.min(4, openAlerts(row).length - 1) : 0;
  const sentiment = row.sentiment ? 6 * Math.round(10 * Math.max(0, -row.sentiment.score)) + (row.sentiment.trend === 'falling' ? 10 : 0) : 0;
  const overdue = 15 * Math.min(3, row.script?.overdue ?? 0);
  const score = row.score === null ? 0 : 3 * Math.round((100 - row.score) / 10);
  return alerts + sentiment + overdue + score;
}

/** From here on a call is not simply well: any alert, an upset customer, two overdue steps. */
export const CONCERN = 30;
