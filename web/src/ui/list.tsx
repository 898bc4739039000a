import { SearchBox } from '@fluentui/react-components';
import { useInfiniteQuery } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { useEffect, useRef, useState, type ReactNode } from 'react';
import { all, cursorOf, quoted, type ListQuery, type Page, type Stored } from '../api.ts';
import { t, tn } from '../lib/i18n.ts';
import { Empty, Loading, PageHead } from './basics.tsx';
import { ProblemView } from './problem.tsx';
import { DataTable, ExportMenu, type Column, type Order } from './table.tsx';

const PAGE_ROWS = 100;
const SEARCH_DELAY_MS = 250;
const REFRESH_INTERVAL_MS = 2_000;
const MAX_EXPORTED = 100_000;

export type Search = Record<string, string | undefined>;

/** Reads and changes the parameters of the page's address. */
export function useAddress(): [Search, (changes: Search) => void] {
  const search: Search = useSearch({ strict: false });
  const navigate = useNavigate();
  const change = (changes: Search) => {
    void navigate({
      to: '.',
      search: (previous: Search) => {
        const next: Search = { ...previous, ...changes };
        for (const key of Object.keys(next)) if (!next[key]) Reflect.deleteProperty(next, key);
        return next;
      },
      replace: true,
    });
  };
  return [search, change];
}

/** A search field that hands over what was typed after a short while. */
export function SearchField(props: {
  label: string;
  value: string;
  onSearch: (text: string) => void;
}) {
  const [text, setText] = useState(props.value);
  const [given, setGiven] = useState(props.value);
  // The address may change otherwise, by Back for example.
  if (props.value !== given) {
    setGiven(props.value);
    if (props.value !== text.trim()) setText(props.value);
  }
  const timer = useRef(0);
  const latest = useRef(props.onSearch);
  useEffect(() => {
    latest.current = props.onSearch;
  });
  useEffect(() => () => window.clearTimeout(timer.current), []);
  return (
    <SearchBox
      className="search-box"
      placeholder={props.label}
      aria-label={props.label}
      value={text}
      onChange={(_, data) => {
        setText(data.value);
        window.clearTimeout(timer.current);
        timer.current = window.setTimeout(() => latest.current(data.value.trim()), SEARCH_DELAY_MS);
      }}
    />
  );
}

export interface View {
  id: string;
  text: string;
  filter: string;
}

export interface ListPageProps<T> {
  title: string;
  /** The name of the query and of files. */
  name: string;
  list: (query: ListQuery, signal?: AbortSignal) => Promise<Page<T>>;
  columns: Column<Stored<T>>[];
  rowKey: (row: Stored<T>) => string;
  /** The fields that are searched: the key, which is upper case, and texts. */
  searched?: { key?: string; texts: string[] };
  /** Named filters, shown as tabs; the first is the default. */
  views?: View[];
  filter?: string;
  defaultOrder?: Order;
  actions?: ReactNode;
  notes?: ReactNode;
  emptyText: string;
  emptyHint?: ReactNode;
  counted?: (count: number) => string;
  bare?: boolean;
  /** True for rows whose list is read again until none of them is left. */
  changes?: (row: Stored<T>) => boolean;
}

function searchFilter(searched: ListPageProps<unknown>['searched'], text: string): string {
  if (!text || !searched) return '';
  const terms = searched.texts.map((field) => `contains(${field},${quoted(text)})`);
  if (searched.key) terms.unshift(`contains(${searched.key},${quoted(text.toUpperCase())})`);
  return `(${terms.join(' or ')})`;
}

/** A list that is searched, ordered and paged by the server. Its state is in the address. */
export function ListPage<T>(props: ListPageProps<T>) {
  const [search, change] = useAddress();
  const view = props.views?.find(({ id }) => id === search.view) ?? props.views?.[0];
  const order: Order | undefined = search.order
    ? { field: search.order.replace(/^-/, ''), descending: search.order.startsWith('-') }
    : props.defaultOrder;
  const text = search.q ?? '';
  const filter = [props.filter, view?.filter, searchFilter(props.searched, text)]
    .filter(Boolean)
    .join(' and ');
  const query: ListQuery = {
    ...(filter && { filter }),
    ...(order && { orderby: `${order.field}${order.descending ? ' desc' : ''}` }),
  };
  const rows = useInfiniteQuery({
    queryKey: [props.name, 'list', query],
    queryFn: ({ pageParam, signal }) =>
      props.list(
        {
          ...query,
          top: PAGE_ROWS,
          ...(pageParam ? { cursor: pageParam } : { count: true }),
        },
        signal,
      ),
    initialPageParam: '',
    getNextPageParam: (page) => cursorOf(page),
    placeholderData: (previous) => previous,
    refetchInterval: ({ state }) =>
      state.data?.pages.some((page) => page.value.some((row) => props.changes?.(row)))
        ? REFRESH_INTERVAL_MS
        : false,
  });
  const loaded: Stored<T>[] = rows.data?.pages.flatMap((page) => page.value) ?? [];
  const count = rows.data?.pages[0]?.count;
  const more =
    rows.hasNextPage && !rows.isFetchingNextPage ? () => void rows.fetchNextPage() : undefined;
  const exported = (
    <ExportMenu
      name={props.name}
      columns={props.columns}
      rows={() => all(props.list, query, MAX_EXPORTED)}
    />
  );
  return (
    <>
      {!props.bare && (
        <PageHead
          title={props.title}
          actions={
            <>
              {exported}
              {props.actions}
            </>
          }
        />
      )}
      {props.notes}
      <div className="list-tools">
        {props.views && (
          <div className="views" role="group" aria-label={t('list.views')}>
            {props.views.map(({ id, text: label }) => (
              <button
                key={id}
                type="button"
                className="view"
                aria-pressed={id === view?.id}
                onClick={() => change({ view: id === props.views?.[0]?.id ? undefined : id })}
              >
                {label}
              </button>
            ))}
          </div>
        )}
        {props.searched && (
          <SearchField
            label={t('list.search')}
            value={text}
            onSearch={(q) => change({ q: q || undefined })}
          />
        )}
        {props.bare && exported}
      </div>
      {rows.isError && <ProblemView error={rows.error} retry={() => void rows.refetch()} />}
      {rows.isPending ? (
        <Loading rows={10} />
      ) : loaded.length > 0 ? (
        <DataTable
          label={props.title}
          columns={props.columns}
          rows={loaded}
          rowKey={props.rowKey}
          order={order}
          onOrder={({ field, descending }) => change({ order: (descending ? '-' : '') + field })}
          onEnd={more}
        />
      ) : (
        !rows.isError && (
          <Empty title={text ? t('list.nothingFound', { text }) : props.emptyText}>
            {text ? t('list.otherWords') : props.emptyHint}
          </Empty>
        )
      )}
      <p className="muted list-count" role="status">
        {rows.isFetchingNextPage
          ? t('common.loading')
          : typeof count === 'number' && (props.counted?.(count) ?? tn('list.rows', count))}
      </p>
    </>
  );
}
