import {
  Button,
  Field,
  Input,
  MessageBar,
  MessageBarBody,
  Spinner,
} from '@fluentui/react-components';
import { useQuery } from '@tanstack/react-query';
import { createContext, use, useEffect, useState, type ReactNode } from 'react';
import { api, ApiError, credentials } from '../api.ts';
import { t } from '../lib/i18n.ts';
import { todayIn, type IsoDate } from '../lib/dates.ts';
import type { Me, Scope, Settings } from '@kampanje/client';
import { ProblemView } from '../ui/problem.tsx';
import type { OidcClient } from './oidc.ts';
import { queries } from './queries.ts';

interface Session {
  me: Me;
  settings: Settings | undefined;
  /** Today in the company's time zone. */
  today: IsoDate;
}

const SessionContext = createContext<Session | null>(null);

export function useSession(): Session {
  const session = use(SessionContext);
  if (!session) throw new Error('no session');
  return session;
}

/** Returns whether the caller has a scope. */
export function useCan(): (scope: Scope) => boolean {
  const { me } = useSession();
  return (scope) => me.scopes.includes(scope);
}

export function signOut(): void {
  credentials.clear();
  queries.clear();
  window.location.reload();
}

/** Shows the desk to callers whom the service knows, and the sign-in to others. */
export function SessionGate({ children }: { children: ReactNode }) {
  const me = useQuery({
    queryKey: ['me'],
    queryFn: ({ signal }) => api.me(signal),
    staleTime: 60_000,
  });
  const settings = useQuery({
    queryKey: ['settings'],
    queryFn: ({ signal }) => api.settings.get(signal),
    enabled: me.isSuccess && me.data.scopes.includes('catalog:read'),
    staleTime: 60_000,
  });
  const [expired, setExpired] = useState(false);
  useEffect(() => {
    credentials.onUnauthorized(() => setExpired(true));
  }, []);
  const refused = me.error instanceof ApiError && me.error.status === 401;
  if (refused || (expired && !me.data)) {
    return <SignIn expired={false} />;
  }
  if (me.isError && !me.data) {
    return (
      <main className="centered">
        <ProblemView error={me.error} retry={() => void me.refetch()} />
      </main>
    );
  }
  if (!me.data || (settings.isPending && settings.fetchStatus !== 'idle')) {
    return (
      <main className="centered">
        <Spinner label={t('common.loading')} />
      </main>
    );
  }
  const session: Session = {
    me: me.data,
    settings: settings.data,
    today: todayIn(settings.data?.timeZone ?? 'UTC'),
  };
  return (
    <SessionContext value={session}>
      {children}
      {expired && (
        <div className="sign-in-again">
          <SignIn expired onSignedIn={() => setExpired(false)} />
        </div>
      )}
    </SessionContext>
  );
}

let failedSignIn: unknown = null;

/** Notes why a sign-in at the issuer failed, for the page that is shown then. */
export function signInFailed(error: unknown): void {
  failedSignIn = error;
}

function SignIn({ expired, onSignedIn }: { expired: boolean; onSignedIn?: () => void }) {
  const [key, setKey] = useState('');
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  const [issuerError, setIssuerError] = useState<unknown>(failedSignIn);
  const oidc = useQuery({
    queryKey: ['sign-in'],
    queryFn: async ({ signal }) => (await import('./oidc.ts')).oidcClient(signal),
    staleTime: Infinity,
  });
  const client = oidc.data;
  const submit = async () => {
    setBusy(true);
    credentials.clear();
    credentials.set(key.trim());
    try {
      const me = await api.me();
      queries.setQueryData(['me'], me);
      onSignedIn?.();
      await queries.invalidateQueries();
    } catch (refused) {
      credentials.clear();
      setError(refused);
    } finally {
      setBusy(false);
    }
  };
  const toIssuer = async (to: OidcClient) => {
    setBusy(true);
    setIssuerError(null);
    try {
      const { beginSignIn } = await import('./oidc.ts');
      await beginSignIn(to);
    } catch (failed) {
      setIssuerError(failed);
      setBusy(false);
    }
  };
  const wrong = error instanceof ApiError && error.status === 401;
  return (
    <main className="centered">
      <form
        className="sign-in card"
        onSubmit={(event) => {
          event.preventDefault();
          void submit();
        }}
      >
        <h1>{t('signIn.title')}</h1>
        {expired && (
          <MessageBar intent="warning" layout="multiline">
            <MessageBarBody>{t(client ? 'signIn.ended' : 'signIn.expired')}</MessageBarBody>
          </MessageBar>
        )}
        {issuerError !== null && (
          <MessageBar intent="error" layout="multiline" role="alert">
            <MessageBarBody>
              {t('signIn.issuerFailed')} {issuerError instanceof Error ? issuerError.message : ''}
            </MessageBarBody>
          </MessageBar>
        )}
        {client && (
          <Button appearance="primary" disabled={busy} onClick={() => void toIssuer(client)}>
            {t('signIn.at', { issuer: new URL(client.issuer).host })}
          </Button>
        )}
        {!expired && <p className="muted">{t(client ? 'signIn.orKey' : 'signIn.hint')}</p>}
        <Field
          label={t('signIn.key')}
          {...(wrong && {
            validationState: 'error' as const,
            validationMessage: t('signIn.wrong'),
          })}
        >
          <Input
            type="password"
            autoComplete="current-password"
            value={key}
            onChange={(_, data) => setKey(data.value)}
          />
        </Field>
        {error !== null && !wrong && <ProblemView error={error} />}
        <Button
          type="submit"
          appearance={client ? 'secondary' : 'primary'}
          disabled={busy || !key.trim()}
        >
          {t('signIn.submit')}
        </Button>
      </form>
    </main>
  );
}
