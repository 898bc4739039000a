import { Button } from '@fluentui/react-components';
import { AddRegular } from '@fluentui/react-icons';
import { useQueryClient } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useState } from 'react';
import { api, type Stored } from '../api.ts';
import { useCan, useSession } from '../app/session.tsx';
import * as format from '../lib/format.ts';
import { t, tcode, tn, type TextKey } from '../lib/i18n.ts';
import type { Interaction, LoggedSegment, Opportunity, Task } from '@kampanje/client';
import { Guard, Lacks, PageHead } from '../ui/basics.tsx';
import { ActionDialog } from '../ui/dialogs.tsx';
import { ChoiceField, EditField } from '../ui/fields.tsx';
import { ListPage, useAddress } from '../ui/list.tsx';
import { ProblemView } from '../ui/problem.tsx';
import type { Column } from '../ui/table.tsx';

const TABS: { id: string; text: TextKey }[] = [
  { id: 'tasks', text: 'work.tasks' },
  { id: 'opportunities', text: 'work.opportunities' },
  { id: 'interactions', text: 'work.interactions' },
  { id: 'logged', text: 'work.logged' },
];

function campaignLink(number: string | null | undefined) {
  return number ? (
    <Link to="/campaigns/$number" params={{ number }}>
      {number}
    </Link>
  ) : (
    ''
  );
}

function contactLink(number: string | null | undefined) {
  return number ? (
    <Link to="/contacts/$number" params={{ number }}>
      {number}
    </Link>
  ) : (
    ''
  );
}

export function Work() {
  const [search, change] = useAddress();
  const tab =
    TABS.find(({ id }) => id === search.tab)?.id ?? (search.view === 'logged' ? 'logged' : 'tasks');
  return (
    <Guard scope="campaigns:read">
      <PageHead title={t('nav.work')} />
      <div className="views tabs" role="group" aria-label={t('nav.work')}>
        {TABS.map(({ id, text }) => (
          <button
            key={id}
            type="button"
            className="view"
            aria-pressed={tab === id}
            onClick={() =>
              change({
                tab: id === 'tasks' ? undefined : id,
                view: undefined,
                order: undefined,
                q: undefined,
              })
            }
          >
            {t(text)}
          </button>
        ))}
      </div>
      {tab === 'tasks' && <Tasks />}
      {tab === 'opportunities' && <Opportunities />}
      {tab === 'interactions' && <Interactions />}
      {tab === 'logged' && <Logged />}
    </Guard>
  );
}

