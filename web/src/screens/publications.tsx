import { Button } from '@fluentui/react-components';
import { ArrowUndoRegular } from '@fluentui/react-icons';
import { useInfiniteQuery, useQuery } from '@tanstack/react-query';
import { Link, useNavigate } from '@tanstack/react-router';
import { useState } from 'react';
import { api, cursorOf, type Page } from '../api.ts';
import { useParam } from '../app/params.ts';
import { useCan } from '../app/session.tsx';
import * as format from '../lib/format.ts';
import { t, tcode, tn } from '../lib/i18n.ts';
import type {
  BookDifference,
  PriceQuoteSource,
  Publication,
  PublicationChange,
} from '@kampanje/client';
import { Empty, Guard, Loading, PageHead, Tile } from '../ui/basics.tsx';
import { EditField } from '../ui/fields.tsx';
import { ListPage, useAddress } from '../ui/list.tsx';
import { ProblemView } from '../ui/problem.tsx';
import { DataTable, type Column } from '../ui/table.tsx';
import { RollbackDialog } from './rollback.tsx';
import { sourceName } from './sources.ts';

/** The counts of a publication in words. */
function counts(row: Publication): string {
  return [
    row.added > 0 && t('publication.added', { count: format.quantity(row.added) }),
    row.changed > 0 && t('publication.changed', { count: format.quantity(row.changed) }),
    row.removed > 0 && t('publication.removed', { count: format.quantity(row.removed) }),
  ]
    .filter(Boolean)
    .join(', ');
}

const columns = (): Column<Publication>[] => [
  {
    id: 'version',
    title: t('publication.version'),
    sort: 'version',
    right: true,
    width: 90,
    cell: (row) => (
      <Link to="/publications/$version" params={{ version: String(row.version) }}>
        {row.version}
      </Link>
    ),
    text: (row) => String(row.version),
  },
  {
    id: 'publishedAt',
    title: t('publication.at'),
    sort: 'publishedAt',
    cell: (row) => format.instant(row.publishedAt),
    text: (row) => row.publishedAt,
  },
  {
    id: 'kind',
    title: t('publication.kind'),
    sort: 'kind',
    cell: (row) => tcode('kind', row.kind),
    text: (row) => row.kind,
  },
  {
    id: 'campaign',
    title: t('campaign.campaign'),
    sort: 'campaignNumber',
    cell: (row) =>
      row.campaignNumber ? (
        <Link to="/campaigns/$number" params={{ number: row.campaignNumber }}>
          {row.campaignNumber}
        </Link>
      ) : (
        ''
      ),
    text: (row) => row.campaignNumber ?? '',
  },
  { id: 'counts', title: t('publication.changes'), cell: counts, text: counts },
  {
    id: 'author',
    title: t('publication.author'),
    sort: 'author',
    cell: (row) => row.author,
    text: (row) => row.author,
  },
];

export function Publications() {
  const navigate = useNavigate();
  const kinds = ['ACTIVATION', 'CHANGE', 'ROLLBACK', 'DEACTIVATION', 'BASE_DATA'];
  return (
    <Guard scope="book:read">
      <ListPage<Publication>
        title={t('nav.publications')}
        name="publications"
        list={async (query, signal) => {
          const page = await api.publications.list(query, signal);
          // Publications never change, so they have no entity tag.
          return { ...page, value: page.value.map((row) => ({ ...row, etag: '' })) };
        }}
        columns={columns()}
        rowKey={(row) => String(row.version)}
        views={[
          { id: 'all', text: t('campaigns.all'), filter: '' },
          ...kinds.map((kind) => ({
            id: kind.toLowerCase(),
            text: tcode('kind', kind),
            filter: `kind eq '${kind}'`,
          })),
        ]}
        defaultOrder={{ field: 'version', descending: true }}
        emptyText={t('publication.empty')}
        counted={(count) => tn('publication.count', count)}
        actions={
          <Button onClick={() => void navigate({ to: '/publications/compare' })}>
            {t('publication.compare')}
          </Button>
        }
      />
    </Guard>
  );
}

