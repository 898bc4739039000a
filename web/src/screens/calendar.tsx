import { Button } from '@fluentui/react-components';
import { ChevronLeftRegular, ChevronRightRegular } from '@fluentui/react-icons';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useRef, useState, type KeyboardEvent, type PointerEvent } from 'react';
import { all, api, type Stored } from '../api.ts';
import { useCan, useSession } from '../app/session.tsx';
import { addDays, addMonths, daysBetween, startOfMonth, type IsoDate } from '../lib/dates.ts';
import * as format from '../lib/format.ts';
import { t, tcode, tn } from '../lib/i18n.ts';
import type { Campaign } from '@kampanje/client';
import { Empty, Guard, Lacks, Loading, PageHead, StateBadge } from '../ui/basics.tsx';
import { Chart } from '../ui/charts.tsx';
import { useAddress } from '../ui/list.tsx';
import { ProblemView } from '../ui/problem.tsx';

const ZOOMS = ['3', '6', '12', '24'];
const MAX_CAMPAIGNS = 500;

export function Calendar() {
  return (
    <Guard scope="campaigns:read">
      <Content />
    </Guard>
  );
}

function Content() {
  const { today } = useSession();
  const can = useCan();
  const client = useQueryClient();
  const [search, change] = useAddress();
  const [error, setError] = useState<unknown>(null);
  const [message, setMessage] = useState('');
  const zoom = ZOOMS.includes(search.months ?? '') ? Number(search.months) : 6;
  const from = startOfMonth(search.from ?? addMonths(today, -1));
  const to = addDays(addMonths(from, zoom), -1);
  const filter = `startingDate le ${to} and (endingDate ge ${from} or endingDate eq null)`;
  const queryKey = ['campaigns', 'calendar', from, to];
  const campaigns = useQuery({
    queryKey,
    queryFn: ({ signal }) =>
      all(
        (query) => api.campaigns.list(query, signal),
        { filter, orderby: 'startingDate,number' },
        MAX_CAMPAIGNS,
      ),
    placeholderData: (previous) => previous,
  });
  const undated = useQuery({
    queryKey: ['campaigns', 'undated'],
    queryFn: ({ signal }) =>
      api.campaigns.list({ filter: 'startingDate eq null', top: 100 }, signal),
  });
  const move = async (campaign: Stored<Campaign>, days: number) => {
    if (days === 0 || !campaign.startingDate) return;
    setError(null);
    try {
      await api.campaigns.update(
        campaign.number,
        {
          startingDate: addDays(campaign.startingDate, days),
          ...(campaign.endingDate && { endingDate: addDays(campaign.endingDate, days) }),
        },
        campaign.etag,
      );
      setMessage(
        t('calendar.moved', {
          campaign: campaign.number,
          date: format.date(addDays(campaign.startingDate, days)),
        }),
      );
    } catch (refused) {
      setError(refused);
    }
    await client.invalidateQueries({ queryKey: ['campaigns'] });
  };
  const rows = campaigns.data ?? [];
  return (
    <>
      <PageHead
        title={t('nav.calendar')}
        actions={
          <>
            <Button
              icon={<ChevronLeftRegular />}
              aria-label={t('calendar.earlier')}
              onClick={() =>
                change({
                  from: addMonths(from, -Math.max(1, Math.floor(zoom / 2))),
                })
              }
            />
            <Button onClick={() => change({ from: undefined })}>{t('calendar.today')}</Button>
            <Button
              icon={<ChevronRightRegular />}
              aria-label={t('calendar.later')}
              onClick={() => change({ from: addMonths(from, Math.max(1, Math.floor(zoom / 2))) })}
            />
            <select
              className="input auto"
              aria-label={t('calendar.zoom')}
              value={String(zoom)}
              onChange={(event) => change({ months: event.target.value })}
            >
              {ZOOMS.map((months) => (
                <option key={months} value={months}>
                  {tn('calendar.months', Number(months))}
                </option>
              ))}
            </select>
          </>
        }
      />
      <Lacks scope="campaigns:write" />
      {campaigns.isError && (
        <ProblemView error={campaigns.error} retry={() => void campaigns.refetch()} />
      )}
      {error !== null && <ProblemView error={error} />}
      <p role="status" className="muted">
        {message}
      </p>
      {campaigns.isPending && <Loading rows={10} />}
      {campaigns.isSuccess && rows.length === 0 && <Empty title={t('calendar.empty')} />}
      {rows.length > 0 && (
        <section className="card">
          <Gantt
            rows={rows}
            from={from}
            to={to}
            today={today}
            editable={can('campaigns:write')}
            onMove={move}
          />
        </section>
      )}
      {undated.data && undated.data.value.length > 0 && (
        <section className="card">
          <h2>{t('calendar.undated')}</h2>
          <ul className="rows">
            {undated.data.value.map((row) => (
              <li key={row.id}>
                <Link to="/campaigns/$number" params={{ number: row.number }}>
                  {row.number}
                </Link>
                <span className="grow">{row.description}</span>
                <StateBadge state={row.state} />
              </li>
            ))}
          </ul>
        </section>
      )}
    </>
  );
}

interface GanttProps {
  rows: Stored<Campaign>[];
  from: IsoDate;
  to: IsoDate;
  today: IsoDate;
  editable: boolean;
  onMove: (campaign: Stored<Campaign>, days: number) => Promise<void>;
}

