import type { TextKey } from '../lib/i18n.ts';
import type { Scope } from '@kampanje/client';

/** A page of the setup. */
export interface SetupPage {
  id: string;
  title: TextKey;
  /** The scope without which the page shows nothing. */
  scope: Scope;
}

export const SETUP_PAGES: SetupPage[] = [
  { id: 'settings', title: 'setup.settings', scope: 'catalog:read' },
  { id: 'campaign-statuses', title: 'setup.statuses', scope: 'campaigns:read' },
  { id: 'salespeople', title: 'setup.salespeople', scope: 'catalog:read' },
  { id: 'teams', title: 'setup.teams', scope: 'catalog:read' },
  { id: 'interaction-templates', title: 'setup.templates', scope: 'contacts:read' },
  { id: 'currencies', title: 'setup.currencies', scope: 'catalog:read' },
  { id: 'exchange-rates', title: 'setup.exchangeRates', scope: 'catalog:read' },
  { id: 'imports', title: 'imports.title', scope: 'catalog:read' },
  { id: 'api-keys', title: 'setup.apiKeys', scope: 'admin' },
  { id: 'webhooks', title: 'webhooks.title', scope: 'admin' },
  { id: 'audit-log', title: 'setup.auditLog', scope: 'admin' },
];
