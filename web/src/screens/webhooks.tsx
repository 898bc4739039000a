import { Button, MessageBar, MessageBarBody, MessageBarTitle } from '@fluentui/react-components';
import {
  AddRegular,
  ArrowClockwiseRegular,
  DeleteRegular,
  KeyResetRegular,
  SendRegular,
} from '@fluentui/react-icons';
import { useQueryClient } from '@tanstack/react-query';
import { Link, useNavigate } from '@tanstack/react-router';
import { useState } from 'react';
import { api, type Stored } from '../api.ts';
import { useParam } from '../app/params.ts';
import * as format from '../lib/format.ts';
import { t, tcode, tn } from '../lib/i18n.ts';
import type { EventType, WebhookDelivery, WebhookSubscription } from '@kampanje/client';
import { Fact, FactBox, Guard, Loading, PageHead } from '../ui/basics.tsx';
import { ActionDialog } from '../ui/dialogs.tsx';
import { CheckField, ChoiceField, EditField } from '../ui/fields.tsx';
import { ListPage } from '../ui/list.tsx';
import { ProblemView, problemText } from '../ui/problem.tsx';
import { useRecord } from '../ui/record.tsx';
import { SetupFrame } from '../ui/setup.tsx';
import type { Column } from '../ui/table.tsx';

/** The types that a subscription can choose; a test is sent whatever it chooses. */
const EVENT_TYPES: EventType[] = [
  'kampanje.publication.created',
  'kampanje.campaign.changed',
  'kampanje.campaign.status-changed',
  'kampanje.campaign.started',
  'kampanje.campaign.ended',
  'kampanje.segment.changed',
  'kampanje.guardrail.violated',
  'kampanje.webhook.disabled',
];

const OVERLAPS = ['86400', '604800', '3600', '0'];

function stateOf(row: WebhookSubscription): { text: string; tone: string } {
  if (row.disabledReason !== null) {
    return { text: tcode('webhookDisabled', row.disabledReason), tone: 'tone-bad' };
  }
  if (!row.enabled) return { text: t('webhooks.disabled'), tone: 'muted' };
  if (row.failingSince !== null) return { text: t('webhooks.failing'), tone: 'tone-warn' };
  return { text: t('webhooks.enabled'), tone: 'tone-good' };
}

function WebhookState({ row }: { row: WebhookSubscription }) {
  const { text, tone } = stateOf(row);
  return <span className={tone}>{text}</span>;
}

const columns = (): Column<WebhookSubscription>[] => [
  {
    id: 'url',
    title: t('webhooks.url'),
    sort: 'url',
    cell: (row) => (
      <Link to="/setup/webhooks/$id" params={{ id: row.id }} className="url">
        {row.url}
      </Link>
    ),
    text: (row) => row.url,
  },
  {
    id: 'description',
    title: t('campaign.description'),
    sort: 'description',
    cell: (row) => row.description,
    text: (row) => row.description,
  },
  {
    id: 'types',
    title: t('webhooks.types'),
    cell: (row) =>
      row.types.length === 0
        ? t('webhooks.allTypes')
        : row.types.map((type) => tcode('eventType', type)).join(', '),
    text: (row) => row.types.join(', '),
  },
  {
    id: 'state',
    title: t('campaign.state'),
    sort: 'enabled',
    cell: (row) => <WebhookState row={row} />,
    text: (row) => row.disabledReason ?? String(row.enabled),
  },
  {
    id: 'failing',
    title: t('webhooks.failingSince'),
    sort: 'failingSince',
    cell: (row) => format.instant(row.failingSince),
    text: (row) => row.failingSince ?? '',
  },
  {
    id: 'created',
    title: t('setup.created'),
    sort: 'createdAt',
    cell: (row) => `${format.instant(row.createdAt)} · ${row.createdBy}`,
    text: (row) => `${row.createdAt} ${row.createdBy}`,
  },
];

/** The secret of a subscription, which the service shows once. */
function Secret({ secret }: { secret: string }) {
  return (
    <MessageBar intent="success" layout="multiline" role="status" className="above-list">
      <MessageBarBody>
        <MessageBarTitle>{t('webhooks.secretTitle')}</MessageBarTitle> {t('webhooks.secretText')}
        <div>
          <code>{secret}</code>
        </div>
      </MessageBarBody>
    </MessageBar>
  );
}

