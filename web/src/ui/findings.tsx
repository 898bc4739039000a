import { ErrorCircleRegular, WarningRegular } from '@fluentui/react-icons';
import { isDecimal } from '../lib/decimal.ts';
import * as format from '../lib/format.ts';
import { hasText, t, type Params } from '../lib/i18n.ts';
import type { Finding } from '@kampanje/client';

/** The title of a finding in the user's language. */
function findingTitle({ code }: Finding): string {
  const key = `finding.${code}`;
  return hasText(key) ? t(key) : code;
}

const AMOUNTS = /^(unitPrice|netUnitPrice|listPrice|unitCost)$/;

function shown(name: string, value: unknown): string | null {
  if (typeof value === 'number') return format.quantity(value);
  if (typeof value !== 'string') return null;
  if (/date$/i.test(name)) return format.date(value);
  if (isDecimal(value) && name.endsWith('Percent')) return format.percent(value);
  if (isDecimal(value) && AMOUNTS.test(name)) return format.money(value);
  return value;
}

/** The sentence of a finding: in the user's language if its parameters are known, else as sent. */
function findingSentence({ code, params, detail }: Finding): string {
  const key = `findingText.${code}`;
  const asSent = detail.charAt(0).toUpperCase() + detail.slice(1);
  if (!hasText(key)) return asSent;
  // The price of an overlap is an object of its own.
  const all: Record<string, unknown> =
    typeof params.price === 'object' && !Array.isArray(params.price)
      ? { ...params, ...params.price }
      : params;
  const texts: Params = {};
  for (const [name, value] of Object.entries(all)) {
    const text = shown(name, value);
    if (text !== null) texts[name] = text;
  }
  const sentence = t(key, texts);
  return sentence.includes('{') ? asSent : sentence;
}

/** The sentence for a finding in the user's language. */
export function findingText(finding: Finding): string {
  return `${findingTitle(finding)}: ${findingSentence(finding)}`;
}

export function FindingRow({
  finding,
  line,
  children,
}: {
  finding: Finding;
  /** The line that the finding is about. */
  line?: string | undefined;
  children?: React.ReactNode;
}) {
  const isError = finding.severity === 'ERROR';
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
        <b>
          {findingTitle(finding)}
          {line && `: ${line}`}
        </b>
        <div>{findingSentence(finding)}</div>
      </div>
      {children}
    </li>
  );
}