type Change = PublicationChange | BookDifference;

/** Names of fields that say nothing to people, or that the key says. */
const HIDDEN = new Set(['id', 'source', 'itemNumber', 'itemDiscountGroupCode']);

type Facts = Record<string, unknown>;

function factsOf(change: Change): Facts {
  return change.after ?? change.before ?? {};
}

const ISO_DATE = /^\d{4}-\d{2}-\d{2}$/;

function valueText(value: unknown): string {
  if (value === null || value === undefined) return '–';
  if (typeof value === 'boolean') return value ? t('common.yes') : t('common.no');
  if (typeof value === 'string') return ISO_DATE.test(value) ? format.date(value) : value;
  if (Array.isArray(value)) return value.map(valueText).join(', ') || '–';
  if (typeof value !== 'object') return JSON.stringify(value);
  return Object.entries(value)
    .filter(([, part]) => !isUnset(part))
    .map(([name, part]) => `${tcode('fieldName', name)} ${valueText(part)}`)
    .join(', ');
}

function isUnset(value: unknown): boolean {
  return value === null || value === undefined || value === '' || value === '0';
}

/** The subject of a change: lines have ids as keys, so their item is shown instead. */
function keyText(change: Change): string {
  const facts = factsOf(change);
  const item = facts.itemNumber ?? facts.itemDiscountGroupCode;
  if (typeof item !== 'string') return change.key.split('|').map(valueText).join(' · ');
  const source = facts.source as PriceQuoteSource | undefined;
  return [item, source && sourceName(source)].filter(Boolean).join(' · ');
}

/** The fields that a change makes, before and after. */
function Fields({ change }: { change: Change }) {
  const before = (change.before ?? {}) as Facts;
  const after = (change.after ?? {}) as Facts;
  const both = change.before && change.after;
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])].filter(
    (name) =>
      !HIDDEN.has(name) &&
      JSON.stringify(before[name]) !== JSON.stringify(after[name]) &&
      (both ? true : !isUnset(after[name] ?? before[name])),
  );
  return (
    <ul className="field-changes">
      {names.map((name) => (
        <li key={name}>
          <span className="muted">{tcode('fieldName', name)}</span>{' '}
          {both ? (
            <>
              <s>{valueText(before[name])}</s> → <b>{valueText(after[name])}</b>
            </>
          ) : (
            <b>{valueText(after[name] ?? before[name])}</b>
          )}
        </li>
      ))}
    </ul>
  );
}

const changeColumns = (): Column<Change>[] => [
  {
    id: 'change',
    title: t('publication.what'),
    cell: (row) => tcode('change', row.change),
    text: (row) => row.change,
  },
  {
    id: 'kind',
    title: t('publication.kind'),
    cell: (row) => tcode('fact', row.kind),
    text: (row) => row.kind,
  },
  {
    id: 'key',
    title: t('publication.key'),
    cell: (row) => keyText(row),
    text: keyText,
  },
  {
    id: 'fields',
    title: t('publication.fields'),
    cell: (row) => <Fields change={row} />,
    text: (row) => JSON.stringify({ before: row.before ?? null, after: row.after ?? null }),
  },
];

const PAGE_ROWS = 100;

function Changes(props: {
  name: string[];
  read: (
    query: { top: number; cursor?: string; count?: boolean },
    signal: AbortSignal,
  ) => Promise<Omit<Page<unknown>, 'value'> & { value: Change[] }>;
}) {
  const rows = useInfiniteQuery({
    queryKey: ['publications', 'changes', ...props.name],
    queryFn: ({ pageParam, signal }) =>
      props.read({ top: PAGE_ROWS, ...(pageParam && { cursor: pageParam }) }, signal),
    initialPageParam: '',
    getNextPageParam: (page) => cursorOf(page),
  });
  const loaded = rows.data?.pages.flatMap((page) => page.value) ?? [];
  if (rows.isError) return <ProblemView error={rows.error} retry={() => void rows.refetch()} />;
  if (rows.isPending) return <Loading rows={8} />;
  if (loaded.length === 0) return <Empty title={t('publication.noChanges')} />;
  return (
    <DataTable
      label={t('publication.changes')}
      columns={changeColumns()}
      rows={loaded}
      rowKey={(row) => `${row.kind} ${row.id} ${row.change}`}
      onEnd={
        rows.hasNextPage && !rows.isFetchingNextPage ? () => void rows.fetchNextPage() : undefined
      }
    />
  );
}

