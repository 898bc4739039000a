import { Button, MessageBar, MessageBarBody, MessageBarTitle } from '@fluentui/react-components';
import { AddRegular, DeleteRegular } from '@fluentui/react-icons';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useState } from 'react';
import { all, api, type Collection, type Stored } from '../api.ts';
import { useParam } from '../app/params.ts';
import { useCan, useSession } from '../app/session.tsx';
import { addMonths } from '../lib/dates.ts';
import * as format from '../lib/format.ts';
import { t, tcode, type TextKey } from '../lib/i18n.ts';
import type { ApiKey, AuditEntry, Role, Scope, Settings } from '@kampanje/client';
import { Empty, Lacks, Loading } from '../ui/basics.tsx';
import { ActionDialog } from '../ui/dialogs.tsx';
import { CheckField, ChoiceField, EditField, type FieldKind, fieldText } from '../ui/fields.tsx';
import { Grid, type GridColumn } from '../ui/grid.tsx';
import { ListPage } from '../ui/list.tsx';
import { ProblemView } from '../ui/problem.tsx';
import { useRecord } from '../ui/record.tsx';
import { SetupFrame } from '../ui/setup.tsx';
import { DataTable, type Column } from '../ui/table.tsx';

type Row = Stored<{ id: string }>;

interface Field {
  id: string;
  title: TextKey;
  width: number;
  kind?: FieldKind | 'yes';
  codes?: boolean;
}

interface ReferenceTable {
  id: string;
  title: TextKey;
  collection: Collection<{ id: string }>;
  fields: Field[];
  required: string[];
  orderby: string;
  write: Scope;
}

const code: Field = { id: 'code', title: 'setup.code', width: 130, kind: 'key' };
const description: Field = { id: 'description', title: 'campaign.description', width: 240 };

const TABLES: ReferenceTable[] = [
  {
    id: 'campaign-statuses',
    title: 'setup.statuses',
    collection: api.campaignStatuses,
    fields: [
      code,
      description,
      { id: 'sequence', title: 'setup.sequence', width: 100, kind: 'integer' },
      { id: 'allowsActivation', title: 'setup.allowsActivation', width: 150, kind: 'yes' },
      { id: 'isFinal', title: 'setup.isFinal', width: 90, kind: 'yes' },
    ],
    required: ['code', 'sequence'],
    orderby: 'sequence,code',
    write: 'campaigns:write',
  },
  {
    id: 'salespeople',
    title: 'setup.salespeople',
    collection: api.salespeople,
    fields: [
      code,
      { id: 'name', title: 'contact.name', width: 220 },
      { id: 'email', title: 'contact.email', width: 240 },
      { id: 'blocked', title: 'item.blocked', width: 90, kind: 'yes' },
    ],
    required: ['code'],
    orderby: 'code',
    write: 'catalog:write',
  },
  {
    id: 'teams',
    title: 'setup.teams',
    collection: api.teams,
    fields: [
      code,
      { id: 'name', title: 'contact.name', width: 220 },
      { id: 'members', title: 'setup.members', width: 300, codes: true },
    ],
    required: ['code'],
    orderby: 'code',
    write: 'catalog:write',
  },
  {
    id: 'interaction-templates',
    title: 'setup.templates',
    collection: api.templates,
    fields: [
      code,
      description,
      { id: 'cost', title: 'statistics.cost', width: 110, kind: 'decimal' },
      { id: 'durationMinutes', title: 'setup.minutes', width: 110, kind: 'integer' },
    ],
    required: ['code'],
    orderby: 'code',
    write: 'contacts:write',
  },
  {
    id: 'currencies',
    title: 'setup.currencies',
    collection: api.currencies,
    fields: [
      code,
      description,
      { id: 'amountPrecision', title: 'setup.amountPrecision', width: 150, kind: 'decimal' },
      {
        id: 'unitAmountPrecision',
        title: 'setup.unitAmountPrecision',
        width: 170,
        kind: 'decimal',
      },
    ],
    required: ['code'],
    orderby: 'code',
    write: 'catalog:write',
  },
  {
    id: 'exchange-rates',
    title: 'setup.exchangeRates',
    collection: api.exchangeRates,
    fields: [
      { id: 'currencyCode', title: 'setup.code', width: 110, kind: 'key' },
      { id: 'startingDate', title: 'campaign.startingDate', width: 140, kind: 'date' },
      { id: 'rate', title: 'setup.rate', width: 140, kind: 'decimal' },
    ],
    required: ['currencyCode', 'startingDate', 'rate'],
    orderby: 'currencyCode,startingDate desc',
    write: 'catalog:write',
  },
];

