import { Button } from '@fluentui/react-components';
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { api, type Collection } from '../api.ts';
import { useCan } from '../app/session.tsx';
import * as format from '../lib/format.ts';
import { t, tcode, tn } from '../lib/i18n.ts';
import type { ActivationPlan, Campaign, Finding } from '@kampanje/client';
import { Fact, FactBox, Loading } from '../ui/basics.tsx';
import { FindingRow } from '../ui/findings.tsx';
import { ProblemView } from '../ui/problem.tsx';

interface NamedLine {
  id: string;
  minimumQuantity: string;
}

/** The key of the plan; invalidated with every change that it depends on. */
export const planKey = (campaign: string) => ['plan', campaign];

/** Reads the plan, if the caller may. */
export function usePlan(campaign: string) {
  const can = useCan();
  return useQuery({
    enabled: can('campaigns:activate'),
    queryKey: planKey(campaign),
    queryFn: ({ signal }) => api.campaigns.plan(campaign, signal),
    placeholderData: (previous) => previous,
    staleTime: 5_000,
  });
}

/** The most values that a filter names. */
const MAX_NAMED_LINES = 100;

/** Returns the names of the lines that findings are about, by the pointers of the findings. */
export function useLineNames(campaign: string, findings: Finding[]): Map<string, string> {
  const idsOf = (kind: 'prices' | 'discounts') =>
    [...new Set(findings.map(({ pointer }) => pointer))]
      .filter((pointer) => pointer.startsWith(`/${kind}/`))
      .map((pointer) => pointer.slice(kind.length + 2))
      .slice(0, MAX_NAMED_LINES);
  const prices = idsOf('prices');
  const discounts = idsOf('discounts');
  const lines = useQuery({
    queryKey: ['plan', campaign, 'lines', prices, discounts],
    enabled: prices.length + discounts.length > 0,
    queryFn: async ({ signal }) => {
      const names = new Map<string, string>();
      const read = async <T extends NamedLine>(
        kind: string,
        of: Collection<T>,
        ids: string[],
        item: (line: T) => string,
      ) => {
        if (ids.length === 0) return;
        const query = { filter: `id in (${ids.join(',')})`, top: MAX_NAMED_LINES };
        for (const line of (await of.list(query, signal)).value) {
          const name = item(line);
          const from = format.quantity(line.minimumQuantity);
          names.set(
            `/${kind}/${line.id}`,
            from === '0' ? name : t('finding.lineFrom', { item: name, quantity: from }),
          );
        }
      };
      await Promise.all([
        read('prices', api.campaignPrices(campaign), prices, (line) => line.itemNumber),
        read(
          'discounts',
          api.campaignDiscounts(campaign),
          discounts,
          (line) => line.itemNumber ?? line.itemDiscountGroupCode ?? '',
        ),
      ]);
      return names;
    },
  });
  return lines.data ?? new Map<string, string>();
}

/** The change of the audience in words. */
export function accountsChange(plan: ActivationPlan): string {
  const { gained, lost } = plan.accounts;
  if (gained === 0 && lost === 0) return t('plan.accountsSame');
  return [gained > 0 && tn('plan.gained', gained), lost > 0 && tn('plan.lost', lost)]
    .filter(Boolean)
    .join(', ');
}

/** The change of the lines in words. */
export function linesChange(plan: ActivationPlan): string {
  const { added, changed, removed } = plan.lines;
  const parts = [
    added > 0 && tn('plan.linesAdded', added),
    changed > 0 && tn('plan.linesChanged', changed),
    removed > 0 && tn('plan.linesRemoved', removed),
  ].filter(Boolean);
  return parts.length > 0 ? parts.join(', ') : t('plan.linesSame');
}

const MAX_FINDINGS = 4;

