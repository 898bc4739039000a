import { Button } from '@fluentui/react-components';
import { AddRegular, TagSearchRegular } from '@fluentui/react-icons';
import { useQuery } from '@tanstack/react-query';
import { Link, useNavigate } from '@tanstack/react-router';
import type { ReactNode } from 'react';
import { api, type ListQuery, type Page } from '../api.ts';
import { useCan, useSession } from '../app/session.tsx';
import { addDays, daysBetween } from '../lib/dates.ts';
import * as format from '../lib/format.ts';
import { t, tcode, tn } from '../lib/i18n.ts';
import type { Campaign } from '@kampanje/client';
import { Empty, Lacks, Loading, PageHead, StateBadge } from '../ui/basics.tsx';
import { ProblemView } from '../ui/problem.tsx';

const DAYS_AHEAD = 14;
const MAX_ROWS = 8;

function useRows<T>(
  name: string,
  list: (query: ListQuery, signal?: AbortSignal) => Promise<Page<T>>,
  query: ListQuery,
  enabled = true,
) {
  return useQuery({
    queryKey: ['home', name, query],
    queryFn: ({ signal }) => list({ top: MAX_ROWS, count: true, ...query }, signal),
    enabled,
  });
}

export function Home() {
  const { today, settings } = useSession();
  const can = useCan();
  const navigate = useNavigate();
  const soon = addDays(today, DAYS_AHEAD);
  const mayRead = can('campaigns:read');
  const campaigns = (name: string, filter: string, orderby: string) =>
    // eslint-disable-next-line react-hooks/rules-of-hooks -- called unconditionally below
    useRows(name, api.campaigns.list, { filter, orderby }, mayRead);
  const running = campaigns('running', "state eq 'RUNNING'", 'endingDate');
  const starting = campaigns(
    'starting',
    `state in ('SCHEDULED','DRAFT') and startingDate ge ${today} and startingDate le ${soon}`,
    'startingDate',
  );
  const ending = campaigns(
    'ending',
    `state eq 'RUNNING' and publishedEndingDate le ${soon}`,
    'publishedEndingDate',
  );
  const waiting = campaigns(
    'waiting',
    "hasUnpublishedChanges eq true and state ne 'DRAFT'",
    'number',
  );
  const tasks = useRows(
    'tasks',
    api.tasks.list,
    { filter: 'closed eq false', orderby: 'date' },
    mayRead,
  );
  const approvals = useRows(
    'approvals',
    api.approvals.list,
    { filter: "state eq 'PENDING'", orderby: 'requestedAt' },
    mayRead,
  );
  const approves = settings?.approvalRequired !== 'NEVER' || !!approvals.data?.count;
  const publications = useQuery({
    queryKey: ['home', 'publications'],
    queryFn: ({ signal }) =>
      api.publications.list({ top: MAX_ROWS, orderby: 'version desc' }, signal),
    enabled: can('book:read'),
  });
  const overdue = tasks.data?.value.filter((task) => task.date < today).length ?? 0;
  return (
    <>
      <PageHead
        title={t('home.title')}
        actions={
          <>
            {can('quotes:read') && (
              <Button
                icon={<TagSearchRegular />}
                onClick={() => void navigate({ to: '/price-check' })}
              >
                {t('nav.priceCheck')}
              </Button>
            )}
            {can('campaigns:write') && (
              <Button
                appearance="primary"
                icon={<AddRegular />}
                onClick={() => void navigate({ to: '/campaigns', search: { new: '1' } })}
              >
                {t('campaigns.new')}
              </Button>
            )}
          </>
        }
      />
      <Lacks scope="campaigns:read" />
      {mayRead && (
        <>
          <div className="tiles">
            <Count
              label={t('home.running')}
              query={running}
              to="/campaigns"
              search={{ view: 'running' }}
            />
            <Count
              label={t('home.starting', { days: DAYS_AHEAD })}
              query={starting}
              to="/calendar"
            />
            <Count label={t('home.ending', { days: DAYS_AHEAD })} query={ending} to="/calendar" />
            <Count
              label={t('home.waiting')}
              query={waiting}
              to="/campaigns"
              search={{ view: 'waiting' }}
              warn
            />
            {approves && (
              <Count label={t('home.approvals')} query={approvals} to="/approvals" warn />
            )}
            <Count
              label={t('home.tasks')}
              query={tasks}
              to="/work"
              detail={overdue > 0 ? tn('home.overdue', overdue) : undefined}
              warn={overdue > 0}
            />
          </div>
          <div className="columns">
            <Panel title={t('home.startingTitle')} query={starting} empty={t('home.nothingStarts')}>
              {(row) => (
                <CampaignRow key={row.id} row={row} date={row.startingDate} today={today} />
              )}
            </Panel>
            <Panel title={t('home.runningTitle')} query={running} empty={t('home.nothingRuns')}>
              {(row) => (
                <CampaignRow key={row.id} row={row} date={row.publishedEndingDate} today={today} />
              )}
            </Panel>
            <Panel title={t('home.waitingTitle')} query={waiting} empty={t('home.nothingWaits')}>
              {(row) => <CampaignRow key={row.id} row={row} date={null} today={today} />}
            </Panel>
            <Panel title={t('home.tasksTitle')} query={tasks} empty={t('home.noTasks')}>
              {(row) => (
                <li key={row.id}>
                  <span className="grow">{row.description || row.type}</span>
                  <Link to="/campaigns/$number" params={{ number: row.campaignNumber }}>
                    {row.campaignNumber}
                  </Link>
                  <span className={row.date < today ? 'tone-bad' : 'muted'}>
                    {format.date(row.date)}
                  </span>
                </li>
              )}
            </Panel>
            {can('book:read') && (
              <Panel
                title={t('home.publications')}
                query={publications}
                empty={t('publication.empty')}
              >
                {(row) => (
                  <li key={row.version}>
                    <Link to="/publications/$version" params={{ version: String(row.version) }}>
                      {row.version}
                    </Link>
                    <span className="grow">
                      {tcode('kind', row.kind)} {row.campaignNumber}
                    </span>
                    <span className="muted">{format.instant(row.publishedAt)}</span>
                  </li>
                )}
              </Panel>
            )}
          </div>
        </>
      )}
    </>
  );
}

