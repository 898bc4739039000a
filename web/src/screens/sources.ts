import { t, tcode } from '../lib/i18n.ts';
import type { PriceQuoteSource } from '@kampanje/client';

/** The name of the place that a price or discount comes from. */
export function sourceName(source: PriceQuoteSource): string {
  const key = source.campaignNumber ?? source.contactNumber ?? source.code;
  const type = tcode('source', source.type);
  return key ? t('source.named', { type, key }) : type;
}
