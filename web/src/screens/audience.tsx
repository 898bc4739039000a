import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useState } from 'react';
import { api } from '../api.ts';
import { useParam } from '../app/params.ts';
import { useSession } from '../app/session.tsx';
import * as format from '../lib/format.ts';
import { hasText, t, tcode, tn, useLanguage } from '../lib/i18n.ts';
import type { AudienceAccount } from '@kampanje/client';
import { Empty, Guard, Loading, PageHead } from '../ui/basics.tsx';
import { Bars } from '../ui/charts.tsx';
import { EditField } from '../ui/fields.tsx';
import { ListPage, useAddress } from '../ui/list.tsx';
import { Lookup } from '../ui/lookup.tsx';
import { ProblemView } from '../ui/problem.tsx';
import type { Column } from '../ui/table.tsx';

const columns = (): Column<AudienceAccount>[] => [
  {
    id: 'account',
    title: t('plan.account'),
    sort: 'accountNumber',
    cell: (row) => (
      <Link to="/contacts/$number" params={{ number: row.accountNumber }}>
        {row.accountNumber}
      </Link>
    ),
    text: (row) => row.accountNumber,
  },
  {
    id: 'name',
    title: t('contact.name'),
    cell: (row) => row.name ?? '',
    text: (row) => row.name ?? '',
  },
  {
    id: 'published',
    title: t('audience.published'),
    cell: (row) => (row.published ? t('common.yes') : t('common.no')),
    text: (row) => String(row.published),
  },
  {
    id: 'draft',
    title: t('audience.draft'),
    cell: (row) => (row.inDraft ? t('common.yes') : t('common.no')),
    text: (row) => String(row.inDraft),
  },
  {
    id: 'why',
    title: t('audience.why'),
    cell: (row) => (
      <Link to="." search={{ contact: row.accountNumber }}>
        {t('audience.explain')}
      </Link>
    ),
  },
];

/** Who gets a campaign's prices, and why or why not. */
export function Audience() {
  const number = useParam('number') ?? '';
  const [search, change] = useAddress();
  const [typed, setTyped] = useState<string | null>(null);
  const choose = (key: string) => {
    change({ contact: key.trim().toUpperCase() || undefined });
    setTyped(null);
  };
  return (
    <Guard scope="campaigns:read">
      <PageHead
        title={t('audience.title', { name: number })}
        here={t('audience.here')}
        path={[
          { to: '/campaigns', text: t('nav.campaigns') },
          { to: `/campaigns/${encodeURIComponent(number)}`, text: number },
        ]}
      />
      <div className="with-facts">
        <div className="card-main">
          <section className="card">
            <h2>{t('audience.question')}</h2>
            <div className="add-row">
              <Lookup
                source="contacts"
                label={t('price.contact')}
                placeholder={t('price.contact')}
                value={typed ?? search.contact ?? ''}
                onChange={setTyped}
                onChoose={choose}
                onKeyDown={(event) => {
                  if (event.key === 'Enter' && typed !== null) choose(typed);
                }}
              />
            </div>
            {search.contact && <Why campaign={number} contact={search.contact} />}
          </section>
          <ListPage<AudienceAccount>
            bare
            title={t('audience.accounts')}
            name={`audience-${number}`}
            list={(query, signal) => api.campaigns.audience(number, query, signal)}
            columns={columns()}
            rowKey={(row) => row.accountNumber}
            defaultOrder={{ field: 'accountNumber', descending: false }}
            emptyText={t('campaign.noSegments')}
            emptyHint={t('campaign.noSegmentsHint')}
            counted={(count) => tn('audience.count', count)}
          />
        </div>
        <aside className="facts" aria-label={t('common.facts')}>
          <Funnel number={number} />
        </aside>
      </div>
    </Guard>
  );
}

