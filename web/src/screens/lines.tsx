import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState, type ReactNode } from 'react';
import { all, api, ApiError, quoted, type Collection, type Stored } from '../api.ts';
import { useSession } from '../app/session.tsx';
import * as decimal from '../lib/decimal.ts';
import * as format from '../lib/format.ts';
import { t, tn } from '../lib/i18n.ts';
import type { DiscountLine, Item, PriceLine } from '@kampanje/client';
import { Loading } from '../ui/basics.tsx';
import { Grid, type GridColumn } from '../ui/grid.tsx';
import { ProblemView } from '../ui/problem.tsx';
import { PasteDialog, type Paste } from './paste.tsx';
import { sourceName } from './sources.ts';

/** A price or discount line, in the fields that grids show. */
export type Line = Stored<PriceLine> | Stored<DiscountLine>;

export type LineKind = 'prices' | 'discounts';

/** The item of a line, as far as its price is judged. */
export type ItemFacts = Pick<
  Item,
  'number' | 'description' | 'listPrice' | 'unitCost' | 'priceIncludesTax' | 'taxPercent'
>;

export type ItemMap = ReadonlyMap<string, ItemFacts>;

/** Longest filter of a list of items; the filter language bounds it. */
const ITEMS_PER_REQUEST = 50;

/** Reads the items of lines. */
export async function readItems(numbers: Iterable<string>, signal?: AbortSignal): Promise<ItemMap> {
  const distinct = [...new Set(numbers)].filter(Boolean);
  const found = new Map<string, ItemFacts>();
  for (let at = 0; at < distinct.length; at += ITEMS_PER_REQUEST) {
    const some = distinct.slice(at, at + ITEMS_PER_REQUEST);
    const filter = `number in (${some.map(quoted).join(',')})`;
    const page = await api.items.list({ filter, top: ITEMS_PER_REQUEST }, signal);
    for (const item of page.value) found.set(item.number, item);
  }
  return found;
}

/** The net price that a line alone gives, without tax; `null` if it is not known. */
export function netPrice(
  kind: LineKind,
  fields: LineFields,
  item: ItemFacts | undefined,
): decimal.Decimal | null {
  if (fields.currencyCode || fields.unitOfMeasureCode) return null;
  const net = (price: string, includesTax: boolean) =>
    includesTax ? decimal.withoutTax(price, item?.taxPercent ?? '0') : price;
  if (kind === 'prices') {
    return fields.unitPrice ? net(fields.unitPrice, fields.priceIncludesTax ?? false) : null;
  }
  if (!item?.listPrice || !fields.lineDiscountPercent) return null;
  const list = net(item.listPrice, item.priceIncludesTax);
  const kept = decimal.subtract('100', fields.lineDiscountPercent);
  return decimal.divide(decimal.multiply(list, kept), '100', 5);
}

export function listPrice(item: ItemFacts | undefined): decimal.Decimal | null {
  if (!item?.listPrice) return null;
  return item.priceIncludesTax
    ? decimal.withoutTax(item.listPrice, item.taxPercent)
    : item.listPrice;
}

/** The fields of a line as texts; empty where the line has none. */
export interface LineFields {
  itemNumber?: string | null | undefined;
  itemDiscountGroupCode?: string | null | undefined;
  variantCode?: string | null | undefined;
  unitOfMeasureCode?: string | null | undefined;
  currencyCode?: string | null | undefined;
  minimumQuantity?: string | undefined;
  unitPrice?: string | undefined;
  priceIncludesTax?: boolean | undefined;
  lineDiscountPercent?: string | undefined;
  startingDate?: string | null | undefined;
  endingDate?: string | null | undefined;
}

/** Bounds that prices should keep, in percent; `null` without bound. */
export interface Bounds {
  marginFloor: decimal.Decimal | null;
  maxDiscount: decimal.Decimal | null;
}

