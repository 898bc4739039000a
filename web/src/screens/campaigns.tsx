import { Button, Tooltip } from '@fluentui/react-components';
import { AddRegular, WarningRegular } from '@fluentui/react-icons';
import { Link } from '@tanstack/react-router';
import { api } from '../api.ts';
import { useCan } from '../app/session.tsx';
import * as format from '../lib/format.ts';
import { t, tcode, tn } from '../lib/i18n.ts';
import type { Campaign } from '@kampanje/client';
import { Lacks, StateBadge } from '../ui/basics.tsx';
import { ListPage, useAddress } from '../ui/list.tsx';
import type { Column } from '../ui/table.tsx';
import { CampaignDialog } from './campaign-dialogs.tsx';

const columns = (): Column<Campaign>[] => [
  {
    id: 'number',
    title: t('campaign.number'),
    sort: 'number',
    cell: (row) => (
      <Link to="/campaigns/$number" params={{ number: row.number }}>
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
    id: 'state',
    title: t('campaign.state'),
    sort: 'state',
    cell: (row) => (
      <>
        <StateBadge state={row.state} />
        {row.hasUnpublishedChanges && (
          <Tooltip content={t('campaign.unpublished')} relationship="label">
            <WarningRegular className="tone-warn inline-icon" />
          </Tooltip>
        )}
      </>
    ),
    text: (row) => tcode('state', row.state),
  },
  {
    id: 'status',
    title: t('campaign.status'),
    sort: 'statusCode',
    cell: (row) => row.status?.description ?? row.statusCode ?? '',
    text: (row) => row.statusCode ?? '',
  },
  {
    id: 'startingDate',
    title: t('campaign.startingDate'),
    sort: 'startingDate',
    cell: (row) => format.date(row.startingDate),
    text: (row) => row.startingDate ?? '',
  },
  {
    id: 'endingDate',
    title: t('campaign.endingDate'),
    sort: 'endingDate',
    cell: (row) =>
      row.endingDate ? (
        format.date(row.endingDate)
      ) : (
        <span className="muted">{row.startingDate ? t('campaign.open') : ''}</span>
      ),
    text: (row) => row.endingDate ?? '',
  },
  {
    id: 'type',
    title: t('campaign.type'),
    sort: 'type',
    cell: (row) => row.type ?? '',
    text: (row) => row.type ?? '',
  },
  {
    id: 'salesperson',
    title: t('campaign.salesperson'),
    sort: 'salespersonCode',
    cell: (row) => row.salespersonCode ?? '',
    text: (row) => row.salespersonCode ?? '',
  },
];

export function Campaigns() {
  const can = useCan();
  const [search, change] = useAddress();
  const views = ['DRAFT', 'SCHEDULED', 'RUNNING', 'ENDED'].map((state) => ({
    id: state.toLowerCase(),
    text: tcode('state', state),
    filter: `state eq '${state}'`,
  }));
  const waiting = {
    id: 'waiting',
    text: t('campaigns.waiting'),
    filter: "hasUnpublishedChanges eq true and state ne 'DRAFT'",
  };
  return (
    <>
      <ListPage
        title={t('nav.campaigns')}
        name="campaigns"
        list={api.campaigns.list}
        columns={columns()}
        rowKey={(row) => row.id}
        searched={{ key: 'number', texts: ['description'] }}
        views={[{ id: 'all', text: t('campaigns.all'), filter: '' }, ...views, waiting]}
        defaultOrder={{ field: 'startingDate', descending: true }}
        notes={<Lacks scope="campaigns:write" />}
        emptyText={t('campaigns.empty')}
        emptyHint={can('campaigns:write') ? t('campaigns.emptyHint') : undefined}
        counted={(count) => tn('campaigns.count', count)}
        actions={
          can('campaigns:write') && (
            <Button appearance="primary" icon={<AddRegular />} onClick={() => change({ new: '1' })}>
              {t('campaigns.new')}
            </Button>
          )
        }
      />
      {search.new && can('campaigns:write') && (
        <CampaignDialog onClose={() => change({ new: undefined })} />
      )}
    </>
  );
}
