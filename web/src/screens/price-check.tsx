import { CheckmarkCircleRegular, SubtractCircleRegular } from '@fluentui/react-icons';
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import type { ReactNode } from 'react';
import { api, type QuoteQuery } from '../api.ts';
import { useSession } from '../app/session.tsx';
import { addDays, addMonths, daysBetween, startOfMonth, type IsoDate } from '../lib/dates.ts';
import * as decimal from '../lib/decimal.ts';
import * as format from '../lib/format.ts';
import { t, tcode, tn } from '../lib/i18n.ts';
import type { PricedLine, PriceQuote, PriceQuoteSource, UnpricedLine } from '@kampanje/client';
import { Empty, Loading, PageHead } from '../ui/basics.tsx';
import { Chart } from '../ui/charts.tsx';
import { EditField } from '../ui/fields.tsx';
import { useAddress } from '../ui/list.tsx';
import { ProblemView } from '../ui/problem.tsx';
import { sourceName } from './sources.ts';

/** Days before the answer's date for which the lowest price is shown, as the EU's rule has it. */
const LOWEST_PRICE_DAYS = 30;

export function PriceCheck() {
  const { today } = useSession();
  const [search, change] = useAddress();
  const set = (field: string) => (value: string) => change({ [field]: value || undefined });
  const item = search.item ?? '';
  const date = search.date ?? today;
  const query: QuoteQuery = {
    itemNumber: item,
    date,
    explain: true,
    ...(search.contact && { contactNumber: search.contact }),
    ...(search.quantity && { quantity: search.quantity }),
    ...(search.variant && { variantCode: search.variant }),
    ...(search.unit && { unitOfMeasureCode: search.unit }),
    ...(search.currency && { currencyCode: search.currency }),
    ...(search.version && { publicationVersion: Number(search.version) }),
  };
  const quote = useQuery({
    queryKey: ['quote', query],
    queryFn: ({ signal }) => api.quote(query, signal),
    enabled: item !== '',
    placeholderData: (previous) => previous,
  });
  const [line] = quote.data?.lines ?? [];
  return (
    <>
      <PageHead title={t('nav.priceCheck')} />
      <section className="card">
        <div className="fields fields-many">
          <EditField
            label={t('price.contact')}
            lookup="contacts"
            value={search.contact ?? ''}
            onSave={set('contact')}
            hint={search.contact ? undefined : t('price.everybody')}
          />
          <EditField label={t('line.item')} lookup="items" value={item} onSave={set('item')} />
          <EditField
            label={t('price.quantity')}
            kind="decimal"
            value={search.quantity ?? '1'}
            onSave={set('quantity')}
          />
          <EditField
            label={t('price.date')}
            kind="date"
            value={date}
            onSave={(value) => change({ date: value === today ? undefined : value || undefined })}
          />
          <EditField
            label={t('line.variant')}
            kind="key"
            value={search.variant ?? ''}
            onSave={set('variant')}
          />
          <EditField
            label={t('line.unit')}
            kind="key"
            value={search.unit ?? ''}
            onSave={set('unit')}
          />
          <EditField
            label={t('price.version')}
            kind="integer"
            value={search.version ?? ''}
            onSave={set('version')}
            placeholder={t('price.newest')}
            hint={search.version ? t('price.asKnown', { version: search.version }) : undefined}
          />
        </div>
      </section>
      {!item && <Empty title={t('price.empty')}>{t('price.emptyHint')}</Empty>}
      {quote.isError && <ProblemView error={quote.error} retry={() => void quote.refetch()} />}
      {item && quote.isPending && <Loading />}
      {quote.data && line && !quote.isError && (
        <Answer
          quote={quote.data}
          line={line}
          query={query}
          onDate={(value) => change({ date: value })}
        />
      )}
    </>
  );
}

function isPriced(line: PricedLine | UnpricedLine): line is PricedLine {
  return 'unitPrice' in line;
}

function Answer(props: {
  quote: PriceQuote;
  line: PricedLine | UnpricedLine;
  query: QuoteQuery;
  onDate: (date: IsoDate) => void;
}) {
  const { quote, line, query } = props;
  return (
    <>
      <div className="answer">
        <section className="card answer-price" aria-live="polite">
          {isPriced(line) ? (
            <Price quote={quote} line={line} query={query} />
          ) : (
            <Empty title={t('price.none')}>{line.problem.detail}</Empty>
          )}
          {quote.warnings.map((warning) => (
            <p key={warning.code} className="tone-warn">
              {warning.detail}
            </p>
          ))}
          <p className="muted">
            {t('price.bookVersion', { version: quote.publicationVersion })}
            {quote.accountNumber && ` · ${t('price.account', { account: quote.accountNumber })}`}
          </p>
        </section>
        {line.trace && <Trace line={line} trace={line.trace} query={query} />}
      </div>
      {isPriced(line) && !query.publicationVersion && (
        <Steps quote={quote} query={query} onDate={props.onDate} />
      )}
    </>
  );
}

