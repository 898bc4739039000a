import {
  Badge,
  Button,
  Menu,
  MenuItem,
  MenuList,
  MenuPopover,
  MenuTrigger,
} from '@fluentui/react-components';
import {
  CopyRegular,
  DeleteRegular,
  MoreHorizontalRegular,
  PlayRegular,
  StopRegular,
} from '@fluentui/react-icons';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { Link, useNavigate } from '@tanstack/react-router';
import { useState } from 'react';
import { all, api, quoted, type Stored } from '../api.ts';
import { useParam } from '../app/params.ts';
import { useCan, useSession } from '../app/session.tsx';
import * as format from '../lib/format.ts';
import { t, tcode, tn } from '../lib/i18n.ts';
import type { Campaign, CampaignStatus } from '@kampanje/client';
import { Empty, FastTab, Lacks, Loading, PageHead, StateBadge } from '../ui/basics.tsx';
import { ActionDialog } from '../ui/dialogs.tsx';
import { ChoiceField, EditField, fieldText } from '../ui/fields.tsx';
import { Lookup } from '../ui/lookup.tsx';
import { ProblemView } from '../ui/problem.tsx';
import { useRecord } from '../ui/record.tsx';
import { CampaignDialog } from './campaign-dialogs.tsx';
import { HistoryBox, PlanBox, planKey, StatisticsBox } from './campaign-facts.tsx';
import { LinesGrid, type Bounds } from './lines.tsx';
import { RollbackDialog } from './rollback.tsx';

type Open = 'copy' | 'deactivate' | 'delete' | 'rollback' | null;

export function CampaignCard() {
  const number = useParam('number') ?? '';
  // Another campaign is another card, with nothing kept of the one before.
  return <Card key={number} number={number} />;
}

