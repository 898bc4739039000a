/** The services that the tests use: the demo, and an empty one that demands credentials. */
import { spawn, type ChildProcess } from 'node:child_process';
import { chmodSync, createWriteStream, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AUDIENCE, CLIENT_ID, startIssuer } from './issuer.ts';

/** The bootstrap key of the second service. */
export const BOOTSTRAP_KEY = 'the bootstrap key of the tests of the desk';

/** The folder of the services' logs, which tell why a response was an error. */
const LOGS = 'test-results/logs';
const START_TIMEOUT_MS = 180_000;
const STOP_TIMEOUT_MS = 20_000;

interface Running {
  url: string;
  stop: () => Promise<void>;
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

/** Starts the service, and waits until it has printed a text. */
async function start(command: string, ready: string, extra: NodeJS.ProcessEnv): Promise<Running> {
  const program = process.env.KAMPANJE_BIN;
  if (!program) throw new Error('KAMPANJE_BIN names the program of the service');
  const port = await freePort();
  const data = mkdtempSync(join(tmpdir(), 'kampanje-desk-'));
  // As root, the database server runs as another user, who has to enter the folder.
  chmodSync(data, 0o755);
  const child = spawn(program, [command], {
    env: {
      ...process.env,
      KAMPANJE_LISTEN: `127.0.0.1:${String(port)}`,
      KAMPANJE_DATA_DIR: data,
      KAMPANJE_DRAIN_SECONDS: '0',
      // The receivers of the tests are on this machine.
      KAMPANJE_WEBHOOK_NETWORKS: '127.0.0.0/8',
      ...extra,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  mkdirSync(LOGS, { recursive: true });
  const log = createWriteStream(join(LOGS, `${command}.log`));
  child.stdout.pipe(log);
  child.stderr.pipe(log);
  await printed(child, ready);
  return {
    url: `http://127.0.0.1:${String(port)}`,
    stop: async () => {
      await stopped(child);
      rmSync(data, { recursive: true, force: true });
    },
  };
}

function printed(child: ChildProcess, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let output = '';
    const timer = setTimeout(
      () => reject(new Error(`the service did not start in time:\n${output}`)),
      START_TIMEOUT_MS,
    );
    const read = (chunk: Buffer) => {
      output += chunk.toString();
      if (!output.includes(text)) return;
      clearTimeout(timer);
      resolve();
    };
    child.stdout?.on('data', read);
    child.stderr?.on('data', read);
    child.once('exit', () => reject(new Error(`the service ended:\n${output}`)));
  });
}

function stopped(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
    child.removeAllListeners('exit');
    child.once('exit', () => {
      clearTimeout(timer);
      resolve();
    });
    child.kill('SIGINT');
  });
}

export default async function setup(): Promise<() => Promise<void>> {
  // Services that run already are used as they are, for work on single tests.
  if (process.env.DESK_URL && process.env.DESK_KEYED_URL) return () => Promise.resolve();
  const issuer = await startIssuer();
  const services = await Promise.all([
    start('demo', 'Press Ctrl-C', {}),
    start('serve', 'the service listens', {
      KAMPANJE_API_KEY: BOOTSTRAP_KEY,
      KAMPANJE_OIDC_ISSUER: issuer.url,
      KAMPANJE_OIDC_AUDIENCE: AUDIENCE,
      KAMPANJE_OIDC_CLIENT_ID: CLIENT_ID,
    }),
  ]);
  const [demo, keyed] = services;
  process.env.DESK_URL = demo.url;
  process.env.DESK_KEYED_URL = keyed.url;
  return async () => {
    await Promise.all(services.map(({ stop }) => stop()));
    await issuer.close();
  };
}
