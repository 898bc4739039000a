import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { all, api } from '../api.ts';
import * as decimal from '../lib/decimal.ts';
import * as format from '../lib/format.ts';
import { t, tcode } from '../lib/i18n.ts';
import type { Campaign, CampaignFigures, CampaignStatistics, GroupBy } from '@kampanje/client';
import { Empty, Guard, Loading, PageHead, StateBadge, Tile } from '../ui/basics.tsx';
import { Bars } from '../ui/charts.tsx';
import { ChoiceField, EditField } from '../ui/fields.tsx';
import { useAddress } from '../ui/list.tsx';
import { ProblemView } from '../ui/problem.tsx';
import { DataTable, ExportMenu, type Column } from '../ui/table.tsx';

const GROUPS: GroupBy[] = ['month', 'segment', 'salesperson'];

export function Statistics() {
  const [search, change] = useAddress();
  const groupBy = GROUPS.find((group) => group === search.group) ?? 'month';
  return (
    <Guard scope="campaigns:read">
      <PageHead
        title={t('nav.statistics')}
        {...(search.campaign && {
          path: [{ to: '/statistics', text: t('nav.statistics') }],
          here: search.campaign,
        })}
      />
      <section className="card">
        <div className="fields">
          <EditField
            label={t('campaign.campaign')}
            lookup="campaigns"
            value={search.campaign ?? ''}
            hint={search.campaign ? undefined : t('statistics.chooseHint')}
            onSave={(value) => change({ campaign: value || undefined })}
          />
          {search.campaign && (
            <ChoiceField
              label={t('statistics.groupBy')}
              value={groupBy}
              choices={GROUPS.map((value) => ({
                value,
                text: tcode('statisticsGroup', value),
              }))}
              onSave={(value) => change({ group: value === 'month' ? undefined : value })}
            />
          )}
        </div>
      </section>
      {search.campaign ? (
        <OfCampaign campaign={search.campaign} groupBy={groupBy} />
      ) : (
        <AllCampaigns />
      )}
    </Guard>
  );
}

type Measure = keyof Pick<CampaignFigures, 'salesAmount' | 'discountGiven' | 'cost' | 'margin'>;

const MEASURES: Measure[] = ['salesAmount', 'discountGiven', 'margin', 'cost'];

function figureColumns<T extends CampaignFigures>(first: Column<T>): Column<T>[] {
  const number = (id: string, title: string, value: (row: T) => number): Column<T> => ({
    id,
    title,
    right: true,
    cell: (row) => format.quantity(value(row)),
    text: (row) => String(value(row)),
  });
  const amount = (
    id: string,
    title: string,
    value: (row: T) => string | null | undefined,
  ): Column<T> => ({
    id,
    title,
    right: true,
    cell: (row) => format.money(value(row)) || '–',
    text: (row) => value(row) ?? '',
  });
  return [
    first,
    number('targeted', t('statistics.targeted'), (row) => row.distinctContactsTargeted),
    number('responded', t('statistics.responded'), (row) => row.distinctContactsResponded),
    {
      id: 'rate',
      title: t('statistics.rate'),
      right: true,
      cell: (row) => format.percent(row.responseRate) || '–',
      text: (row) => row.responseRate ?? '',
    },
    number('buyers', t('statistics.buyers'), (row) => row.customersWhoBought),
    amount('sales', t('statistics.sales'), (row) => row.salesAmount),
    amount('discount', t('statistics.discount'), (row) => row.discountGiven),
    amount('margin', t('line.margin'), (row) => row.margin),
    amount('cost', t('statistics.cost'), (row) => row.cost),
  ];
}

