import { Button } from '@fluentui/react-components';
import { AddRegular } from '@fluentui/react-icons';
import { Link, useNavigate } from '@tanstack/react-router';
import { useState } from 'react';
import { api } from '../api.ts';
import { useCan } from '../app/session.tsx';
import { t, tcode, tn } from '../lib/i18n.ts';
import type { Segment } from '@kampanje/client';
import { Guard, Lacks } from '../ui/basics.tsx';
import { ActionDialog } from '../ui/dialogs.tsx';
import { EditField } from '../ui/fields.tsx';
import { ListPage } from '../ui/list.tsx';
import type { Column } from '../ui/table.tsx';

const columns = (): Column<Segment>[] => [
  {
    id: 'number',
    title: t('campaign.number'),
    sort: 'number',
    cell: (row) => (
      <Link to="/segments/$number" params={{ number: row.number }}>
        {row.number}
      </Link>
    ),
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
    id: 'campaign',
    title: t('campaign.campaign'),
    sort: 'campaignNumber',
    cell: (row) =>
      row.campaignNumber ? (
        <Link to="/campaigns/$number" params={{ number: row.campaignNumber }}>
          {row.campaignNumber}
        </Link>
      ) : (
        ''
      ),
    text: (row) => row.campaignNumber ?? '',
  },
  {
    id: 'target',
    title: t('segment.target'),
    sort: 'campaignTarget',
    cell: (row) => (row.campaignTarget ? t('common.yes') : t('common.no')),
    text: (row) => String(row.campaignTarget),
  },
  {
    id: 'membership',
    title: t('segment.membership'),
    sort: 'membership',
    cell: (row) => tcode('membership', row.membership),
    text: (row) => row.membership,
  },
  {
    id: 'salesperson',
    title: t('campaign.salesperson'),
    sort: 'salespersonCode',
    cell: (row) => row.salespersonCode ?? '',
    text: (row) => row.salespersonCode ?? '',
  },
];

export function Segments() {
  const can = useCan();
  const navigate = useNavigate();
  const [creating, setCreating] = useState(false);
  const [fields, setFields] = useState({ number: '', description: '', campaignNumber: '' });
  const set = (field: keyof typeof fields) => (value: string) =>
    setFields((old) => ({ ...old, [field]: value }));
  return (
    <Guard scope="contacts:read">
      <ListPage
        title={t('nav.segments')}
        name="segments"
        list={api.segments.list}
        columns={columns()}
        rowKey={(row) => row.id}
        searched={{ key: 'number', texts: ['description'] }}
        defaultOrder={{ field: 'number', descending: false }}
        notes={<Lacks scope="contacts:write" />}
        emptyText={t('segment.none')}
        emptyHint={t('segment.noneHint')}
        counted={(count) => tn('campaign.segmentCount', count)}
        actions={
          can('contacts:write') && (
            <Button appearance="primary" icon={<AddRegular />} onClick={() => setCreating(true)}>
              {t('segment.newFor')}
            </Button>
          )
        }
      />
      <ActionDialog
        open={creating}
        title={t('segment.newFor')}
        action={t('campaigns.create')}
        onClose={() => setCreating(false)}
        onAction={async () => {
          const created = await api.segments.create({
            description: fields.description,
            ...(fields.number && { number: fields.number }),
            ...(fields.campaignNumber && {
              campaignNumber: fields.campaignNumber,
              campaignTarget: true,
            }),
          });
          await navigate({ to: '/segments/$number', params: { number: created.number } });
        }}
      >
        <div className="fields">
          <EditField
            label={t('campaign.number')}
            kind="key"
            value={fields.number}
            onSave={set('number')}
            hint={t('campaigns.numberHint')}
          />
          <EditField
            label={t('campaign.description')}
            value={fields.description}
            onSave={set('description')}
            maxLength={100}
          />
          <EditField
            label={t('campaign.campaign')}
            lookup="campaigns"
            value={fields.campaignNumber}
            onSave={set('campaignNumber')}
          />
        </div>
      </ActionDialog>
    </Guard>
  );
}