/** The pages of the setup that are tables and forms. */
export function Setup() {
  const part = useParam('part') ?? 'settings';
  const table = TABLES.find(({ id }) => id === part);
  return (
    <SetupFrame part={part}>
      {part === 'settings' && <SettingsForm />}
      {part === 'api-keys' && <ApiKeys />}
      {part === 'audit-log' && <AuditLog />}
      {table && <Reference key={table.id} table={table} />}
    </SetupFrame>
  );
}

function SettingsForm() {
  const can = useCan();
  const record = useRecord<Settings>({
    queryKey: ['settings'],
    get: (signal) => api.settings.get(signal),
    update: (patch, etag) => api.settings.update(patch, etag),
  });
  const settings = record.query.data;
  if (!settings) {
    return record.query.isError ? <ProblemView error={record.query.error} /> : <Loading rows={8} />;
  }
  const write = can('admin');
  const text = (field: keyof Settings, nullable = false) => ({
    value: fieldText(settings[field]),
    disabled: !write,
    error: record.errorAt(`/${field}`),
    onSave: (value: string) => {
      if (value || nullable) void record.save({ [field]: value || null });
    },
  });
  const choice = (
    field: 'pricePolicy' | 'guardrailMode' | 'approvalRequired',
    group: string,
    values: string[],
  ) => ({
    value: settings[field] ?? '',
    disabled: !write,
    error: record.errorAt(`/${field}`),
    choices: values.map((value) => ({ value, text: tcode(group, value) })),
    onSave: (value: string) => void record.save({ [field]: value }),
  });
  return (
    <>
      {record.error !== null && !record.hasFieldErrors && <ProblemView error={record.error} />}
      <section className="card">
        <h2>{t('setup.company')}</h2>
        <div className="fields">
          <EditField
            label={t('setup.localCurrency')}
            lookup="currencies"
            {...text('localCurrencyCode')}
          />
          <EditField label={t('setup.timeZone')} {...text('timeZone')} />
        </div>
      </section>
      <section className="card">
        <h2>{t('setup.pricing')}</h2>
        <div className="fields">
          <ChoiceField
            label={t('setup.pricePolicy')}
            hint={tcode('policyHint', settings.pricePolicy)}
            {...choice('pricePolicy', 'policy', ['LOWEST_NET', 'CAMPAIGN_FIRST', 'HIERARCHY'])}
          />
          <ChoiceField
            label={t('campaign.guardrails')}
            {...choice('guardrailMode', 'guardrail', ['OFF', 'WARN', 'BLOCK'])}
          />
          <ChoiceField
            label={t('setup.approvalRequired')}
            hint={t('setup.approvalHint')}
            {...choice('approvalRequired', 'approvalRequired', ['NEVER', 'BREACH', 'ALWAYS'])}
          />
          <EditField
            label={t('campaign.marginFloor')}
            kind="percent"
            {...text('marginFloorPercent', true)}
          />
          <EditField
            label={t('campaign.maxDiscount')}
            kind="percent"
            {...text('maxDiscountPercent', true)}
          />
        </div>
        <p className="checks">
          <CheckField
            label={t('setup.neverAboveList')}
            checked={settings.neverAboveListPrice}
            disabled={!write}
            onSave={(neverAboveListPrice) => void record.save({ neverAboveListPrice })}
          />
        </p>
      </section>
      <section className="card">
        <h2>{t('setup.series')}</h2>
        <div className="fields">
          <EditField label={t('nav.campaigns')} kind="key" {...text('nextCampaignNumber')} />
          <EditField label={t('nav.segments')} kind="key" {...text('nextSegmentNumber')} />
          <EditField label={t('nav.contacts')} kind="key" {...text('nextContactNumber')} />
          <EditField
            label={t('work.opportunities')}
            kind="key"
            {...text('nextOpportunityNumber')}
          />
        </div>
      </section>
      {record.dialog}
    </>
  );
}

const YES = /^(y|yes|j|ja|true|x|1)$/i;

