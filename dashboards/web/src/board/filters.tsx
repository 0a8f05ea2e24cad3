import type { RefObject } from 'preact';
import type { Row } from '../wire';
import { Icon } from '../shared/icon';
import type { Filter, Sort } from './order';
import { COLUMNS } from './sort';

interface Props {
  rows: Row[];
  filter: Filter;
  onFilter: (filter: Filter) => void;
  sort: Sort;
  onSort: (sort: Sort) => void;
  search: RefObject<HTMLInputElement | null>;
  held: boolean;
}

const FIELDS = [
  { field: 'team', title: 'Team', all: 'All teams', values: (row: Row) => [row.team] },
  { field: 'queue', title: 'Queue', all: 'All queues', values: (row: Row) => [row.queue] },
  { field: 'moment', title: 'Moment', all: 'Any moment', values: (row: Row) => row.alerts.map((alert) => alert.title) },
] as const;

export function Filters({ rows, filter, onFilter, sort, onSort, search, held }: Props) {
  const chips = FIELDS.filter(({ field }) => filter[field] !== null);
  return (
    <div class="filters">
      {FIELDS.map(({ field, title, all, values }) => (
        <select
          key={field}
          class="field"
          aria-label={title}
          value={filter[field] ?? ''}
          onChange={(event) => onFilter({ ...filter, [field]: event.currentTarget.value || null })}
        >
          <option value="">{all}</option>
          {options(rows, values, filter[field]).map((value) => (
            <option key={value} value={value}>
              {value}
            </option>
          ))}
        </select>
      ))}
      <SortField sort={sort} onSort={onSort} />
      <span class="search">
        <Icon name="search" />
        <input
          ref={search}
          class="field"
          type="search"
          aria-label="Search agent, queue, team or alert"
          placeholder="Search ( / )"
          value={filter.search}
          onInput={(event) => onFilter({ ...filter, search: event.currentTarget.value })}
          onKeyDown={(event) => {
            if (event.key === 'Escape') event.currentTarget.blur();
          }}
        />
      </span>
      {chips.map(({ field, title }) => (
        <button key={field} class="chip" type="button" onClick={() => onFilter({ ...filter, [field]: null })}>
          <span class="muted">{title}</span> {filter[field]}
          <Icon name="cross" />
          <span class="visually-hidden">remove this filter</span>
        </button>
      ))}
      {filter.search.trim() && (
        <button class="chip" type="button" onClick={() => onFilter({ ...filter, search: '' })}>
          <span class="muted">Search</span> {filter.search.trim()}
          <Icon name="cross" />
          <span class="visually-hidden">remove this filter</span>
        </button>
      )}
      {held && <span class="held muted">Order held while you are in the list</span>}
    </div>
  );
}

function options(rows: Row[], values: (row: Row) => (string | null)[], chosen: string | null): string[] {
  const all = new Set(rows.flatMap(values).filter((value) => value !== null));
  if (chosen !== null) all.add(chosen);
  return [...all].sort().slice(0, 200);
}

/** For where there is no room for the heads of columns. */
function SortField({ sort, onSort }: { sort: Sort; onSort: (sort: Sort) => void }) {
  const value = sort.by === 'worst' ? 'worst' : `${sort.by} ${sort.down ? 'down' : 'up'}`;
  return (
    <select
      class="field sort-field"
      aria-label="Order"
      value={value}
      onChange={(event) => {
        const [by, way] = event.currentTarget.value.split(' ');
        const column = COLUMNS.find((known) => known.column === by)?.column;
        onSort(column ? { by: column, down: way === 'down' } : { by: 'worst' });
      }}
    >
      <option value="worst">Worst first</option>
      {COLUMNS.flatMap(({ column, title }) => [
        <option key={`${column} up`} value={`${column} up`}>{`${title}, up`}</option>,
        <option key={`${column} down`} value={`${column} down`}>{`${title}, down`}</option>,
      ])}
    </select>
  );
}