/** The audience from the contacts on segments to the accounts with prices. */
function Funnel({ number }: { number: string }) {
  const statistics = useQuery({
    queryKey: ['statistics', number],
    queryFn: ({ signal }) => api.campaigns.statistics(number, undefined, signal),
  });
  const counts = useQuery({
    queryKey: [`audience-${number}`, 'counts'],
    queryFn: async ({ signal }) => {
      const count = async (filter?: string) =>
        (
          await api.campaigns.audience(
            number,
            { top: 1, count: true, ...(filter && { filter }) },
            signal,
          )
        ).count ?? 0;
      const [draft, published] = await Promise.all([
        count('inDraft eq true'),
        count('published eq true'),
      ]);
      return { draft, published };
    },
    retry: false,
  });
  const figures = statistics.data;
  if (!figures) return null;
  const steps: [string, number][] = [
    [t('audience.entries'), figures.contactsTargeted],
    [t('audience.contacts'), figures.distinctContactsTargeted],
    ...(counts.data
      ? ([
          [t('audience.draftAccounts'), counts.data.draft],
          [t('audience.publishedAccounts'), counts.data.published],
        ] as [string, number][])
      : []),
    [t('audience.bought'), figures.customersWhoBought],
  ];
  return (
    <section className="card fact-box">
      <h2>{t('audience.funnel')}</h2>
      <Bars
        label={t('audience.funnel')}
        heads={[t('audience.step'), t('audience.number')]}
        bars={steps.map(([label, value]) => ({
          label,
          value,
          shown: format.quantity(value),
        }))}
      />
    </section>
  );
}

function Why({ campaign, contact }: { campaign: string; contact: string }) {
  const language = useLanguage();
  const { today } = useSession();
  const [search, change] = useAddress();
  const membership = useQuery({
    queryKey: [`audience-${campaign}`, 'why', contact],
    queryFn: ({ signal }) => api.campaigns.membership(campaign, contact, signal),
  });
  const item = search.item ?? '';
  const query = {
    contactNumber: contact,
    date: search.date ?? today,
    ...(item && { itemNumber: item }),
  };
  const grant = useQuery({
    queryKey: [`audience-${campaign}`, 'grant', query],
    queryFn: ({ signal }) => api.campaigns.grant(campaign, query, signal),
    placeholderData: (previous) => previous,
  });
  if (membership.isError) return <ProblemView error={membership.error} />;
  if (!membership.data) return <Loading rows={3} />;
  const { data } = membership;
  return (
    <div className="why" aria-live="polite">
      <p className={data.published ? 'tone-good' : 'tone-warn'}>
        <b>
          {data.published
            ? t('audience.isIn', { account: data.accountNumber })
            : t('audience.isOut', { account: data.accountNumber })}
        </b>{' '}
        {data.inDraft !== data.published &&
          (data.inDraft ? t('audience.joins') : t('audience.leaves'))}
      </p>
      <ul className="rows">
        {data.reasons.map((reason) => (
          <li key={reason.lineId}>
            <Link to="/segments/$number" params={{ number: reason.segmentNumber }}>
              {reason.segmentNumber}
            </Link>
            <span>{reason.contactNumber}</span>
            <b>{tcode('audienceVerdict', reason.verdict)}</b>
            {!hasText(`audienceVerdict.${reason.verdict}`) && (
              <span className="muted grow">{reason.detail}</span>
            )}
          </li>
        ))}
      </ul>
      {data.reasons.length === 0 && <Empty title={t('audience.onNoSegment')} />}
      <div className="fields">
        <EditField
          label={t('line.item')}
          lookup="items"
          value={item}
          onSave={(value) => change({ item: value || undefined })}
        />
        <EditField
          label={t('price.date')}
          kind="date"
          value={search.date ?? today}
          onSave={(value) => change({ date: value || undefined })}
        />
      </div>
      {grant.isError && <ProblemView error={grant.error} />}
      {grant.data && (
        <>
          <p>
            <b>{grant.data.granted ? t('audience.granted') : t('audience.notGranted')}</b>{' '}
            {grant.data.winner &&
              t('audience.pays', {
                net: format.money(grant.data.winner.netUnitPrice ?? grant.data.winner.unitPrice),
              })}
          </p>
          <ul className="rows">
            {grant.data.reasons.map((reason) => (
              <li key={reason.code}>
                <b>{tcode('grantReason', reason.code)}</b>
                {(language === 'en' || !hasText(`grantReason.${reason.code}`)) && (
                  <span className="muted grow">{reason.detail}</span>
                )}
              </li>
            ))}
          </ul>
          {item && (
            <p>
              <Link to="/price-check" search={{ contact, item, date: query.date }}>
                {t('nav.priceCheck')}
              </Link>
            </p>
          )}
        </>
      )}
    </div>
  );
}