/** Chooses types of events. */
function TypeChoice(props: {
  types: readonly string[];
  disabled?: boolean;
  onSave: (types: EventType[]) => void;
}) {
  return (
    <fieldset className="choice-group">
      <legend>{t('webhooks.types')}</legend>
      <div className="checks">
        {EVENT_TYPES.map((type) => (
          <CheckField
            key={type}
            label={tcode('eventType', type)}
            checked={props.types.includes(type)}
            disabled={props.disabled}
            onSave={(isChosen) =>
              props.onSave(
                EVENT_TYPES.filter((one) => (one === type ? isChosen : props.types.includes(one))),
              )
            }
          />
        ))}
      </div>
      <div className="field-hint">{t('webhooks.typesHint')}</div>
    </fieldset>
  );
}

/** The subscriptions of systems that receive events. */
export function Webhooks() {
  const client = useQueryClient();
  const [creating, setCreating] = useState(false);
  const [secret, setSecret] = useState('');
  const [fields, setFields] = useState({ url: '', description: '' });
  const [types, setTypes] = useState<EventType[]>([]);
  const set = (field: keyof typeof fields) => (value: string) =>
    setFields((old) => ({ ...old, [field]: value }));
  return (
    <SetupFrame
      part="webhooks"
      actions={
        <Button appearance="primary" icon={<AddRegular />} onClick={() => setCreating(true)}>
          {t('webhooks.new')}
        </Button>
      }
    >
      {secret && <Secret secret={secret} />}
      <ListPage
        bare
        title={t('webhooks.title')}
        name="webhooks"
        list={api.webhooks.list}
        columns={columns()}
        rowKey={(row) => row.id}
        searched={{ texts: ['url', 'description'] }}
        views={[
          { id: 'all', text: t('campaigns.all'), filter: '' },
          { id: 'failing', text: t('webhooks.failing'), filter: 'failingSince ne null' },
          { id: 'disabled', text: t('webhooks.disabled'), filter: 'enabled eq false' },
        ]}
        emptyText={t('webhooks.none')}
        emptyHint={t('webhooks.noneHint')}
        counted={(count) => tn('webhooks.count', count)}
      />
      <ActionDialog
        open={creating}
        title={t('webhooks.new')}
        action={t('campaigns.create')}
        ready={fields.url !== ''}
        onClose={() => setCreating(false)}
        onAction={async () => {
          const created = await api.webhooks.create({ ...fields, types });
          setSecret(created.secret);
          setFields({ url: '', description: '' });
          setTypes([]);
          setCreating(false);
          await client.invalidateQueries({ queryKey: ['webhooks'] });
        }}
      >
        <div className="fields">
          <EditField
            label={t('webhooks.url')}
            value={fields.url}
            placeholder="https://shop.example/hooks/kampanje"
            hint={t('webhooks.urlHint')}
            onSave={set('url')}
          />
          <EditField
            label={t('campaign.description')}
            value={fields.description}
            onSave={set('description')}
          />
        </div>
        <TypeChoice types={types} onSave={setTypes} />
      </ActionDialog>
    </SetupFrame>
  );
}

/** A subscription with its deliveries. */
export function WebhookCard() {
  return (
    <Guard scope="admin">
      <Card />
    </Guard>
  );
}