function Card({ number }: { number: string }) {
  const can = useCan();
  const client = useQueryClient();
  const navigate = useNavigate();
  const { settings } = useSession();
  const [open, setOpen] = useState<Open>(null);
  const refreshPlan = () => {
    void client.invalidateQueries({ queryKey: planKey(number) });
    void client.invalidateQueries({ queryKey: ['campaigns', 'list'] });
  };
  const queryKey = ['campaigns', 'card', number];
  const record = useRecord<Campaign>({
    queryKey,
    get: (signal) => api.campaigns.get(number, signal),
    update: (patch, etag) => api.campaigns.update(number, patch, etag),
    onSaved: refreshPlan,
  });
  const path = [{ to: '/campaigns', text: t('nav.campaigns') }];
  const campaign = record.query.data;
  if (record.query.isError && !campaign) {
    return (
      <>
        <PageHead title={number} path={path} />
        <ProblemView error={record.query.error} retry={() => void record.query.refetch()} />
      </>
    );
  }
  if (!campaign) {
    return (
      <>
        <PageHead title={number} path={path} />
        <Loading rows={12} />
      </>
    );
  }
  const editable = can('campaigns:write');
  const isActive = campaign.publicationVersion != null;
  const changed = () => {
    refreshPlan();
    // Lines of an active campaign are published with the change.
    if (isActive) void client.invalidateQueries({ queryKey });
  };
  const bounds: Bounds = {
    marginFloor: campaign.marginFloorPercent ?? settings?.marginFloorPercent ?? null,
    maxDiscount: campaign.maxDiscountPercent ?? settings?.maxDiscountPercent ?? null,
  };
  return (
    <>
      <PageHead
        title={campaign.description || campaign.number}
        here={campaign.number}
        path={path}
        badge={
          <>
            <StateBadge state={campaign.state} />
            {campaign.hasUnpublishedChanges && isActive && (
              <Badge color="warning" appearance="tint" className="state-badge">
                {t('campaign.unpublished')}
              </Badge>
            )}
          </>
        }
        actions={
          <>
            {can('campaigns:activate') && (
              <Button
                appearance="primary"
                icon={<PlayRegular />}
                onClick={() =>
                  void navigate({
                    to: '/campaigns/$number/activation',
                    params: { number },
                  })
                }
              >
                {isActive ? t('campaign.publish') : t('campaign.activate')}
              </Button>
            )}
            {editable && (
              <Button icon={<CopyRegular />} onClick={() => setOpen('copy')}>
                {t('campaign.copy')}
              </Button>
            )}
            {isActive && can('campaigns:activate') && (
              <Button icon={<StopRegular />} onClick={() => setOpen('deactivate')}>
                {t('campaign.deactivate')}
              </Button>
            )}
            <Menu>
              <MenuTrigger disableButtonEnhancement>
                <Button icon={<MoreHorizontalRegular />} aria-label={t('common.more')} />
              </MenuTrigger>
              <MenuPopover>
                <MenuList>
                  <MenuItem
                    onClick={() =>
                      void navigate({
                        to: '/campaigns/$number/audience',
                        params: { number },
                      })
                    }
                  >
                    {t('campaign.audience')}
                  </MenuItem>
                  <MenuItem
                    disabled={!editable || isActive}
                    icon={<DeleteRegular />}
                    onClick={() => setOpen('delete')}
                  >
                    {isActive ? t('campaign.deleteActive') : t('campaign.delete')}
                  </MenuItem>
                </MenuList>
              </MenuPopover>
            </Menu>
          </>
        }
      />
      <Chevrons
        campaign={campaign}
        editable={editable}
        onChanged={() => {
          void client.invalidateQueries({ queryKey });
          refreshPlan();
        }}
      />
      <Lacks scope="campaigns:write" />
      {record.error !== null && !record.hasFieldErrors && <ProblemView error={record.error} />}
      <div className="with-facts">
        <div className="card-main">
          <General campaign={campaign} record={record} editable={editable} />
          <FastTab title={t('campaign.prices')}>
            <LinesGrid
              kind="prices"
              name={`lines-${number}`}
              label={t('campaign.prices')}
              collection={api.campaignPrices(number)}
              editable={editable}
              bounds={bounds}
              onChanged={changed}
              emptyHint={editable ? t('campaign.noPrices') : t('campaign.noPricesRead')}
            />
          </FastTab>
          <FastTab title={t('campaign.discounts')}>
            <LinesGrid
              kind="discounts"
              name={`lines-${number}`}
              label={t('campaign.discounts')}
              collection={api.campaignDiscounts(number)}
              editable={editable}
              bounds={bounds}
              onChanged={changed}
              emptyHint={editable ? t('campaign.noDiscounts') : t('campaign.noPricesRead')}
            />
          </FastTab>
          <Segments campaign={campaign} onChanged={changed} />
        </div>
        <aside className="facts" aria-label={t('common.facts')}>
          <PlanBox campaign={campaign} />
          <HistoryBox
            campaign={campaign}
            onRollBack={can('campaigns:activate') ? () => setOpen('rollback') : undefined}
          />
          <StatisticsBox campaign={number} />
        </aside>
      </div>
      {record.dialog}
      {open === 'copy' && <CampaignDialog original={campaign} onClose={() => setOpen(null)} />}
      {open === 'rollback' && (
        <RollbackDialog
          campaign={number}
          current={campaign.publicationVersion ?? null}
          onClose={() => setOpen(null)}
        />
      )}
      <ActionDialog
        open={open === 'deactivate'}
        title={t('campaign.deactivateTitle', { name: campaign.description || number })}
        action={t('campaign.deactivate')}
        onClose={() => setOpen(null)}
        onAction={async () => {
          await api.campaigns.deactivate(number);
          await client.invalidateQueries();
          setOpen(null);
        }}
      >
        {t('campaign.deactivateText')}
      </ActionDialog>
      <ActionDialog
        open={open === 'delete'}
        title={t('campaign.deleteTitle', { name: campaign.description || number })}
        action={t('campaign.delete')}
        onClose={() => setOpen(null)}
        onAction={async () => {
          await api.campaigns.remove(number, campaign.etag);
          setOpen(null);
          await navigate({ to: '/campaigns' });
          client.removeQueries({ queryKey });
          await client.invalidateQueries({ queryKey: ['campaigns'] });
        }}
      >
        {t('campaign.deleteText')}
      </ActionDialog>
    </>
  );
}

