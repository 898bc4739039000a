import { Badge, Button } from '@fluentui/react-components';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useId, useState } from 'react';
import { api } from '../api.ts';
import { useCan, useSession } from '../app/session.tsx';
import * as format from '../lib/format.ts';
import { t, tcode, tn } from '../lib/i18n.ts';
import type { ApprovalRequest, ApprovalState, Open } from '@kampanje/client';
import { Lacks, Loading } from '../ui/basics.tsx';
import { ActionDialog } from '../ui/dialogs.tsx';
import { ListPage } from '../ui/list.tsx';
import { ProblemView } from '../ui/problem.tsx';
import type { Column } from '../ui/table.tsx';

const STATE_COLORS: Record<string, 'warning' | 'success' | 'danger'> = {
  PENDING: 'warning',
  APPROVED: 'success',
  REJECTED: 'danger',
};

function ApprovalBadge({ state }: { state: Open<ApprovalState> }) {
  return (
    <Badge
      appearance="outline"
      color={STATE_COLORS[state] ?? 'subtle'}
      className={`state-badge approval-${state.toLowerCase()}`}
    >
      {tcode('approval', state)}
    </Badge>
  );
}

const columns = (): Column<ApprovalRequest>[] => [
  {
    id: 'campaign',
    title: t('campaign.campaign'),
    sort: 'campaignNumber',
    cell: (row) => (
      <Link to="/campaigns/$number/activation" params={{ number: row.campaignNumber }}>
        {row.campaignNumber}
      </Link>
    ),
    text: (row) => row.campaignNumber,
  },
  {
    id: 'state',
    title: t('campaign.state'),
    sort: 'state',
    cell: (row) => <ApprovalBadge state={row.state} />,
    text: (row) => tcode('approval', row.state),
  },
  {
    id: 'what',
    title: t('approval.what'),
    cell: (row) =>
      row.restoresVersion === null
        ? t('approval.drafts')
        : t('approval.rollback', { version: row.restoresVersion }),
    text: (row) => (row.restoresVersion === null ? '' : String(row.restoresVersion)),
  },
  { id: 'comment', title: t('approval.comment'), cell: (row) => row.comment },
  {
    id: 'requestedAt',
    title: t('approval.requested'),
    sort: 'requestedAt',
    cell: (row) => `${format.instant(row.requestedAt)} · ${row.requestedBy}`,
    text: (row) => `${row.requestedAt} ${row.requestedBy}`,
  },
  {
    id: 'decidedAt',
    title: t('approval.decided'),
    sort: 'decidedAt',
    cell: (row) => (row.decidedBy ? `${format.instant(row.decidedAt)} · ${row.decidedBy}` : ''),
    text: (row) => (row.decidedBy ? `${row.decidedAt ?? ''} ${row.decidedBy}` : ''),
  },
  { id: 'reason', title: t('approval.reason'), cell: (row) => row.decisionComment },
  {
    id: 'version',
    title: t('history.version'),
    sort: 'publicationVersion',
    right: true,
    cell: (row) =>
      row.publicationVersion === null ? (
        ''
      ) : (
        <Link to="/publications/$version" params={{ version: String(row.publicationVersion) }}>
          {row.publicationVersion}
        </Link>
      ),
    text: (row) => String(row.publicationVersion ?? ''),
  },
];

/** The requests for approval of all campaigns. */
export function Approvals() {
  const states = ['PENDING', 'APPROVED', 'REJECTED', 'VOID'];
  return (
    <ListPage
      title={t('nav.approvals')}
      name="approvals"
      list={api.approvals.list}
      columns={columns()}
      rowKey={(row) => row.id}
      searched={{ key: 'campaignNumber', texts: ['requestedBy'] }}
      views={[
        ...states.map((state) => ({
          id: state.toLowerCase(),
          text: tcode('approval', state),
          filter: `state eq '${state}'`,
        })),
        { id: 'all', text: t('campaigns.all'), filter: '' },
      ]}
      defaultOrder={{ field: 'requestedAt', descending: true }}
      notes={<Lacks scope="campaigns:approve" />}
      emptyText={t('approval.empty')}
      emptyHint={t('approval.emptyHint')}
      counted={(count) => tn('approval.count', count)}
    />
  );
}

const MAX_REQUESTS = 5;
const MAX_COMMENT_LENGTH = 1000;

/** The latest requests of a campaign, and how they concern its plan. */
export function useApprovals(campaign: string) {
  return useQuery({
    queryKey: ['approvals', 'of', campaign],
    queryFn: ({ signal }) => api.approvals.of(campaign, { top: MAX_REQUESTS }, signal),
  });
}

