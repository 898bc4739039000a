import {
  BoxRegular,
  CalendarRegular,
  ClipboardTaskListLtrRegular,
  DataTrendingRegular,
  DocumentTableRegular,
  GridDotsRegular,
  HistoryRegular,
  HomeRegular,
  MegaphoneRegular,
  MoneyRegular,
  PeopleListRegular,
  PeopleRegular,
  SettingsRegular,
  ShieldCheckmarkRegular,
  TagSearchRegular,
  type FluentIcon,
} from '@fluentui/react-icons';
import type { TextKey } from '../lib/i18n.ts';
import type { Scope } from '@kampanje/client';

/** A page of the navigation. */
export interface PageEntry {
  to: string;
  text: TextKey;
  icon: FluentIcon;
  /** The scope without which the page shows nothing. */
  scope: Scope;
  group: TextKey;
}

export const PAGES: PageEntry[] = [
  { to: '/', text: 'nav.home', icon: HomeRegular, scope: 'campaigns:read', group: 'group.plan' },
  {
    to: '/campaigns',
    text: 'nav.campaigns',
    icon: MegaphoneRegular,
    scope: 'campaigns:read',
    group: 'group.plan',
  },
  {
    to: '/calendar',
    text: 'nav.calendar',
    icon: CalendarRegular,
    scope: 'campaigns:read',
    group: 'group.plan',
  },
  {
    to: '/conflicts',
    text: 'nav.conflicts',
    icon: GridDotsRegular,
    scope: 'campaigns:activate',
    group: 'group.plan',
  },
  {
    to: '/approvals',
    text: 'nav.approvals',
    icon: ShieldCheckmarkRegular,
    scope: 'campaigns:read',
    group: 'group.plan',
  },
  {
    to: '/segments',
    text: 'nav.segments',
    icon: PeopleListRegular,
    scope: 'contacts:read',
    group: 'group.plan',
  },
  {
    to: '/work',
    text: 'nav.work',
    icon: ClipboardTaskListLtrRegular,
    scope: 'campaigns:read',
    group: 'group.plan',
  },
  {
    to: '/price-check',
    text: 'nav.priceCheck',
    icon: TagSearchRegular,
    scope: 'quotes:read',
    group: 'group.prices',
  },
  {
    to: '/price-lists',
    text: 'nav.priceLists',
    icon: DocumentTableRegular,
    scope: 'quotes:read',
    group: 'group.prices',
  },
  {
    to: '/publications',
    text: 'nav.publications',
    icon: HistoryRegular,
    scope: 'book:read',
    group: 'group.prices',
  },
  {
    to: '/statistics',
    text: 'nav.statistics',
    icon: DataTrendingRegular,
    scope: 'campaigns:read',
    group: 'group.prices',
  },
  {
    to: '/standing-prices',
    text: 'nav.standing',
    icon: MoneyRegular,
    scope: 'catalog:read',
    group: 'group.data',
  },
  {
    to: '/items',
    text: 'nav.items',
    icon: BoxRegular,
    scope: 'catalog:read',
    group: 'group.data',
  },
  {
    to: '/contacts',
    text: 'nav.contacts',
    icon: PeopleRegular,
    scope: 'contacts:read',
    group: 'group.data',
  },
  {
    to: '/setup',
    text: 'nav.setup',
    icon: SettingsRegular,
    scope: 'catalog:read',
    group: 'group.data',
  },
];