function Price({ quote, line, query }: { quote: PriceQuote; line: PricedLine; query: QuoteQuery }) {
  const discounted = decimal.compare(line.lineDiscountPercent, '0') > 0;
  const fromList = line.listPrice ? decimal.changePercent(line.listPrice, line.netUnitPrice) : null;
  return (
    <>
      {line.listPrice && line.listPrice !== line.netUnitPrice && (
        <div className="muted">
          {t('price.list')} <s>{format.money(line.listPrice)}</s> {format.signedPercent(fromList)}
        </div>
      )}
      <div className="big-price">
        {format.money(line.netUnitPrice)} <small>{quote.currencyCode}</small>
      </div>
      <div className="muted">{quote.pricesIncludeTax ? t('price.netWithTax') : t('price.net')}</div>
      <dl className="answer-facts">
        <dt>{t('line.unitPrice')}</dt>
        <dd>{format.money(line.unitPrice)}</dd>
        <dt>{t('line.discount')}</dt>
        <dd>{discounted ? format.percent(line.lineDiscountPercent) : '–'}</dd>
        <dt>{t('price.amount', { quantity: format.quantity(query.quantity ?? '1') })}</dt>
        <dd>
          <b>{format.money(line.lineAmount)}</b>
        </dd>
        <dt>{t('price.from')}</dt>
        <dd>
          <Source source={line.source} />
        </dd>
        {line.discountLine && (
          <>
            <dt>{t('price.discountFrom')}</dt>
            <dd>
              <Source source={line.discountLine.source} />
            </dd>
          </>
        )}
        {line.validUntil && (
          <>
            <dt>{t('price.validUntil')}</dt>
            <dd>{format.date(line.validUntil)}</dd>
          </>
        )}
        {line.nextBreak && (
          <>
            <dt>
              {t('price.nextBreak', {
                quantity: format.quantity(line.nextBreak.quantity),
              })}
            </dt>
            <dd>
              {format.money(line.nextBreak.unitPrice)}
              {decimal.compare(line.nextBreak.lineDiscountPercent, '0') > 0 &&
                ` − ${format.percent(line.nextBreak.lineDiscountPercent)}`}
            </dd>
          </>
        )}
        <Lowest query={query} />
      </dl>
    </>
  );
}

function Source({ source }: { source: PriceQuoteSource }): ReactNode {
  if (source.campaignNumber) {
    return (
      <Link to="/campaigns/$number" params={{ number: source.campaignNumber }}>
        {sourceName(source)}
      </Link>
    );
  }
  return sourceName(source);
}

function useLowest(query: QuoteQuery) {
  const asked = {
    itemNumber: query.itemNumber,
    days: LOWEST_PRICE_DAYS,
    ...(query.date && { date: query.date }),
    ...(query.contactNumber && { contactNumber: query.contactNumber }),
    ...(query.quantity && { quantity: query.quantity }),
  };
  return useQuery({
    queryKey: ['lowest', asked],
    queryFn: ({ signal }) => api.lowestPrice(asked, signal),
    enabled: !query.publicationVersion && !query.variantCode && !query.unitOfMeasureCode,
    placeholderData: (previous) => previous,
  });
}

function Lowest({ query }: { query: QuoteQuery }) {
  const lowest = useLowest(query);
  const found = lowest.data?.lowest;
  if (!found) return null;
  return (
    <>
      <dt>{tn('price.lowest', LOWEST_PRICE_DAYS)}</dt>
      <dd>{format.money(found.netUnitPrice)}</dd>
    </>
  );
}

type TraceRows = NonNullable<PricedLine['trace']>;