/** The phases of a campaign; each can be chosen. */
function Chevrons(props: { campaign: Campaign; editable: boolean; onChanged: () => void }) {
  const { campaign } = props;
  const [error, setError] = useState<unknown>(null);
  const statuses = useQuery({
    queryKey: ['campaign-statuses'],
    queryFn: () =>
      all<CampaignStatus>(api.campaignStatuses.list, { orderby: 'sequence,code' }, 1000),
    staleTime: 60_000,
  });
  const rows = statuses.data ?? [];
  if (rows.length === 0) return null;
  const at = rows.findIndex(({ code }) => code === campaign.statusCode);
  const choose = async (code: string) => {
    setError(null);
    try {
      await api.campaigns.changeStatus(campaign.number, code);
      props.onChanged();
    } catch (refused) {
      setError(refused);
    }
  };
  return (
    <>
      <ol className="chevrons" aria-label={t('campaign.status')}>
        {rows.map((status, index) => {
          const isNext = status.code === campaign.nextStatus?.code;
          const name = status.description || status.code;
          const phase = index === at ? 'current' : index < at ? 'past' : isNext ? 'next' : 'later';
          return (
            <li key={status.code} className={`chevron chevron-${phase}`}>
              <button
                type="button"
                disabled={!props.editable || index === at}
                aria-current={index === at ? 'step' : undefined}
                title={status.allowsActivation ? undefined : t('campaign.forbidsActivation')}
                onClick={() => void choose(status.code)}
              >
                {name}
              </button>
            </li>
          );
        })}
      </ol>
      {error !== null && <ProblemView error={error} />}
    </>
  );
}

function General(props: {
  campaign: Campaign;
  record: ReturnType<typeof useRecord<Campaign>>;
  editable: boolean;
}) {
  const { campaign, record, editable } = props;
  const { settings } = useSession();
  const common = (field: keyof Campaign) => ({
    disabled: !editable,
    error: record.errorAt(`/${field}`),
  });
  const text = (field: keyof Campaign) => ({
    ...common(field),
    value: fieldText(campaign[field]),
    onSave: (value: string) =>
      void record.save({ [field]: value || (field === 'description' ? '' : null) }),
  });
  const inherited = (value: string | null | undefined) =>
    value ? t('campaign.fromSettings', { value: format.percent(value) }) : t('campaign.noBound');
  return (
    <>
      <FastTab title={t('campaign.general')}>
        <div className="fields">
          <EditField label={t('campaign.description')} maxLength={100} {...text('description')} />
          <EditField label={t('campaign.startingDate')} kind="date" {...text('startingDate')} />
          <EditField
            label={t('campaign.endingDate')}
            kind="date"
            placeholder={t('campaign.open')}
            {...text('endingDate')}
          />
          <EditField
            label={t('campaign.salesperson')}
            lookup="salespeople"
            {...text('salespersonCode')}
          />
          <EditField label={t('campaign.type')} kind="key" {...text('type')} />
          <ChoiceField
            label={t('campaign.publishing')}
            value={campaign.publishing}
            choices={['AUTOMATIC', 'MANUAL'].map((value) => ({
              value,
              text: tcode('publishing', value),
            }))}
            onSave={(publishing) => void record.save({ publishing })}
            hint={tcode('publishingHint', campaign.publishing)}
            {...common('publishing')}
          />
        </div>
      </FastTab>
      <FastTab
        title={t('campaign.rules')}
        open={false}
        summary={guardSummary(campaign, settings?.marginFloorPercent)}
      >
        <div className="fields">
          <ChoiceField
            label={t('campaign.combination')}
            value={campaign.combination}
            choices={['ANY', 'OWN'].map((value) => ({
              value,
              text: tcode('combination', value),
            }))}
            onSave={(combination) => void record.save({ combination })}
            {...common('combination')}
          />
          <ChoiceField
            label={t('campaign.guardrails')}
            value={campaign.guardrailMode ?? ''}
            choices={[
              {
                value: '',
                text: t('campaign.asSettings', {
                  value: tcode('guardrail', settings?.guardrailMode ?? 'OFF'),
                }),
              },
              ...['OFF', 'WARN', 'BLOCK'].map((value) => ({
                value,
                text: tcode('guardrail', value),
              })),
            ]}
            onSave={(mode) => void record.save({ guardrailMode: mode || null })}
            {...common('guardrailMode')}
          />
          <EditField
            label={t('campaign.marginFloor')}
            kind="percent"
            hint={inherited(settings?.marginFloorPercent)}
            {...text('marginFloorPercent')}
          />
          <EditField
            label={t('campaign.maxDiscount')}
            kind="percent"
            hint={inherited(settings?.maxDiscountPercent)}
            {...text('maxDiscountPercent')}
          />
        </div>
      </FastTab>
    </>
  );
}

