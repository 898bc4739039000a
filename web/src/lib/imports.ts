/** The files that can be imported, and where their rows belong. */
import type { ImportState, Open, Scope } from '@kampanje/client';
import type { LookupName } from '../ui/lookup.tsx';
import type { TextKey } from './i18n.ts';

/** A collection that takes rows. */
export interface Target {
  /** The path below `/v1`; `{}` is the number of its parent. */
  path: string;
  title: TextKey;
  /** The scope that writes it. */
  scope: Scope;
  parent?: { lookup: LookupName; title: TextKey };
  /** True if its rows never change, so that there is no mode. */
  isAppendOnly?: boolean;
}

const CAMPAIGN = { lookup: 'campaigns', title: 'campaign.campaign' } as const;

/** The collections, those that others refer to first. */
export const TARGETS: Target[] = [
  { path: 'items', title: 'nav.items', scope: 'catalog:write' },
  { path: 'contacts', title: 'nav.contacts', scope: 'contacts:write' },
  { path: 'prices', title: 'imports.prices', scope: 'catalog:write' },
  { path: 'discounts', title: 'imports.discounts', scope: 'catalog:write' },
  { path: 'campaigns', title: 'nav.campaigns', scope: 'campaigns:write' },
  {
    path: 'campaigns/{}/prices',
    title: 'imports.campaignPrices',
    scope: 'campaigns:write',
    parent: CAMPAIGN,
  },
  {
    path: 'campaigns/{}/discounts',
    title: 'imports.campaignDiscounts',
    scope: 'campaigns:write',
    parent: CAMPAIGN,
  },
  {
    path: 'campaigns/{}/golden-quotes',
    title: 'imports.goldenQuotes',
    scope: 'campaigns:write',
    parent: CAMPAIGN,
  },
  { path: 'segments', title: 'nav.segments', scope: 'contacts:write' },
  {
    path: 'segments/{}/lines',
    title: 'imports.segmentLines',
    scope: 'contacts:write',
    parent: { lookup: 'segments', title: 'work.segment' },
  },
  { path: 'saved-criteria', title: 'imports.savedCriteria', scope: 'contacts:write' },
  { path: 'interactions', title: 'contact.interactions', scope: 'contacts:write' },
  { path: 'tasks', title: 'work.tasks', scope: 'campaigns:write' },
  { path: 'activities', title: 'imports.activities', scope: 'campaigns:write' },
  { path: 'opportunities', title: 'work.opportunities', scope: 'campaigns:write' },
  { path: 'sales', title: 'imports.sales', scope: 'sales:write', isAppendOnly: true },
  { path: 'salespeople', title: 'setup.salespeople', scope: 'catalog:write' },
  { path: 'teams', title: 'setup.teams', scope: 'catalog:write' },
  { path: 'campaign-statuses', title: 'setup.statuses', scope: 'campaigns:write' },
  { path: 'interaction-templates', title: 'setup.templates', scope: 'contacts:write' },
  { path: 'currencies', title: 'setup.currencies', scope: 'catalog:write' },
  { path: 'exchange-rates', title: 'setup.exchangeRates', scope: 'catalog:write' },
];

/** Returns the collection of a path, and the number of its parent. */
export function findTarget(resource: string): { target: Target; parent: string } | undefined {
  for (const target of TARGETS) {
    const [before = '', after] = target.path.split('{}');
    if (after === undefined) {
      if (target.path === resource) return { target, parent: '' };
    } else if (resource.startsWith(before) && resource.endsWith(after)) {
      return { target, parent: resource.slice(before.length, -after.length) };
    }
  }
  return undefined;
}

/** Returns the path of a collection of a parent. */
export function resourceOf(target: Target, parent: string): string {
  return target.path.replace('{}', parent);
}

/** The media type of workbooks. */
export const XLSX = 'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet';
const TYPES: Record<string, string> = {
  csv: 'text/csv',
  txt: 'text/csv',
  tsv: 'text/csv',
  ndjson: 'application/x-ndjson',
  jsonl: 'application/x-ndjson',
  xlsx: XLSX,
};

/** The endings of names that file choosers offer. */
export const ACCEPTED = [...Object.keys(TYPES), 'gz'].map((ending) => `.${ending}`).join(',');

/** Returns the media type of a file by its name; `undefined` if it is none of the three formats. */
export function fileType(name: string): { contentType: string; isGzip: boolean } | undefined {
  const parts = name.toLowerCase().split('.');
  const isGzip = parts.at(-1) === 'gz';
  const contentType = TYPES[parts.at(isGzip ? -2 : -1) ?? ''];
  return contentType === undefined ? undefined : { contentType, isGzip };
}

/** Returns whether rows are still being received or written. */
export function isRunning(state: Open<ImportState>): boolean {
  return state === 'RECEIVING' || state === 'RUNNING';
}
