import { useQueryClient } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { useState } from 'react';
import { api } from '../api.ts';
import { useSession } from '../app/session.tsx';
import { addMonths } from '../lib/dates.ts';
import { t } from '../lib/i18n.ts';
import type { Campaign } from '@kampanje/client';
import { ActionDialog } from '../ui/dialogs.tsx';
import { EditField } from '../ui/fields.tsx';

/** Asks for the fields of a new campaign, or of a copy of one. */
export function CampaignDialog({
  original,
  onClose,
}: {
  original?: Campaign;
  onClose: () => void;
}) {
  const { today } = useSession();
  const navigate = useNavigate();
  const client = useQueryClient();
  const shifted = (date: string | null | undefined) => (date ? addMonths(date, 12) : '');
  const [fields, setFields] = useState({
    number: '',
    description: original?.description ?? '',
    startingDate: original ? shifted(original.startingDate) : today,
    endingDate: shifted(original?.endingDate),
  });
  const set = (field: keyof typeof fields) => (value: string) =>
    setFields((old) => ({ ...old, [field]: value }));
  const create = async () => {
    const body = {
      description: fields.description,
      ...(fields.number && { number: fields.number }),
      ...(fields.startingDate && { startingDate: fields.startingDate }),
      ...(fields.endingDate && { endingDate: fields.endingDate }),
    };
    const created = original
      ? await api.campaigns.copy(original.number, body)
      : await api.campaigns.create(body);
    void client.invalidateQueries({ queryKey: ['campaigns'] });
    onClose();
    await navigate({ to: '/campaigns/$number', params: { number: created.number } });
  };
  return (
    <ActionDialog
      open
      title={
        original
          ? t('campaigns.copyTitle', { name: original.description || original.number })
          : t('campaigns.new')
      }
      action={original ? t('campaigns.copyAction') : t('campaigns.create')}
      onAction={create}
      onClose={onClose}
    >
      {original && <p className="muted">{t('campaigns.copyHint')}</p>}
      <div className="fields">
        <EditField
          label={t('campaign.number')}
          kind="key"
          value={fields.number}
          onSave={set('number')}
          hint={t('campaigns.numberHint')}
        />
        <EditField
          label={t('campaign.description')}
          value={fields.description}
          maxLength={100}
          onSave={set('description')}
        />
        <EditField
          label={t('campaign.startingDate')}
          kind="date"
          value={fields.startingDate}
          onSave={set('startingDate')}
        />
        <EditField
          label={t('campaign.endingDate')}
          kind="date"
          value={fields.endingDate}
          onSave={set('endingDate')}
        />
      </div>
    </ActionDialog>
  );
}