function guardSummary(campaign: Campaign, floor: string | null | undefined): string {
  const margin = campaign.marginFloorPercent ?? floor;
  return margin
    ? `${t('campaign.marginFloor')}: ${format.percent(margin)}`
    : tcode('combination', campaign.combination);
}

/** The segments whose contacts get the campaign's prices. */
function Segments({ campaign, onChanged }: { campaign: Campaign; onChanged: () => void }) {
  const can = useCan();
  const client = useQueryClient();
  const navigate = useNavigate();
  const [picked, setPicked] = useState('');
  const [error, setError] = useState<unknown>(null);
  const queryKey = ['segments', 'of', campaign.number];
  const segments = useQuery({
    queryKey,
    enabled: can('contacts:read'),
    queryFn: ({ signal }) =>
      all(
        (query) =>
          api.segments.list(
            { ...query, filter: `campaignNumber eq ${quoted(campaign.number)}` },
            signal,
          ),
        { orderby: 'number' },
        1000,
      ),
  });
  if (!can('contacts:read')) return null;
  const act = async (action: () => Promise<unknown>) => {
    setError(null);
    try {
      await action();
      await client.invalidateQueries({ queryKey: ['segments'] });
      onChanged();
    } catch (refused) {
      setError(refused);
    }
  };
  const attach = (key: string) =>
    act(async () => {
      const segment = await api.segments.get(key.trim().toUpperCase());
      await api.segments.update(
        segment.number,
        { campaignNumber: campaign.number, campaignTarget: true },
        segment.etag,
      );
      setPicked('');
    });
  const change = (segment: Stored<{ number: string }>, patch: object) =>
    act(() => api.segments.update(segment.number, patch, segment.etag));
  const write = can('contacts:write');
  const rows = segments.data ?? [];
  return (
    <FastTab title={t('campaign.segments')}>
      {segments.isError && (
        <ProblemView error={segments.error} retry={() => void segments.refetch()} />
      )}
      {error !== null && <ProblemView error={error} />}
      {segments.isSuccess && rows.length === 0 && (
        <Empty title={t('campaign.noSegments')}>{t('campaign.noSegmentsHint')}</Empty>
      )}
      <ul className="rows">
        {rows.map((segment) => (
          <li key={segment.id}>
            <span className="grow">
              <Link to="/segments/$number" params={{ number: segment.number }}>
                {segment.number}
              </Link>{' '}
              {segment.description}{' '}
              {segment.membership === 'RULE' && (
                <Badge appearance="outline" color="informative">
                  {t('segment.byRule')}
                </Badge>
              )}
            </span>
            <label className="check">
              <input
                type="checkbox"
                checked={segment.campaignTarget}
                disabled={!write}
                onChange={(event) => void change(segment, { campaignTarget: event.target.checked })}
              />{' '}
              {t('segment.target')}
            </label>
            {write && (
              <Button size="small" onClick={() => void change(segment, { campaignNumber: null })}>
                {t('segment.detach')}
              </Button>
            )}
          </li>
        ))}
      </ul>
      <Lacks scope="contacts:write" />
      {write && (
        <div className="add-row">
          <Lookup
            source="freeSegments"
            label={t('segment.attachLabel')}
            placeholder={t('segment.attachLabel')}
            value={picked}
            onChange={setPicked}
            onChoose={(key) => void attach(key)}
            onKeyDown={(event) => {
              if (event.key === 'Enter' && picked.trim()) void attach(picked);
            }}
          />
          <Button
            onClick={() =>
              void act(async () => {
                const created = await api.segments.create({
                  campaignNumber: campaign.number,
                  campaignTarget: true,
                  description: campaign.description,
                });
                await navigate({
                  to: '/segments/$number',
                  params: { number: created.number },
                });
              })
            }
          >
            {t('segment.newFor')}
          </Button>
          {rows.length > 0 && (
            <span className="muted">{tn('campaign.segmentCount', rows.length)}</span>
          )}
        </div>
      )}
    </FastTab>
  );
}
