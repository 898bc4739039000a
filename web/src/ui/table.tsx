import {
  Button,
  Menu,
  MenuItem,
  MenuList,
  MenuPopover,
  MenuTrigger,
} from '@fluentui/react-components';
import { ArrowDownloadRegular, ArrowDownRegular, ArrowUpRegular } from '@fluentui/react-icons';
import { useVirtualizer } from '@tanstack/react-virtual';
import { useEffect, useRef, useState, type ReactNode } from 'react';
import { download, type FileKind } from '../lib/export.ts';
import { t, tn } from '../lib/i18n.ts';
import { problemText } from './problem.tsx';

export interface Column<T> {
  id: string;
  title: string;
  /** The field that the server orders by. */
  sort?: string;
  right?: boolean;
  width?: number;
  cell: (row: T) => ReactNode;
  /** The text in files; the exact value rather than the formatted one. */
  text?: (row: T) => string;
}

export interface Order {
  field: string;
  descending: boolean;
}

const ROW_HEIGHT = 36;
/** Tables longer than this draw only the rows in sight. */
const MAX_PLAIN_ROWS = 200;

/** A table for reading. */
export function DataTable<T>(props: {
  label: string;
  columns: Column<T>[];
  rows: T[];
  rowKey: (row: T) => string;
  order?: Order | undefined;
  onOrder?: (order: Order) => void;
  rowClass?: (row: T) => string | undefined;
  /** Called when the end comes into sight. */
  onEnd?: (() => void) | undefined;
}) {
  const scroll = useRef<HTMLDivElement>(null);
  const virtual = props.rows.length > MAX_PLAIN_ROWS;
  const virtualizer = useVirtualizer({
    count: props.rows.length,
    getScrollElement: () => scroll.current,
    estimateSize: () => ROW_HEIGHT,
    overscan: 12,
    enabled: virtual,
  });
  const items = virtualizer.getVirtualItems();
  const first = items[0];
  const last = items[items.length - 1];
  const end = virtual ? (last?.index ?? 0) : props.rows.length - 1;
  const { onEnd } = props;
  const watched = useRef<HTMLTableRowElement>(null);
  useEffect(() => {
    if (!onEnd || end < props.rows.length - 1 || !watched.current) return undefined;
    const observer = new IntersectionObserver((entries) => {
      if (entries.some((entry) => entry.isIntersecting)) onEnd();
    });
    observer.observe(watched.current);
    return () => observer.disconnect();
  }, [onEnd, end, props.rows.length]);
  const shown = virtual ? items.map(({ index }) => index) : props.rows.map((_, index) => index);
  const before = virtual ? (first?.start ?? 0) : 0;
  const after = virtual ? virtualizer.getTotalSize() - (last?.end ?? 0) : 0;
  return (
    <div
      ref={scroll}
      className={`table-wrap ${virtual ? 'table-virtual' : ''}`}
      tabIndex={0}
      role="region"
      aria-label={props.label}
    >
      <table className="table" aria-rowcount={props.rows.length + 1}>
        <thead>
          <tr>
            {props.columns.map((column) => (
              <ColumnHead
                key={column.id}
                column={column}
                order={props.order}
                onOrder={props.onOrder}
              />
            ))}
          </tr>
        </thead>
        <tbody>
          {before > 0 && <Gap height={before} columns={props.columns.length} />}
          {shown.map((index) => {
            const row = props.rows[index];
            if (row === undefined) return null;
            const isLast = index === props.rows.length - 1;
            return (
              <tr
                key={props.rowKey(row)}
                ref={isLast ? watched : undefined}
                aria-rowindex={index + 2}
                className={props.rowClass?.(row)}
              >
                {props.columns.map((column) => (
                  <td key={column.id} className={column.right ? 'right' : undefined}>
                    {column.cell(row)}
                  </td>
                ))}
              </tr>
            );
          })}
          {after > 0 && <Gap height={after} columns={props.columns.length} />}
        </tbody>
      </table>
    </div>
  );
}

function Gap({ height, columns }: { height: number; columns: number }) {
  return (
    <tr aria-hidden style={{ height }}>
      <td colSpan={columns} className="gap" />
    </tr>
  );
}

function ColumnHead<T>(props: {
  column: Column<T>;
  order?: Order | undefined;
  onOrder?: ((order: Order) => void) | undefined;
}) {
  const { column, order, onOrder } = props;
  const field = column.sort;
  const active = field !== undefined && order?.field === field;
  const style = column.width ? { width: column.width } : undefined;
  // A column of buttons has no name.
  if (!column.title) return <td style={style} />;
  if (!field || !onOrder) {
    return (
      <th scope="col" className={column.right ? 'right' : undefined} style={style}>
        {column.title}
      </th>
    );
  }
  return (
    <th
      scope="col"
      className={column.right ? 'right' : undefined}
      style={style}
      aria-sort={active ? (order.descending ? 'descending' : 'ascending') : 'none'}
    >
      <button
        type="button"
        className="sort"
        onClick={() => onOrder({ field, descending: active ? !order.descending : false })}
      >
        {column.title}
        {active && (order.descending ? <ArrowDownRegular /> : <ArrowUpRegular />)}
      </button>
    </th>
  );
}

/** Offers a table as a file. */
export function ExportMenu<T>(props: {
  name: string;
  columns: Column<T>[];
  rows: () => Promise<T[]> | T[];
}) {
  const [message, setMessage] = useState('');
  const [busy, setBusy] = useState(false);
  const save = async (kind: FileKind) => {
    setBusy(true);
    setMessage('');
    try {
      const columns = props.columns.filter((column) => column.text);
      const rows = await props.rows();
      const cells = rows.map((row) => columns.map((column) => column.text?.(row) ?? ''));
      download(props.name, kind, [columns.map((column) => column.title), ...cells]);
      setMessage(tn('export.done', rows.length));
    } catch (error) {
      setMessage(problemText(error));
    } finally {
      setBusy(false);
    }
  };
  return (
    <>
      <span role="status" className="muted">
        {message}
      </span>
      <Menu>
        <MenuTrigger disableButtonEnhancement>
          <Button icon={<ArrowDownloadRegular />} disabled={busy}>
            {t('export.button')}
          </Button>
        </MenuTrigger>
        <MenuPopover>
          <MenuList>
            <MenuItem onClick={() => void save('csv')}>{t('export.csv')}</MenuItem>
            <MenuItem onClick={() => void save('xlsx')}>{t('export.xlsx')}</MenuItem>
          </MenuList>
        </MenuPopover>
      </Menu>
    </>
  );
}
