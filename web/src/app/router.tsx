import {
  createRootRoute,
  createRoute,
  createRouter,
  lazyRouteComponent,
  type ErrorComponentProps,
  type RouteComponent,
} from '@tanstack/react-router';
import { Button } from '@fluentui/react-components';
import { t } from '../lib/i18n.ts';
import { Empty, Loading, PageHead } from '../ui/basics.tsx';
import type { Search } from '../ui/list.tsx';
import { Shell } from './shell.tsx';

function NotFound() {
  return (
    <>
      <PageHead title={t('error.noPage')} />
      <Empty title={t('error.noPageText')} />
    </>
  );
}

function Failed({ error, reset }: ErrorComponentProps) {
  return (
    <Empty title={t('error.unexpected')}>
      <p>{error instanceof Error ? error.message : String(error)}</p>
      <Button onClick={reset}>{t('common.retry')}</Button>
    </Empty>
  );
}

const root = createRootRoute({
  component: Shell,
  notFoundComponent: NotFound,
  validateSearch: (search: Search) => search,
});

const page = (path: string, component: RouteComponent) =>
  createRoute({ getParentRoute: () => root, path, component });

const publications = () => import('../screens/publications.tsx');
const items = () => import('../screens/items.tsx');
const contacts = () => import('../screens/contacts.tsx');
const setup = () => import('../screens/setup.tsx');
const imports = () => import('../screens/imports.tsx');
const webhooks = () => import('../screens/webhooks.tsx');

export const routes = [
  page(
    '/',
    lazyRouteComponent(() => import('../screens/home.tsx'), 'Home'),
  ),
  page(
    '/campaigns',
    lazyRouteComponent(() => import('../screens/campaigns.tsx'), 'Campaigns'),
  ),
  page(
    '/campaigns/$number',
    lazyRouteComponent(() => import('../screens/campaign.tsx'), 'CampaignCard'),
  ),
  page(
    '/campaigns/$number/activation',
    lazyRouteComponent(() => import('../screens/activation.tsx'), 'Activation'),
  ),
  page(
    '/campaigns/$number/audience',
    lazyRouteComponent(() => import('../screens/audience.tsx'), 'Audience'),
  ),
  page(
    '/calendar',
    lazyRouteComponent(() => import('../screens/calendar.tsx'), 'Calendar'),
  ),
  page(
    '/conflicts',
    lazyRouteComponent(() => import('../screens/conflicts.tsx'), 'Conflicts'),
  ),
  page(
    '/approvals',
    lazyRouteComponent(() => import('../screens/approvals.tsx'), 'Approvals'),
  ),
  page(
    '/segments',
    lazyRouteComponent(() => import('../screens/segments.tsx'), 'Segments'),
  ),
  page(
    '/segments/$number',
    lazyRouteComponent(() => import('../screens/segment.tsx'), 'SegmentCard'),
  ),
  page(
    '/work',
    lazyRouteComponent(() => import('../screens/work.tsx'), 'Work'),
  ),
  page(
    '/price-check',
    lazyRouteComponent(() => import('../screens/price-check.tsx'), 'PriceCheck'),
  ),
  page(
    '/price-lists',
    lazyRouteComponent(() => import('../screens/price-list.tsx'), 'PriceList'),
  ),
  page('/publications', lazyRouteComponent(publications, 'Publications')),
  page('/publications/compare', lazyRouteComponent(publications, 'ComparePublications')),
  page('/publications/$version', lazyRouteComponent(publications, 'PublicationCard')),
  page(
    '/statistics',
    lazyRouteComponent(() => import('../screens/statistics.tsx'), 'Statistics'),
  ),
  page(
    '/standing-prices',
    lazyRouteComponent(() => import('../screens/standing.tsx'), 'StandingPrices'),
  ),
  page('/items', lazyRouteComponent(items, 'Items')),
  page('/items/$number', lazyRouteComponent(items, 'ItemCard')),
  page('/contacts', lazyRouteComponent(contacts, 'Contacts')),
  page('/contacts/$number', lazyRouteComponent(contacts, 'ContactCard')),
  page('/setup', lazyRouteComponent(setup, 'Setup')),
  page('/setup/imports', lazyRouteComponent(imports, 'Imports')),
  page('/setup/imports/$id', lazyRouteComponent(imports, 'ImportCard')),
  page('/setup/webhooks', lazyRouteComponent(webhooks, 'Webhooks')),
  page('/setup/webhooks/$id', lazyRouteComponent(webhooks, 'WebhookCard')),
  page('/setup/$part', lazyRouteComponent(setup, 'Setup')),
];

/** Keeps parameters as they are written: links from ERP systems contain plain texts. */
function parseSearch(search: string): Search {
  return Object.fromEntries(new URLSearchParams(search));
}

function stringifySearch(search: Record<string, unknown>): string {
  const entries = Object.entries(search).filter(
    (entry): entry is [string, string] => typeof entry[1] === 'string' && entry[1] !== '',
  );
  const text = new URLSearchParams(entries).toString();
  return text && `?${text}`;
}

export const router = createRouter({
  routeTree: root.addChildren(routes),
  basepath: '/desk',
  parseSearch,
  stringifySearch,
  defaultPendingComponent: Loading,
  defaultErrorComponent: Failed,
  defaultPreload: 'intent',
  scrollRestoration: true,
});
