import type { Board, BoardChange, Numbers, Row } from '../wire';
import { type Connection, LiveStream, SILENCE } from '../shared/live';
import { Store } from '../shared/store';
import { loadSession } from './session';

/** A tab holds no more rows than this; the list says so when there are more. */
export const MAX_ROWS = 2_000;

export interface BoardState {
  /** None until the first snapshot. */
  numbers: Numbers | null;
  rows: ReadonlyMap<string, Row>;
  /** Milliseconds that the server's clock is ahead of ours. */
  offset: number;
  connection: Connection;
}

export const EMPTY: BoardState = { numbers: null, rows: new Map(), offset: 0, connection: { state: 'connecting' } };

export function applyBoard(state: BoardState, board: Board, received: number): BoardState {
  const rows = new Map(board.rows.slice(0, MAX_ROWS).map((row) => [row.call_id, row]));
  return { ...state, rows, numbers: board.numbers, offset: nextOffset(state, board.now, received) };
}

export function applyChange(state: BoardState, change: BoardChange, received: number): BoardState {
  const rows = new Map(state.rows);
  for (const id of change.gone) rows.delete(id);
  for (const row of change.rows) {
    if (rows.size < MAX_ROWS || rows.has(row.call_id)) rows.set(row.call_id, row);
  }
  return { ...state, rows, numbers: change.numbers, offset: nextOffset(state, change.now, received) };
}

/**
 * A message comes later than it says, so of several offsets the largest is nearest to the truth; a jump of more than five
 * seconds is a clock that was set.
 */
export function nextOffset(state: BoardState, now: string, received: number): number {
  const offset = Date.parse(now) - received;
  const first = state.numbers === null;
  return first || Math.abs(offset - state.offset) > 5_000 ? offset : Math.max(offset, state.offset);
}

/** The server's time to show: it stands still while the connection is lost. */
export function shownTime(state: BoardState, now: number): number {
  return (state.connection.state === 'lost' ? state.connection.since : now) + state.offset;
}

export const board = new Store<BoardState>(EMPTY);

/** Follows the board until the returned function is called. */
export function followBoard(): () => void {
  const stream = new LiveStream<{ board: Board; rows: BoardChange; tick: { now: string } }>({
    url: () => '/v1/board/live',
    silence: SILENCE,
    on: {
      board: (snapshot) => board.set(applyBoard(board.value, snapshot, Date.now())),
      rows: (change) => board.set(applyChange(board.value, change, Date.now())),
      tick: () => {},
    },
    onConnection: (connection) => {
      if (connection.state !== 'live' || board.value.connection.state !== 'live') board.set({ ...board.value, connection });
    },
    onRefused: () => void loadSession(),
  });
  return () => {
    stream.close();
    board.set(EMPTY);
  };
}