function Trace({
  line,
  trace,
  query,
}: {
  line: PricedLine | UnpricedLine;
  trace: TraceRows;
  query: QuoteQuery;
}) {
  const verdict = (code: string) => (
    <span className={code === 'CHOSEN' ? 'verdict tone-good' : 'verdict'}>
      {code === 'CHOSEN' ? (
        <CheckmarkCircleRegular aria-hidden />
      ) : (
        <SubtractCircleRegular aria-hidden />
      )}{' '}
      {tcode('verdict', code)}
    </span>
  );
  const priced = isPriced(line) ? line : undefined;
  return (
    <section className="card answer-trace">
      <h2>{t('price.candidates')}</h2>
      {trace.prices.length === 0 && <p className="muted">{t('price.noCandidates')}</p>}
      {trace.prices.length > 0 && (
        <div className="table-wrap" tabIndex={0} role="region" aria-label={t('price.candidates')}>
          <table className="table">
            <thead>
              <tr>
                <th scope="col">{t('price.from')}</th>
                <th scope="col" className="right">
                  {t('line.minimum')}
                </th>
                <th scope="col" className="right">
                  {t('line.unitPrice')}
                </th>
                <th scope="col" className="right">
                  {t('price.netColumn')}
                </th>
                <th scope="col">{t('price.verdict')}</th>
              </tr>
            </thead>
            <tbody>
              {trace.prices.map((row) => (
                <tr key={row.id} className={row.verdict === 'CHOSEN' ? 'chosen' : undefined}>
                  <td>
                    <Source source={row.source} />
                  </td>
                  <td className="right">{format.quantity(row.minimumQuantity)}</td>
                  <td className="right">{format.money(row.unitPrice)}</td>
                  <td className="right">{format.money(row.netUnitPrice)}</td>
                  <td>{verdict(row.verdict)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      <h2>{t('price.discounts')}</h2>
      {!trace.lineDiscountAllowed && <p className="muted">{t('price.noDiscountAllowed')}</p>}
      {trace.discounts.length === 0 && trace.lineDiscountAllowed && (
        <p className="muted">{t('price.noDiscounts')}</p>
      )}
      {trace.discounts.length > 0 && (
        <div className="table-wrap" tabIndex={0} role="region" aria-label={t('price.discounts')}>
          <table className="table">
            <thead>
              <tr>
                <th scope="col">{t('price.discountFrom')}</th>
                <th scope="col" className="right">
                  {t('line.minimum')}
                </th>
                <th scope="col" className="right">
                  {t('line.discount')}
                </th>
                <th scope="col">{t('price.verdict')}</th>
              </tr>
            </thead>
            <tbody>
              {trace.discounts.map((row) => (
                <tr key={row.id} className={row.verdict === 'CHOSEN' ? 'chosen' : undefined}>
                  <td>
                    <Source source={row.source} />
                  </td>
                  <td className="right">{format.quantity(row.minimumQuantity)}</td>
                  <td className="right">{format.percent(row.lineDiscountPercent)}</td>
                  <td>{verdict(row.verdict)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {trace.otherLines.length > 0 && (
        <p className="muted">
          {t('price.others')}{' '}
          {trace.otherLines
            .map(
              ({ count, verdict: code }) => `${format.quantity(count)} × ${tcode('verdict', code)}`,
            )
            .join('; ')}
        </p>
      )}
      {priced?.source.type === 'LIST_PRICE' && <p className="muted">{t('price.listWins')}</p>}
      <p className="muted">
        {t('price.link')} <code>{window.location.pathname + linkOf(query)}</code>
      </p>
    </section>
  );
}

function linkOf(query: QuoteQuery): string {
  const parameters = {
    contact: query.contactNumber,
    item: query.itemNumber,
    quantity: query.quantity,
    date: query.date,
    variant: query.variantCode,
    unit: query.unitOfMeasureCode,
    version: query.publicationVersion?.toString(),
  };
  const entries = Object.entries(parameters).filter(
    (entry): entry is [string, string] => entry[1] !== undefined,
  );
  return `?${new URLSearchParams(entries).toString()}`;
}

interface Step {
  from: IsoDate;
  to: IsoDate;
  net: decimal.Decimal;
  source: PriceQuoteSource;
}

const MAX_STEPS = 12;
const MONTHS_AHEAD = 6;

/** Follows the price from a date on: each answer says until when it holds. */
async function readSteps(
  query: QuoteQuery,
  from: IsoDate,
  until: IsoDate,
  signal: AbortSignal,
): Promise<Step[]> {
  const steps: Step[] = [];
  let date = from;
  while (date <= until && steps.length < MAX_STEPS) {
    const answer = await api.quote({ ...query, date, explain: false }, signal);
    const [line] = answer.lines;
    if (!line || !isPriced(line)) break;
    const end = line.validUntil ?? until;
    const to = end < until ? end : until;
    const last = steps[steps.length - 1];
    if (last?.net === line.netUnitPrice && sourceName(last.source) === sourceName(line.source))
      last.to = to;
    else steps.push({ from: date, to, net: line.netUnitPrice, source: line.source });
    if (!line.validUntil) break;
    date = addDays(to, 1);
  }
  return steps;
}

const WIDTH = 900;
const HEIGHT = 220;
const LEFT = 70;
const TOP = 16;
const BOTTOM = 30;

/** The prices of the item for this customer over time. */
function Steps(props: { quote: PriceQuote; query: QuoteQuery; onDate: (date: IsoDate) => void }) {
  const { query } = props;
  const { today } = useSession();
  const date = query.date ?? today;
  const first = date < today ? date : today;
  const until = addMonths(date > today ? date : today, MONTHS_AHEAD);
  const asked = { ...query, date: first };
  const ahead = useQuery({
    queryKey: ['steps', asked, until],
    queryFn: ({ signal }) => readSteps(asked, first, until, signal),
    placeholderData: (previous) => previous,
    staleTime: 60_000,
  });
  const lowest = useLowest(asked);
  const past: Step[] = (lowest.data?.history ?? [])
    .filter((stretch) => stretch.from < first)
    .map((stretch) => ({
      from: stretch.from,
      to: stretch.to < first ? stretch.to : addDays(first, -1),
      net: stretch.netUnitPrice,
      source: stretch.source,
    }));
  if (ahead.isError) return <ProblemView error={ahead.error} retry={() => void ahead.refetch()} />;
  if (!ahead.data) return <Loading rows={4} />;
  const steps = [...past, ...ahead.data];
  const [start] = steps;
  const end = steps[steps.length - 1];
  if (!start || !end) return null;
  const values = steps.map(({ net }) => decimal.approximate(net));
  const low = Math.min(...values);
  const high = Math.max(...values);
  const margin = (high - low || high || 1) * 0.25;
  const days = Math.max(1, daysBetween(start.from, end.to) + 1);
  const x = (day: IsoDate) => LEFT + (daysBetween(start.from, day) / days) * (WIDTH - LEFT);
  const y = (value: number) =>
    TOP + (1 - (value - low + margin) / (high - low + 2 * margin)) * (HEIGHT - TOP - BOTTOM);
  const months: IsoDate[] = [];
  for (
    let month = addMonths(startOfMonth(start.from), 1);
    month <= end.to;
    month = addMonths(month, 1)
  ) {
    months.push(month);
  }
  const label = t('price.steps', {
    item: query.itemNumber,
    contact: query.contactNumber ?? t('price.all'),
  });
  return (
    <section className="card">
      <h2>{label}</h2>
      <Chart
        label={label}
        heads={[t('price.period'), t('price.netColumn'), t('price.from')]}
        rows={steps.map((step) => [
          `${format.date(step.from)} – ${format.date(step.to)}`,
          format.money(step.net),
          sourceName(step.source),
        ])}
      >
        <svg
          viewBox={`0 0 ${String(WIDTH)} ${String(HEIGHT)}`}
          className="steps"
          role="img"
          aria-label={label}
        >
          {[...new Set(values)].slice(0, 5).map((value) => (
            <line
              key={value}
              x1={LEFT}
              x2={WIDTH}
              y1={y(value)}
              y2={y(value)}
              className="grid-line"
            />
          ))}
          {months.map((month) => (
            <g key={month}>
              <line
                x1={x(month)}
                x2={x(month)}
                y1={TOP}
                y2={HEIGHT - BOTTOM}
                className="grid-line"
              />
              <text x={x(month) + 4} y={HEIGHT - 10}>
                {format.month(month, month.endsWith('-01-01'))}
              </text>
            </g>
          ))}
          {steps.map((step, index) => {
            const top = y(decimal.approximate(step.net));
            const left = x(step.from);
            const right = x(addDays(step.to, 1));
            const next = steps[index + 1];
            return (
              <g key={step.from} className="step" onClick={() => props.onDate(step.from)}>
                <rect
                  x={left}
                  y={top}
                  width={right - left}
                  height={HEIGHT - BOTTOM - top}
                  className="step-area"
                />
                <line x1={left} x2={right} y1={top} y2={top} className="step-line" />
                {next && (
                  <line
                    x1={right}
                    x2={right}
                    y1={top}
                    y2={y(decimal.approximate(next.net))}
                    className="step-join"
                  />
                )}
                {right - left > 46 && (
                  <text x={left + 4} y={top - 5} className="step-text">
                    {format.money(step.net)} {right - left > 160 ? sourceName(step.source) : ''}
                  </text>
                )}
              </g>
            );
          })}
          {date >= start.from && date <= end.to && (
            <line x1={x(date)} x2={x(date)} y1={TOP} y2={HEIGHT - BOTTOM} className="now-line" />
          )}
        </svg>
      </Chart>
    </section>
  );
}