export function PublicationCard() {
  const version = useParam('version') ?? '';
  const can = useCan();
  const [rolling, setRolling] = useState(false);
  const publication = useQuery({
    queryKey: ['publications', 'card', version],
    queryFn: ({ signal }) => api.publications.get(version, signal),
    enabled: can('book:read'),
  });
  const row = publication.data;
  const campaign = row?.campaignNumber;
  return (
    <Guard scope="book:read">
      <PageHead
        title={t('rollback.version', { version })}
        path={[{ to: '/publications', text: t('nav.publications') }]}
        here={version}
        actions={
          campaign &&
          row.kind !== 'DEACTIVATION' &&
          can('campaigns:activate') && (
            <Button icon={<ArrowUndoRegular />} onClick={() => setRolling(true)}>
              {t('rollback.toThis')}
            </Button>
          )
        }
      />
      {publication.isError && (
        <ProblemView error={publication.error} retry={() => void publication.refetch()} />
      )}
      {row && (
        <div className="tiles">
          <Tile
            label={t('publication.kind')}
            value={tcode('kind', row.kind)}
            detail={format.instant(row.publishedAt)}
          />
          <Tile
            label={t('campaign.campaign')}
            value={
              campaign ? (
                <Link to="/campaigns/$number" params={{ number: campaign }}>
                  {campaign}
                </Link>
              ) : (
                '–'
              )
            }
            detail={row.author}
          />
          <Tile label={t('publication.addedTile')} value={format.quantity(row.added)} />
          <Tile label={t('publication.changedTile')} value={format.quantity(row.changed)} />
          <Tile label={t('publication.removedTile')} value={format.quantity(row.removed)} />
        </div>
      )}
      <p className="page-links">
        {Number(version) > 1 && (
          <Link to="/publications/$version" params={{ version: String(Number(version) - 1) }}>
            {t('publication.previous')}
          </Link>
        )}
        <Link to="/price-check" search={{ version }}>
          {t('publication.priceAsOf')}
        </Link>
      </p>
      {row && (
        <Changes
          key={version}
          name={[version]}
          read={(query, signal) => api.publications.changes(version, query, signal)}
        />
      )}
      {rolling && campaign && (
        <RollbackDialog
          campaign={campaign}
          current={null}
          chosen={row.version}
          onClose={() => setRolling(false)}
        />
      )}
    </Guard>
  );
}

/** The differences of the price book between two versions. */
export function ComparePublications() {
  const [search, change] = useAddress();
  const from = search.from ?? '';
  const to = search.to ?? '';
  return (
    <Guard scope="book:read">
      <PageHead
        title={t('publication.compareTitle')}
        path={[{ to: '/publications', text: t('nav.publications') }]}
      />
      <section className="card">
        <div className="fields">
          <EditField
            label={t('publication.from')}
            kind="integer"
            value={from}
            onSave={(value) => change({ from: value || undefined })}
          />
          <EditField
            label={t('publication.to')}
            kind="integer"
            value={to}
            onSave={(value) => change({ to: value || undefined })}
          />
        </div>
      </section>
      {from && to ? (
        <Changes
          key={`${from} ${to}`}
          name={[from, to]}
          read={(query, signal) =>
            api.publications.compare({ ...query, from: Number(from), to: Number(to) }, signal)
          }
        />
      ) : (
        <Empty title={t('publication.chooseVersions')} />
      )}
    </Guard>
  );
}