function Reference({ table }: { table: ReferenceTable }) {
  const can = useCan();
  const client = useQueryClient();
  const queryKey = ['setup', table.id];
  const rows = useQuery({
    queryKey,
    queryFn: ({ signal }) =>
      all((query) => table.collection.list(query, signal), { orderby: table.orderby }),
  });
  if (rows.isError) return <ProblemView error={rows.error} retry={() => void rows.refetch()} />;
  if (!rows.data) return <Loading rows={8} />;
  const valueOf = (row: Row, id: string): unknown =>
    (row as unknown as Record<string, unknown>)[id];
  const columns = table.fields.map((field): GridColumn<Row> => ({
    id: field.id,
    title: t(field.title),
    width: field.width,
    kind: field.kind === 'yes' ? 'text' : (field.kind ?? 'text'),
    value: (row) => {
      const value = valueOf(row, field.id);
      if (field.kind === 'yes') return value ? t('common.yes') : '';
      if (Array.isArray(value)) return value.join(', ');
      return typeof value === 'string' ? value : typeof value === 'number' ? String(value) : '';
    },
  }));
  const wire = (id: string, value: string): unknown => {
    const field = table.fields.find((one) => one.id === id);
    if (field?.kind === 'yes') return YES.test(value);
    if (field?.kind === 'integer') return value === '' ? null : Number(value);
    if (field?.codes)
      return value
        .split(/[,;\s]+/)
        .filter(Boolean)
        .map((one) => one.toUpperCase());
    return value;
  };
  const changed = async () => {
    await client.invalidateQueries({ queryKey });
    void client.invalidateQueries({ queryKey: [table.id] });
    void client.invalidateQueries({ queryKey: ['lookup'] });
  };
  return (
    <section className="card">
      <Lacks scope={table.write} />
      {rows.data.length === 0 && <p className="muted">{t('setup.none')}</p>}
      <Grid<Row>
        label={t(table.title)}
        columns={columns}
        rows={rows.data}
        rowKey={(row) => row.id}
        editable={can(table.write)}
        required={table.required}
        onChange={async (row, field, value) => {
          const known =
            client.getQueryData<Row[]>(queryKey)?.find(({ id }) => id === row.id) ?? row;
          await table.collection.update(row.id, { [field]: wire(field, value) }, known.etag);
          await changed();
        }}
        onCreate={async (fields) => {
          const entries = Object.entries(fields).filter(([, value]) => value);
          await table.collection.create(
            Object.fromEntries(entries.map(([field, value]) => [field, wire(field, value)])),
          );
          await changed();
        }}
        onDelete={async (chosen) => {
          for (const row of chosen) await table.collection.remove(row.id, row.etag);
          await changed();
        }}
      />
    </section>
  );
}

const ROLES: Role[] = ['SHOP', 'INTEGRATOR', 'MARKETER', 'PRICING', 'APPROVER', 'ADMIN'];

function ApiKeys() {
  const client = useQueryClient();
  const { today } = useSession();
  const [creating, setCreating] = useState(false);
  const [removing, setRemoving] = useState<Stored<ApiKey> | null>(null);
  const [secret, setSecret] = useState('');
  const [fields, setFields] = useState({
    name: '',
    role: 'PRICING',
    expires: addMonths(today, 12),
    contact: '',
  });
  const set = (field: keyof typeof fields) => (value: string) =>
    setFields((old) => ({ ...old, [field]: value }));
  const keys = useQuery({
    queryKey: ['api-keys'],
    queryFn: ({ signal }) => all((query) => api.apiKeys.list(query, signal), {}, 1000),
  });
  const columns: Column<Stored<ApiKey>>[] = [
    { id: 'name', title: t('contact.name'), cell: (row) => row.name },
    {
      id: 'roles',
      title: t('setup.roles'),
      cell: (row) => row.roles.join(', ') || row.scopes.join(', '),
    },
    {
      id: 'contact',
      title: t('contact.contact'),
      cell: (row) => row.restrictedToContactNumber ?? '',
    },
    {
      id: 'created',
      title: t('setup.created'),
      cell: (row) => `${format.instant(row.createdAt)} · ${row.createdBy}`,
    },
    {
      id: 'expires',
      title: t('setup.expires'),
      cell: (row) => format.instant(row.expiresAt) || t('setup.never'),
    },
    {
      id: 'used',
      title: t('setup.lastUsed'),
      cell: (row) => format.instant(row.lastUsedAt) || t('setup.never'),
    },
    {
      id: 'delete',
      title: '',
      cell: (row) => (
        <Button
          size="small"
          appearance="subtle"
          icon={<DeleteRegular />}
          aria-label={t('setup.revoke', { name: row.name })}
          onClick={() => setRemoving(row)}
        />
      ),
    },
  ];
  return (
    <>
      <Button
        appearance="primary"
        icon={<AddRegular />}
        className="above-list"
        onClick={() => setCreating(true)}
      >
        {t('setup.newKey')}
      </Button>
      {secret && (
        <MessageBar intent="success" layout="multiline" role="status">
          <MessageBarBody>
            <MessageBarTitle>{t('setup.secretTitle')}</MessageBarTitle> {t('setup.secretText')}
            <div>
              <code>{secret}</code>
            </div>
          </MessageBarBody>
        </MessageBar>
      )}
      {keys.isError && <ProblemView error={keys.error} retry={() => void keys.refetch()} />}
      {keys.isPending && <Loading />}
      {keys.data?.length === 0 && <Empty title={t('setup.noKeys')}>{t('setup.noKeysHint')}</Empty>}
      {keys.data && keys.data.length > 0 && (
        <DataTable
          label={t('setup.apiKeys')}
          columns={columns}
          rows={keys.data}
          rowKey={(row) => row.id}
        />
      )}
      <ActionDialog
        open={creating}
        title={t('setup.newKey')}
        action={t('campaigns.create')}
        ready={fields.name !== ''}
        onClose={() => setCreating(false)}
        onAction={async () => {
          const created = await api.apiKeys.issue({
            name: fields.name,
            roles: ROLES.filter((role) => role === fields.role),
            ...(fields.expires && { expiresAt: `${fields.expires}T00:00:00Z` }),
            ...(fields.contact && { restrictedToContactNumber: fields.contact }),
          });
          setSecret(created.secret);
          setCreating(false);
          await client.invalidateQueries({ queryKey: ['api-keys'] });
        }}
      >
        <div className="fields">
          <EditField label={t('contact.name')} value={fields.name} onSave={set('name')} />
          <ChoiceField
            label={t('setup.role')}
            value={fields.role}
            choices={ROLES.map((value) => ({ value, text: value }))}
            hint={tcode('roleHint', fields.role)}
            onSave={set('role')}
          />
          <EditField
            label={t('setup.expires')}
            kind="date"
            value={fields.expires}
            onSave={set('expires')}
          />
          <EditField
            label={t('setup.restricted')}
            lookup="contacts"
            value={fields.contact}
            onSave={set('contact')}
          />
        </div>
      </ActionDialog>
      <ActionDialog
        open={removing !== null}
        title={t('setup.revoke', { name: removing?.name ?? '' })}
        action={t('setup.revokeAction')}
        onClose={() => setRemoving(null)}
        onAction={async () => {
          if (removing) await api.apiKeys.remove(removing.id, removing.etag);
          setRemoving(null);
          await client.invalidateQueries({ queryKey: ['api-keys'] });
        }}
      >
        {t('setup.revokeText')}
      </ActionDialog>
    </>
  );
}

