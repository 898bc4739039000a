import {
  Button,
  Dialog,
  DialogActions,
  DialogBody,
  DialogContent,
  DialogSurface,
  DialogTitle,
  ProgressBar,
} from '@fluentui/react-components';
import { useVirtualizer } from '@tanstack/react-virtual';
import { useEffect, useRef, useState } from 'react';
import type { Collection } from '../api.ts';
import { useSession } from '../app/session.tsx';
import * as format from '../lib/format.ts';
import { t, tn } from '../lib/i18n.ts';
import type { DiscountLine, PriceLine } from '@kampanje/client';
import { isNumeric, read, shown } from '../ui/fields.tsx';
import type { GridColumn } from '../ui/grid.tsx';
import { ProblemView } from '../ui/problem.tsx';
import {
  judged,
  readItems,
  wire,
  type Bounds,
  type ItemMap,
  type Line,
  type LineFields,
  type LineKind,
} from './lines.tsx';

/** A block of cells, and where it was pasted. */
export interface Paste {
  block: string[][];
  column: number;
  row: number;
}

type Fields = Record<string, string>;

interface Row {
  /** What was pasted, by field, as it was typed. */
  typed: Fields;
  /** The line that is changed; a new one otherwise. */
  line: Line | undefined;
  errors: Fields;
}

/** The maximum of rows that the API takes at a time. */
const BATCH_ROWS = 1000;
const MAX_PASTED_ROWS = 10_000;
const ROW_HEIGHT = 34;
const RECHECK_DELAY_MS = 400;

const KEY_FIELDS = [
  'itemNumber',
  'itemDiscountGroupCode',
  'variantCode',
  'unitOfMeasureCode',
  'currencyCode',
];

function identity(fields: Record<string, string | null | undefined>): string {
  const quantity = fields.minimumQuantity
    ? (format.readDecimal(fields.minimumQuantity) ?? '?')
    : '0';
  return [...KEY_FIELDS.map((field) => (fields[field] ?? '').toUpperCase().trim()), quantity].join(
    '\n',
  );
}

const lineKey = (line: Line) => identity(line as unknown as Record<string, string | null>);

/** Finds the columns of a block: by its first row if that has titles, else from the active column on. */
function blockColumns(
  paste: Paste,
  columns: GridColumn<Line>[],
): { columns: GridColumn<Line>[]; rows: string[][] } {
  const editable = columns.filter((column) => column.editable !== false);
  const [first = [], ...rest] = paste.block;
  const named = first.map((title) => {
    const wanted = title.trim().toLowerCase();
    return editable.find(
      ({ id, title: own }) => id.toLowerCase() === wanted || own.toLowerCase() === wanted,
    );
  });
  if (named.filter(Boolean).length >= 2 || (first.length === 1 && named[0])) {
    const kept = named.map((column, index) => ({ column, index })).filter(({ column }) => column);
    return {
      columns: kept.flatMap(({ column }) => (column ? [column] : [])),
      rows: rest.map((cells) => kept.map(({ index }) => cells[index] ?? '')),
    };
  }
  // Two columns at the start are the item and its price, whatever stands between them.
  const from = columns.slice(paste.column).filter((column) => column.editable !== false);
  const value = editable.find(({ id }) => id === 'unitPrice' || id === 'lineDiscountPercent');
  if (first.length === 2 && from[0]?.id === 'itemNumber' && value) {
    return { columns: [from[0], value], rows: paste.block };
  }
  return { columns: from.slice(0, first.length), rows: paste.block };
}

function toRows(
  paste: Paste,
  columns: GridColumn<Line>[],
  lines: Line[],
): { columns: GridColumn<Line>[]; rows: Row[] } {
  const block = blockColumns(paste, columns);
  const hasItem = block.columns.some(
    ({ id }) => id === 'itemNumber' || id === 'itemDiscountGroupCode',
  );
  const known = new Map(lines.map((line) => [lineKey(line), line]));
  const rows = block.rows.slice(0, MAX_PASTED_ROWS).map((cells, index): Row => {
    const typed = Object.fromEntries(
      block.columns.map(({ id }, at) => [id, (cells[at] ?? '').trim()]),
    );
    const line = hasItem ? known.get(identity(typed)) : lines[paste.row + index];
    return { typed, line, errors: {} };
  });
  return { columns: block.columns, rows };
}