/** Returns the approval that permits to publish a plan. */
export function approvalOf(
  requests: ApprovalRequest[],
  planHash: string,
): ApprovalRequest | undefined {
  return requests.find(
    (request) =>
      request.state === 'APPROVED' &&
      request.planHash === planHash &&
      request.publicationVersion === null,
  );
}

function CommentField(props: { label: string; value: string; onChange: (text: string) => void }) {
  const id = useId();
  return (
    <div className="field">
      <label htmlFor={id}>{props.label}</label>
      <textarea
        id={id}
        className="input"
        maxLength={MAX_COMMENT_LENGTH}
        value={props.value}
        onChange={(event) => props.onChange(event.target.value)}
      />
    </div>
  );
}

/** Asks a second person to approve the drafts of a campaign, or a rollback. */
export function RequestDialog(props: {
  campaign: string;
  restoresVersion?: number;
  onClose: () => void;
}) {
  const client = useQueryClient();
  const [comment, setComment] = useState('');
  return (
    <ActionDialog
      open
      title={t('approval.requestTitle', { name: props.campaign })}
      action={t('approval.request')}
      onClose={props.onClose}
      onAction={async () => {
        await api.approvals.request(props.campaign, {
          comment,
          ...(props.restoresVersion !== undefined && { restoresVersion: props.restoresVersion }),
        });
        await client.invalidateQueries({ queryKey: ['approvals'] });
        props.onClose();
      }}
    >
      <p>
        {props.restoresVersion === undefined
          ? t('approval.requestText')
          : t('approval.requestRollback', { version: props.restoresVersion })}
      </p>
      <CommentField label={t('approval.comment')} value={comment} onChange={setComment} />
    </ActionDialog>
  );
}

/** The approval that a plan needs, and the decision of those who may make it. */
export function ApprovalCard(props: { campaign: string; isRequired: boolean }) {
  const requests = useApprovals(props.campaign);
  const rows = requests.data?.value ?? [];
  if (!props.isRequired && rows.length === 0) return null;
  return (
    <section className="card">
      <h2>{t('approval.title')}</h2>
      {props.isRequired && <p className="muted">{t('approval.required')}</p>}
      {requests.isError && (
        <ProblemView error={requests.error} retry={() => void requests.refetch()} />
      )}
      {requests.isPending && <Loading rows={2} />}
      <ul className="rows">
        {rows.map((request) => (
          <li key={request.id}>
            <Request request={request} />
          </li>
        ))}
      </ul>
    </section>
  );
}

function Request({ request }: { request: ApprovalRequest }) {
  const can = useCan();
  const { me } = useSession();
  const client = useQueryClient();
  const [comment, setComment] = useState('');
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  const decide = async (decision: 'approve' | 'reject') => {
    setBusy(true);
    setError(null);
    try {
      await api.approvals[decision](request.campaignNumber, request.id, comment);
      await client.invalidateQueries();
    } catch (refused) {
      setError(refused);
    } finally {
      setBusy(false);
    }
  };
  const isPending = request.state === 'PENDING';
  const isOwn = request.requestedBy === me.subject;
  return (
    <div className="grow">
      <div className="approval">
        <ApprovalBadge state={request.state} />
        <span>
          {t('approval.by', {
            who: request.requestedBy,
            when: format.instant(request.requestedAt),
          })}
        </span>
        {request.restoresVersion !== null && (
          <Link to="/publications/$version" params={{ version: String(request.restoresVersion) }}>
            {t('approval.rollback', { version: request.restoresVersion })}
          </Link>
        )}
      </div>
      {request.comment && <p className="quote">{request.comment}</p>}
      {request.decidedBy && (
        <p className="muted">
          {t(request.state === 'REJECTED' ? 'approval.rejectedBy' : 'approval.approvedBy', {
            who: request.decidedBy,
            when: format.instant(request.decidedAt),
          })}
        </p>
      )}
      {request.decisionComment && <p className="quote">{request.decisionComment}</p>}
      {isPending && isOwn && <p className="muted">{t('approval.own')}</p>}
      {isPending && !isOwn && <Lacks scope="campaigns:approve" />}
      {isPending && !isOwn && can('campaigns:approve') && (
        <>
          <CommentField label={t('approval.reason')} value={comment} onChange={setComment} />
          {error !== null && <ProblemView error={error} />}
          <div className="add-row">
            <Button appearance="primary" disabled={busy} onClick={() => void decide('approve')}>
              {t('approval.approve')}
            </Button>
            <Button disabled={busy} onClick={() => void decide('reject')}>
              {t('approval.reject')}
            </Button>
          </div>
        </>
      )}
    </div>
  );
}
