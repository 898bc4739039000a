import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { all, api, ApiError } from '../api.ts';
import { useCan } from '../app/session.tsx';
import * as format from '../lib/format.ts';
import { t, tcode, tn } from '../lib/i18n.ts';
import type { Campaign, Conflict } from '@kampanje/client';
import { Empty, Guard, Loading, PageHead, StateBadge } from '../ui/basics.tsx';
import { useAddress } from '../ui/list.tsx';
import { ProblemView } from '../ui/problem.tsx';
import { DataTable, ExportMenu, type Column } from '../ui/table.tsx';

/** Campaigns in the map; each is planned as it would be activated now. */
const MAX_CAMPAIGNS = 40;
/** Plans are among the service's expensive operations. */
const PARALLEL = 2;

interface Meeting extends Conflict {
  from: Campaign;
}

interface Meetings {
  campaigns: Campaign[];
  meetings: Meeting[];
  /** Campaigns whose plan cannot be computed, for a missing starting date for example. */
  unplanned: Campaign[];
}

async function readMeetings(signal: AbortSignal): Promise<Meetings> {
  const campaigns = await all(
    (query) => api.campaigns.list(query, signal),
    { filter: "state ne 'ENDED'", orderby: 'startingDate,number' },
    MAX_CAMPAIGNS,
  );
  const meetings: Meeting[] = [];
  const unplanned: Campaign[] = [];
  for (let at = 0; at < campaigns.length; at += PARALLEL) {
    await Promise.all(
      campaigns.slice(at, at + PARALLEL).map(async (from) => {
        try {
          const { plan } = await api.campaigns.plan(from.number, signal);
          if (plan) meetings.push(...plan.conflicts.map((conflict) => ({ ...conflict, from })));
          else unplanned.push(from);
        } catch (error) {
          if (!(error instanceof ApiError)) throw error;
          unplanned.push(from);
        }
      }),
    );
  }
  return { campaigns, meetings, unplanned };
}

/** The campaigns that meet for the same customers and items, drafts included. */
export function Conflicts() {
  const can = useCan();
  const [search, change] = useAddress();
  const map = useQuery({
    enabled: can('campaigns:activate'),
    queryKey: ['plan', 'conflicts'],
    queryFn: ({ signal }) => readMeetings(signal),
    staleTime: 60_000,
  });
  return (
    <Guard scope="campaigns:activate">
      <PageHead
        title={t('nav.conflicts')}
        actions={
          map.data && (
            <ExportMenu name="conflicts" columns={columns()} rows={() => map.data.meetings} />
          )
        }
      />
      <p className="muted">{t('conflicts.intro')}</p>
      {map.isError && <ProblemView error={map.error} retry={() => void map.refetch()} />}
      {map.isPending && (
        <>
          <p role="status">{t('conflicts.computing')}</p>
          <Loading rows={8} />
        </>
      )}
      {map.data && (
        <Matrix {...map.data} chosen={search.pair ?? ''} onChoose={(pair) => change({ pair })} />
      )}
    </Guard>
  );
}

const pairOf = (a: string, b: string) => [a, b].sort().join(' × ');