export function judged(
  kind: LineKind,
  fields: LineFields,
  item: ItemFacts | undefined,
  bounds: Bounds,
) {
  const net = netPrice(kind, fields, item);
  const list = listPrice(item);
  const off = net !== null && list ? decimal.changePercent(list, net) : null;
  const margin = net !== null && item?.unitCost ? decimal.marginPercent(net, item.unitCost) : null;
  const belowFloor =
    margin !== null &&
    bounds.marginFloor !== null &&
    decimal.compare(margin, bounds.marginFloor) < 0;
  const belowCost = margin !== null && margin.startsWith('-');
  const aboveList = off !== null && decimal.compare(off, '0') > 0;
  const tooDeep =
    off !== null &&
    bounds.maxDiscount !== null &&
    decimal.compare(decimal.subtract('0', off), bounds.maxDiscount) > 0;
  return { net, list, off, margin, bad: belowFloor || belowCost, warn: aboveList || tooDeep };
}

export function lineColumns(
  kind: LineKind,
  items: ItemMap,
  bounds: Bounds,
  options: { standing?: boolean; showSource?: boolean } = {},
): GridColumn<Line>[] {
  const item = (row: Line) => items.get(row.itemNumber ?? '');
  const judge = (row: Line) => judged(kind, row, item(row), bounds);
  const text = (id: keyof LineFields, title: string, width: number): GridColumn<Line> => ({
    id,
    title,
    width,
    kind: 'key',
    value: (row) => (row as LineFields)[id]?.toString() ?? '',
  });
  const columns: GridColumn<Line>[] = [
    { ...text('itemNumber', t('line.item'), 105), lookup: 'items' },
    {
      id: 'description',
      title: t('line.description'),
      width: 140,
      kind: 'text',
      editable: false,
      value: (row) => item(row)?.description ?? '',
    },
  ];
  if (options.showSource) {
    columns.unshift({
      id: 'source',
      title: t('price.from'),
      width: 170,
      kind: 'text',
      editable: false,
      value: (row) => sourceName(row.source),
    });
  }
  if (kind === 'discounts') columns.push(text('itemDiscountGroupCode', t('line.group'), 115));
  columns.push(
    text('variantCode', t('line.variant'), 64),
    text('unitOfMeasureCode', t('line.unit'), 56),
    { ...text('minimumQuantity', t('line.minimum'), 80), kind: 'decimal' },
  );
  if (kind === 'prices') {
    columns.push({
      ...text('unitPrice', t('line.unitPrice'), 86),
      kind: 'money',
      display: (row) => format.money((row as PriceLine).unitPrice),
    });
  } else {
    columns.push({ ...text('lineDiscountPercent', t('line.discount'), 100), kind: 'percent' });
  }
  columns.push({ ...text('currencyCode', t('line.currency'), 58), lookup: 'currencies' });
  if (options.standing || options.showSource) {
    columns.push(
      { ...text('startingDate', t('campaign.startingDate'), 105), kind: 'date' },
      { ...text('endingDate', t('campaign.endingDate'), 105), kind: 'date' },
    );
  }
  columns.push(
    {
      id: 'listPrice',
      title: t('line.listPrice'),
      width: 84,
      kind: 'decimal',
      editable: false,
      value: (row) => listPrice(item(row)) ?? '',
      display: (row) => format.money(listPrice(item(row))),
    },
    {
      id: 'off',
      title: t('line.off'),
      width: 76,
      kind: 'decimal',
      editable: false,
      value: (row) => judge(row).off ?? '',
      display: (row) => format.signedPercent(judge(row).off),
      tone: (row) => (judge(row).warn ? 'warn' : undefined),
    },
    {
      id: 'margin',
      title: t('line.margin'),
      width: 70,
      kind: 'decimal',
      editable: false,
      value: (row) => judge(row).margin ?? '',
      display: (row) => format.percentOne(judge(row).margin),
      tone: (row) => (judge(row).bad ? 'bad' : undefined),
    },
  );
  return columns;
}

const NULLABLE = [
  'itemDiscountGroupCode',
  'variantCode',
  'unitOfMeasureCode',
  'currencyCode',
  'startingDate',
  'endingDate',
];

/** Returns the value of a field as the API takes it. */
export function wire(field: string, value: string): string | null {
  if (value) return value;
  if (field === 'minimumQuantity') return '0';
  return NULLABLE.includes(field) || field === 'itemNumber' ? null : '';
}

