import { Link } from '@tanstack/react-router';
import { api, quoted } from '../api.ts';
import { useParam } from '../app/params.ts';
import { useCan } from '../app/session.tsx';
import * as decimal from '../lib/decimal.ts';
import * as format from '../lib/format.ts';
import { t, tn } from '../lib/i18n.ts';
import type { Item } from '@kampanje/client';
import { Fact, FactBox, FastTab, Guard, Lacks, Loading, PageHead } from '../ui/basics.tsx';
import { CheckField, EditField, fieldText } from '../ui/fields.tsx';
import { ListPage } from '../ui/list.tsx';
import { ProblemView } from '../ui/problem.tsx';
import { useRecord } from '../ui/record.tsx';
import type { Column } from '../ui/table.tsx';
import { LinesGrid, listPrice } from './lines.tsx';

const NO_BOUNDS = { marginFloor: null, maxDiscount: null };

const columns = (): Column<Item>[] => [
  {
    id: 'number',
    title: t('campaign.number'),
    sort: 'number',
    cell: (row) => (
      <Link to="/items/$number" params={{ number: row.number }}>
        {row.number}
      </Link>
    ),
    text: (row) => row.number,
  },
  {
    id: 'description',
    title: t('campaign.description'),
    sort: 'description',
    cell: (row) => row.description,
    text: (row) => row.description,
  },
  {
    id: 'group',
    title: t('item.group'),
    sort: 'itemDiscountGroupCode',
    cell: (row) => row.itemDiscountGroupCode ?? '',
    text: (row) => row.itemDiscountGroupCode ?? '',
  },
  {
    id: 'unit',
    title: t('line.unit'),
    sort: 'baseUnitOfMeasureCode',
    cell: (row) => row.baseUnitOfMeasureCode,
    text: (row) => row.baseUnitOfMeasureCode,
  },
  {
    id: 'listPrice',
    title: t('line.listPrice'),
    sort: 'listPrice',
    right: true,
    cell: (row) => format.money(row.listPrice),
    text: (row) => row.listPrice ?? '',
  },
  {
    id: 'unitCost',
    title: t('item.cost'),
    sort: 'unitCost',
    right: true,
    cell: (row) => format.money(row.unitCost),
    text: (row) => row.unitCost ?? '',
  },
  {
    id: 'margin',
    title: t('line.margin'),
    right: true,
    cell: (row) => {
      const price = listPrice(row);
      return price && row.unitCost
        ? format.percent(decimal.marginPercent(price, row.unitCost))
        : '';
    },
  },
  {
    id: 'blocked',
    title: t('item.blocked'),
    sort: 'blocked',
    cell: (row) => (row.blocked ? t('common.yes') : ''),
    text: (row) => String(row.blocked),
  },
];

export function Items() {
  return (
    <Guard scope="catalog:read">
      <ListPage
        title={t('nav.items')}
        name="items"
        list={api.items.list}
        columns={columns()}
        rowKey={(row) => row.id}
        searched={{ key: 'number', texts: ['description'] }}
        views={[
          { id: 'all', text: t('campaigns.all'), filter: '' },
          { id: 'blocked', text: t('item.blocked'), filter: 'blocked eq true' },
          { id: 'cost', text: t('item.withoutCost'), filter: 'unitCost eq null' },
        ]}
        defaultOrder={{ field: 'number', descending: false }}
        emptyText={t('item.none')}
        emptyHint={t('item.noneHint')}
        counted={(count) => tn('item.count', count)}
      />
    </Guard>
  );
}

export function ItemCard() {
  const number = useParam('number') ?? '';
  return (
    <Guard scope="catalog:read">
      <Card key={number} number={number} />
    </Guard>
  );
}

function Card({ number }: { number: string }) {
  const can = useCan();
  const record = useRecord<Item>({
    queryKey: ['items', 'card', number],
    get: (signal) => api.items.get(number, signal),
    update: (patch, etag) => api.items.update(number, patch, etag),
  });
  const item = record.query.data;
  const path = [{ to: '/items', text: t('nav.items') }];
  if (!item) {
    return (
      <>
        <PageHead title={number} path={path} />
        {record.query.isError ? (
          <ProblemView error={record.query.error} retry={() => void record.query.refetch()} />
        ) : (
          <Loading rows={8} />
        )}
      </>
    );
  }
  const write = can('catalog:write');
  const text = (field: keyof Item) => ({
    value: fieldText(item[field]),
    disabled: !write,
    error: record.errorAt(`/${field}`),
    onSave: (value: string) =>
      void record.save({ [field]: value || (field === 'description' ? '' : null) }),
  });
  const price = listPrice(item);
  return (
    <>
      <PageHead title={item.description || item.number} here={item.number} path={path} />
      <Lacks scope="catalog:write" />
      {record.error !== null && !record.hasFieldErrors && <ProblemView error={record.error} />}
      <div className="with-facts">
        <div className="card-main">
          <FastTab title={t('campaign.general')}>
            <div className="fields">
              <EditField
                label={t('campaign.description')}
                maxLength={100}
                {...text('description')}
              />
              <EditField label={t('item.group')} kind="key" {...text('itemDiscountGroupCode')} />
              <EditField label={t('line.listPrice')} kind="money" {...text('listPrice')} />
              <EditField label={t('item.cost')} kind="money" {...text('unitCost')} />
              <EditField label={t('item.tax')} kind="percent" {...text('taxPercent')} />
            </div>
            <p className="checks">
              <CheckField
                label={t('item.blocked')}
                checked={item.blocked}
                disabled={!write}
                onSave={(blocked) => void record.save({ blocked })}
              />
            </p>
          </FastTab>
          <FastTab title={t('item.prices')}>
            <LinesGrid
              kind="prices"
              name="item-lines"
              label={t('item.prices')}
              collection={api.prices}
              filter={`itemNumber eq ${quoted(item.number)}`}
              editable={false}
              showSource
              bounds={NO_BOUNDS}
              onChanged={() => undefined}
            />
          </FastTab>
          <FastTab title={t('item.discounts')}>
            <LinesGrid
              kind="discounts"
              name="item-lines"
              label={t('item.discounts')}
              collection={api.discounts}
              filter={
                item.itemDiscountGroupCode
                  ? `itemNumber eq ${quoted(item.number)} or itemDiscountGroupCode eq ${quoted(item.itemDiscountGroupCode)}`
                  : `itemNumber eq ${quoted(item.number)}`
              }
              editable={false}
              showSource
              bounds={NO_BOUNDS}
              onChanged={() => undefined}
            />
          </FastTab>
        </div>
        <aside className="facts" aria-label={t('common.facts')}>
          <FactBox title={t('item.facts')}>
            <Fact name={t('line.margin')}>
              {price && item.unitCost
                ? format.percent(decimal.marginPercent(price, item.unitCost))
                : '–'}
            </Fact>
            <Fact name={t('item.taxIncluded')}>
              {item.priceIncludesTax ? t('common.yes') : t('common.no')}
            </Fact>
            <Fact name={t('item.variants')}>
              {item.variants.map(({ code }) => code).join(', ') || '–'}
            </Fact>
            <Fact name={t('item.units')}>
              {item.unitsOfMeasure
                .map(({ code, quantityPerUnit }) => `${code} (${format.quantity(quantityPerUnit)})`)
                .join(', ') || item.baseUnitOfMeasureCode}
            </Fact>
            <p>
              <Link to="/price-check" search={{ item: item.number }}>
                {t('nav.priceCheck')}
              </Link>
            </p>
          </FactBox>
        </aside>
      </div>
      {record.dialog}
    </>
  );
}