/** Shows what a paste would do before it is stored, with each error in its cell. */
export function PasteDialog(props: {
  kind: LineKind;
  paste: Paste;
  columns: GridColumn<Line>[];
  lines: Line[];
  bounds: Bounds;
  source?: object | undefined;
  collection: Collection<PriceLine> | Collection<DiscountLine>;
  onClose: () => void;
  onSaved: () => void;
}) {
  const { kind, collection, lines, bounds } = props;
  const { today } = useSession();
  const [{ columns, rows }, setBlock] = useState(() => toRows(props.paste, props.columns, lines));
  const [items, setItems] = useState<ItemMap>(new Map());
  const [checked, setChecked] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const [progress, setProgress] = useState<number | null>(null);
  const [edits, setEdits] = useState(0);
  const scroll = useRef<HTMLDivElement>(null);
  const virtualizer = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroll.current,
    estimateSize: () => ROW_HEIGHT,
    overscan: 10,
  });

  /** Reads the cells of a row: its values, or what is wrong with them. */
  const understood = (row: Row): { values: Fields; errors: Fields } => {
    const values: Fields = {};
    const errors: Fields = {};
    for (const column of columns) {
      const result = read(column.kind, row.typed[column.id] ?? '', today);
      if ('error' in result) errors[column.id] = result.error;
      else values[column.id] = result.value;
    }
    return { values, errors };
  };
  const body = (row: Row, values: Fields) => ({
    ...(row.line
      ? { id: row.line.id, ifMatch: row.line.etag }
      : props.source && { source: props.source }),
    ...Object.fromEntries(
      Object.entries(values)
        .filter(([field, value]) => row.line !== undefined || (value && field))
        .map(([field, value]) => [field, wire(field, value)]),
    ),
  });
  const isChange = (row: Row, values: Fields) => {
    const { line } = row;
    if (!line) return true;
    return columns.some((column) => {
      const value = values[column.id] ?? '';
      return (column.id === 'minimumQuantity' && !value ? '0' : value) !== column.value(line);
    });
  };

  const check = async (signal: AbortSignal) => {
    setError(null);
    const ready = rows.map((row, index) => ({ index, row, ...understood(row) }));
    const wrong = new Map(ready.map(({ index, errors }) => [index, errors]));
    const sent = ready.filter(({ errors }) => Object.keys(errors).length === 0);
    try {
      const numbers = ready.map(
        ({ row, values }) => values.itemNumber ?? row.line?.itemNumber ?? '',
      );
      setItems(await readItems(numbers, signal));
      for (let at = 0; at < sent.length; at += BATCH_ROWS) {
        const some = sent.slice(at, at + BATCH_ROWS);
        const bodies = some.map(({ row, values }) => body(row, values));
        const { receipts } = await collection.batch(bodies, {
          validateOnly: true,
          atomic: false,
        });
        if (signal.aborted) return;
        for (const receipt of receipts) {
          const target = some[receipt.row];
          if (!target || receipt.status < 400) continue;
          const errors: Fields = {};
          for (const one of receipt.errors ?? []) {
            const field = one.pointer.split('/').pop() ?? '';
            errors[columns.some(({ id }) => id === field) ? field : (columns[0]?.id ?? '')] =
              one.detail;
          }
          if (Object.keys(errors).length === 0) errors[columns[0]?.id ?? ''] = receipt.detail ?? '';
          wrong.set(target.index, errors);
        }
      }
      if (signal.aborted) return;
      setBlock((old) => ({
        ...old,
        rows: old.rows.map((row, index) => ({ ...row, errors: wrong.get(index) ?? {} })),
      }));
      setChecked(true);
    } catch (refused) {
      if (!signal.aborted) setError(refused);
    }
  };
  useEffect(() => {
    const control = new AbortController();
    const timer = window.setTimeout(() => void check(control.signal), edits ? RECHECK_DELAY_MS : 0);
    return () => {
      window.clearTimeout(timer);
      control.abort();
    };
    // eslint-disable-next-line react-hooks/exhaustive-deps -- checked again after each edit
  }, [edits]);

  const valid = rows.filter((row) => Object.keys(row.errors).length === 0);
  const changes = valid
    .map((row) => ({ row, values: understood(row).values }))
    .filter(({ row, values }) => isChange(row, values));
  const refused = rows.length - valid.length;
  const created = changes.filter(({ row }) => !row.line).length;

  const save = async () => {
    setError(null);
    setProgress(0);
    try {
      for (let at = 0; at < changes.length; at += BATCH_ROWS) {
        const some = changes.slice(at, at + BATCH_ROWS);
        await collection.batch(some.map(({ row, values }) => body(row, values)));
        setProgress(Math.min(1, (at + BATCH_ROWS) / changes.length));
      }
      props.onSaved();
      props.onClose();
    } catch (failure) {
      setError(failure);
      props.onSaved();
    } finally {
      setProgress(null);
    }
  };

  const edit = (index: number, field: string, text: string) => {
    setChecked(false);
    setBlock((old) => ({
      ...old,
      rows: old.rows.map((row, at) => {
        if (at !== index) return row;
        const typed = { ...row.typed, [field]: text };
        const byKey = columns.some(
          ({ id }) => id === 'itemNumber' || id === 'itemDiscountGroupCode',
        );
        const line = byKey ? lines.find((one) => lineKey(one) === identity(typed)) : row.line;
        return { ...row, typed, line };
      }),
    }));
    setEdits((count) => count + 1);
  };

  const template = `90px ${columns.map((column) => `minmax(${String(column.width)}px, 1fr)`).join(' ')} 100px 90px 90px`;
  const style = { gridTemplateColumns: template };
  const heads = [
    t('paste.what'),
    ...columns.map(({ title }) => title),
    t('line.listPrice'),
    t('line.off'),
    t('line.margin'),
  ];
  return (
    <Dialog
      open
      modalType="modal"
      onOpenChange={(_, data) => {
        if (!data.open) props.onClose();
      }}
    >
      <DialogSurface className="wide-dialog">
        <DialogBody>
          <DialogTitle>{tn('paste.title', rows.length)}</DialogTitle>
          <DialogContent className="dialog-content">
            <p role="status">
              {!checked
                ? t('paste.checking')
                : t('paste.summary', {
                    created,
                    changed: changes.length - created,
                    same: valid.length - changes.length,
                    refused,
                  })}
            </p>
            <div
              ref={scroll}
              className="grid paste-grid"
              role="table"
              aria-label={tn('paste.title', rows.length)}
              tabIndex={0}
              aria-rowcount={rows.length + 1}
            >
              <div role="row" className="grid-row grid-head" style={style} aria-rowindex={1}>
                {heads.map((head, index) => (
                  <div
                    key={head}
                    role="columnheader"
                    className={`grid-cell ${index > 0 && isNumber(columns[index - 1], index, columns.length) ? 'right' : ''}`}
                  >
                    {head}
                  </div>
                ))}
              </div>
              <div
                role="rowgroup"
                className="grid-body"
                style={{ height: virtualizer.getTotalSize() }}
              >
                {virtualizer.getVirtualItems().map(({ index, start }) => {
                  const row = rows[index];
                  if (!row) return null;
                  const { values } = understood(row);
                  const number = values.itemNumber ?? row.line?.itemNumber ?? '';
                  const facts: LineFields = { ...row.line, ...values };
                  const verdict = judged(kind, facts, items.get(number), bounds);
                  const isWrong = Object.keys(row.errors).length > 0;
                  return (
                    <div
                      key={index}
                      role="row"
                      aria-rowindex={index + 2}
                      className="grid-row"
                      style={{
                        ...style,
                        transform: `translateY(${String(start)}px)`,
                      }}
                    >
                      <div role="cell" className="grid-cell grid-fixed">
                        {isWrong
                          ? t('paste.refused')
                          : !row.line
                            ? t('paste.new')
                            : isChange(row, values)
                              ? t('paste.change')
                              : t('paste.same')}
                      </div>
                      {columns.map((column) => {
                        const text = row.typed[column.id] ?? '';
                        const wrong = row.errors[column.id];
                        return (
                          <div
                            key={column.id}
                            role="cell"
                            title={wrong}
                            className={`grid-cell ${isNumeric(column.kind) ? 'right' : ''} ${wrong ? 'grid-wrong' : ''}`}
                          >
                            <input
                              className="grid-input"
                              aria-label={`${column.title}, ${String(index + 1)}`}
                              aria-invalid={wrong ? true : undefined}
                              aria-description={wrong}
                              defaultValue={
                                column.id in values
                                  ? shown(column.kind, values[column.id] ?? '')
                                  : text
                              }
                              onBlur={(event) => {
                                if (event.target.value !== event.target.defaultValue)
                                  edit(index, column.id, event.target.value);
                              }}
                              onKeyDown={(event) => {
                                if (event.key === 'Enter') event.currentTarget.blur();
                              }}
                            />
                          </div>
                        );
                      })}
                      <div role="cell" className="grid-cell grid-fixed right">
                        {format.money(verdict.list)}
                      </div>
                      <div
                        role="cell"
                        className={`grid-cell grid-fixed right ${verdict.warn ? 'tone-warn' : ''}`}
                      >
                        {format.signedPercent(verdict.off)}
                      </div>
                      <div
                        role="cell"
                        className={`grid-cell grid-fixed right ${verdict.bad ? 'tone-bad' : ''}`}
                      >
                        {format.percentOne(verdict.margin)}
                      </div>
                    </div>
                  );
                })}
              </div>
            </div>
            {checked && refused > 0 && <PasteErrors rows={rows} columns={columns} />}
            {progress !== null && <ProgressBar value={progress} aria-label={t('paste.saving')} />}
            {error !== null && <ProblemView error={error} />}
          </DialogContent>
          <DialogActions>
            <Button onClick={props.onClose}>{t('common.cancel')}</Button>
            <Button
              appearance="primary"
              disabled={!checked || changes.length === 0 || progress !== null}
              onClick={() => void save()}
            >
              {refused > 0
                ? tn('paste.saveValid', changes.length)
                : tn('paste.save', changes.length)}
            </Button>
          </DialogActions>
        </DialogBody>
      </DialogSurface>
    </Dialog>
  );
}

function isNumber(column: GridColumn<Line> | undefined, index: number, columns: number): boolean {
  return index > columns || (column !== undefined && isNumeric(column.kind));
}

const MAX_SHOWN_ERRORS = 5;

function PasteErrors({ rows, columns }: { rows: Row[]; columns: GridColumn<Line>[] }) {
  const all = rows.flatMap((row, index) =>
    Object.entries(row.errors).map(([field, text]) => ({
      row: index + 1,
      column: columns.find(({ id }) => id === field)?.title ?? field,
      text,
    })),
  );
  return (
    <ul className="field-error">
      {all.slice(0, MAX_SHOWN_ERRORS).map(({ row, column, text }) => (
        <li key={`${String(row)} ${column}`}>{t('paste.error', { row, column, text })}</li>
      ))}
      {all.length > MAX_SHOWN_ERRORS && (
        <li>{t('paste.moreErrors', { count: all.length - MAX_SHOWN_ERRORS })}</li>
      )}
    </ul>
  );
}
