import { Button, MessageBar, MessageBarBody, MessageBarTitle } from '@fluentui/react-components';
import { PlayRegular, ShieldCheckmarkRegular } from '@fluentui/react-icons';
import { useInfiniteQuery, useQuery, useQueryClient } from '@tanstack/react-query';
import { Link, useNavigate } from '@tanstack/react-router';
import { useState } from 'react';
import { api, ApiError, cursorOf } from '../api.ts';
import { useParam } from '../app/params.ts';
import { useCan, useSession } from '../app/session.tsx';
import * as decimal from '../lib/decimal.ts';
import * as format from '../lib/format.ts';
import { t, tcode, tn } from '../lib/i18n.ts';
import type { ActivationPlan, ActivationResult, EffectivePrices, Finding } from '@kampanje/client';
import { Empty, Lacks, Loading, PageHead, StateBadge, Tile } from '../ui/basics.tsx';
import { Bars } from '../ui/charts.tsx';
import { FindingRow } from '../ui/findings.tsx';
import { useAddress } from '../ui/list.tsx';
import { Lookup } from '../ui/lookup.tsx';
import { ProblemView } from '../ui/problem.tsx';
import { DataTable, type Column } from '../ui/table.tsx';
import { ApprovalCard, approvalOf, RequestDialog, useApprovals } from './approvals.tsx';
import { accountsChange, linesChange, planKey, useLineNames, usePlan } from './campaign-facts.tsx';
import { sourceName } from './sources.ts';

export function Activation() {
  const number = useParam('number') ?? '';
  return <Plan key={number} number={number} />;
}