function Card() {
  const id = useParam('id') ?? '';
  const client = useQueryClient();
  const navigate = useNavigate();
  const [secret, setSecret] = useState('');
  const [rotating, setRotating] = useState(false);
  const [overlap, setOverlap] = useState('86400');
  const [removing, setRemoving] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const [message, setMessage] = useState('');
  const record = useRecord<WebhookSubscription>({
    queryKey: ['webhooks', id],
    get: (signal) => api.webhooks.get(id, signal),
    update: (patch, etag) => api.webhooks.update(id, patch, etag),
    onSaved: () => void client.invalidateQueries({ queryKey: ['webhooks', 'list'] }),
  });
  const path = [
    { to: '/setup', text: t('nav.setup') },
    { to: '/setup/webhooks', text: t('webhooks.title') },
  ];
  const row = record.query.data;
  if (!row) {
    return (
      <>
        <PageHead title={t('webhooks.single')} path={path} />
        {record.query.isError ? <ProblemView error={record.query.error} /> : <Loading rows={8} />}
      </>
    );
  }
  const deliveries = [`deliveries-${id}`];
  const test = async () => {
    setError(null);
    setMessage('');
    try {
      await api.webhooks.test(id);
      setMessage(t('webhooks.testSent'));
      await client.invalidateQueries({ queryKey: deliveries });
    } catch (refused) {
      setError(refused);
    }
  };
  const text = (field: 'url' | 'description') => ({
    value: row[field],
    error: record.errorAt(`/${field}`),
    onSave: (value: string) => void record.save({ [field]: value }),
  });
  return (
    <>
      <PageHead
        title={row.description || new URL(row.url).host}
        path={path}
        actions={
          <>
            <span role="status" className="muted">
              {message}
            </span>
            <Button icon={<SendRegular />} disabled={!row.enabled} onClick={() => void test()}>
              {t('webhooks.test')}
            </Button>
            <Button icon={<KeyResetRegular />} onClick={() => setRotating(true)}>
              {t('webhooks.rotate')}
            </Button>
            <Button icon={<DeleteRegular />} onClick={() => setRemoving(true)}>
              {t('campaign.delete')}
            </Button>
          </>
        }
      />
      {secret && <Secret secret={secret} />}
      {error !== null && <ProblemView error={error} />}
      {record.error !== null && !record.hasFieldErrors && <ProblemView error={record.error} />}
      {!row.enabled && (
        <MessageBar
          intent={row.disabledReason === null ? 'info' : 'error'}
          layout="multiline"
          className="above-list"
        >
          <MessageBarBody>
            <MessageBarTitle>{stateOf(row).text}</MessageBarTitle> {t('webhooks.disabledText')}{' '}
            <Button size="small" onClick={() => void record.save({ enabled: true })}>
              {t('webhooks.enable')}
            </Button>
          </MessageBarBody>
        </MessageBar>
      )}
      <div className="with-facts">
        <section className="card">
          <h2>{t('campaign.general')}</h2>
          <div className="fields">
            <EditField label={t('webhooks.url')} {...text('url')} />
            <EditField label={t('campaign.description')} {...text('description')} />
          </div>
          <TypeChoice types={row.types} onSave={(types) => void record.save({ types })} />
          <p className="checks">
            <CheckField
              label={t('webhooks.sendEvents')}
              checked={row.enabled}
              onSave={(enabled) => void record.save({ enabled })}
            />
          </p>
        </section>
        <aside className="facts" aria-label={t('common.facts')}>
          <FactBox title={t('campaign.state')}>
            <Fact name={t('campaign.state')}>
              <WebhookState row={row} />
            </Fact>
            {row.failingSince && (
              <Fact name={t('webhooks.failingSince')}>{format.instant(row.failingSince)}</Fact>
            )}
            {row.previousSecretExpiresAt && (
              <Fact name={t('webhooks.oldSecretUntil')}>
                {format.instant(row.previousSecretExpiresAt)}
              </Fact>
            )}
            <Fact name={t('setup.created')}>{format.instant(row.createdAt)}</Fact>
            <Fact name={t('audit.subject')}>{row.createdBy}</Fact>
          </FactBox>
        </aside>
      </div>
      <h2 className="above-list">{t('webhooks.deliveries')}</h2>
      <ListPage
        bare
        title={t('webhooks.deliveries')}
        name={`deliveries-${id}`}
        list={async (query, signal) => {
          const page = await api.webhooks.deliveries(id, query, signal);
          // An attempt may have changed the state of the subscription.
          void client.invalidateQueries({ queryKey: ['webhooks', id] });
          return page;
        }}
        columns={deliveryColumns(id, row.enabled)}
        rowKey={(delivery) => delivery.id}
        views={[
          { id: 'all', text: t('campaigns.all'), filter: '' },
          ...['PENDING', 'FAILED', 'SUCCEEDED', 'CANCELED'].map((state) => ({
            id: state.toLowerCase(),
            text: tcode('deliveryState', state),
            filter: `state eq '${state}'`,
          })),
        ]}
        defaultOrder={{ field: 'createdAt', descending: true }}
        changes={(delivery) => delivery.state === 'PENDING'}
        emptyText={t('webhooks.noDeliveries')}
        emptyHint={t('webhooks.noDeliveriesHint')}
      />
      {record.dialog}
      <ActionDialog
        open={rotating}
        title={t('webhooks.rotateTitle')}
        action={t('webhooks.rotateAction')}
        onClose={() => setRotating(false)}
        onAction={async () => {
          const rotated = await api.webhooks.rotateSecret(id, Number(overlap));
          setSecret(rotated.secret);
          setRotating(false);
          await record.query.refetch();
        }}
      >
        <p>{t('webhooks.rotateText')}</p>
        <ChoiceField
          label={t('webhooks.overlap')}
          value={overlap}
          choices={OVERLAPS.map((value) => ({ value, text: tcode('overlap', value) }))}
          onSave={setOverlap}
        />
      </ActionDialog>
      <ActionDialog
        open={removing}
        title={t('webhooks.deleteTitle')}
        action={t('campaign.delete')}
        onClose={() => setRemoving(false)}
        onAction={async () => {
          await api.webhooks.remove(id);
          void client.invalidateQueries({ queryKey: ['webhooks', 'list'] });
          await navigate({ to: '/setup/webhooks' });
        }}
      >
        {t('webhooks.deleteText')}
      </ActionDialog>
    </>
  );
}

