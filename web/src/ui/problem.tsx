import {
  Button,
  MessageBar,
  MessageBarActions,
  MessageBarBody,
  MessageBarTitle,
} from '@fluentui/react-components';
import { ApiError } from '../api.ts';
import { hasText, t } from '../lib/i18n.ts';

/** The sentence for an error, for places without room for a message bar. */
export function problemText(error: unknown): string {
  if (error instanceof ApiError) {
    return error.errors[0]?.detail ?? error.detail;
  }
  return t('error.network');
}

/** An error with all that is known about it. */
export function ProblemView({ error, retry }: { error: unknown; retry?: () => void }) {
  const problem = error instanceof ApiError ? error : undefined;
  const key = `problem.${problem?.code ?? ''}`;
  return (
    <MessageBar intent="error" layout="multiline" role="alert">
      <MessageBarBody>
        <MessageBarTitle>
          {problem
            ? hasText(key)
              ? t(key)
              : (problem.problem.title ?? problem.code)
            : t('error.networkTitle')}
        </MessageBarTitle>{' '}
        {problem ? problem.detail : t('error.network')}
        {problem && problem.errors.length > 0 && (
          <ul className="problem-errors">
            {problem.errors.slice(0, 20).map((one, index) => (
              <li key={index}>
                {one.pointer && <code>{one.pointer}</code>} {one.detail}
              </li>
            ))}
          </ul>
        )}
        {problem?.traceId && (
          <div className="trace muted">{t('error.trace', { id: problem.traceId })}</div>
        )}
      </MessageBarBody>
      {retry && (
        <MessageBarActions>
          <Button size="small" onClick={retry}>
            {t('common.retry')}
          </Button>
        </MessageBarActions>
      )}
    </MessageBar>
  );
}
