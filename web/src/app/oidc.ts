/** Sign-in at an OpenID Connect issuer: the authorization code flow with PKCE (RFC 6749, 7636). */
import * as oauth from 'oauth4webapi';
import { credentials } from '../api.ts';

/** The client of the desk at the issuer, as the service knows it. */
export interface OidcClient {
  issuer: string;
  clientId: string;
  scope: string;
}

/** A sign-in that waits for the answer of the issuer. */
interface Pending {
  client: OidcClient;
  state: string;
  verifier: string;
  /** The address to return to. */
  page: string;
}

const PENDING = 'kampanje.signIn';
/** The address that the issuer leads back to; clients register it. */
export const SIGNED_IN = '/desk/signed-in';
const redirectUri = () => `${window.location.origin}${SIGNED_IN}`;

/** Reads the settings of the sign-in; `null` if users sign in with API keys only. */
export async function oidcClient(signal?: AbortSignal): Promise<OidcClient | null> {
  const response = await fetch('/desk/sign-in.json', { signal: signal ?? null });
  if (!response.ok) throw new Error(`sign-in.json: ${String(response.status)}`);
  const { oidc } = (await response.json()) as { oidc: OidcClient | null };
  return oidc;
}

/** The service accepts issuers without TLS on its own machine only. */
const insecure = (client: OidcClient) => ({
  // eslint-disable-next-line @typescript-eslint/no-deprecated -- marked so that it stands out
  [oauth.allowInsecureRequests]: client.issuer.startsWith('http:'),
});

async function discover(client: OidcClient): Promise<oauth.AuthorizationServer> {
  const issuer = new URL(client.issuer);
  const response = await oauth.discoveryRequest(issuer, insecure(client));
  return oauth.processDiscoveryResponse(issuer, response);
}

/** Leads to the issuer, which leads back to `SIGNED_IN`. */
export async function beginSignIn(client: OidcClient): Promise<void> {
  const { authorization_endpoint: endpoint } = await discover(client);
  if (!endpoint || !/^https?:/.test(endpoint)) {
    throw new Error('the issuer has no authorization endpoint');
  }
  const verifier = oauth.generateRandomCodeVerifier();
  const { pathname, search } = window.location;
  const pending: Pending = {
    client,
    state: oauth.generateRandomState(),
    verifier,
    page: pathname === SIGNED_IN ? '/desk/' : pathname + search,
  };
  sessionStorage.setItem(PENDING, JSON.stringify(pending));
  const url = new URL(endpoint);
  const parameters = {
    response_type: 'code',
    client_id: client.clientId,
    redirect_uri: redirectUri(),
    scope: client.scope,
    state: pending.state,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
  };
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  window.location.assign(url);
}

function keep(client: OidcClient, tokens: oauth.TokenEndpointResponse): void {
  credentials.set(tokens.access_token);
  credentials.setRefresh(
    tokens.refresh_token ? JSON.stringify({ client, token: tokens.refresh_token }) : null,
  );
}

/** Exchanges the code of the address for tokens, and returns the page to continue on. */
export async function completeSignIn(): Promise<string> {
  const stored = sessionStorage.getItem(PENDING);
  sessionStorage.removeItem(PENDING);
  // Somebody opened the address by hand, or twice.
  if (!stored) return '/desk/';
  const { client, state, verifier, page } = JSON.parse(stored) as Pending;
  const server = await discover(client);
  const self: oauth.Client = { client_id: client.clientId };
  const answer = oauth.validateAuthResponse(server, self, new URL(window.location.href), state);
  const response = await oauth.authorizationCodeGrantRequest(
    server,
    self,
    oauth.None(),
    answer,
    redirectUri(),
    verifier,
    insecure(client),
  );
  keep(client, await oauth.processAuthorizationCodeResponse(server, self, response));
  return page;
}

/** Exchanges the refresh token, if there is one, for new tokens. */
export async function refresh(stored: string): Promise<boolean> {
  const { client, token } = JSON.parse(stored) as { client: OidcClient; token: string };
  try {
    const server = await discover(client);
    const self: oauth.Client = { client_id: client.clientId };
    const response = await oauth.refreshTokenGrantRequest(
      server,
      self,
      oauth.None(),
      token,
      insecure(client),
    );
    const tokens = await oauth.processRefreshTokenResponse(server, self, response);
    // An issuer that does not rotate refresh tokens keeps the old one valid.
    keep(client, { refresh_token: token, ...tokens });
    return true;
  } catch {
    // The user signs in again.
    credentials.setRefresh(null);
    return false;
  }
}