function Matrix(props: Meetings & { chosen: string; onChoose: (pair: string) => void }) {
  const { campaigns, meetings, unplanned } = props;
  const byPair = new Map<string, Meeting[]>();
  for (const meeting of meetings) {
    const pair = pairOf(meeting.from.number, meeting.campaignNumber);
    byPair.set(pair, [...(byPair.get(pair) ?? []), meeting]);
  }
  const involved = campaigns.filter(({ number }) =>
    meetings.some((meeting) => meeting.from.number === number || meeting.campaignNumber === number),
  );
  if (involved.length === 0) {
    return <Empty title={t('conflicts.none')}>{t('conflicts.noneHint')}</Empty>;
  }
  const shown = props.chosen ? (byPair.get(props.chosen) ?? []) : meetings;
  return (
    <>
      <section className="card">
        <div className="table-wrap" tabIndex={0} role="region" aria-label={t('nav.conflicts')}>
          <table className="matrix">
            <thead>
              <tr>
                <td />
                {involved.map(({ number }) => (
                  <th key={number} scope="col">
                    {number}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {involved.map((row, rowIndex) => (
                <tr key={row.id}>
                  <th scope="row">
                    <Link to="/campaigns/$number" params={{ number: row.number }}>
                      {row.number}
                    </Link>{' '}
                    <StateBadge state={row.state} />
                  </th>
                  {involved.map((column, columnIndex) => {
                    if (columnIndex === rowIndex)
                      return <td key={column.id} className="matrix-self" />;
                    const pair = pairOf(row.number, column.number);
                    const found = byPair.get(pair);
                    if (!found) return <td key={column.id} />;
                    const accounts = Math.max(...found.map((one) => one.accounts));
                    const stacked = found.some(({ outcome }) => outcome === 'STACKED');
                    return (
                      <td key={column.id}>
                        <button
                          type="button"
                          className={`meeting ${stacked ? 'meeting-stacked' : ''}`}
                          aria-pressed={props.chosen === pair}
                          aria-label={tn('conflicts.cell', accounts, {
                            pair,
                          })}
                          title={tn('conflicts.cell', accounts, { pair })}
                          onClick={() => props.onChoose(props.chosen === pair ? '' : pair)}
                        >
                          {format.quantity(accounts)}
                        </button>
                      </td>
                    );
                  })}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
        <p className="muted legend">
          <span className="meeting" aria-hidden /> {t('conflicts.legendOverlap')}{' '}
          <span className="meeting meeting-stacked" aria-hidden /> {t('conflicts.legendStacked')}
        </p>
      </section>
      <h2 className="above-list">{props.chosen || t('conflicts.all')}</h2>
      <DataTable
        label={t('conflicts.all')}
        columns={columns()}
        rows={shown}
        rowKey={(row) => `${row.from.number} ${row.campaignNumber} ${row.outcome}`}
      />
      {unplanned.length > 0 && (
        <p className="muted list-count">
          {t('conflicts.unplanned', {
            campaigns: unplanned.map(({ number }) => number).join(', '),
          })}
        </p>
      )}
    </>
  );
}

const columns = (): Column<Meeting>[] => [
  {
    id: 'from',
    title: t('campaign.campaign'),
    cell: (row) => (
      <Link to="/campaigns/$number" params={{ number: row.from.number }}>
        {row.from.number}
      </Link>
    ),
    text: (row) => row.from.number,
  },
  {
    id: 'with',
    title: t('conflicts.meets'),
    cell: (row) => (
      <Link to="/campaigns/$number" params={{ number: row.campaignNumber }}>
        {row.campaignNumber}
      </Link>
    ),
    text: (row) => row.campaignNumber,
  },
  {
    id: 'accounts',
    title: t('plan.accounts'),
    right: true,
    cell: (row) => format.quantity(row.accounts),
    text: (row) => String(row.accounts),
  },
  {
    id: 'items',
    title: t('plan.items'),
    right: true,
    cell: (row) => format.quantity(row.items),
    text: (row) => String(row.items),
  },
  {
    id: 'outcome',
    title: t('conflicts.outcome'),
    cell: (row) =>
      row.outcome === 'WINNER' && row.winner
        ? t('conflicts.wins', { campaign: row.winner })
        : tcode('outcome', row.outcome),
    text: (row) => row.winner ?? row.outcome,
  },
  {
    id: 'example',
    title: t('conflicts.example'),
    cell: (row) => (
      <>
        <Link
          to="/price-check"
          search={{ contact: row.accountNumber, item: row.itemNumber, date: row.date }}
        >
          {row.itemNumber} · {row.accountNumber}
        </Link>{' '}
        {row.price && <span className="muted">{format.money(row.price.netUnitPrice)}</span>}
      </>
    ),
    text: (row) => `${row.itemNumber} ${row.accountNumber}`,
  },
];