function OfCampaign({ campaign, groupBy }: { campaign: string; groupBy: GroupBy }) {
  const [search, change] = useAddress();
  const statistics = useQuery({
    queryKey: ['statistics', campaign, groupBy],
    queryFn: ({ signal }) => api.campaigns.statistics(campaign, groupBy, signal),
    placeholderData: (previous) => previous,
  });
  if (statistics.isError)
    return <ProblemView error={statistics.error} retry={() => void statistics.refetch()} />;
  if (!statistics.data) return <Loading rows={8} />;
  const figures = statistics.data;
  const measure = MEASURES.find((name) => name === search.measure) ?? 'salesAmount';
  type Group = CampaignStatistics['groups'][number];
  const nameOf = (group: Group) => {
    const key = group.key;
    if (!key) return t('statistics.none');
    return groupBy === 'month' ? format.month(`${key.slice(0, 7)}-01`) : key;
  };
  const columns = figureColumns<Group>({
    id: 'group',
    title: tcode('statisticsGroup', groupBy),
    cell: nameOf,
    text: (row) => row.key ?? '',
  });
  return (
    <>
      <div className="tiles">
        <Tile
          label={t('statistics.targeted')}
          value={format.quantity(figures.distinctContactsTargeted)}
          detail={t('statistics.times', {
            count: format.quantity(figures.contactsTargeted),
          })}
        />
        <Tile
          label={t('statistics.responded')}
          value={format.quantity(figures.distinctContactsResponded)}
          detail={figures.responseRate ? format.percent(figures.responseRate) : '–'}
        />
        <Tile
          label={t('statistics.sales')}
          value={format.money(figures.salesAmount)}
          detail={t('statistics.salesLines', {
            count: format.quantity(figures.salesLines),
          })}
        />
        <Tile
          label={t('statistics.buyers')}
          value={format.quantity(figures.customersWhoBought)}
          detail={t('statistics.discountGiven', {
            amount: format.money(figures.discountGiven),
          })}
        />
        <Tile
          label={t('line.margin')}
          value={format.money(figures.margin) || '–'}
          detail={
            figures.returnOnCost
              ? t('statistics.returnOnCost', {
                  value: format.quantity(figures.returnOnCost),
                })
              : undefined
          }
        />
        <Tile
          label={t('statistics.cost')}
          value={format.money(figures.cost)}
          detail={
            figures.costPerResponse
              ? t('statistics.perResponse', {
                  amount: format.money(figures.costPerResponse),
                })
              : undefined
          }
        />
        <Tile
          label={t('statistics.tasksOpen')}
          value={format.quantity(figures.tasksOpen)}
          detail={t('statistics.tasksClosed', {
            count: format.quantity(figures.tasksClosed),
          })}
        />
        <Tile
          label={t('statistics.opportunities')}
          value={format.quantity(figures.opportunities.number)}
          detail={t('statistics.weighted', {
            amount: format.money(figures.opportunities.weightedValue),
          })}
        />
      </div>
      {figures.groups.length === 0 ? (
        <Empty title={t('statistics.empty')}>{t('statistics.emptyHint')}</Empty>
      ) : (
        <>
          <section className="card">
            <div className="list-tools">
              <h2>{tcode('measure', measure)}</h2>
              <select
                className="input auto"
                aria-label={t('statistics.measure')}
                value={measure}
                onChange={(event) => change({ measure: event.target.value })}
              >
                {MEASURES.map((name) => (
                  <option key={name} value={name}>
                    {tcode('measure', name)}
                  </option>
                ))}
              </select>
            </div>
            <Bars
              label={tcode('measure', measure)}
              heads={[tcode('statisticsGroup', groupBy), tcode('measure', measure)]}
              bars={figures.groups.map((group) => ({
                label: nameOf(group),
                value: decimal.approximate(group[measure] ?? '0'),
                shown: format.money(group[measure]) || '–',
                tone: group[measure]?.startsWith('-') ? 'bad' : 'good',
              }))}
            />
          </section>
          <DataTable
            label={t('statistics.by', { group: tcode('statisticsGroup', groupBy) })}
            columns={columns}
            rows={figures.groups}
            rowKey={(row) => row.key ?? ''}
          />
          <div className="add-row">
            <ExportMenu
              name={`statistics-${campaign}`}
              columns={columns}
              rows={() => figures.groups}
            />
          </div>
        </>
      )}
    </>
  );
}

type Row = CampaignStatistics & { campaign: Campaign };

/** Requests at the same time; statistics are computed from interactions and sales. */
const PARALLEL = 4;
const MAX_CAMPAIGNS = 60;

async function readAll(signal: AbortSignal): Promise<Row[]> {
  const campaigns = await all(
    (query) => api.campaigns.list(query, signal),
    { filter: "state ne 'DRAFT'", orderby: 'startingDate desc' },
    MAX_CAMPAIGNS,
  );
  const rows: Row[] = [];
  for (let at = 0; at < campaigns.length; at += PARALLEL) {
    const some = campaigns.slice(at, at + PARALLEL);
    const found = await Promise.all(
      some.map(async (campaign) => ({
        ...(await api.campaigns.statistics(campaign.number, undefined, signal)),
        campaign,
      })),
    );
    rows.push(...found);
  }
  return rows;
}

function AllCampaigns() {
  const rows = useQuery({
    queryKey: ['statistics', 'all'],
    queryFn: ({ signal }) => readAll(signal),
    staleTime: 60_000,
  });
  if (rows.isError) return <ProblemView error={rows.error} retry={() => void rows.refetch()} />;
  if (!rows.data) return <Loading rows={8} />;
  if (rows.data.length === 0)
    return <Empty title={t('statistics.empty')}>{t('statistics.emptyHint')}</Empty>;
  const columns: Column<Row>[] = figureColumns<Row>({
    id: 'campaign',
    title: t('campaign.campaign'),
    cell: (row) => (
      <>
        <Link to="/statistics" search={{ campaign: row.campaignNumber }}>
          {row.campaignNumber}
        </Link>{' '}
        <StateBadge state={row.campaign.state} />
      </>
    ),
    text: (row) => row.campaignNumber,
  });
  return (
    <>
      <section className="card">
        <h2>{t('statistics.salesByCampaign')}</h2>
        <Bars
          label={t('statistics.salesByCampaign')}
          heads={[t('campaign.campaign'), t('statistics.sales')]}
          bars={rows.data.map((row) => ({
            label: row.campaignNumber,
            value: decimal.approximate(row.salesAmount),
            shown: format.money(row.salesAmount),
          }))}
        />
      </section>
      <DataTable
        label={t('nav.statistics')}
        columns={columns}
        rows={rows.data}
        rowKey={(row) => row.campaignNumber}
      />
      <div className="add-row">
        <ExportMenu name="statistics" columns={columns} rows={() => rows.data} />
      </div>
    </>
  );
}
