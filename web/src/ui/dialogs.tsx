import {
  Button,
  Dialog,
  DialogActions,
  DialogBody,
  DialogContent,
  DialogSurface,
  DialogTitle,
} from '@fluentui/react-components';
import { useState, type ReactNode } from 'react';
import { t } from '../lib/i18n.ts';
import { ProblemView } from './problem.tsx';

/** A dialog with one action. It stays open, and shows the reason, when the action is refused. */
export function ActionDialog(props: {
  open: boolean;
  title: string;
  action: string;
  onAction: () => Promise<void>;
  onClose: () => void;
  children?: ReactNode;
  wide?: boolean;
  ready?: boolean;
  keepFieldErrors?: boolean;
}) {
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  const close = () => {
    setError(null);
    props.onClose();
  };
  const run = async () => {
    setBusy(true);
    setError(null);
    try {
      await props.onAction();
    } catch (refused) {
      setError(refused);
    } finally {
      setBusy(false);
    }
  };
  // A closed dialog of the library leaves elements behind that take the focus.
  if (!props.open) return null;
  return (
    <Dialog
      open
      onOpenChange={(_, data) => {
        if (!data.open) close();
      }}
    >
      <DialogSurface className={props.wide ? 'wide-dialog' : undefined}>
        <form
          onSubmit={(event) => {
            event.preventDefault();
            void run();
          }}
        >
          <DialogBody>
            <DialogTitle>{props.title}</DialogTitle>
            <DialogContent className="dialog-content">
              {props.children}
              {error !== null && <ProblemView error={error} />}
            </DialogContent>
            <DialogActions>
              <Button onClick={close}>{t('common.cancel')}</Button>
              <Button type="submit" appearance="primary" disabled={busy || props.ready === false}>
                {props.action}
              </Button>
            </DialogActions>
          </DialogBody>
        </form>
      </DialogSurface>
    </Dialog>
  );
}
