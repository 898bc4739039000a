import {
  Button,
  Dialog,
  DialogActions,
  DialogBody,
  DialogContent,
  DialogSurface,
  DialogTitle,
} from '@fluentui/react-components';
import { useQuery, useQueryClient, type QueryKey } from '@tanstack/react-query';
import { useState } from 'react';
import { ApiError, type Stored } from '../api.ts';
import { t } from '../lib/i18n.ts';

type Fields = Record<string, unknown>;

interface Conflict {
  patch: Fields;
  before: Fields;
  after: Fields;
}

const same = (a: unknown, b: unknown) => JSON.stringify(a ?? null) === JSON.stringify(b ?? null);

/**
 * A resource that is edited field by field. If others changed it meanwhile but not these fields,
 * the change is repeated on their version; otherwise the user decides.
 */
export function useRecord<T extends object>(options: {
  queryKey: QueryKey;
  get: (signal?: AbortSignal) => Promise<Stored<T>>;
  update: (patch: object, etag: string) => Promise<Stored<T>>;
  onSaved?: () => void;
}) {
  const client = useQueryClient();
  const query = useQuery({
    queryKey: options.queryKey,
    queryFn: ({ signal }) => options.get(signal),
  });
  const [error, setError] = useState<unknown>(null);
  const [conflict, setConflict] = useState<Conflict | null>(null);
  const [saving, setSaving] = useState(false);

  const write = async (patch: Fields, etag: string) => {
    const saved = await options.update(patch, etag);
    client.setQueryData(options.queryKey, saved);
    options.onSaved?.();
  };

  const save = async (patch: Fields): Promise<boolean> => {
    const base = client.getQueryData<Stored<T>>(options.queryKey);
    if (!base) return false;
    setError(null);
    setSaving(true);
    try {
      try {
        await write(patch, base.etag);
      } catch (refused) {
        if (!(refused instanceof ApiError) || refused.status !== 412) throw refused;
        const latest = await options.get();
        client.setQueryData(options.queryKey, latest);
        const before = base as Fields;
        const after = latest as Fields;
        if (Object.keys(patch).every((field) => same(before[field], after[field]))) {
          await write(patch, latest.etag);
        } else {
          setConflict({ patch, before, after });
          return false;
        }
      }
      return true;
    } catch (refused) {
      setError(refused);
      return false;
    } finally {
      setSaving(false);
    }
  };

  /** Returns the error of a field. */
  const errorAt = (pointer: string): string | undefined =>
    error instanceof ApiError
      ? error.errors.find((one) => one.pointer === pointer)?.detail
      : undefined;
  const hasFieldErrors = error instanceof ApiError && error.errors.length > 0;

  // A closed dialog of the library leaves elements behind that take the focus.
  const dialog = conflict && (
    <ConflictDialog
      conflict={conflict}
      onClose={(mine) => {
        const { patch } = conflict;
        setConflict(null);
        if (mine) void save(patch);
      }}
    />
  );
  return {
    query,
    save,
    saving,
    error,
    errorAt,
    hasFieldErrors,
    dialog,
    clearError: () => setError(null),
  };
}

function ConflictDialog(props: { conflict: Conflict; onClose: (mine: boolean) => void }) {
  const { conflict } = props;
  const text = (value: unknown) =>
    value === null || value === undefined || value === ''
      ? '–'
      : typeof value === 'string'
        ? value
        : JSON.stringify(value);
  return (
    <Dialog
      open
      modalType="alert"
      onOpenChange={(_, data) => {
        if (!data.open) props.onClose(false);
      }}
    >
      <DialogSurface>
        <DialogBody>
          <DialogTitle>{t('conflict.title')}</DialogTitle>
          <DialogContent>
            <p>{t('conflict.text')}</p>
            <div className="table-wrap" tabIndex={0} role="region" aria-label={t('conflict.title')}>
              <table className="table">
                <thead>
                  <tr>
                    <th>{t('conflict.field')}</th>
                    <th>{t('conflict.before')}</th>
                    <th>{t('conflict.mine')}</th>
                    <th>{t('conflict.theirs')}</th>
                  </tr>
                </thead>
                <tbody>
                  {Object.keys(conflict.patch).map((field) => (
                    <tr key={field}>
                      <th scope="row">{field}</th>
                      <td>{text(conflict.before[field])}</td>
                      <td>{text(conflict.patch[field])}</td>
                      <td>{text(conflict.after[field])}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
          </DialogContent>
          <DialogActions>
            <Button onClick={() => props.onClose(false)}>{t('conflict.keepTheirs')}</Button>
            <Button appearance="primary" onClick={() => props.onClose(true)}>
              {t('conflict.keepMine')}
            </Button>
          </DialogActions>
        </DialogBody>
      </DialogSurface>
    </Dialog>
  );
}
