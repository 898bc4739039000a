import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { api, ApiError, quoted } from '../api.ts';
import * as format from '../lib/format.ts';
import { t, tcode } from '../lib/i18n.ts';
import { Empty, Loading } from '../ui/basics.tsx';
import { ActionDialog } from '../ui/dialogs.tsx';
import { ProblemView } from '../ui/problem.tsx';
import { RequestDialog } from './approvals.tsx';

const MAX_CHOICES = 50;

/** Chooses an earlier publication of a campaign and brings it back. */
export function RollbackDialog(props: {
  campaign: string;
  current: number | null;
  chosen?: number;
  onClose: () => void;
}) {
  const client = useQueryClient();
  const [version, setVersion] = useState(props.chosen ?? 0);
  const [done, setDone] = useState('');
  const [isHeld, setHeld] = useState(false);
  const publications = useQuery({
    queryKey: ['publications', 'of', props.campaign, props.current],
    queryFn: ({ signal }) =>
      api.publications.list(
        {
          filter: `campaignNumber eq ${quoted(props.campaign)}`,
          orderby: 'version desc',
          top: MAX_CHOICES,
        },
        signal,
      ),
  });
  const choices = (publications.data?.value ?? []).filter(
    (row) => row.version !== props.current && row.kind !== 'DEACTIVATION',
  );
  if (isHeld) {
    return (
      <RequestDialog campaign={props.campaign} restoresVersion={version} onClose={props.onClose} />
    );
  }
  return (
    <ActionDialog
      open
      title={t('rollback.title', { name: props.campaign })}
      action={done ? t('common.close') : t('rollback.action')}
      ready={!!done || version > 0}
      onClose={props.onClose}
      onAction={async () => {
        if (done) {
          props.onClose();
          return;
        }
        const result = await api.campaigns
          .rollBack(props.campaign, version)
          .catch((refused: unknown) => {
            if (refused instanceof ApiError && refused.code === 'APPROVAL_REQUIRED') return null;
            throw refused;
          });
        if (!result) {
          setHeld(true);
          return;
        }
        await client.invalidateQueries();
        setDone(
          t('rollback.done', {
            version: result.version,
            restored: result.restoredVersion,
          }),
        );
      }}
    >
      {done ? (
        <p role="status">{done}</p>
      ) : (
        <>
          <p>{t('rollback.text')}</p>
          {publications.isPending && <Loading rows={3} />}
          {publications.isError && <ProblemView error={publications.error} />}
          {publications.isSuccess && choices.length === 0 && <Empty title={t('rollback.none')} />}
          <div role="radiogroup" aria-label={t('rollback.choose')} className="choices">
            {choices.map((row) => (
              <label key={row.version} className="check">
                <input
                  type="radio"
                  name="version"
                  checked={version === row.version}
                  onChange={() => setVersion(row.version)}
                />{' '}
                {t('rollback.version', { version: row.version })} · {tcode('kind', row.kind)} ·{' '}
                {format.instant(row.publishedAt)} · {row.author}
              </label>
            ))}
          </div>
        </>
      )}
    </ActionDialog>
  );
}