function Tasks() {
  const { today } = useSession();
  const can = useCan();
  const client = useQueryClient();
  const [creating, setCreating] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const write = can('campaigns:write');
  const blank = {
    campaignNumber: '',
    description: '',
    date: today,
    salespersonCode: '',
    teamCode: '',
    priority: 'NORMAL',
  };
  const [fields, setFields] = useState(blank);
  const set = (field: keyof typeof fields) => (value: string) =>
    setFields((old) => ({ ...old, [field]: value }));
  const close = async (task: Stored<Task>, closed: boolean) => {
    setError(null);
    try {
      await api.tasks.update(task.id, { closed }, task.etag);
    } catch (refused) {
      setError(refused);
    }
    await client.invalidateQueries({ queryKey: ['tasks'] });
  };
  const columns: Column<Stored<Task>>[] = [
    {
      id: 'closed',
      title: t('work.done'),
      width: 60,
      cell: (row) => (
        <input
          type="checkbox"
          className="cell-check"
          aria-label={t('work.close', { task: row.description || (row.type ?? '') })}
          checked={row.closed}
          disabled={!write}
          onChange={(event) => void close(row, event.target.checked)}
        />
      ),
      text: (row) => String(row.closed),
    },
    {
      id: 'date',
      title: t('price.date'),
      sort: 'date',
      cell: (row) => (
        <span className={!row.closed && row.date < today ? 'tone-bad' : undefined}>
          {format.date(row.date)}
        </span>
      ),
      text: (row) => row.date,
    },
    {
      id: 'description',
      title: t('campaign.description'),
      sort: 'description',
      cell: (row) => row.description,
      text: (row) => row.description,
    },
    {
      id: 'type',
      title: t('campaign.type'),
      sort: 'type',
      cell: (row) => row.type ?? '',
      text: (row) => row.type ?? '',
    },
    {
      id: 'campaign',
      title: t('campaign.campaign'),
      sort: 'campaignNumber',
      cell: (row) => campaignLink(row.campaignNumber),
      text: (row) => row.campaignNumber,
    },
    {
      id: 'contact',
      title: t('contact.contact'),
      sort: 'contactNumber',
      cell: (row) => contactLink(row.contactNumber),
      text: (row) => row.contactNumber ?? '',
    },
    {
      id: 'who',
      title: t('work.who'),
      sort: 'salespersonCode',
      cell: (row) => row.salespersonCode ?? row.teamCode ?? '',
      text: (row) => row.salespersonCode ?? row.teamCode ?? '',
    },
    {
      id: 'priority',
      title: t('work.priority'),
      sort: 'priority',
      cell: (row) => tcode('priority', row.priority),
      text: (row) => row.priority,
    },
    {
      id: 'state',
      title: t('campaign.state'),
      sort: 'state',
      cell: (row) => tcode('taskState', row.state),
      text: (row) => row.state,
    },
  ];
  return (
    <>
      <Lacks scope="campaigns:write" />
      {error !== null && <ProblemView error={error} />}
      {write && (
        <Button icon={<AddRegular />} className="above-list" onClick={() => setCreating(true)}>
          {t('work.newTask')}
        </Button>
      )}
      <ListPage
        bare
        title={t('work.tasks')}
        name="tasks"
        list={api.tasks.list}
        columns={columns}
        rowKey={(row) => row.id}
        searched={{ texts: ['description'] }}
        views={[
          { id: 'open', text: t('work.open'), filter: 'closed eq false' },
          {
            id: 'overdue',
            text: t('work.overdue'),
            filter: `closed eq false and date lt ${today}`,
          },
          { id: 'closed', text: t('work.closed'), filter: 'closed eq true' },
        ]}
        defaultOrder={{ field: 'date', descending: false }}
        emptyText={t('home.noTasks')}
      />
      <ActionDialog
        open={creating}
        title={t('work.newTask')}
        action={t('campaigns.create')}
        ready={
          fields.campaignNumber !== '' &&
          fields.date !== '' &&
          (fields.salespersonCode !== '' || fields.teamCode !== '')
        }
        onClose={() => setCreating(false)}
        onAction={async () => {
          await api.tasks.create({
            campaignNumber: fields.campaignNumber,
            description: fields.description,
            date: fields.date,
            priority: fields.priority,
            ...(fields.salespersonCode && { salespersonCode: fields.salespersonCode }),
            ...(fields.teamCode && { teamCode: fields.teamCode }),
          });
          setFields(blank);
          setCreating(false);
          await client.invalidateQueries({ queryKey: ['tasks'] });
        }}
      >
        <div className="fields">
          <EditField
            label={t('campaign.campaign')}
            lookup="campaigns"
            value={fields.campaignNumber}
            onSave={set('campaignNumber')}
          />
          <EditField
            label={t('campaign.description')}
            value={fields.description}
            onSave={set('description')}
            maxLength={100}
          />
          <EditField label={t('price.date')} kind="date" value={fields.date} onSave={set('date')} />
          <EditField
            label={t('campaign.salesperson')}
            lookup="salespeople"
            value={fields.salespersonCode}
            onSave={set('salespersonCode')}
          />
          <EditField
            label={t('work.team')}
            lookup="teams"
            value={fields.teamCode}
            hint={t('work.assignHint')}
            onSave={set('teamCode')}
          />
          <ChoiceField
            label={t('work.priority')}
            value={fields.priority}
            choices={['LOW', 'NORMAL', 'HIGH'].map((value) => ({
              value,
              text: tcode('priority', value),
            }))}
            onSave={set('priority')}
          />
        </div>
      </ActionDialog>
    </>
  );
}

const STATES = ['NOT_STARTED', 'IN_PROGRESS', 'WON', 'LOST'];

function Opportunities() {
  const can = useCan();
  const client = useQueryClient();
  const [error, setError] = useState<unknown>(null);
  const change = async (row: Stored<Opportunity>, state: string) => {
    setError(null);
    try {
      await api.opportunities.update(row.number, { state }, row.etag);
    } catch (refused) {
      setError(refused);
    }
    await client.invalidateQueries({ queryKey: ['opportunities'] });
  };
  const columns: Column<Stored<Opportunity>>[] = [
    {
      id: 'number',
      title: t('campaign.number'),
      sort: 'number',
      cell: (row) => row.number,
      text: (row) => row.number,
    },
    {
      id: 'description',
      title: t('campaign.description'),
      sort: 'description',
      cell: (row) => row.description,
      text: (row) => row.description,
    },
    {
      id: 'contact',
      title: t('contact.contact'),
      sort: 'contactNumber',
      cell: (row) => contactLink(row.contactNumber),
      text: (row) => row.contactNumber,
    },
    {
      id: 'campaign',
      title: t('campaign.campaign'),
      sort: 'campaignNumber',
      cell: (row) => campaignLink(row.campaignNumber),
      text: (row) => row.campaignNumber ?? '',
    },
    {
      id: 'value',
      title: t('work.value'),
      sort: 'estimatedValue',
      right: true,
      cell: (row) => format.money(row.estimatedValue),
      text: (row) => row.estimatedValue,
    },
    {
      id: 'chance',
      title: t('work.chance'),
      sort: 'chancePercent',
      right: true,
      cell: (row) => format.percent(row.chancePercent),
      text: (row) => row.chancePercent,
    },
    {
      id: 'state',
      title: t('campaign.state'),
      sort: 'state',
      cell: (row) => (
        <select
          className="input"
          aria-label={`${t('campaign.state')} ${row.number}`}
          value={row.state}
          disabled={!can('campaigns:write')}
          onChange={(event) => void change(row, event.target.value)}
        >
          {STATES.map((state) => (
            <option key={state} value={state}>
              {tcode('opportunityState', state)}
            </option>
          ))}
        </select>
      ),
      text: (row) => row.state,
    },
  ];
  return (
    <>
      <Lacks scope="campaigns:write" />
      {error !== null && <ProblemView error={error} />}
      <ListPage
        bare
        title={t('work.opportunities')}
        name="opportunities"
        list={api.opportunities.list}
        columns={columns}
        rowKey={(row) => row.id}
        searched={{ key: 'number', texts: ['description'] }}
        views={[
          { id: 'all', text: t('campaigns.all'), filter: '' },
          ...STATES.map((state) => ({
            id: state.toLowerCase(),
            text: tcode('opportunityState', state),
            filter: `state eq '${state}'`,
          })),
        ]}
        defaultOrder={{ field: 'number', descending: true }}
        emptyText={t('work.noOpportunities')}
      />
    </>
  );
}

