import { Button } from '@fluentui/react-components';
import { useVirtualizer } from '@tanstack/react-virtual';
import {
  useEffect,
  useId,
  useRef,
  useState,
  type ClipboardEvent,
  type KeyboardEvent,
  type ReactNode,
} from 'react';
import { ApiError } from '../api.ts';
import { useSession } from '../app/session.tsx';
import { t, tn } from '../lib/i18n.ts';
import { isNumeric, read, shown, type FieldKind } from './fields.tsx';
import { Lookup, type LookupName } from './lookup.tsx';
import { problemText } from './problem.tsx';

export interface GridColumn<R> {
  /** The field of the API. */
  id: string;
  title: string;
  width: number;
  kind: FieldKind;
  lookup?: LookupName;
  /** False for columns that are calculated. */
  editable?: boolean;
  value: (row: R) => string;
  display?: (row: R) => ReactNode;
  /** How the cell of a changed value looks before the server has answered. */
  tone?: (row: R) => 'bad' | 'warn' | undefined;
}

export interface GridProps<R> {
  label: string;
  columns: GridColumn<R>[];
  rows: R[];
  rowKey: (row: R) => string;
  editable: boolean;
  /** Fields without which a new row is not sent. */
  required: string[];
  onChange: (row: R, field: string, value: string) => Promise<void>;
  onCreate: (fields: Record<string, string>) => Promise<void>;
  onDelete: (rows: R[]) => Promise<void>;
  /** A block of cells was pasted at a column and a row. */
  onPaste?: (block: string[][], column: number, row: number) => void;
}

interface Place {
  row: number;
  column: number;
}

/** Tells the component library, which moves the focus itself, that Tab belongs to the grid. */
const KEEPS_TAB = JSON.stringify({ focusable: { ignoreKeydown: { Tab: true } } });
const ROW_HEIGHT = 33;
const PAGE_STEP = 10;
/** The key of the row that is not stored yet. */
const NEW = 'new';

/** Reads what a spreadsheet puts on the clipboard. */
export function parseBlock(text: string): string[][] {
  const rows: string[][] = [];
  let row: string[] = [];
  let cell = '';
  let inQuotes = false;
  const clean = text.replace(/\r\n?/g, '\n');
  for (let at = 0; at < clean.length; at += 1) {
    const letter = clean.charAt(at);
    if (inQuotes) {
      if (letter === '"' && clean.charAt(at + 1) === '"') {
        cell += '"';
        at += 1;
      } else if (letter === '"') inQuotes = false;
      else cell += letter;
    } else if (letter === '"' && cell === '') inQuotes = true;
    else if (letter === '\t') {
      row.push(cell);
      cell = '';
    } else if (letter === '\n') {
      rows.push([...row, cell]);
      row = [];
      cell = '';
    } else cell += letter;
  }
  if (cell || row.length) rows.push([...row, cell]);
  return rows.filter((cells) => cells.some((text) => text.trim()));
}