const DELIVERY_TONES: Record<string, string> = {
  SUCCEEDED: 'tone-good',
  FAILED: 'tone-bad',
  CANCELED: 'muted',
};

const deliveryColumns = (id: string, isEnabled: boolean): Column<Stored<WebhookDelivery>>[] => [
  {
    id: 'createdAt',
    title: t('audit.at'),
    sort: 'createdAt',
    cell: (row) => <span className="nowrap">{format.second(row.createdAt)}</span>,
    text: (row) => row.createdAt,
  },
  {
    id: 'event',
    title: t('webhooks.event'),
    sort: 'eventSequence',
    cell: (row) => (
      <>
        {tcode('eventType', row.eventType)}{' '}
        <span className="muted">{format.quantity(row.eventSequence)}</span>
      </>
    ),
    text: (row) => `${row.eventType} ${String(row.eventSequence)}`,
  },
  {
    id: 'state',
    title: t('campaign.state'),
    sort: 'state',
    cell: (row) => (
      <span className={DELIVERY_TONES[row.state]}>{tcode('deliveryState', row.state)}</span>
    ),
    text: (row) => row.state,
  },
  {
    id: 'attempts',
    title: t('webhooks.attempts'),
    right: true,
    cell: (row) => row.attempts,
    text: (row) => String(row.attempts),
  },
  {
    id: 'status',
    title: t('webhooks.response'),
    right: true,
    cell: (row) => row.responseStatus ?? '',
    text: (row) => String(row.responseStatus ?? ''),
  },
  {
    id: 'duration',
    title: t('webhooks.duration'),
    right: true,
    cell: (row) =>
      row.durationMilliseconds === null ? '' : `${format.quantity(row.durationMilliseconds)} ms`,
    text: (row) => String(row.durationMilliseconds ?? ''),
  },
  {
    id: 'error',
    title: t('webhooks.error'),
    cell: (row) => (
      <>
        {row.error}
        {row.nextAttemptAt && (
          <div className="muted">
            {t('webhooks.next', { time: format.second(row.nextAttemptAt) })}
          </div>
        )}
      </>
    ),
    text: (row) => row.error ?? '',
  },
  {
    id: 'retry',
    title: '',
    cell: (row) => isEnabled && <Retry id={id} delivery={row} />,
  },
];

function Retry({ id, delivery }: { id: string; delivery: WebhookDelivery }) {
  const client = useQueryClient();
  const [error, setError] = useState('');
  const retry = async () => {
    setError('');
    try {
      await api.webhooks.retry(id, delivery.id);
      await client.invalidateQueries({ queryKey: [`deliveries-${id}`] });
    } catch (refused) {
      setError(problemText(refused));
    }
  };
  return (
    <>
      <Button
        size="small"
        appearance="subtle"
        icon={<ArrowClockwiseRegular />}
        title={t('webhooks.retry')}
        aria-label={t('webhooks.retryOf', { sequence: format.quantity(delivery.eventSequence) })}
        onClick={() => void retry()}
      />
      {error && (
        <span role="alert" className="tone-bad">
          {error}
        </span>
      )}
    </>
  );
}