/** Campaigns as bars over time, with the number of campaigns a day below. */
function Gantt(props: GanttProps) {
  const { rows, from, to, today } = props;
  const days = daysBetween(from, to) + 1;
  const percent = (date: IsoDate) => (daysBetween(from, date) / days) * 100;
  const months: IsoDate[] = [];
  for (let month = from; month <= to; month = addMonths(month, 1)) months.push(month);
  const clipped = (row: Campaign) => {
    const start = row.startingDate ?? from;
    const end = row.endingDate ?? to;
    return { start: start < from ? from : start, end: end > to ? to : end };
  };
  const load = Array.from({ length: days }, (_, index) => {
    const day = addDays(from, index);
    return rows.filter(
      (row) => (row.startingDate ?? '') <= day && (row.endingDate ?? '9999') >= day,
    ).length;
  });
  const most = Math.max(...load, 1);
  return (
    <Chart
      label={t('nav.calendar')}
      heads={[
        t('campaign.campaign'),
        t('campaign.state'),
        t('campaign.startingDate'),
        t('campaign.endingDate'),
      ]}
      rows={rows.map((row) => [
        `${row.number} ${row.description}`,
        tcode('state', row.state),
        format.date(row.startingDate),
        format.date(row.endingDate) || t('campaign.open'),
      ])}
    >
      <div className="gantt">
        <div className="gantt-row gantt-months" aria-hidden>
          <span />
          <span className="gantt-track">
            {months.map((month, index) => (
              <span
                key={month}
                className="gantt-month"
                style={{ left: `${String(percent(month))}%` }}
              >
                {(months.length <= 12 || index % 3 === 0) &&
                  format.month(month, index === 0 || month.endsWith('-01-01'))}
              </span>
            ))}
          </span>
        </div>
        <ul>
          {rows.map((row) => (
            <li key={row.id} className="gantt-row">
              <Link to="/campaigns/$number" params={{ number: row.number }} className="gantt-name">
                {row.description || row.number}
              </Link>
              <span className="gantt-track">
                {months.map((month) => (
                  <span
                    key={month}
                    className="gantt-line"
                    style={{ left: `${String(percent(month))}%` }}
                  />
                ))}
                <Bar
                  row={row}
                  days={days}
                  percent={percent}
                  {...clipped(row)}
                  editable={props.editable}
                  onMove={props.onMove}
                />
                {today >= from && today <= to && (
                  <span className="gantt-today" style={{ left: `${String(percent(today))}%` }} />
                )}
              </span>
            </li>
          ))}
        </ul>
        <div className="gantt-row" aria-hidden>
          <span className="muted gantt-name">{t('calendar.load', { most })}</span>
          <span className="gantt-track gantt-load">
            {load.map((count, index) => (
              <span
                key={index}
                className={count === most && most > 1 ? 'gantt-most' : ''}
                style={{ height: `${String((count / most) * 100)}%` }}
              />
            ))}
          </span>
        </div>
      </div>
    </Chart>
  );
}

/** A campaign's bar. Drafts can be dragged, or moved by a day or a week with the arrow keys. */
function Bar(props: {
  row: Stored<Campaign>;
  start: IsoDate;
  end: IsoDate;
  days: number;
  percent: (date: IsoDate) => number;
  editable: boolean;
  onMove: GanttProps['onMove'];
}) {
  const { row, start, end } = props;
  const [shift, setShift] = useState(0);
  const drag = useRef<{ x: number; perDay: number } | null>(null);
  const left = props.percent(start);
  const width = props.percent(addDays(end, 1)) - left;
  const style = {
    left: `${String(left + (shift / props.days) * 100)}%`,
    width: `${String(width)}%`,
  };
  const window = `${format.date(row.startingDate)} – ${format.date(row.endingDate) || t('campaign.open')}`;
  const label = `${row.number}, ${tcode('state', row.state)}, ${window}`;
  const classes = `gantt-bar gantt-${row.state.toLowerCase()}`;
  const content = width > 8 ? row.number : '';
  if (row.state !== 'DRAFT' || !props.editable) {
    return (
      <span className={classes} style={style} title={label}>
        {content}
      </span>
    );
  }
  const down = (event: PointerEvent<HTMLButtonElement>) => {
    const track = event.currentTarget.parentElement;
    if (!track) return;
    event.currentTarget.setPointerCapture(event.pointerId);
    drag.current = { x: event.clientX, perDay: track.clientWidth / props.days };
  };
  const moved = (event: PointerEvent) => {
    if (drag.current) setShift(Math.round((event.clientX - drag.current.x) / drag.current.perDay));
  };
  const finish = (days: number) => {
    setShift(days);
    void props.onMove(row, days).finally(() => setShift(0));
  };
  const key = (event: KeyboardEvent) => {
    const step = event.shiftKey ? 7 : 1;
    const direction = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (direction === undefined) return;
    event.preventDefault();
    finish(direction * step);
  };
  return (
    <button
      type="button"
      className={classes}
      style={style}
      title={`${label}. ${t('calendar.dragHint')}`}
      aria-label={`${label}. ${t('calendar.dragHint')}`}
      onPointerDown={down}
      onPointerMove={moved}
      onPointerUp={() => {
        if (!drag.current) return;
        drag.current = null;
        if (shift !== 0) finish(shift);
      }}
      onPointerCancel={() => {
        drag.current = null;
        setShift(0);
      }}
      onKeyDown={key}
    >
      {content}
    </button>
  );
}
