import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { api, quoted } from '../api.ts';
import { useParam } from '../app/params.ts';
import { useCan } from '../app/session.tsx';
import * as format from '../lib/format.ts';
import { t, tcode, tn } from '../lib/i18n.ts';
import type { Contact } from '@kampanje/client';
import { Empty, Fact, FactBox, FastTab, Guard, Lacks, Loading, PageHead } from '../ui/basics.tsx';
import { CheckField, EditField, fieldText } from '../ui/fields.tsx';
import { ListPage } from '../ui/list.tsx';
import { ProblemView } from '../ui/problem.tsx';
import { useRecord } from '../ui/record.tsx';
import type { Column } from '../ui/table.tsx';

const columns = (): Column<Contact>[] => [
  {
    id: 'number',
    title: t('campaign.number'),
    sort: 'number',
    cell: (row) => (
      <Link to="/contacts/$number" params={{ number: row.number }}>
        {row.number}
      </Link>
    ),
    text: (row) => row.number,
  },
  {
    id: 'name',
    title: t('contact.name'),
    sort: 'name',
    cell: (row) => row.name,
    text: (row) => row.name,
  },
  {
    id: 'type',
    title: t('campaign.type'),
    sort: 'type',
    cell: (row) => tcode('contactType', row.type),
    text: (row) => row.type,
  },
  {
    id: 'company',
    title: t('contact.company'),
    sort: 'companyNumber',
    cell: (row) => row.companyNumber ?? '',
    text: (row) => row.companyNumber ?? '',
  },
  {
    id: 'city',
    title: t('contact.city'),
    sort: 'city',
    cell: (row) => row.city,
    text: (row) => row.city,
  },
  {
    id: 'customer',
    title: t('contact.customer'),
    sort: 'customer.number',
    cell: (row) => row.customer?.number ?? '',
    text: (row) => row.customer?.number ?? '',
  },
  {
    id: 'priceGroup',
    title: t('contact.priceGroup'),
    sort: 'customer.priceGroupCode',
    cell: (row) => row.customer?.priceGroupCode ?? '',
    text: (row) => row.customer?.priceGroupCode ?? '',
  },
  {
    id: 'discountGroup',
    title: t('contact.discountGroup'),
    sort: 'customer.discountGroupCode',
    cell: (row) => row.customer?.discountGroupCode ?? '',
    text: (row) => row.customer?.discountGroupCode ?? '',
  },
  {
    id: 'note',
    title: t('contact.note'),
    cell: (row) => {
      const note = row.privacyBlocked
        ? t('contact.privacyBlocked')
        : row.excludeFromSegments
          ? t('contact.excluded')
          : '';
      return note && <span className="tone-warn">{note}</span>;
    },
  },
];

export function Contacts() {
  return (
    <Guard scope="contacts:read">
      <ListPage
        title={t('nav.contacts')}
        name="contacts"
        list={api.contacts.list}
        columns={columns()}
        rowKey={(row) => row.id}
        searched={{ key: 'number', texts: ['name'] }}
        views={[
          { id: 'all', text: t('campaigns.all'), filter: '' },
          {
            id: 'customers',
            text: t('contact.customers'),
            filter: 'customer.number ne null',
          },
          { id: 'companies', text: t('contact.companies'), filter: "type eq 'COMPANY'" },
          { id: 'persons', text: t('contact.persons'), filter: "type eq 'PERSON'" },
          {
            id: 'blocked',
            text: t('contact.privacyBlocked'),
            filter: 'privacyBlocked eq true',
          },
        ]}
        defaultOrder={{ field: 'number', descending: false }}
        emptyText={t('contact.none')}
        emptyHint={t('contact.noneHint')}
        counted={(count) => tn('contact.count', count)}
      />
    </Guard>
  );
}

export function ContactCard() {
  const number = useParam('number') ?? '';
  return (
    <Guard scope="contacts:read">
      <Card key={number} number={number} />
    </Guard>
  );
}

const MAX_RELATED = 20;

