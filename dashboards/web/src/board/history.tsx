import { useRef } from 'preact/hooks';
import type { Session } from '../wire';
import { FoundCall, Heads } from './found';
import { NO_SEARCH, type Search } from './history-query';
import { Failed, Skeleton, State } from './state';
import { MAX_FOUND, useHistory } from './use-history';

export function HistoryPage({ session, opened }: { session: Session; opened: string | null }) {
  const { found, search, older, retry } = useHistory();
  const { calls, busy, error, next } = found;
  const full = calls.length >= MAX_FOUND;
  return (
    <section class="history" aria-label="History">
      <h1 class="visually-hidden">History</h1>
      <SearchForm onSearch={search} own={session.user.role === 'agent'} />
      {calls.length > 0 && (
        <ul class="found">
          <Heads />
          {calls.map((call) => (
            <FoundCall key={call.call_id} call={call} words={found.search.words} opened={call.call_id === opened} />
          ))}
        </ul>
      )}
      {busy && calls.length === 0 && <Skeleton rows={8} label="Searching" />}
      {error && <Failed error={error} retry={retry} />}
      {!busy && !error && calls.length === 0 && (
        <State title={found.search === NO_SEARCH ? 'No calls yet' : 'Nothing found'} text={found.search === NO_SEARCH ? 'Calls stand here once they have begun.' : nothingText(found.searched, next)} />
      )}
      {!error && (
        <p class="foot muted" role="status">
          {busy ? 'Searching' : `Searched ${found.searched} calls.`} {full && `The first ${MAX_FOUND} are shown; narrow the search to see others.`}
          {next && !full && (
            <button class="button" type="button" disabled={busy} onClick={older}>
              Search older
            </button>
          )}
        </p>
      )}
    </section>
  );
}

function nothingText(searched: number, next: string | null): string {
  return next ? `Not in the newest ${searched} calls. Older ones have not been searched yet.` : 'No call that is kept fits. Words are searched only while they are kept.';
}

const FIELDS: { name: keyof Search; title: string; type: 'text' | 'date' }[] = [
  { name: 'agent', title: 'Agent (login)', type: 'text' },
  { name: 'team', title: 'Team', type: 'text' },
  { name: 'queue', title: 'Queue', type: 'text' },
  { name: 'moment', title: 'Moment', type: 'text' },
  { name: 'from', title: 'From', type: 'date' },
  { name: 'to', title: 'To', type: 'date' },
];

function SearchForm({ onSearch, own }: { onSearch: (search: Search) => void; own: boolean }) {
  const form = useRef<HTMLFormElement>(null);
  const fields = own ? FIELDS.filter(({ name }) => name !== 'agent' && name !== 'team') : FIELDS;
  return (
    <form
      ref={form}
      class="search-form"
      role="search"
      onSubmit={(event) => {
        event.preventDefault();
        const data = new FormData(event.currentTarget);
        onSearch(Object.fromEntries(Object.keys(NO_SEARCH).map((name) => [name, String(data.get(name) ?? '')])) as unknown as Search);
      }}
    >
      <label class="label search-words">
        Words said
        <input class="field" name="words" type="search" autocomplete="off" maxLength={100} title="In one utterance, in this order" />
      </label>
      {fields.map(({ name, title, type }) => (
        <label key={name} class="label">
          {title}
          {type === 'date' ? <input class="field" name={name} type="date" /> : <input class="field" name={name} autocomplete="off" maxLength={128} />}
        </label>
      ))}
      <span class="search-buttons">
        <button class="button primary" type="submit">
          Search
        </button>
        <button
          class="button quiet"
          type="button"
          onClick={() => {
            form.current?.reset();
            onSearch(NO_SEARCH);
          }}
        >
          Clear
        </button>
      </span>
    </form>
  );
}