function Plan({ number }: { number: string }) {
  const can = useCan();
  const client = useQueryClient();
  const navigate = useNavigate();
  const campaign = useQuery({
    queryKey: ['campaigns', 'card', number],
    queryFn: ({ signal }) => api.campaigns.get(number, signal),
  });
  const plan = usePlan(number);
  const [known, setKnown] = useState<ReadonlySet<string>>(new Set());
  const [error, setError] = useState<unknown>(null);
  const [changed, setChanged] = useState(false);
  const [busy, setBusy] = useState(false);
  const [done, setDone] = useState<ActivationResult | null>(null);
  const approvals = useApprovals(number);

  const title = campaign.data ? campaign.data.description || number : number;
  const head = (
    <PageHead
      title={t('activation.title', { name: title })}
      here={t('activation.here')}
      path={[
        { to: '/campaigns', text: t('nav.campaigns') },
        { to: `/campaigns/${encodeURIComponent(number)}`, text: number },
      ]}
      badge={campaign.data && <StateBadge state={campaign.data.state} />}
    />
  );
  if (!can('campaigns:activate')) {
    return (
      <>
        {head}
        <Lacks scope="campaigns:activate" />
        <Proposal number={number} />
      </>
    );
  }
  if (plan.isError && !plan.data) {
    return (
      <>
        {head}
        <ProblemView error={plan.error} retry={() => void plan.refetch()} />
      </>
    );
  }
  if (!plan.data) {
    return (
      <>
        {head}
        <p className="muted">{t('activation.computing')}</p>
        <Loading rows={12} />
      </>
    );
  }
  const { findings, planHash, plan: details } = plan.data;
  const errors = findings.filter(({ severity }) => severity === 'ERROR');
  const warnings = findings.filter(({ severity }) => severity !== 'ERROR');
  const open = warnings.filter(({ findingId }) => !known.has(findingId));
  const acknowledge = (ids: string[], value: boolean) => {
    const next = new Set(known);
    for (const id of ids) {
      if (value) next.add(id);
      else next.delete(id);
    }
    setKnown(next);
  };
  const activate = async () => {
    setBusy(true);
    setError(null);
    setChanged(false);
    try {
      const result = await api.campaigns.activate(
        number,
        planHash,
        warnings.map(({ findingId }) => findingId).filter((id) => known.has(id)),
      );
      setDone(result);
      await client.invalidateQueries();
    } catch (refused) {
      if (refused instanceof ApiError && refused.code === 'PLAN_CHANGED') {
        setChanged(true);
        await client.invalidateQueries({ queryKey: planKey(number) });
      } else {
        setError(refused);
      }
    } finally {
      setBusy(false);
    }
  };
  if (done) {
    return (
      <>
        {head}
        <MessageBar intent="success" layout="multiline" role="status">
          <MessageBarBody>
            <MessageBarTitle>{t('activation.done')}</MessageBarTitle>{' '}
            {done.version != null && t('activation.doneText', { version: done.version })}
          </MessageBarBody>
        </MessageBar>
        <div className="add-row">
          <Button
            appearance="primary"
            onClick={() => void navigate({ to: '/campaigns/$number', params: { number } })}
          >
            {t('activation.toCampaign')}
          </Button>
          {done.version != null && (
            <Link to="/publications/$version" params={{ version: String(done.version) }}>
              {t('activation.toPublication')}
            </Link>
          )}
          <Link to="/price-check" search={{ campaign: number }}>
            {t('activation.toPriceCheck')}
          </Link>
        </div>
      </>
    );
  }
  const prices = details?.effectivePrices;
  const requests = approvals.data?.value ?? [];
  const isHeld =
    plan.data.approvalRequired && approvals.isSuccess && !approvalOf(requests, planHash);
  const isPending = requests.some(({ state }) => state === 'PENDING');
  return (
    <>
      {head}
      {changed && (
        <MessageBar intent="warning" layout="multiline" role="alert">
          <MessageBarBody>
            <MessageBarTitle>{t('activation.changed')}</MessageBarTitle>{' '}
            {t('activation.changedText')}
          </MessageBarBody>
        </MessageBar>
      )}
      {error !== null && <ProblemView error={error} />}
      {details && <Summary plan={details} />}
      <ApprovalCard campaign={number} isRequired={plan.data.approvalRequired} />
      <Findings
        campaign={number}
        errors={errors}
        warnings={warnings}
        known={known}
        onKnow={acknowledge}
      />
      {prices && <Distribution prices={prices} />}
      {details && <Conflicts plan={details} number={number} />}
      {prices && <Reductions prices={prices} />}
      <PlannedPrices number={number} planHash={planHash} />
      <div className="action-bar">
        <span role="status">
          {errors.length > 0
            ? tn('activation.errors', errors.length)
            : isHeld
              ? t(isPending ? 'approval.waiting' : 'approval.needed')
              : open.length > 0
                ? tn('activation.open', open.length)
                : t('activation.ready')}
        </span>
        {!isHeld ? (
          <Button
            appearance="primary"
            icon={<PlayRegular />}
            disabled={busy || errors.length > 0 || open.length > 0}
            onClick={() => void activate()}
          >
            {t('activation.activate')}
          </Button>
        ) : (
          can('campaigns:write') && (
            <RequestButton campaign={number} isDisabled={errors.length > 0 || isPending} />
          )
        )}
      </div>
    </>
  );
}

/** The proposed prices, for callers who may not activate: approvers and marketers. */
function Proposal({ number }: { number: string }) {
  const can = useCan();
  const { settings } = useSession();
  const requests = useApprovals(number).data?.value ?? [];
  const pending = requests.find(({ state }) => state === 'PENDING');
  const isRequired = settings !== undefined && settings.approvalRequired !== 'NEVER';
  return (
    <>
      <ApprovalCard campaign={number} isRequired={isRequired} />
      {pending && (
        <Findings
          campaign={number}
          errors={[]}
          warnings={pending.findings}
          known={new Set()}
          readOnly
        />
      )}
      <PlannedPrices number={number} planHash={pending?.planHash ?? ''} everybody />
      {isRequired && can('campaigns:write') && (
        <div className="action-bar">
          <span role="status">{t(pending ? 'approval.waiting' : 'approval.needed')}</span>
          <RequestButton campaign={number} isDisabled={pending !== undefined} />
        </div>
      )}
    </>
  );
}

