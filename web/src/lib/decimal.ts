/**
 * Exact decimals as the API has them: strings with at most 15 digits before and 5 after the point.
 * Calculations use integers; no amount ever becomes a binary float.
 */

/** An exact decimal: `-?\d+(\.\d+)?`. */
export type Decimal = string;

interface Scaled {
  units: bigint;
  scale: number;
}

const PATTERN = /^-?\d+(\.\d+)?$/;

export function isDecimal(text: string): boolean {
  return PATTERN.test(text);
}

function parse(text: Decimal): Scaled {
  const [whole = '0', fraction = ''] = text.split('.');
  return { units: BigInt(whole + fraction), scale: fraction.length };
}

function print({ units, scale }: Scaled): Decimal {
  const sign = units < 0n ? '-' : '';
  const digits = (units < 0n ? -units : units).toString().padStart(scale + 1, '0');
  const whole = digits.slice(0, digits.length - scale);
  const fraction = digits.slice(digits.length - scale).replace(/0+$/, '');
  return sign + whole + (fraction && `.${fraction}`);
}

function aligned(a: Decimal, b: Decimal): [bigint, bigint, number] {
  const x = parse(a);
  const y = parse(b);
  const scale = Math.max(x.scale, y.scale);
  const lift = ({ units, scale: own }: Scaled) => units * 10n ** BigInt(scale - own);
  return [lift(x), lift(y), scale];
}

/** Returns a negative number, zero or a positive number, as `sort` expects it. */
export function compare(a: Decimal, b: Decimal): number {
  const [x, y] = aligned(a, b);
  return x < y ? -1 : x > y ? 1 : 0;
}

export function add(a: Decimal, b: Decimal): Decimal {
  const [x, y, scale] = aligned(a, b);
  return print({ units: x + y, scale });
}

export function subtract(a: Decimal, b: Decimal): Decimal {
  const [x, y, scale] = aligned(a, b);
  return print({ units: x - y, scale });
}

export function multiply(a: Decimal, b: Decimal): Decimal {
  const x = parse(a);
  const y = parse(b);
  return print({ units: x.units * y.units, scale: x.scale + y.scale });
}

/** Divides and rounds half away from zero; `null` for a zero divisor. */
export function divide(a: Decimal, b: Decimal, places: number): Decimal | null {
  const [x, y] = aligned(a, b);
  if (y === 0n) return null;
  const raised = x * 10n ** BigInt(places) * 2n;
  const negative = raised < 0n !== y < 0n;
  const magnitude = (value: bigint) => (value < 0n ? -value : value);
  const units = (magnitude(raised) / magnitude(y) + 1n) / 2n;
  return print({ units: negative ? -units : units, scale: places });
}

/** Returns the change from `before` to `after` in percent with one decimal. */
export function changePercent(before: Decimal, after: Decimal): Decimal | null {
  return divide(multiply(subtract(after, before), '100'), before, 1);
}

/** Returns the margin of a price over a cost, in percent of the price with one decimal. */
export function marginPercent(price: Decimal, cost: Decimal): Decimal | null {
  return divide(multiply(subtract(price, cost), '100'), price, 1);
}

/** Returns the price without the tax that it includes. */
export function withoutTax(price: Decimal, taxPercent: Decimal): Decimal {
  return divide(multiply(price, '100'), add('100', taxPercent), 5) ?? price;
}

/** A rough number for geometry and colours only, never for an amount that is shown. */
export function approximate(value: Decimal): number {
  return Number.parseFloat(value);
}
