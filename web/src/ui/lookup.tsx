import { useQuery } from '@tanstack/react-query';
import { useId, useRef, useState, type KeyboardEvent } from 'react';
import { api, quoted, type ListQuery, type Page } from '../api.ts';
import { t } from '../lib/i18n.ts';

/** A choice of a lookup. */
export interface Choice {
  key: string;
  text: string;
}

export type LookupSource = (text: string, signal: AbortSignal) => Promise<Choice[]>;

const CHOICES = 12;

function lookup<T>(
  list: (query: ListQuery, signal?: AbortSignal) => Promise<Page<T>>,
  keyField: string,
  textField: string,
  choice: (row: T) => Choice,
  base?: string,
): LookupSource {
  return async (text, signal) => {
    const key = quoted(text.trim().toUpperCase());
    const searched = text.trim()
      ? `(startswith(${keyField},${key}) or contains(${textField},${quoted(text.trim())}))`
      : '';
    const filter = [base, searched].filter(Boolean).join(' and ');
    const query = { top: CHOICES, orderby: keyField, ...(filter && { filter }) };
    return (await list(query, signal)).value.map(choice);
  };
}

const byCode = (row: { code: string; description?: string; name?: string }) => ({
  key: row.code,
  text: row.description ?? row.name ?? '',
});

export const LOOKUPS = {
  items: lookup(api.items.list, 'number', 'description', (row) => ({
    key: row.number,
    text: row.description,
  })),
  contacts: lookup(api.contacts.list, 'number', 'name', (row) => ({
    key: row.number,
    text: row.name,
  })),
  campaigns: lookup(api.campaigns.list, 'number', 'description', (row) => ({
    key: row.number,
    text: row.description,
  })),
  segments: lookup(api.segments.list, 'number', 'description', (row) => ({
    key: row.number,
    text: row.description,
  })),
  freeSegments: lookup(
    api.segments.list,
    'number',
    'description',
    (row) => ({ key: row.number, text: row.description }),
    'campaignNumber eq null',
  ),
  salespeople: lookup(api.salespeople.list, 'code', 'name', byCode),
  teams: lookup(api.teams.list, 'code', 'name', byCode),
  statuses: lookup(api.campaignStatuses.list, 'code', 'description', byCode),
  templates: lookup(api.templates.list, 'code', 'description', byCode),
  savedCriteria: lookup(api.savedCriteria.list, 'code', 'description', byCode),
  currencies: lookup(api.currencies.list, 'code', 'description', byCode),
};

export type LookupName = keyof typeof LOOKUPS;

interface LookupProps {
  source: LookupName;
  value: string;
  onChange: (text: string) => void;
  /** A choice was made, by key or by clicking. */
  onChoose?: (key: string) => void;
  onBlur?: () => void;
  onKeyDown?: (event: KeyboardEvent<HTMLInputElement>) => void;
  id?: string;
  label?: string;
  placeholder?: string;
  disabled?: boolean;
  invalid?: boolean;
  describedBy?: string | undefined;
  autoFocus?: boolean;
  bare?: boolean;
}

/** A text field that proposes rows of a resource while one types. */
export function Lookup(props: LookupProps) {
  const [open, setOpen] = useState(false);
  const [active, setActive] = useState(-1);
  const listId = useId();
  const input = useRef<HTMLInputElement>(null);
  const [typed, setTyped] = useState('');
  const found = useQuery({
    queryKey: ['lookup', props.source, typed],
    queryFn: ({ signal }) => LOOKUPS[props.source](typed, signal),
    enabled: open,
    staleTime: 30_000,
    placeholderData: (previous) => previous,
  });
  const choices = open ? (found.data ?? []) : [];
  const choose = (choice: Choice) => {
    props.onChange(choice.key);
    props.onChoose?.(choice.key);
    setOpen(false);
    setActive(-1);
  };
  const keyDown = (event: KeyboardEvent<HTMLInputElement>) => {
    const chosen = choices[active];
    if (event.key === 'ArrowDown' && (open || event.altKey || !props.bare)) {
      setOpen(true);
      setActive(Math.min(active + 1, choices.length - 1));
      event.preventDefault();
      event.stopPropagation();
    } else if (event.key === 'ArrowUp' && open && active >= 0) {
      setActive(active - 1);
      event.preventDefault();
      event.stopPropagation();
    } else if (event.key === 'Escape' && open) {
      setOpen(false);
      setActive(-1);
      event.stopPropagation();
    } else if ((event.key === 'Enter' || event.key === 'Tab') && open && chosen) {
      choose(chosen);
      if (event.key === 'Enter' && !props.bare) event.preventDefault();
      props.onKeyDown?.(event);
    } else {
      props.onKeyDown?.(event);
    }
  };
  return (
    <span className={`lookup ${props.bare ? 'lookup-bare' : ''}`}>
      <input
        ref={input}
        id={props.id}
        role="combobox"
        aria-label={props.label}
        aria-autocomplete="list"
        aria-expanded={open && choices.length > 0}
        aria-controls={open && choices.length > 0 ? listId : undefined}
        aria-activedescendant={active >= 0 && open ? `${listId}-${String(active)}` : undefined}
        aria-invalid={props.invalid ?? undefined}
        aria-describedby={props.describedBy}
        className="input"
        autoComplete="off"
        spellCheck={false}
        disabled={props.disabled}
        placeholder={props.placeholder}
        autoFocus={props.autoFocus}
        value={props.value}
        onChange={(event) => {
          props.onChange(event.target.value);
          setTyped(event.target.value);
          setOpen(true);
          setActive(-1);
        }}
        onClick={() => {
          if (props.bare) return;
          setTyped('');
          setOpen(true);
        }}
        onBlur={() => {
          setOpen(false);
          props.onBlur?.();
        }}
        onKeyDown={keyDown}
      />
      {open && choices.length > 0 && (
        <ul id={listId} role="listbox" aria-label={t('common.choices')} className="lookup-list">
          {choices.map((choice, index) => (
            <li
              key={choice.key}
              id={`${listId}-${String(index)}`}
              role="option"
              aria-selected={index === active}
              onPointerDown={(event) => {
                event.preventDefault();
                choose(choice);
              }}
            >
              <b>{choice.key}</b> {choice.text}
            </li>
          ))}
        </ul>
      )}
    </span>
  );
}