/** What an activation would change now. */
export function PlanBox({ campaign }: { campaign: Campaign }) {
  const can = useCan();
  const plan = usePlan(campaign.number);
  const result = plan.data;
  const findings = result?.findings.slice(0, MAX_FINDINGS) ?? [];
  const lines = useLineNames(campaign.number, findings);
  const prices = result?.plan?.effectivePrices;
  return (
    <FactBox title={t('plan.title')} busy={plan.isFetching}>
      {plan.isError && <ProblemView error={plan.error} retry={() => void plan.refetch()} />}
      {!result && plan.isFetching && <Loading rows={4} />}
      {result?.plan && (
        <>
          <Fact name={t('plan.accounts')}>{format.quantity(result.plan.accounts.total)}</Fact>
          <p className="fact-note">{accountsChange(result.plan)}</p>
          <p className="fact-note">{linesChange(result.plan)}</p>
          {prices && (
            <>
              <Fact name={t('plan.lower')}>{format.quantity(prices.lower)}</Fact>
              {prices.higher > 0 && (
                <Fact name={t('plan.higher')}>
                  <span className="tone-bad">{format.quantity(prices.higher)}</span>
                </Fact>
              )}
              <Fact name={t('plan.averageDiscount')}>
                {format.percent(prices.averageDiscountPercent) || '–'}
              </Fact>
              <Fact name={t('plan.margin')}>
                {prices.averageMarginPercentBefore && prices.averageMarginPercentAfter
                  ? `${format.percent(prices.averageMarginPercentBefore)} → ${format.percent(prices.averageMarginPercentAfter)}`
                  : '–'}
              </Fact>
            </>
          )}
          {result.plan.limit && <p className="fact-note tone-warn">{result.plan.limit.detail}</p>}
        </>
      )}
      {findings.length > 0 && (
        <ul className="findings">
          {findings.map((finding) => (
            <FindingRow
              key={finding.findingId}
              finding={finding}
              line={lines.get(finding.pointer)}
            />
          ))}
        </ul>
      )}
      {result && (
        <p>
          <Link to="/campaigns/$number/activation" params={{ number: campaign.number }}>
            {result.findings.length > MAX_FINDINGS
              ? tn('plan.allFindings', result.findings.length)
              : t('plan.whole')}
          </Link>
        </p>
      )}
      {!can('campaigns:activate') && (
        <p className="lacks">{t('access.lacks', { scope: 'campaigns:activate' })}</p>
      )}
    </FactBox>
  );
}

export function StatisticsBox({ campaign }: { campaign: string }) {
  const statistics = useQuery({
    queryKey: ['statistics', campaign],
    queryFn: ({ signal }) => api.campaigns.statistics(campaign, undefined, signal),
  });
  const figures = statistics.data;
  return (
    <FactBox title={t('nav.statistics')} busy={statistics.isFetching}>
      {statistics.isError && <ProblemView error={statistics.error} />}
      {figures && (
        <>
          <Fact name={t('statistics.targeted')}>
            {format.quantity(figures.distinctContactsTargeted)}
          </Fact>
          <Fact name={t('statistics.responded')}>
            {format.quantity(figures.distinctContactsResponded)}
            {figures.responseRate && ` · ${format.percent(figures.responseRate)}`}
          </Fact>
          <Fact name={t('statistics.sales')}>{format.money(figures.salesAmount)}</Fact>
          <Fact name={t('statistics.discount')}>{format.money(figures.discountGiven)}</Fact>
          <Fact name={t('statistics.cost')}>{format.money(figures.cost)}</Fact>
          <Fact name={t('statistics.tasksOpen')}>{format.quantity(figures.tasksOpen)}</Fact>
          <p>
            <Link to="/statistics" search={{ campaign }}>
              {t('statistics.more')}
            </Link>
          </p>
        </>
      )}
    </FactBox>
  );
}

const HISTORY_ROWS = 5;

/** What happened to a campaign, and what of it is in the price book. */
export function HistoryBox(props: { campaign: Campaign; onRollBack?: (() => void) | undefined }) {
  const { campaign } = props;
  const history = useQuery({
    queryKey: [
      'campaigns',
      'history',
      campaign.number,
      campaign.publicationVersion,
      campaign.statusCode,
    ],
    queryFn: ({ signal }) =>
      api.campaigns.history(campaign.number, { top: HISTORY_ROWS, orderby: 'at desc' }, signal),
  });
  return (
    <FactBox title={t('history.title')}>
      {campaign.publicationVersion ? (
        <>
          <Fact name={t('history.version')}>
            <Link
              to="/publications/$version"
              params={{ version: String(campaign.publicationVersion) }}
            >
              {campaign.publicationVersion}
            </Link>
          </Fact>
          <Fact name={t('history.window')}>
            {format.date(campaign.publishedStartingDate)} –{' '}
            {format.date(campaign.publishedEndingDate) || t('campaign.open')}
          </Fact>
        </>
      ) : (
        <p className="muted">{t('history.never')}</p>
      )}
      {history.isError && <ProblemView error={history.error} />}
      <ul className="history">
        {history.data?.value.map((entry) => (
          <li key={entry.id}>
            <span>{tcode('event', entry.event)}</span>{' '}
            <span className="muted">
              {format.instant(entry.at)} · {entry.author}
            </span>
          </li>
        ))}
      </ul>
      {props.onRollBack && (
        <Button size="small" onClick={props.onRollBack}>
          {t('rollback.button')}
        </Button>
      )}
    </FactBox>
  );
}