function Interactions() {
  const can = useCan();
  const columns: Column<Interaction>[] = [
    {
      id: 'date',
      title: t('price.date'),
      sort: 'date',
      cell: (row) => format.date(row.date),
      text: (row) => row.date,
    },
    {
      id: 'description',
      title: t('campaign.description'),
      sort: 'description',
      cell: (row) => row.description,
      text: (row) => row.description,
    },
    {
      id: 'contact',
      title: t('contact.contact'),
      sort: 'contactNumber',
      cell: (row) => contactLink(row.contactNumber),
      text: (row) => row.contactNumber ?? '',
    },
    {
      id: 'campaign',
      title: t('campaign.campaign'),
      sort: 'campaignNumber',
      cell: (row) => campaignLink(row.campaignNumber),
      text: (row) => row.campaignNumber ?? '',
    },
    {
      id: 'segment',
      title: t('work.segment'),
      sort: 'segmentNumber',
      cell: (row) => row.segmentNumber ?? '',
      text: (row) => row.segmentNumber ?? '',
    },
    {
      id: 'response',
      title: t('work.response'),
      cell: (row) => (row.campaignResponse ? t('common.yes') : ''),
      text: (row) => String(row.campaignResponse),
    },
    {
      id: 'cost',
      title: t('statistics.cost'),
      sort: 'cost',
      right: true,
      cell: (row) => format.money(row.cost),
      text: (row) => row.cost,
    },
    {
      id: 'who',
      title: t('campaign.salesperson'),
      sort: 'salespersonCode',
      cell: (row) => row.salespersonCode ?? '',
      text: (row) => row.salespersonCode ?? '',
    },
    {
      id: 'canceled',
      title: t('work.canceled'),
      cell: (row) => (row.canceled ? t('common.yes') : ''),
      text: (row) => String(row.canceled),
    },
  ];
  if (!can('contacts:read')) return <Lacks scope="contacts:read" />;
  return (
    <ListPage
      bare
      title={t('work.interactions')}
      name="interactions"
      list={api.interactions.list}
      columns={columns}
      rowKey={(row) => row.id}
      searched={{ texts: ['description'] }}
      views={[
        { id: 'all', text: t('campaigns.all'), filter: '' },
        {
          id: 'responses',
          text: t('work.responses'),
          filter: 'campaignResponse eq true and canceled eq false',
        },
      ]}
      defaultOrder={{ field: 'date', descending: true }}
      emptyText={t('contact.noInteractions')}
    />
  );
}

function Logged() {
  const can = useCan();
  const columns: Column<LoggedSegment>[] = [
    {
      id: 'number',
      title: t('campaign.number'),
      sort: 'number',
      cell: (row) => row.number,
      text: (row) => row.number,
    },
    {
      id: 'date',
      title: t('price.date'),
      sort: 'date',
      cell: (row) => format.date(row.date),
      text: (row) => row.date,
    },
    {
      id: 'description',
      title: t('campaign.description'),
      sort: 'description',
      cell: (row) => row.description,
      text: (row) => row.description,
    },
    {
      id: 'campaign',
      title: t('campaign.campaign'),
      sort: 'campaignNumber',
      cell: (row) => campaignLink(row.campaignNumber),
      text: (row) => row.campaignNumber ?? '',
    },
    {
      id: 'count',
      title: t('work.interactions'),
      right: true,
      cell: (row) => format.quantity(row.numberOfInteractions),
      text: (row) => String(row.numberOfInteractions),
    },
    {
      id: 'cost',
      title: t('statistics.cost'),
      right: true,
      cell: (row) => format.money(row.cost),
      text: (row) => row.cost,
    },
    {
      id: 'canceled',
      title: t('work.canceled'),
      cell: (row) => (row.canceled ? t('common.yes') : ''),
      text: (row) => String(row.canceled),
    },
  ];
  if (!can('contacts:read')) return <Lacks scope="contacts:read" />;
  return (
    <ListPage
      bare
      title={t('work.logged')}
      name="logged-segments"
      list={api.loggedSegments.list}
      columns={columns}
      rowKey={(row) => row.id}
      defaultOrder={{ field: 'date', descending: true }}
      emptyText={t('work.noLogged')}
      emptyHint={t('work.noLoggedHint')}
      counted={(count) => tn('list.rows', count)}
    />
  );
}
