import { ErrorCircleRegular, WarningRegular } from '@fluentui/react-icons';
import { hasText, t } from '../lib/i18n.ts';
import type { Finding } from '@kampanje/client';

/** The sentence for a finding in the user's language. */
export function findingText(finding: Finding): string {
  const key = `finding.${finding.code}`;
  return hasText(key) ? `${t(key)}: ${finding.detail}` : finding.detail;
}

export function FindingRow({
  finding,
  children,
}: {
  finding: Finding;
  children?: React.ReactNode;
}) {
  const isError = finding.severity === 'ERROR';
  const key = `finding.${finding.code}`;
  return (
    <li className={`finding ${isError ? 'finding-error' : 'finding-warning'}`}>
      <span className="finding-icon">
        {isError ? (
          <ErrorCircleRegular aria-label={t('finding.error')} />
        ) : (
          <WarningRegular aria-label={t('finding.warning')} />
        )}
      </span>
      <div className="finding-text">
        <b>{hasText(key) ? t(key) : finding.code}</b>
        <div>{finding.detail}</div>
      </div>
      {children}
    </li>
  );
}
