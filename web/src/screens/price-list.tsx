import { useInfiniteQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { api, MAX_PAGE, type EffectivePriceQuery } from '../api.ts';
import { useSession } from '../app/session.tsx';
import * as decimal from '../lib/decimal.ts';
import * as format from '../lib/format.ts';
import { t, tn } from '../lib/i18n.ts';
import type { EffectivePrice } from '@kampanje/client';
import { Empty, Guard, Loading, PageHead } from '../ui/basics.tsx';
import { EditField } from '../ui/fields.tsx';
import { useAddress } from '../ui/list.tsx';
import { ProblemView } from '../ui/problem.tsx';
import { DataTable, ExportMenu, type Column } from '../ui/table.tsx';
import { sourceName } from './sources.ts';

type Priced = Extract<EffectivePrice, { unitPrice: string }>;

function priced(row: EffectivePrice): Priced | undefined {
  return 'unitPrice' in row ? row : undefined;
}

const columns = (byCampaign: boolean, contact: string, date: string): Column<EffectivePrice>[] => [
  ...(byCampaign
    ? [
        {
          id: 'account',
          title: t('plan.account'),
          cell: (row: EffectivePrice) => row.accountNumber ?? '',
          text: (row: EffectivePrice) => row.accountNumber ?? '',
        },
      ]
    : []),
  {
    id: 'item',
    title: t('line.item'),
    cell: (row) => (
      <Link
        to="/price-check"
        search={{
          contact: row.accountNumber ?? contact,
          item: row.itemNumber,
          quantity: row.minimumQuantity,
          date,
        }}
      >
        {row.itemNumber}
      </Link>
    ),
    text: (row) => row.itemNumber,
  },
  {
    id: 'variant',
    title: t('line.variant'),
    cell: (row) => row.variantCode ?? '',
    text: (row) => row.variantCode ?? '',
  },
  {
    id: 'unit',
    title: t('line.unit'),
    cell: (row) => row.unitOfMeasureCode,
    text: (row) => row.unitOfMeasureCode,
  },
  {
    id: 'quantity',
    title: t('plan.fromQuantity'),
    right: true,
    cell: (row) => format.quantity(row.minimumQuantity),
    text: (row) => row.minimumQuantity,
  },
  {
    id: 'list',
    title: t('line.listPrice'),
    right: true,
    cell: (row) => format.money(priced(row)?.listPrice),
    text: (row) => priced(row)?.listPrice ?? '',
  },
  {
    id: 'unitPrice',
    title: t('line.unitPrice'),
    right: true,
    cell: (row) => {
      const price = priced(row);
      return price ? format.money(price.unitPrice) : 'problem' in row ? row.problem.detail : '';
    },
    text: (row) => priced(row)?.unitPrice ?? '',
  },
  {
    id: 'discount',
    title: t('line.discount'),
    right: true,
    cell: (row) => {
      const percent = priced(row)?.lineDiscountPercent;
      return percent && decimal.compare(percent, '0') > 0 ? format.percent(percent) : '';
    },
    text: (row) => priced(row)?.lineDiscountPercent ?? '',
  },
  {
    id: 'net',
    title: t('price.netColumn'),
    right: true,
    cell: (row) => <b>{format.money(priced(row)?.netUnitPrice)}</b>,
    text: (row) => priced(row)?.netUnitPrice ?? '',
  },
  {
    id: 'currency',
    title: t('line.currency'),
    cell: (row) => row.currencyCode ?? '',
    text: (row) => row.currencyCode ?? '',
  },
  {
    id: 'source',
    title: t('price.from'),
    cell: (row) => {
      const source = priced(row)?.source;
      return source ? sourceName(source) : '';
    },
    text: (row) => {
      const source = priced(row)?.source;
      return source ? sourceName(source) : '';
    },
  },
  {
    id: 'until',
    title: t('price.validUntil'),
    cell: (row) => format.date(priced(row)?.validUntil),
    text: (row) => priced(row)?.validUntil ?? '',
  },
];

const PAGE_ROWS = 200;
const MAX_EXPORTED_ROWS = 200_000;

export function PriceList() {
  const { today } = useSession();
  const [search, change] = useAddress();
  const date = search.date ?? today;
  const query: EffectivePriceQuery = {
    date,
    ...(search.campaign
      ? { campaignNumber: search.campaign }
      : search.contact && { contactNumber: search.contact }),
    ...(search.version && { publicationVersion: Number(search.version) }),
  };
  const rows = useInfiniteQuery({
    queryKey: ['price-list', query],
    queryFn: ({ pageParam, signal }) =>
      api.effectivePrices({ ...query, top: PAGE_ROWS }, pageParam || undefined, signal),
    initialPageParam: '',
    getNextPageParam: (page) => page.nextLink,
    placeholderData: (previous) => previous,
  });
  const loaded: EffectivePrice[] = rows.data?.pages.flatMap((page) => page.value) ?? [];
  const shown = columns(!!search.campaign, search.contact ?? '', date);
  const readAll = async () => {
    const found: EffectivePrice[] = [];
    let link: string | undefined;
    do {
      const page = await api.effectivePrices({ ...query, top: MAX_PAGE }, link);
      found.push(...page.value);
      link = page.nextLink ?? undefined;
    } while (link && found.length < MAX_EXPORTED_ROWS);
    return found;
  };
  return (
    <Guard scope="quotes:read">
      <PageHead
        title={t('nav.priceLists')}
        actions={<ExportMenu name="price-list" columns={shown} rows={readAll} />}
      />
      <section className="card">
        <div className="fields fields-many">
          <EditField
            label={t('price.contact')}
            lookup="contacts"
            value={search.contact ?? ''}
            hint={search.contact || search.campaign ? undefined : t('price.everybody')}
            onSave={(value) => change({ contact: value || undefined, campaign: undefined })}
          />
          <EditField
            label={t('priceList.orCampaign')}
            lookup="campaigns"
            value={search.campaign ?? ''}
            onSave={(value) => change({ campaign: value || undefined, contact: undefined })}
          />
          <EditField
            label={t('price.date')}
            kind="date"
            value={date}
            onSave={(value) => change({ date: value === today ? undefined : value || undefined })}
          />
          <EditField
            label={t('price.version')}
            kind="integer"
            value={search.version ?? ''}
            placeholder={t('price.newest')}
            onSave={(value) => change({ version: value || undefined })}
          />
        </div>
      </section>
      {rows.isError && <ProblemView error={rows.error} retry={() => void rows.refetch()} />}
      {rows.isPending && <Loading rows={10} />}
      {rows.isSuccess && loaded.length === 0 && <Empty title={t('priceList.empty')} />}
      {loaded.length > 0 && !rows.isError && (
        <DataTable
          label={t('nav.priceLists')}
          columns={shown}
          rows={loaded}
          rowKey={(row) =>
            [
              row.accountNumber,
              row.itemNumber,
              row.variantCode,
              row.unitOfMeasureCode,
              row.minimumQuantity,
            ].join(' ')
          }
          onEnd={
            rows.hasNextPage && !rows.isFetchingNextPage
              ? () => void rows.fetchNextPage()
              : undefined
          }
        />
      )}
      <p className="muted list-count" role="status">
        {rows.isSuccess &&
          (rows.hasNextPage
            ? t('priceList.more', { count: format.quantity(loaded.length) })
            : tn('list.rows', loaded.length))}
      </p>
    </Guard>
  );
}