function RequestButton(props: { campaign: string; isDisabled: boolean }) {
  const [isOpen, setOpen] = useState(false);
  return (
    <>
      <Button
        appearance="primary"
        icon={<ShieldCheckmarkRegular />}
        disabled={props.isDisabled}
        onClick={() => setOpen(true)}
      >
        {t('approval.requestOpen')}
      </Button>
      {isOpen && <RequestDialog campaign={props.campaign} onClose={() => setOpen(false)} />}
    </>
  );
}

function Summary({ plan }: { plan: ActivationPlan }) {
  const prices = plan.effectivePrices;
  const before = prices?.averageMarginPercentBefore;
  const after = prices?.averageMarginPercentAfter;
  return (
    <div className="tiles">
      <Tile
        label={t('plan.accounts')}
        value={format.quantity(plan.accounts.total)}
        detail={accountsChange(plan)}
      />
      <Tile
        label={t('plan.lines')}
        value={format.quantity(plan.lines.added + plan.lines.changed + plan.lines.removed)}
        detail={linesChange(plan)}
      />
      {prices && (
        <>
          <Tile
            label={t('plan.lowerTile')}
            value={format.quantity(prices.lower)}
            detail={t('plan.ofCompared', { count: format.quantity(prices.compared) })}
          />
          <Tile
            label={t('plan.higherTile')}
            value={format.quantity(prices.higher)}
            detail={t('plan.equalCount', { count: format.quantity(prices.equal) })}
            tone={prices.higher > 0 ? 'bad' : undefined}
          />
          <Tile
            label={t('plan.averageDiscount')}
            value={format.percent(prices.averageDiscountPercent) || '–'}
            detail={t('plan.onDate', { date: format.date(prices.date) })}
          />
          <Tile
            label={t('plan.margin')}
            value={after ? format.percent(after) : '–'}
            detail={
              before
                ? t('plan.marginBefore', { percent: format.percent(before) })
                : t('plan.noMargin')
            }
            tone={after?.startsWith('-') ? 'bad' : undefined}
          />
        </>
      )}
    </div>
  );
}

function Findings(props: {
  campaign: string;
  errors: Finding[];
  warnings: Finding[];
  known: ReadonlySet<string>;
  onKnow?: (ids: string[], value: boolean) => void;
  readOnly?: boolean;
}) {
  const { errors, warnings, known } = props;
  const lines = useLineNames(props.campaign, [...errors, ...warnings]);
  const kinds = [...new Set(warnings.map(({ code }) => code))];
  return (
    <section className="card">
      <h2>{t('activation.findings')}</h2>
      {errors.length + warnings.length === 0 && (
        <p className="muted">{t('activation.noFindings')}</p>
      )}
      {errors.length > 0 && (
        <>
          <p className="field-error">{t('activation.mustFix')}</p>
          <ul className="findings">
            {errors.map((finding) => (
              <FindingRow
                key={finding.findingId}
                finding={finding}
                line={lines.get(finding.pointer)}
              />
            ))}
          </ul>
        </>
      )}
      {kinds.map((code) => {
        const same = warnings.filter((finding) => finding.code === code);
        const ids = same.map(({ findingId }) => findingId);
        const all = ids.every((id) => known.has(id));
        return (
          <div key={code} className="finding-kind">
            <ul className="findings">
              {same.map((finding) => (
                <FindingRow
                  key={finding.findingId}
                  finding={finding}
                  line={lines.get(finding.pointer)}
                >
                  {!props.readOnly && (
                    <label className="check">
                      <input
                        type="checkbox"
                        checked={known.has(finding.findingId)}
                        onChange={(event) =>
                          props.onKnow?.([finding.findingId], event.target.checked)
                        }
                      />{' '}
                      {t('activation.iKnow')}
                    </label>
                  )}
                </FindingRow>
              ))}
            </ul>
            {same.length > 1 && !props.readOnly && (
              <Button size="small" onClick={() => props.onKnow?.(ids, !all)}>
                {all ? t('activation.knowNone') : tn('activation.knowAll', same.length)}
              </Button>
            )}
          </div>
        );
      })}
    </section>
  );
}

