/** Calendar dates, `YYYY-MM-DD`, as the API has them. */

export type IsoDate = string;

const DAY = 86_400_000;

function toDays(date: IsoDate): number {
  return Date.parse(`${date}T00:00:00Z`) / DAY;
}

function fromDays(days: number): IsoDate {
  return new Date(days * DAY).toISOString().slice(0, 10);
}

/** Returns today's date in a time zone. */
export function todayIn(timeZone: string): IsoDate {
  const options = { timeZone, year: 'numeric', month: '2-digit', day: '2-digit' } as const;
  return new Intl.DateTimeFormat('en-CA', options).format(new Date());
}

export function addDays(date: IsoDate, days: number): IsoDate {
  return fromDays(toDays(date) + days);
}

export function addMonths(date: IsoDate, months: number): IsoDate {
  const moved = new Date(`${date.slice(0, 7)}-01T00:00:00Z`);
  moved.setUTCMonth(moved.getUTCMonth() + months);
  const last = new Date(Date.UTC(moved.getUTCFullYear(), moved.getUTCMonth() + 1, 0)).getUTCDate();
  moved.setUTCDate(Math.min(Number(date.slice(8)), last));
  return moved.toISOString().slice(0, 10);
}

export function daysBetween(from: IsoDate, to: IsoDate): number {
  return toDays(to) - toDays(from);
}

export function startOfMonth(date: IsoDate): IsoDate {
  return `${date.slice(0, 7)}-01`;
}

function valid(year: number, month: number, day: number): IsoDate | null {
  const date = new Date(Date.UTC(year, month - 1, day));
  const same = date.getUTCMonth() === month - 1 && date.getUTCDate() === day;
  return same ? date.toISOString().slice(0, 10) : null;
}

/**
 * Reads a date as people type it: `15/05/2026`, `15.5.26`, `1505`, `150526`, `2026-05-15`, `t` for
 * today, `+2w`, `-3d`, `+1m`, `+1y`. Day comes before month. `undefined` if it is none.
 */
export function readDate(text: string, today: IsoDate): IsoDate | undefined {
  const input = text.trim().toLowerCase();
  if (/^(t|today|i dag|d)$/.test(input)) return today;
  const relative = /^([+-]\d{1,4})\s*([dwumyå]?)$/.exec(input);
  if (relative) {
    const amount = Number(relative[1]);
    const unit = relative[2] ?? 'd';
    if (unit === 'w' || unit === 'u') return addDays(today, amount * 7);
    if (unit === 'm') return addMonths(today, amount);
    if (unit === 'y' || unit === 'å') return addMonths(today, amount * 12);
    return addDays(today, amount);
  }
  const iso = /^(\d{4})-(\d{1,2})-(\d{1,2})$/.exec(input);
  if (iso) return valid(Number(iso[1]), Number(iso[2]), Number(iso[3])) ?? undefined;
  const parts =
    /^(\d{1,2})[./\s-](\d{1,2})(?:[./\s-](\d{2}|\d{4}))?\.?$/.exec(input) ??
    /^(\d{2})(\d{2})(\d{2}|\d{4})?$/.exec(input);
  if (!parts) return undefined;
  const given = parts[3];
  const year = given === undefined ? Number(today.slice(0, 4)) : Number(given);
  const full = year < 100 ? 2000 + year : year;
  return valid(full, Number(parts[2]), Number(parts[1])) ?? undefined;
}
