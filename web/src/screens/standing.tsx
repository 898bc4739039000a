import { useState } from 'react';
import { api, quoted } from '../api.ts';
import { useCan, useSession } from '../app/session.tsx';
import { t, tcode } from '../lib/i18n.ts';
import { Empty, Guard, Lacks, PageHead } from '../ui/basics.tsx';
import { ChoiceField, Labeled } from '../ui/fields.tsx';
import { useAddress } from '../ui/list.tsx';
import { Lookup } from '../ui/lookup.tsx';
import { LinesGrid, type LineKind } from './lines.tsx';

const TYPES: Record<LineKind, string[]> = {
  prices: ['ALL_CUSTOMERS', 'CUSTOMER_PRICE_GROUP', 'CONTACT'],
  discounts: ['ALL_CUSTOMERS', 'CUSTOMER_DISCOUNT_GROUP', 'CONTACT'],
};

/** Prices and discounts that hold without a campaign, by whom they are for. */
export function StandingPrices() {
  const can = useCan();
  const { settings } = useSession();
  const [search, change] = useAddress();
  const kind: LineKind = search.kind === 'discounts' ? 'discounts' : 'prices';
  const type = TYPES[kind].includes(search.for ?? '') ? (search.for ?? '') : 'ALL_CUSTOMERS';
  const key = search.key ?? '';
  const [typed, setTyped] = useState(key);
  const needsKey = type !== 'ALL_CUSTOMERS';
  const keyField = type === 'CONTACT' ? 'contactNumber' : 'code';
  const source = needsKey ? { type, [keyField]: key } : { type };
  const filter =
    `source.type eq '${type}'` + (needsKey ? ` and source.${keyField} eq ${quoted(key)}` : '');
  const choose = (value: string) => {
    const chosen = value.trim().toUpperCase();
    setTyped(chosen);
    change({ key: chosen || undefined });
  };
  return (
    <Guard scope="catalog:read">
      <PageHead title={t('nav.standing')} />
      <Lacks scope="catalog:write" />
      <section className="card">
        <div className="fields">
          <ChoiceField
            label={t('standing.kind')}
            value={kind}
            choices={[
              { value: 'prices', text: t('campaign.prices') },
              { value: 'discounts', text: t('campaign.discounts') },
            ]}
            onSave={(value) =>
              change({
                kind: value === 'prices' ? undefined : value,
                for: undefined,
                key: undefined,
              })
            }
          />
          <ChoiceField
            label={t('standing.for')}
            value={type}
            choices={TYPES[kind].map((value) => ({
              value,
              text: tcode('source', value),
            }))}
            onSave={(value) => {
              setTyped('');
              change({ for: value, key: undefined });
            }}
          />
          {needsKey && (
            <Labeled
              label={tcode('source', type)}
              hint={type === 'CONTACT' ? undefined : t('standing.codeHint')}
            >
              {({ id, describedBy }) =>
                type === 'CONTACT' ? (
                  <Lookup
                    id={id}
                    source="contacts"
                    value={typed}
                    onChange={setTyped}
                    onChoose={choose}
                    onBlur={() => choose(typed)}
                    onKeyDown={(event) => {
                      if (event.key === 'Enter') choose(typed);
                    }}
                  />
                ) : (
                  <input
                    id={id}
                    className="input"
                    aria-describedby={describedBy}
                    value={typed}
                    autoComplete="off"
                    onChange={(event) => setTyped(event.target.value)}
                    onBlur={() => choose(typed)}
                    onKeyDown={(event) => {
                      if (event.key === 'Enter') choose(typed);
                    }}
                  />
                )
              }
            </Labeled>
          )}
        </div>
      </section>
      {needsKey && !key ? (
        <Empty title={t('standing.choose')}>{t('standing.chooseHint')}</Empty>
      ) : (
        <section className="card">
          <p className="muted">{t('standing.immediate')}</p>
          <LinesGrid
            key={`${kind} ${filter}`}
            kind={kind}
            name="standing"
            label={kind === 'prices' ? t('campaign.prices') : t('campaign.discounts')}
            collection={kind === 'prices' ? api.prices : api.discounts}
            filter={filter}
            source={source}
            editable={can('catalog:write')}
            bounds={{
              marginFloor: settings?.marginFloorPercent ?? null,
              maxDiscount: settings?.maxDiscountPercent ?? null,
            }}
            onChanged={() => undefined}
            emptyHint={t('standing.none')}
          />
        </section>
      )}
    </Guard>
  );
}