/** An editable grid for many rows, operated as Business Central's and spreadsheets are. */
export function Grid<R>(props: GridProps<R>) {
  const { columns, rows, editable } = props;
  const { today } = useSession();
  const id = useId();
  const scroll = useRef<HTMLDivElement>(null);
  const [active, setActive] = useState<Place>({ row: 0, column: 0 });
  const [anchor, setAnchor] = useState<Place | null>(null);
  const [editing, setEditing] = useState<string | null>(null);
  /** True while a cell is edited: leaving it must not store its value a second time. */
  const isEditing = useRef(false);
  /** The last change of each row; changes of a row are stored one after the other. */
  const queue = useRef(new Map<string, Promise<void>>());
  const [draft, setDraft] = useState<Record<string, string>>({});
  /** Values that are not stored, or were refused, by row and field. */
  const [pending, setPending] = useState<Record<string, string>>({});
  const [errors, setErrors] = useState<Record<string, string>>({});
  const [message, setMessage] = useState('');
  const count = rows.length + (editable ? 1 : 0);
  const virtualizer = useVirtualizer({
    count,
    getScrollElement: () => scroll.current,
    estimateSize: () => ROW_HEIGHT,
    overscan: 8,
    scrollPaddingStart: ROW_HEIGHT + 4,
  });
  const row = Math.min(active.row, Math.max(count - 1, 0));
  const at: Place = { row, column: Math.min(active.column, columns.length - 1) };

  const keyOf = (index: number) => {
    const found = rows[index];
    return found === undefined ? NEW : props.rowKey(found);
  };
  const place = (index: number, field: string) => `${keyOf(index)}/${field}`;
  const valueAt = (index: number, column: GridColumn<R>): string => {
    const found = rows[index];
    const unsaved = pending[place(index, column.id)];
    if (unsaved !== undefined) return unsaved;
    return found === undefined ? (draft[column.id] ?? '') : column.value(found);
  };
  const canEdit = (column: GridColumn<R> | undefined) => editable && column?.editable !== false;
  const focusGrid = () => scroll.current?.focus({ preventScroll: true });

  useEffect(() => {
    if (at.row < count) virtualizer.scrollToIndex(at.row, { align: 'auto' });
    const cell = document.getElementById(`${id}-${String(at.row)}-${String(at.column)}`);
    cell?.scrollIntoView({ block: 'nearest', inline: 'nearest' });
    // eslint-disable-next-line react-hooks/exhaustive-deps -- only when the place changes
  }, [at.row, at.column]);

  const setAt = <T,>(
    set: (change: (old: Record<string, T>) => Record<string, T>) => void,
    key: string,
    value: T | undefined,
  ) => {
    set((old) => {
      const next = { ...old };
      if (value === undefined) Reflect.deleteProperty(next, key);
      else next[key] = value;
      return next;
    });
  };

  const refuse = (key: string, field: string, error: unknown) => {
    const fields = error instanceof ApiError ? error.errors : [];
    let placed = false;
    for (const one of fields) {
      const column = columns.find(({ id: name }) => one.pointer.endsWith(`/${name}`));
      if (column) {
        placed = true;
        setAt(setErrors, `${key}/${column.id}`, one.detail);
      }
    }
    if (!placed) setAt(setErrors, `${key}/${field}`, problemText(error));
    setMessage(problemText(error));
  };

  const store = async (index: number, column: GridColumn<R>, value: string) => {
    const key = keyOf(index);
    const found = rows[index];
    const spot = `${key}/${column.id}`;
    setAt(setErrors, spot, undefined);
    if (found === undefined) {
      const next = { ...draft, [column.id]: value };
      setDraft(next);
      if (!props.required.every((field) => next[field])) return;
      try {
        await props.onCreate(next);
        setDraft({});
        setErrors((old) =>
          Object.fromEntries(Object.entries(old).filter(([name]) => !name.startsWith(`${NEW}/`))),
        );
        setMessage(t('grid.saved'));
      } catch (error) {
        refuse(NEW, column.id, error);
      }
      return;
    }
    if (value === column.value(found) && pending[spot] === undefined) return;
    setAt(setPending, spot, value);
    const before = queue.current.get(key);
    const change = (before ?? Promise.resolve()).then(() =>
      props.onChange(found, column.id, value),
    );
    const settled = change.catch(() => undefined);
    queue.current.set(key, settled);
    try {
      await change;
      setAt(setPending, spot, undefined);
      setMessage(t('grid.saved'));
    } catch (error) {
      refuse(key, column.id, error);
    } finally {
      if (queue.current.get(key) === settled) queue.current.delete(key);
    }
  };

  const take = (index: number, column: GridColumn<R>, text: string): boolean => {
    const result = read(column.kind, text, today);
    if ('error' in result) {
      setAt(setErrors, place(index, column.id), result.error);
      setMessage(result.error);
      return false;
    }
    void store(index, column, result.value);
    return true;
  };

  const commit = (text = editing): boolean => {
    const column = columns[at.column];
    if (!isEditing.current || text === null || !column) return true;
    if (!take(at.row, column, text)) return false;
    isEditing.current = false;
    setEditing(null);
    return true;
  };

  const move = (rowStep: number, columnStep: number, extend = false) => {
    setAnchor(extend ? (anchor ?? at) : null);
    setActive({
      row: Math.max(0, Math.min(count - 1, at.row + rowStep)),
      column: Math.max(0, Math.min(columns.length - 1, at.column + columnStep)),
    });
  };

  const edit = (text?: string) => {
    const column = columns[at.column];
    if (!column || !canEdit(column)) return;
    isEditing.current = true;
    setEditing(text ?? shown(column.kind, valueAt(at.row, column)));
  };

  const range = () => {
    const from = anchor ?? at;
    return {
      top: Math.min(from.row, at.row),
      bottom: Math.max(from.row, at.row),
      left: Math.min(from.column, at.column),
      right: Math.max(from.column, at.column),
    };
  };

  const removeRows = async () => {
    const { top, bottom } = range();
    const chosen = rows.slice(top, bottom + 1);
    if (!editable || chosen.length === 0) {
      setDraft({});
      return;
    }
    setAnchor(null);
    try {
      await props.onDelete(chosen);
      setMessage(tn('grid.deleted', chosen.length));
    } catch (error) {
      setMessage(problemText(error));
    }
  };

  const keyDown = (event: KeyboardEvent<HTMLDivElement>) => {
    if (editing !== null || event.target !== scroll.current) return;
    const column = columns[at.column];
    const ctrl = event.ctrlKey || event.metaKey;
    const extend = event.shiftKey;
    const editable = column && canEdit(column) ? column : undefined;
    const moves: Record<string, [rows: number, columns: number]> = {
      ArrowDown: [1, 0],
      ArrowUp: [-1, 0],
      ArrowRight: [0, 1],
      ArrowLeft: [0, -1],
      PageDown: [PAGE_STEP, 0],
      PageUp: [-PAGE_STEP, 0],
      Home: [ctrl ? -count : 0, -columns.length],
      End: [ctrl ? count : 0, columns.length],
    };
    const step = moves[event.key];
    if (step) move(step[0], step[1], extend);
    else if (ctrl && event.key === 'Delete') void removeRows();
    else if (event.key === 'F2' || event.key === 'Enter') edit();
    else if (event.key === 'F8' && editable && at.row > 0) {
      void store(at.row, editable, valueAt(at.row - 1, editable));
    } else if (event.key === 'Delete' && editable) void store(at.row, editable, '');
    else if (event.key.length === 1 && !ctrl && !event.altKey && event.key !== ' ') edit(event.key);
    else return;
    event.preventDefault();
  };

  const editKeyDown = (event: KeyboardEvent<HTMLInputElement>) => {
    if (event.key === 'Escape') {
      isEditing.current = false;
      setEditing(null);
      focusGrid();
    } else if (event.key === 'Enter' || event.key === 'Tab') {
      event.preventDefault();
      event.stopPropagation();
      if (!commit(event.currentTarget.value)) return;
      if (event.key === 'Enter') move(1, 0);
      else move(0, event.shiftKey ? -1 : 1);
      focusGrid();
    }
  };

  const copy = (event: ClipboardEvent) => {
    if (editing !== null) return;
    const { top, bottom, left, right } = range();
    const block = [];
    for (let index = top; index <= Math.min(bottom, rows.length - 1); index += 1) {
      const cells = columns.slice(left, right + 1);
      block.push(cells.map((column) => shown(column.kind, valueAt(index, column))).join('\t'));
    }
    event.clipboardData.setData('text/plain', block.join('\n'));
    event.preventDefault();
  };

  const paste = (event: ClipboardEvent) => {
    if (editing !== null || !editable) return;
    event.preventDefault();
    const block = parseBlock(event.clipboardData.getData('text/plain'));
    const column = columns[at.column];
    const only = block.length === 1 && block[0]?.length === 1 ? block[0][0] : undefined;
    if (only !== undefined && column && canEdit(column)) take(at.row, column, only);
    else if (block.length > 0) props.onPaste?.(block, at.column, at.row);
  };

  const chosen = range();
  const width = columns.reduce((sum, column) => sum + column.width, 0);
  const template = columns.map(
    (column) => `minmax(${String(column.width)}px, ${String(column.width)}fr)`,
  );
  const style = { gridTemplateColumns: template.join(' '), minWidth: width };
  const activeError = errors[place(at.row, columns[at.column]?.id ?? '')];
  return (
    <div className="grid-frame">
      <div
        ref={scroll}
        role="grid"
        tabIndex={0}
        data-tabster={KEEPS_TAB}
        aria-label={props.label}
        aria-rowcount={count + 1}
        aria-colcount={columns.length}
        aria-readonly={!editable}
        aria-activedescendant={`${id}-${String(at.row)}-${String(at.column)}`}
        className="grid"
        onKeyDown={keyDown}
        onCopy={copy}
        onPaste={paste}
      >
        <div role="row" aria-rowindex={1} className="grid-row grid-head" style={style}>
          {columns.map((column) => (
            <div
              key={column.id}
              role="columnheader"
              className={`grid-cell ${isNumeric(column.kind) ? 'right' : ''}`}
            >
              {column.title}
            </div>
          ))}
        </div>
        <div
          role="rowgroup"
          className="grid-body"
          style={{ height: virtualizer.getTotalSize(), minWidth: width }}
        >
          {virtualizer.getVirtualItems().map(({ index, start }) => {
            const found = rows[index];
            return (
              <div
                key={found === undefined ? NEW : props.rowKey(found)}
                role="row"
                aria-rowindex={index + 2}
                className="grid-row"
                style={{ ...style, transform: `translateY(${String(start)}px)` }}
              >
                {columns.map((column, columnIndex) => {
                  const isActive = index === at.row && columnIndex === at.column;
                  const key = place(index, column.id);
                  const error = errors[key];
                  const inRange =
                    anchor !== null &&
                    index >= chosen.top &&
                    index <= chosen.bottom &&
                    columnIndex >= chosen.left &&
                    columnIndex <= chosen.right;
                  const value = valueAt(index, column);
                  const tone = found !== undefined ? column.tone?.(found) : undefined;
                  const classes = [
                    'grid-cell',
                    isNumeric(column.kind) && 'right',
                    isActive && 'grid-active',
                    inRange && 'grid-chosen',
                    !canEdit(column) && 'grid-fixed',
                    error && 'grid-wrong',
                    pending[key] !== undefined && !error && 'grid-pending',
                    tone && `tone-${tone}`,
                  ];
                  const placeholder =
                    found === undefined && columnIndex === 0 && !value ? t('grid.add') : '';
                  return (
                    <div
                      key={column.id}
                      id={`${id}-${String(index)}-${String(columnIndex)}`}
                      role="gridcell"
                      aria-colindex={columnIndex + 1}
                      aria-selected={isActive || inRange}
                      aria-readonly={!canEdit(column)}
                      aria-invalid={error ? true : undefined}
                      title={error ?? (shown(column.kind, value) || undefined)}
                      className={classes.filter(Boolean).join(' ')}
                      onMouseDown={(event) => {
                        if (isActive && editing !== null) return;
                        if (editing !== null && !commit()) return;
                        if (event.shiftKey) setAnchor(anchor ?? at);
                        else setAnchor(null);
                        setActive({ row: index, column: columnIndex });
                      }}
                      onDoubleClick={() => edit()}
                    >
                      {isActive && editing !== null ? (
                        column.lookup ? (
                          <Lookup
                            bare
                            autoFocus
                            source={column.lookup}
                            label={column.title}
                            value={editing}
                            onChange={setEditing}
                            onBlur={() => commit()}
                            onKeyDown={editKeyDown}
                            onChoose={(chosenKey) => {
                              commit(chosenKey);
                              focusGrid();
                            }}
                          />
                        ) : (
                          <input
                            className={`grid-input ${isNumeric(column.kind) ? 'right' : ''}`}
                            aria-label={column.title}
                            autoFocus
                            autoComplete="off"
                            value={editing}
                            onChange={(event) => setEditing(event.target.value)}
                            onBlur={() => commit()}
                            onKeyDown={editKeyDown}
                          />
                        )
                      ) : placeholder ? (
                        <span className="muted">{placeholder}</span>
                      ) : found !== undefined && column.display && pending[key] === undefined ? (
                        column.display(found)
                      ) : (
                        shown(column.kind, value)
                      )}
                    </div>
                  );
                })}
              </div>
            );
          })}
        </div>
      </div>
      <div className="grid-foot muted">
        <span role="status" className={activeError ? 'field-error' : undefined}>
          {activeError ?? message}
        </span>
        {editable && (
          <span className="grid-keys">
            {t('grid.keys')}{' '}
            <Button
              size="small"
              appearance="subtle"
              disabled={at.row >= rows.length}
              onClick={() => void removeRows()}
            >
              {t('grid.deleteRow')}
            </Button>
          </span>
        )}
      </div>
    </div>
  );
}
