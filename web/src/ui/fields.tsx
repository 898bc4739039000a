import { useId, useState, type ReactNode } from 'react';
import { useSession } from '../app/session.tsx';
import { readDate } from '../lib/dates.ts';
import * as format from '../lib/format.ts';
import { t } from '../lib/i18n.ts';
import { Lookup, type LookupName } from './lookup.tsx';

export type FieldKind = 'text' | 'key' | 'date' | 'decimal' | 'money' | 'percent' | 'integer';

/** Returns whether a kind is a number, which is aligned to the right. */
export function isNumeric(kind: FieldKind): boolean {
  return kind === 'decimal' || kind === 'money' || kind === 'percent' || kind === 'integer';
}

/** Returns the text of a value while it is edited and shown. */
export function shown(kind: FieldKind, value: string): string {
  if (!value) return '';
  if (kind === 'date') return format.date(value);
  if (kind === 'money') return format.money(value);
  if (kind === 'decimal' || kind === 'percent') return format.quantity(value);
  return value;
}

/** Returns the text of a field of a resource; empty if it has none. */
export function fieldText(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : '';
}

/** Reads what was typed: the value, or the reason why it is none. */
export function read(
  kind: FieldKind,
  text: string,
  today: string,
): { value: string } | { error: string } {
  const trimmed = text.trim();
  if (!trimmed) return { value: '' };
  if (kind === 'date') {
    const date = readDate(trimmed, today);
    return date ? { value: date } : { error: t('field.badDate', { example: format.date(today) }) };
  }
  if (kind === 'decimal' || kind === 'money' || kind === 'percent') {
    const number = format.readDecimal(trimmed);
    return number === undefined
      ? { error: t('field.badNumber', { example: format.money('1234.5') }) }
      : { value: number };
  }
  if (kind === 'integer') {
    return /^\d{1,9}$/.test(trimmed) ? { value: trimmed } : { error: t('field.badInteger') };
  }
  return { value: kind === 'key' ? trimmed.toUpperCase() : trimmed };
}

/** A label above a control, with its hint or error below. */
export function Labeled(props: {
  label: string;
  hint?: ReactNode;
  error?: string | undefined;
  children: (ids: { id: string; describedBy: string | undefined }) => ReactNode;
}) {
  const id = useId();
  const message = props.error ?? props.hint;
  return (
    <div className="field">
      <label htmlFor={id}>{props.label}</label>
      {props.children({ id, describedBy: message ? `${id}-m` : undefined })}
      {message && (
        <div
          id={`${id}-m`}
          className={props.error ? 'field-error' : 'field-hint'}
          aria-live="polite"
        >
          {message}
        </div>
      )}
    </div>
  );
}

interface EditFieldProps {
  label: string;
  value: string;
  kind?: FieldKind;
  /** Called with the new value when the field is left or Enter is pressed. */
  onSave: (value: string) => void;
  lookup?: LookupName;
  disabled?: boolean | undefined;
  error?: string | undefined;
  hint?: ReactNode;
  placeholder?: string;
  required?: boolean;
  maxLength?: number;
}

/** A field that hands its value over when it is left. */
export function EditField(props: EditFieldProps) {
  const { today } = useSession();
  const kind = props.kind ?? (props.lookup ? 'key' : 'text');
  const [text, setText] = useState<string | null>(null);
  const [wrong, setWrong] = useState<string>();
  const commit = (given?: string) => {
    const entered = given ?? text;
    if (entered === null) return;
    const result = read(kind, entered, today);
    if ('error' in result) {
      setWrong(result.error);
      return;
    }
    setWrong(undefined);
    setText(null);
    if (result.value !== props.value) props.onSave(result.value);
  };
  const value = text ?? shown(kind, props.value);
  const right = isNumeric(kind);
  return (
    <Labeled label={props.label} hint={props.hint} error={wrong ?? props.error}>
      {({ id, describedBy }) =>
        props.lookup && !props.disabled ? (
          <Lookup
            id={id}
            source={props.lookup}
            value={value}
            describedBy={describedBy}
            invalid={!!(wrong ?? props.error)}
            onChange={setText}
            onChoose={(key) => commit(key)}
            onBlur={() => commit()}
            onKeyDown={(event) => {
              if (event.key === 'Enter') commit();
            }}
          />
        ) : (
          <input
            id={id}
            className={`input ${right ? 'right' : ''}`}
            value={value}
            placeholder={props.placeholder}
            readOnly={props.disabled}
            required={props.required}
            maxLength={props.maxLength}
            aria-invalid={!!(wrong ?? props.error)}
            aria-describedby={describedBy}
            autoComplete="off"
            onChange={(event) => setText(event.target.value)}
            onBlur={() => commit()}
            onKeyDown={(event) => {
              if (event.key === 'Enter') commit();
              if (event.key === 'Escape') {
                setText(null);
                setWrong(undefined);
              }
            }}
          />
        )
      }
    </Labeled>
  );
}

/** A choice of a few. */
export function ChoiceField(props: {
  label: string;
  value: string;
  choices: { value: string; text: string }[];
  onSave: (value: string) => void;
  disabled?: boolean | undefined;
  hint?: ReactNode;
  error?: string | undefined;
}) {
  return (
    <Labeled label={props.label} hint={props.hint} error={props.error}>
      {({ id, describedBy }) => (
        <select
          id={id}
          className="input"
          value={props.value}
          disabled={props.disabled}
          aria-describedby={describedBy}
          onChange={(event) => props.onSave(event.target.value)}
        >
          {props.choices.map(({ value, text }) => (
            <option key={value} value={value}>
              {text}
            </option>
          ))}
        </select>
      )}
    </Labeled>
  );
}

/** Yes or no. */
export function CheckField(props: {
  label: string;
  checked: boolean;
  onSave: (checked: boolean) => void;
  disabled?: boolean | undefined;
}) {
  return (
    <label className="check">
      <input
        type="checkbox"
        checked={props.checked}
        disabled={props.disabled}
        onChange={(event) => props.onSave(event.target.checked)}
      />{' '}
      {props.label}
    </label>
  );
}
