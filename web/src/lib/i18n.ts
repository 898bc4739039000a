import { useSyncExternalStore } from 'react';
import { en, type TextKey } from '../texts/en.ts';
import { nb } from '../texts/nb.ts';

export type Language = 'en' | 'nb';
export type { TextKey };
export type Params = Record<string, string | number>;

const TEXTS: Record<Language, Record<TextKey, string>> = { en, nb };
const LOCALES: Record<Language, string> = { en: 'en-GB', nb: 'nb-NO' };
const STORED = 'kampanje.language';

let language: Language = initial();
const listeners = new Set<() => void>();
document.documentElement.lang = language;

function initial(): Language {
  const stored = localStorage.getItem(STORED);
  if (stored === 'en' || stored === 'nb') return stored;
  return /^(nb|nn|no)\b/i.test(navigator.language) ? 'nb' : 'en';
}

export function setLanguage(chosen: Language): void {
  language = chosen;
  localStorage.setItem(STORED, chosen);
  document.documentElement.lang = chosen;
  listeners.forEach((listener) => listener());
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Makes a component render again when the language changes. */
export function useLanguage(): Language {
  return useSyncExternalStore(subscribe, () => language);
}

/** The locale for dates and numbers. */
export function locale(): string {
  return LOCALES[language];
}

/** Returns a text with its parameters: `{name}` is replaced. */
export function t(key: TextKey, params: Params = {}): string {
  const text = TEXTS[language][key];
  return text.replace(/\{(\w+)\}/g, (all, name: string) =>
    name in params ? String(params[name]) : all,
  );
}

type Counted = { [K in TextKey]: K extends `${infer Base}.one` ? Base : never }[TextKey];

/** Returns the singular or the plural of a text with its number. */
export function tn(key: Counted, count: number, params: Params = {}): string {
  const form = new Intl.PluralRules(locale()).select(count) === 'one' ? 'one' : 'other';
  const shown = new Intl.NumberFormat(locale()).format(count);
  return t(`${key}.${form}`, { count: shown, ...params });
}

export function hasText(key: string): key is TextKey {
  return key in en;
}

/** Returns the text of a code, or the code itself if it has none: enumerations may gain values. */
export function tcode(group: string, code: string): string {
  const key = `${group}.${code}`;
  return hasText(key) ? t(key) : code;
}