const AUDIT_COLUMNS = (): Column<AuditEntry>[] => [
  {
    id: 'at',
    title: t('audit.at'),
    sort: 'at',
    cell: (row) => <span className="nowrap">{format.second(row.at)}</span>,
    text: (row) => row.at,
  },
  {
    id: 'subject',
    title: t('audit.subject'),
    sort: 'subject',
    cell: (row) => row.subject,
    text: (row) => row.subject,
  },
  {
    id: 'operation',
    title: t('audit.operation'),
    sort: 'operationId',
    cell: (row) => row.operationId,
    text: (row) => row.operationId,
  },
  {
    id: 'path',
    title: t('audit.path'),
    sort: 'path',
    cell: (row) => row.path && <code>{row.path}</code>,
    text: (row) => row.path,
  },
  {
    id: 'status',
    title: t('audit.status'),
    sort: 'status',
    right: true,
    cell: (row) => (row.status === 0 ? '' : row.status),
    text: (row) => String(row.status),
  },
  {
    id: 'version',
    title: t('history.version'),
    sort: 'publicationVersion',
    right: true,
    cell: (row) =>
      row.publicationVersion === null ? (
        ''
      ) : (
        <Link to="/publications/$version" params={{ version: String(row.publicationVersion) }}>
          {row.publicationVersion}
        </Link>
      ),
    text: (row) => String(row.publicationVersion ?? ''),
  },
  {
    id: 'trace',
    title: t('audit.trace'),
    cell: (row) => <code className="trace-id">{row.traceId}</code>,
    text: (row) => row.traceId,
  },
];

/** Who changed what, and who was refused. */
function AuditLog() {
  return (
    <ListPage
      bare
      title={t('setup.auditLog')}
      name="audit-log"
      list={api.auditEntries}
      columns={AUDIT_COLUMNS()}
      rowKey={(row) => row.id}
      searched={{ texts: ['subject', 'operationId', 'path', 'traceId'] }}
      views={[
        { id: 'all', text: t('campaigns.all'), filter: '' },
        { id: 'published', text: t('audit.published'), filter: 'publicationVersion ne null' },
        { id: 'refused', text: t('audit.refused'), filter: 'status eq 403' },
        { id: 'service', text: t('audit.service'), filter: 'status eq 0' },
      ]}
      defaultOrder={{ field: 'at', descending: true }}
      emptyText={t('audit.empty')}
    />
  );
}
