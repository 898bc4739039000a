import { Badge, Skeleton, SkeletonItem, Spinner, Tooltip } from '@fluentui/react-components';
import { ChevronDownRegular, ChevronRightRegular, LockClosedRegular } from '@fluentui/react-icons';
import { Link } from '@tanstack/react-router';
import { useEffect, useId, useState, type ReactNode } from 'react';
import { useCan } from '../app/session.tsx';
import { t, tcode, type TextKey } from '../lib/i18n.ts';
import type { CampaignState, Open, Scope } from '@kampanje/client';

/** The head of a page: where it is, its name, and what can be done. */
export function PageHead(props: {
  title: string;
  badge?: ReactNode;
  path?: { to: string; text: string }[];
  here?: string;
  actions?: ReactNode;
}) {
  useEffect(() => {
    document.title = `${props.title} – Kampanje`;
  }, [props.title]);
  return (
    <header className="page-head">
      <div className="page-title">
        {props.path && (
          <nav aria-label={t('common.path')} className="path">
            {props.path.map(({ to, text }) => (
              <span key={to}>
                <Link to={to}>{text}</Link> ›{' '}
              </span>
            ))}
            <span aria-current="page">{props.here ?? props.title}</span>
          </nav>
        )}
        <h1>
          {props.title} {props.badge}
        </h1>
      </div>
      {props.actions && <div className="actions">{props.actions}</div>}
    </header>
  );
}

/** A part of a card that can be folded. */
export function FastTab(props: {
  title: string;
  summary?: ReactNode;
  children: ReactNode;
  open?: boolean;
}) {
  const [open, setOpen] = useState(props.open ?? true);
  const id = useId();
  return (
    <section className="card fast-tab">
      <h2>
        <button
          type="button"
          aria-expanded={open}
          aria-controls={id}
          onClick={() => setOpen(!open)}
          className="fast-tab-head"
        >
          {open ? <ChevronDownRegular /> : <ChevronRightRegular />}
          <span>{props.title}</span>
          {!open && props.summary && <span className="fast-tab-summary">{props.summary}</span>}
        </button>
      </h2>
      <div id={id} hidden={!open} className="fast-tab-body">
        {open && props.children}
      </div>
    </section>
  );
}

/** A box of facts beside a card. */
export function FactBox(props: { title: string; busy?: boolean; children: ReactNode }) {
  return (
    <section className="card fact-box" aria-busy={props.busy ?? false}>
      <h2>
        {props.title}
        {props.busy && <Spinner size="extra-tiny" aria-label={t('common.loading')} />}
      </h2>
      {props.children}
    </section>
  );
}

/** A name and its value in a fact box. */
export function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div className="fact">
      <span>{name}</span>
      <span className="fact-value">{children}</span>
    </div>
  );
}

export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className="empty">
      <p className="empty-title">{title}</p>
      {children && <div className="muted">{children}</div>}
    </div>
  );
}

export function Loading({ rows = 6 }: { rows?: number }) {
  return (
    <Skeleton aria-label={t('common.loading')} className="loading">
      {Array.from({ length: rows }, (_, index) => (
        <SkeletonItem key={index} size={24} />
      ))}
    </Skeleton>
  );
}

const STATE_COLORS = {
  DRAFT: 'subtle',
  SCHEDULED: 'informative',
  RUNNING: 'success',
  ENDED: 'subtle',
} as const;

export function StateBadge({ state }: { state: Open<CampaignState> }) {
  const known: Record<string, (typeof STATE_COLORS)[keyof typeof STATE_COLORS]> = STATE_COLORS;
  return (
    <Badge
      appearance={state === 'RUNNING' ? 'filled' : 'outline'}
      color={known[state] ?? 'subtle'}
      className={`state-badge state-${state.toLowerCase()}`}
    >
      {tcode('state', state)}
    </Badge>
  );
}

/** Says why something is not offered. */
export function Lacks({ scope }: { scope: Scope }) {
  const can = useCan();
  if (can(scope)) return null;
  return (
    <p className="lacks">
      <LockClosedRegular aria-hidden /> {t('access.lacks', { scope })}
    </p>
  );
}

/** Shows its content to callers with a scope, and the reason to others. */
export function Guard({ scope, children }: { scope: Scope; children: ReactNode }) {
  const can = useCan();
  if (can(scope)) return children;
  return (
    <Empty title={t('access.denied')}>
      {t('access.lacks', { scope })} {t('access.ask')}
    </Empty>
  );
}

export function Tile(props: {
  label: string;
  value: ReactNode;
  detail?: ReactNode;
  tone?: 'good' | 'bad' | 'warn' | undefined;
}) {
  return (
    <div className={`tile ${props.tone ? `tile-${props.tone}` : ''}`}>
      <div className="tile-label">{props.label}</div>
      <div className="tile-value">{props.value}</div>
      {props.detail && <div className="tile-detail">{props.detail}</div>}
    </div>
  );
}

export function Hint({ text, children }: { text: TextKey; children: React.ReactElement }) {
  return (
    <Tooltip content={t(text)} relationship="description">
      {children}
    </Tooltip>
  );
}