function Distribution({ prices }: { prices: EffectivePrices }) {
  const steps = prices.histogram;
  const step = (from: number, to: number | null | undefined) =>
    to == null
      ? t('plan.stepFrom', { from: format.signedPercent(String(from)) })
      : `${format.signedPercent(String(from))} … ${format.signedPercent(String(to))}`;
  return (
    <section className="card">
      <h2>{t('plan.distribution')}</h2>
      <p className="muted">
        {t('plan.distributionText', {
          classes: format.quantity(prices.classes),
          items: format.quantity(prices.items),
        })}
      </p>
      {steps.length === 0 ? (
        <Empty title={t('plan.nothingChanges')} />
      ) : (
        <Bars
          label={t('plan.distribution')}
          heads={[t('plan.change'), t('plan.prices')]}
          bars={steps.map(({ fromPercent, toPercent, prices: count }) => ({
            label: step(fromPercent, toPercent),
            value: count,
            shown: format.quantity(count),
            tone: fromPercent >= 0 ? 'bad' : 'good',
          }))}
        />
      )}
    </section>
  );
}

function Conflicts({ plan, number }: { plan: ActivationPlan; number: string }) {
  if (plan.conflicts.length === 0) return null;
  type Row = ActivationPlan['conflicts'][number];
  const columns: Column<Row>[] = [
    {
      id: 'campaign',
      title: t('campaign.campaign'),
      cell: (row) => (
        <Link to="/campaigns/$number" params={{ number: row.campaignNumber }}>
          {row.campaignNumber}
        </Link>
      ),
    },
    {
      id: 'accounts',
      title: t('plan.accounts'),
      right: true,
      cell: (row) => format.quantity(row.accounts),
    },
    {
      id: 'items',
      title: t('plan.items'),
      right: true,
      cell: (row) => format.quantity(row.items),
    },
    {
      id: 'outcome',
      title: t('conflicts.outcome'),
      cell: (row) =>
        row.outcome === 'WINNER' && row.winner
          ? t('conflicts.wins', { campaign: row.winner })
          : tcode('outcome', row.outcome),
    },
    {
      id: 'example',
      title: t('conflicts.example'),
      cell: (row) => (
        <Link
          to="/price-check"
          search={{
            contact: row.accountNumber,
            item: row.itemNumber,
            date: row.date,
            campaign: number,
          }}
        >
          {row.itemNumber} · {row.accountNumber}
        </Link>
      ),
    },
  ];
  return (
    <section className="card">
      <h2>{t('conflicts.title')}</h2>
      <DataTable
        label={t('conflicts.title')}
        columns={columns}
        rows={plan.conflicts}
        rowKey={(row) => `${row.campaignNumber} ${row.outcome}`}
      />
    </section>
  );
}

interface Compared {
  accountNumber?: string;
  accounts?: number;
  itemNumber: string;
  variantCode?: string | null;
  unitOfMeasureCode?: string | null;
  quantity: string;
  before?: { netUnitPrice: string } | null;
  after?: { netUnitPrice: string } | null;
}

function comparedColumns<T extends Compared>(accounts: (row: T) => string): Column<T>[] {
  const change = (row: T) =>
    row.before && row.after
      ? decimal.changePercent(row.before.netUnitPrice, row.after.netUnitPrice)
      : null;
  return [
    { id: 'account', title: t('plan.account'), cell: accounts, text: accounts },
    {
      id: 'item',
      title: t('line.item'),
      cell: (row) =>
        [row.itemNumber, row.variantCode, row.unitOfMeasureCode].filter(Boolean).join(' · '),
    },
    {
      id: 'quantity',
      title: t('plan.fromQuantity'),
      right: true,
      cell: (row) => format.quantity(row.quantity),
    },
    {
      id: 'before',
      title: t('plan.before'),
      right: true,
      cell: (row) => format.money(row.before?.netUnitPrice) || '–',
    },
    {
      id: 'after',
      title: t('plan.after'),
      right: true,
      cell: (row) => <b>{format.money(row.after?.netUnitPrice) || '–'}</b>,
    },
    {
      id: 'change',
      title: t('plan.change'),
      right: true,
      cell: (row) => {
        const percent = change(row);
        const tone =
          percent === null
            ? ''
            : percent.startsWith('-')
              ? 'tone-good'
              : /[1-9]/.test(percent)
                ? 'tone-bad'
                : '';
        return <span className={tone}>{format.signedPercent(percent)}</span>;
      },
    },
  ];
}

