import type { Decimal } from './decimal.ts';
import type { IsoDate } from './dates.ts';
import { isDecimal } from './decimal.ts';
import { locale } from './i18n.ts';

/** `format` keeps every digit of a numeric string; the library's types know only numbers. */
interface ExactFormat {
  format(value: string): string;
}

const formats = new Map<string, ExactFormat>();

function exact(min: number, max: number): ExactFormat {
  const key = `${locale()} ${String(min)} ${String(max)}`;
  let format = formats.get(key);
  if (!format) {
    format = new Intl.NumberFormat(locale(), {
      minimumFractionDigits: min,
      maximumFractionDigits: max,
    }) as unknown as ExactFormat;
    formats.set(key, format);
  }
  return format;
}

/** A price or an amount: two decimals at least, and all that it has. */
export function money(value: Decimal | null | undefined): string {
  return value == null ? '' : exact(2, 10).format(value);
}

/** A quantity: as many decimals as it has. */
export function quantity(value: Decimal | number | null | undefined): string {
  return value == null ? '' : exact(0, 10).format(String(value));
}

export function percent(value: Decimal | null | undefined): string {
  return value == null ? '' : `${exact(0, 5).format(value)} %`;
}

/** A percentage with one decimal. */
export function percentOne(value: Decimal | null | undefined): string {
  return value == null ? '' : `${exact(1, 1).format(value)} %`;
}

/** A percentage with one decimal and its sign. */
export function signedPercent(value: Decimal | null | undefined): string {
  if (value == null) return '';
  const shown = exact(1, 1).format(value.replace(/^-/, ''));
  const sign = value.startsWith('-') ? '−' : /^0(\.0*)?$/.test(value) ? '' : '+';
  return `${sign}${shown} %`;
}

export function date(value: IsoDate | null | undefined): string {
  if (!value) return '';
  const options = { timeZone: 'UTC', day: '2-digit', month: '2-digit', year: 'numeric' } as const;
  return new Intl.DateTimeFormat(locale(), options).format(
    new Date(`${value.slice(0, 10)}T00:00Z`),
  );
}

export function month(value: IsoDate, withYear = true): string {
  const options: Intl.DateTimeFormatOptions = { timeZone: 'UTC', month: 'short' };
  if (withYear) options.year = 'numeric';
  return new Intl.DateTimeFormat(locale(), options).format(
    new Date(`${value.slice(0, 7)}-01T00:00Z`),
  );
}

export function instant(value: string | null | undefined): string {
  if (!value) return '';
  const options = { dateStyle: 'short', timeStyle: 'short' } as const;
  return new Intl.DateTimeFormat(locale(), options).format(new Date(value));
}

/** A point in time with its second. */
export function second(value: string): string {
  const options = { dateStyle: 'short', timeStyle: 'medium' } as const;
  return new Intl.DateTimeFormat(locale(), options).format(new Date(value));
}

const UNITS = ['byte', 'kilobyte', 'megabyte', 'gigabyte'] as const;

/** The size of a file. */
export function bytes(value: number): string {
  let size = value;
  let unit = 0;
  while (size >= 1000 && unit < UNITS.length - 1) {
    size /= 1000;
    unit += 1;
  }
  const options: Intl.NumberFormatOptions = {
    style: 'unit',
    unit: UNITS[unit] ?? 'byte',
    unitDisplay: unit === 0 ? 'long' : 'short',
    maximumFractionDigits: unit === 0 || size >= 100 ? 0 : 1,
  };
  return new Intl.NumberFormat(locale(), options).format(size);
}

/** A duration: seconds, or minutes if it is long. */
export function seconds(milliseconds: number): string {
  const value = milliseconds / 1000;
  const [amount, unit] = value < 120 ? [value, 'second'] : [value / 60, 'minute'];
  const options = {
    style: 'unit',
    unit,
    unitDisplay: 'short',
    maximumFractionDigits: value < 10 ? 1 : 0,
  } as const;
  return new Intl.NumberFormat(locale(), options).format(amount);
}

/**
 * Reads a number as people type it: `80,5`, `1 234.50`, `1.234,50`, `12 %`. `undefined` if it is
 * none or ambiguous.
 */
export function readDecimal(text: string): Decimal | undefined {
  let input = text.replace(/[\s\u00a0\u202f'’%]/g, '').replace(/^−/, '-');
  const comma = input.lastIndexOf(',');
  const point = input.lastIndexOf('.');
  if (comma >= 0 && point >= 0) {
    // The later of the two separates decimals.
    const [decimal, group] = comma > point ? [',', '.'] : ['.', ','];
    input = input.split(group).join('').replace(decimal, '.');
  } else if (comma >= 0) {
    const groups = input.split(',').length > 2;
    input = groups ? input.split(',').join('') : input.replace(',', '.');
  }
  const sign = input.startsWith('-') ? '-' : '';
  const digits = input.replace(/^[+-]/, '').replace(/^\./, '0.').replace(/\.$/, '');
  const plain = sign + digits.replace(/^0+(?=\d)/, '');
  if (!isDecimal(plain)) return undefined;
  const [whole = '', fraction = ''] = plain.split('.');
  const short = fraction.replace(/0+$/, '');
  return short ? `${whole}.${short}` : whole;
}