/** The editable lines of a campaign, or standing ones. */
export function LinesGrid(props: {
  kind: LineKind;
  name: string;
  label: string;
  collection: Collection<PriceLine> | Collection<DiscountLine>;
  filter?: string;
  editable: boolean;
  bounds: Bounds;
  showSource?: boolean;
  /** The source of standing lines. */
  source?: object;
  onChanged: () => void;
  onCount?: (count: number) => void;
  emptyHint?: ReactNode;
}) {
  const { kind, collection, bounds } = props;
  const client = useQueryClient();
  const { settings } = useSession();
  const [paste, setPaste] = useState<Paste | null>(null);
  const queryKey = [props.name, kind, props.filter ?? ''];
  const lines = useQuery({
    queryKey,
    queryFn: async ({ signal }) => {
      const query = {
        orderby: 'itemNumber,minimumQuantity',
        ...(props.filter && { filter: props.filter }),
      };
      const rows = await all<PriceLine | DiscountLine>(
        (page) => collection.list(page, signal),
        query,
      );
      return rows;
    },
  });
  const numbers = (lines.data ?? []).map((line) => line.itemNumber ?? '');
  const items = useQuery({
    queryKey: ['items', 'facts', [...new Set(numbers)].sort()],
    queryFn: ({ signal }) => readItems(numbers, signal),
    enabled: lines.isSuccess,
    placeholderData: (previous) => previous,
    staleTime: 60_000,
  });
  if (lines.isError) return <ProblemView error={lines.error} retry={() => void lines.refetch()} />;
  if (!lines.data) return <Loading />;
  const rows = lines.data;
  const facts = items.data ?? new Map<string, ItemFacts>();
  const replace = (change: (old: Line[]) => Line[]) => {
    client.setQueryData<Line[]>(queryKey, (old) => change(old ?? []));
    props.onChanged();
  };
  /** Stores a field of a line, on the version of others if they left the field alone. */
  const change = async (row: Line, field: string, value: string | null): Promise<Line> => {
    const known = client.getQueryData<Line[]>(queryKey)?.find(({ id }) => id === row.id) ?? row;
    const patch = { [field]: value };
    try {
      return await collection.update(row.id, patch, known.etag);
    } catch (refused) {
      if (!(refused instanceof ApiError) || refused.status !== 412) throw refused;
      const latest: Line = await collection.get(row.id);
      replace((old) => old.map((line) => (line.id === latest.id ? latest : line)));
      const valueOf = (line: Line) => (line as unknown as Record<string, unknown>)[field];
      if (valueOf(latest) !== valueOf(known)) throw refused;
      return await collection.update(row.id, patch, latest.etag);
    }
  };
  const columns = lineColumns(kind, facts, bounds, {
    standing: props.source !== undefined,
    showSource: props.showSource ?? false,
  });
  return (
    <>
      {rows.length === 0 && <p className="muted">{props.emptyHint}</p>}
      <Grid<Line>
        label={props.label}
        columns={columns}
        rows={rows}
        rowKey={(row) => row.id}
        editable={props.editable}
        required={kind === 'prices' ? ['itemNumber', 'unitPrice'] : ['lineDiscountPercent']}
        onChange={async (row, field, value) => {
          const saved = await change(row, field, wire(field, value));
          replace((old) => old.map((line) => (line.id === saved.id ? saved : line)));
        }}
        onCreate={async (fields) => {
          const body = Object.entries(fields).filter(([, value]) => value);
          const created = await collection.create({
            ...Object.fromEntries(body),
            ...(props.source && { source: props.source }),
          });
          replace((old) => [...old, created]);
        }}
        onDelete={async (chosen) => {
          const batch = chosen.map((row) => ({
            id: row.id,
            ifMatch: row.etag,
            delete: true,
          }));
          await collection.batch(batch);
          const gone = new Set(chosen.map((row) => row.id));
          replace((old) => old.filter((line) => !gone.has(line.id)));
        }}
        onPaste={(block, column, row) => setPaste({ block, column, row })}
      />
      <p className="muted lines-note">
        {tn('line.count', rows.length)} · {props.editable && `${t('line.pasteHint')} `}
        {settings && t('line.amountsIn', { currency: settings.localCurrencyCode })}
      </p>
      {paste && (
        <PasteDialog
          kind={kind}
          paste={paste}
          columns={columns}
          lines={rows}
          bounds={bounds}
          source={props.source}
          collection={collection}
          onClose={() => setPaste(null)}
          onSaved={() => {
            void client.invalidateQueries({ queryKey });
            props.onChanged();
          }}
        />
      )}
    </>
  );
}