function Reductions({ prices }: { prices: EffectivePrices }) {
  if (prices.largestReductions.length === 0) return null;
  const columns = comparedColumns<EffectivePrices['largestReductions'][number]>((row) =>
    row.accounts > 1
      ? tn('plan.andOthers', row.accounts - 1, { account: row.accountNumber })
      : row.accountNumber,
  );
  return (
    <section className="card">
      <h2>{t('plan.largest')}</h2>
      <DataTable
        label={t('plan.largest')}
        columns={columns}
        rows={prices.largestReductions}
        rowKey={(row) =>
          [
            row.accountNumber,
            row.itemNumber,
            row.variantCode,
            row.unitOfMeasureCode,
            row.quantity,
            row.currencyCode,
          ].join(' ')
        }
      />
      {prices.stacked.length > 0 && (
        <>
          <h3>{t('plan.stacked')}</h3>
          <ul>
            {prices.stacked.map((row, index) => (
              <li key={index}>
                {t('plan.stackedText', {
                  price: sourceName(row.priceSource),
                  discount: sourceName(row.discountSource),
                  count: format.quantity(row.prices),
                })}
              </li>
            ))}
          </ul>
        </>
      )}
    </section>
  );
}

const PAGE_ROWS = 100;

/** The prices of one account before and after; of everybody before an account is chosen. */
function PlannedPrices({
  number,
  planHash,
  everybody = false,
}: {
  number: string;
  planHash: string;
  everybody?: boolean;
}) {
  const [search, change] = useAddress();
  const [typed, setTyped] = useState(search.account ?? '');
  const account = search.account ?? '';
  const shows = everybody || account !== '';
  const title = t(everybody && !account ? 'plan.changedPrices' : 'plan.forAccount');
  const rows = useInfiniteQuery({
    queryKey: ['plan', number, 'prices', account, planHash],
    queryFn: ({ pageParam, signal }) =>
      api.campaigns.plannedPrices(
        number,
        {
          ...(account && { accountNumber: account }),
          changedOnly: true,
          top: PAGE_ROWS,
          ...(pageParam && { cursor: pageParam }),
        },
        signal,
      ),
    initialPageParam: '',
    getNextPageParam: (page) => cursorOf(page),
    enabled: shows,
  });
  const loaded = rows.data?.pages.flatMap((page) => page.value) ?? [];
  const choose = (key: string) => change({ account: key.trim().toUpperCase() || undefined });
  return (
    <section className="card">
      <h2>{title}</h2>
      <div className="add-row">
        <Lookup
          source="contacts"
          label={t('plan.account')}
          placeholder={t('plan.chooseAccount')}
          value={typed}
          onChange={setTyped}
          onChoose={choose}
          onKeyDown={(event) => {
            if (event.key === 'Enter') choose(typed);
          }}
        />
      </div>
      {rows.isError && <ProblemView error={rows.error} retry={() => void rows.refetch()} />}
      {shows && rows.isPending && <Loading />}
      {shows && rows.isSuccess && loaded.length === 0 && (
        <Empty
          title={account ? t('plan.nothingForAccount', { account }) : t('plan.nothingChanges')}
        />
      )}
      {loaded.length > 0 && (
        <DataTable
          label={title}
          columns={comparedColumns<(typeof loaded)[number]>((row) => row.accountNumber)}
          rows={loaded}
          rowKey={(row) =>
            [
              row.accountNumber,
              row.itemNumber,
              row.variantCode,
              row.unitOfMeasureCode,
              row.quantity,
              row.currencyCode,
            ].join(' ')
          }
          onEnd={
            rows.hasNextPage && !rows.isFetchingNextPage
              ? () => void rows.fetchNextPage()
              : undefined
          }
        />
      )}
    </section>
  );
}
