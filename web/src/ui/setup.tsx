import { Link } from '@tanstack/react-router';
import type { ReactNode } from 'react';
import { useCan } from '../app/session.tsx';
import { SETUP_PAGES } from '../app/setup-pages.ts';
import { t } from '../lib/i18n.ts';
import { Guard, Lacks, PageHead } from './basics.tsx';

/** The head and the navigation of the setup, around one of its pages. */
export function SetupFrame(props: { part: string; actions?: ReactNode; children: ReactNode }) {
  const can = useCan();
  const shown = SETUP_PAGES.find(({ id }) => id === props.part);
  return (
    <>
      <PageHead
        title={shown ? t(shown.title) : t('error.noPage')}
        path={[{ to: '/setup', text: t('nav.setup') }]}
        actions={props.actions}
      />
      <nav className="views tabs" aria-label={t('nav.setup')}>
        {SETUP_PAGES.filter(({ scope }) => can(scope)).map(({ id, title }) => (
          <Link
            key={id}
            to="/setup/$part"
            params={{ part: id }}
            className="view"
            aria-current={id === props.part ? 'page' : undefined}
          >
            {t(title)}
          </Link>
        ))}
      </nav>
      {!can('admin') && <Lacks scope="admin" />}
      {shown && <Guard scope={shown.scope}>{props.children}</Guard>}
    </>
  );
}