function Card({ number }: { number: string }) {
  const can = useCan();
  const record = useRecord<Contact>({
    queryKey: ['contacts', 'card', number],
    get: (signal) => api.contacts.get(number, signal),
    update: (patch, etag) => api.contacts.update(number, patch, etag),
  });
  const contact = record.query.data;
  const persons = useQuery({
    queryKey: ['contacts', 'of', number],
    queryFn: ({ signal }) =>
      api.contacts.list({ filter: `companyNumber eq ${quoted(number)}`, top: MAX_RELATED }, signal),
    enabled: contact?.type === 'COMPANY',
  });
  const interactions = useQuery({
    queryKey: ['interactions', 'of', number],
    queryFn: ({ signal }) =>
      api.interactions.list(
        {
          filter: `contactNumber eq ${quoted(number)}`,
          orderby: 'date desc',
          top: MAX_RELATED,
        },
        signal,
      ),
  });
  const path = [{ to: '/contacts', text: t('nav.contacts') }];
  if (!contact) {
    return (
      <>
        <PageHead title={number} path={path} />
        {record.query.isError ? (
          <ProblemView error={record.query.error} retry={() => void record.query.refetch()} />
        ) : (
          <Loading rows={8} />
        )}
      </>
    );
  }
  const write = can('contacts:write');
  const text = (field: keyof Contact, blank: '' | null = '') => ({
    value: fieldText(contact[field]),
    disabled: !write,
    error: record.errorAt(`/${field}`),
    onSave: (value: string) => void record.save({ [field]: value || blank }),
  });
  const customer = contact.customer;
  const codes = (values: string[]) => values.join(', ') || '–';
  return (
    <>
      <PageHead title={contact.name} here={contact.number} path={path} />
      <Lacks scope="contacts:write" />
      {record.error !== null && !record.hasFieldErrors && <ProblemView error={record.error} />}
      <div className="with-facts">
        <div className="card-main">
          <FastTab title={t('campaign.general')}>
            <div className="fields">
              <EditField label={t('contact.name')} maxLength={100} {...text('name')} />
              {contact.type === 'PERSON' && (
                <EditField
                  label={t('contact.company')}
                  lookup="contacts"
                  {...text('companyNumber', null)}
                />
              )}
              <EditField label={t('contact.address')} {...text('address')} />
              <EditField label={t('contact.postCode')} {...text('postCode')} />
              <EditField label={t('contact.city')} {...text('city')} />
              <EditField label={t('contact.phone')} {...text('phone')} />
              <EditField label={t('contact.email')} {...text('email')} />
              <EditField
                label={t('campaign.salesperson')}
                lookup="salespeople"
                {...text('salespersonCode', null)}
              />
              <EditField
                label={t('contact.currency')}
                lookup="currencies"
                {...text('currencyCode', null)}
              />
            </div>
            <p className="checks">
              <CheckField
                label={t('contact.excluded')}
                checked={contact.excludeFromSegments}
                disabled={!write}
                onSave={(excludeFromSegments) => void record.save({ excludeFromSegments })}
              />
              <CheckField
                label={t('contact.privacyBlocked')}
                checked={contact.privacyBlocked}
                disabled={!write}
                onSave={(privacyBlocked) => void record.save({ privacyBlocked })}
              />
            </p>
          </FastTab>
          {contact.type === 'COMPANY' && (
            <FastTab title={t('contact.persons')}>
              {persons.isError && <ProblemView error={persons.error} />}
              {persons.data?.value.length === 0 && <Empty title={t('contact.noPersons')} />}
              <ul className="rows">
                {persons.data?.value.map((person) => (
                  <li key={person.id}>
                    <Link to="/contacts/$number" params={{ number: person.number }}>
                      {person.number}
                    </Link>
                    <span className="grow">{person.name}</span>
                    <span className="muted">{person.email}</span>
                  </li>
                ))}
              </ul>
            </FastTab>
          )}
          <FastTab title={t('contact.interactions')}>
            {interactions.isError && <ProblemView error={interactions.error} />}
            {interactions.data?.value.length === 0 && <Empty title={t('contact.noInteractions')} />}
            <ul className="rows">
              {interactions.data?.value.map((row) => (
                <li key={row.id}>
                  <span>{format.date(row.date)}</span>
                  <span className="grow">{row.description}</span>
                  {row.campaignNumber && (
                    <Link to="/campaigns/$number" params={{ number: row.campaignNumber }}>
                      {row.campaignNumber}
                    </Link>
                  )}
                  {row.campaignResponse && <span className="tone-good">{t('work.response')}</span>}
                </li>
              ))}
            </ul>
          </FastTab>
        </div>
        <aside className="facts" aria-label={t('common.facts')}>
          <FactBox title={t('contact.customer')}>
            {customer ? (
              <>
                <Fact name={t('contact.customer')}>{customer.number}</Fact>
                <Fact name={t('contact.priceGroup')}>{customer.priceGroupCode ?? '–'}</Fact>
                <Fact name={t('contact.discountGroup')}>{customer.discountGroupCode ?? '–'}</Fact>
                <Fact name={t('contact.lineDiscount')}>
                  {customer.allowLineDiscount === false ? t('common.no') : t('common.yes')}
                </Fact>
                <Fact name={t('contact.withTax')}>
                  {customer.pricesIncludeTax ? t('common.yes') : t('common.no')}
                </Fact>
              </>
            ) : (
              <p className="muted">{t('contact.noCustomer')}</p>
            )}
            <p className="page-links">
              <Link to="/price-lists" search={{ contact: contact.number }}>
                {t('nav.priceLists')}
              </Link>
              <Link to="/price-check" search={{ contact: contact.number }}>
                {t('nav.priceCheck')}
              </Link>
            </p>
          </FactBox>
          <FactBox title={t('contact.codes')}>
            <Fact name={t('contact.industries')}>{codes(contact.industryGroups)}</Fact>
            <Fact name={t('contact.mailings')}>{codes(contact.mailingGroups)}</Fact>
            <Fact name={t('contact.relations')}>{codes(contact.businessRelations)}</Fact>
            <Fact name={t('contact.jobs')}>{codes(contact.jobResponsibilities)}</Fact>
          </FactBox>
        </aside>
      </div>
      {record.dialog}
    </>
  );
}