interface Rows<T> {
  data: { value: T[]; count?: number | null } | undefined;
  isPending: boolean;
  isError: boolean;
  error: unknown;
  refetch: () => Promise<unknown>;
}

function Count(props: {
  label: string;
  query: Rows<unknown>;
  to: string;
  search?: Record<string, string>;
  detail?: string | undefined;
  warn?: boolean;
}) {
  const count = props.query.data?.count;
  return (
    <Link
      to={props.to}
      search={props.search ?? {}}
      className={`tile ${props.warn && count ? 'tile-warn' : ''}`}
    >
      <div className="tile-label">{props.label}</div>
      <div className="tile-value">{count == null ? '–' : format.quantity(count)}</div>
      {props.detail && <div className="tile-detail">{props.detail}</div>}
    </Link>
  );
}

function Panel<T>(props: {
  title: string;
  query: Rows<T>;
  empty: string;
  children: (row: T) => ReactNode;
}) {
  const { query } = props;
  return (
    <section className="card">
      <h2>{props.title}</h2>
      {query.isError && <ProblemView error={query.error} retry={() => void query.refetch()} />}
      {query.isPending && <Loading rows={3} />}
      {query.data?.value.length === 0 && <Empty title={props.empty} />}
      <ul className="rows">{query.data?.value.map(props.children)}</ul>
    </section>
  );
}

function CampaignRow(props: { row: Campaign; date: string | null | undefined; today: string }) {
  const { row, date } = props;
  return (
    <li>
      <span className="grow">
        <Link to="/campaigns/$number" params={{ number: row.number }}>
          {row.description || row.number}
        </Link>
      </span>
      <StateBadge state={row.state} />
      {!date && row.state === 'RUNNING' && <span className="muted">{t('campaign.open')}</span>}
      {date && (
        <span className="muted">
          {format.date(date)} · {tn('home.inDays', Math.max(0, daysBetween(props.today, date)))}
        </span>
      )}
    </li>
  );
}
