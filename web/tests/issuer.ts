/** An OpenID Connect issuer that signs everybody in as one user, for the tests of the sign-in. */
import { createHash, createSign, generateKeyPairSync, randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export const AUDIENCE = 'kampanje';
export const CLIENT_ID = 'desk';
export const USER_NAME = 'Kari Nordmann';

const MAX_BODY_LENGTH = 10_000;
const TOKEN_SECONDS = 600;
const KEY_ID = 'test';

export interface Issuer {
  url: string;
  close: () => Promise<void>;
}

const base64 = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');

async function formOf(request: IncomingMessage): Promise<URLSearchParams> {
  let body = '';
  for await (const chunk of request) {
    body += String(chunk);
    if (body.length > MAX_BODY_LENGTH) throw new Error('the body is too long');
  }
  return new URLSearchParams(body);
}

function json(response: ServerResponse, status: number, value: object): void {
  response.writeHead(status, {
    'content-type': 'application/json',
    'access-control-allow-origin': '*',
    'cache-control': 'no-store',
  });
  response.end(JSON.stringify(value));
}

/** Starts the issuer, on a free port unless one is given. */
export async function startIssuer(port = 0): Promise<Issuer> {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  /** The challenges of the codes that were not used yet, and the refresh tokens. */
  const codes = new Map<string, string>();
  const refreshTokens = new Set<string>();
  let url = '';

  const token = () => {
    const now = Math.floor(Date.now() / 1000);
    const claims = {
      iss: url,
      aud: AUDIENCE,
      sub: 'kari',
      name: USER_NAME,
      roles: ['PRICING'],
      iat: now,
      exp: now + TOKEN_SECONDS,
    };
    const signed = `${base64({ alg: 'RS256', kid: KEY_ID, typ: 'at+jwt' })}.${base64(claims)}`;
    const signature = createSign('sha256').update(signed).sign(privateKey, 'base64url');
    return `${signed}.${signature}`;
  };

  const exchange = (form: URLSearchParams): boolean => {
    if (form.get('client_id') !== CLIENT_ID) return false;
    if (form.get('grant_type') === 'refresh_token') {
      return refreshTokens.delete(form.get('refresh_token') ?? '');
    }
    const code = form.get('code') ?? '';
    const challenge = codes.get(code);
    codes.delete(code);
    const verifier = form.get('code_verifier') ?? '';
    return challenge === createHash('sha256').update(verifier).digest('base64url');
  };

  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const { pathname, searchParams } = new URL(request.url ?? '/', url);
    if (pathname === '/.well-known/openid-configuration') {
      json(response, 200, {
        issuer: url,
        authorization_endpoint: `${url}/authorize`,
        token_endpoint: `${url}/token`,
        jwks_uri: `${url}/keys`,
        code_challenge_methods_supported: ['S256'],
      });
    } else if (pathname === '/keys') {
      const key = publicKey.export({ format: 'jwk' });
      json(response, 200, { keys: [{ ...key, kid: KEY_ID, alg: 'RS256', use: 'sig' }] });
    } else if (pathname === '/authorize') {
      const back = new URL(searchParams.get('redirect_uri') ?? url);
      const code = randomUUID();
      codes.set(code, searchParams.get('code_challenge') ?? '');
      back.searchParams.set('code', code);
      back.searchParams.set('state', searchParams.get('state') ?? '');
      response.writeHead(303, { location: back.href }).end();
    } else if (pathname === '/token' && exchange(await formOf(request))) {
      const refreshToken = randomUUID();
      refreshTokens.add(refreshToken);
      json(response, 200, {
        access_token: token(),
        token_type: 'Bearer',
        expires_in: TOKEN_SECONDS,
        refresh_token: refreshToken,
      });
    } else {
      json(response, 400, { error: 'invalid_grant' });
    }
  };

  const server = createServer((request, response) => {
    answer(request, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`;
  return {
    url,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
