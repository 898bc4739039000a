import { ConnectionError, NotModifiedError, ProblemException, TimeoutError } from "./errors.js";
import type { Problem } from "./generated/models.js";
import { Pages, type Page } from "./pages.js";
import { setMeta, type Meta, type RequestOptions } from "./types.js";
import { VERSION } from "./version.js";

const DEFAULT_TIMEOUT = 30_000;
const DEFAULT_MAX_RETRIES = 4;
const FIRST_BACKOFF = 250;
const MAX_BACKOFF = 8_000;
const MAX_RETRY_AFTER = 60_000;
const MAX_MODIFICATIONS = 10;
const RETRIED = new Set([408, 429, 502, 503, 504]);
/** The statuses after which a request without idempotency key certainly had no effect. */
const REFUSED = new Set([429, 503]);

/** The configuration of a client. */
export interface ClientOptions {
  /** The address of the service. In a browser, that of the page by default. */
  baseUrl?: string | undefined;
  /** The API key, or a function that returns the current one. */
  apiKey?: string | (() => string | Promise<string>) | undefined;
  /** The time for one attempt in milliseconds. Default: 30 seconds. */
  timeout?: number | undefined;
  /** The maximum number of retries. Default: 4. */
  maxRetries?: number | undefined;
  /** Headers of every request. */
  headers?: Readonly<Record<string, string>> | undefined;
  /** The function that sends requests. Default: the `fetch` of the platform. */
  fetch?: typeof fetch | undefined;
  /**
   * True to read your own writes: a query about prices waits for the newest version of the price
   * book that this client has made. Default: true.
   */
  sessionConsistency?: boolean | undefined;
}

/** The version of the price book that a client has made. */
export interface Session {
  /** The version. */
  version: number;
  /** The history that it belongs to. */
  bookId?: string;
}

/** An operation with its arguments. */
export interface Call {
  method: string;
  path: string;
  /** The names of the options that are parameters of the query. */
  query?: readonly string[];
  body?: unknown;
  /** The operation accepts an idempotency key. */
  idempotent?: boolean;
  /** A repetition has no effect. */
  safe?: boolean;
  /** The operation can wait for a version of the price book. */
  session?: boolean;
}

/** The options of a call: those of every request, conditions, and parameters of the query. */
export type CallOptions = RequestOptions & {
  ifMatch?: string | undefined;
  ifNoneMatch?: string | undefined;
};

/** Decides how to change a resource: by a merge patch, or not at all. */
export type Change<T, P> = (current: T) => P | undefined | Promise<P | undefined>;

interface Received {
  response: Response;
  attempts: number;
  /** Ends the observation of the caller's signal. */
  release: () => void;
  text?: string;
}

/** Encodes the parameters of a path. */
export function path(parts: TemplateStringsArray, ...values: (string | number)[]): string {
  return parts.reduce((path, part, at) => {
    return path + encodeURIComponent(String(values[at - 1])) + part;
  });
}

/** Sends requests: authentication, retries, consistency, errors. */
export class Core {
  readonly #baseUrl: string;
  readonly #options: ClientOptions;
  readonly #fetch: typeof fetch;
  #session: Session | undefined;

  constructor(options: ClientOptions) {
    const baseUrl = options.baseUrl ?? globalThis.location?.origin;
    if (baseUrl === undefined) {
      throw new TypeError("baseUrl is required outside of a browser");
    }
    this.#baseUrl = new URL(baseUrl).href.replace(/\/+$/, "");
    this.#options = options;
    this.#fetch = options.fetch ?? ((input, init) => globalThis.fetch(input, init));
  }

  /** The newest version of the price book that this client has made. */
  get session(): Session | undefined {
    return this.#session;
  }

  set session(session: Session | undefined) {
    this.#session = session;
  }

  /** Sends a request and returns its content; `undefined` if there is none. */
  async request<T>(call: Call, options: CallOptions = {}): Promise<T> {
    const received = await this.#send(call, options, "application/json");
    const meta = this.#meta(received);
    options.onMeta?.(meta);
    const text = received.text ?? "";
    const isJson = (received.response.headers.get("content-type") ?? "").includes("json");
    const value: unknown = text === "" ? undefined : isJson ? JSON.parse(text) : text;
    setMeta(value, meta);
    return value as T;
  }

  /** Returns a list, of which nothing is requested until it is iterated. */
  pages<T, P extends Page<T>>(call: Call, options: CallOptions = {}): Pages<T, P> {
    return new Pages((link) =>
      link === undefined
        ? this.request<P>(call, options)
        : this.request<P>({ method: "GET", path: link, safe: true }, { ...options }),
    );
  }

  /** Requests a stream of JSON lines. A stream that breaks off is an error, not an end. */
  async *stream<T>(call: Call, options: CallOptions = {}): AsyncGenerator<T, void, undefined> {
    const received = await this.#send(call, options, "application/x-ndjson");
    const reader = received.response.body?.pipeThrough(new TextDecoderStream()).getReader();
    try {
      options.onMeta?.(this.#meta(received));
      let rest = "";
      while (reader !== undefined) {
        const { done, value } = await reader.read();
        if (done) {
          break;
        }
        const lines = (rest + value).split("\n");
        rest = lines.pop() ?? "";
        for (const line of lines) {
          if (line !== "") {
            yield JSON.parse(line) as T;
          }
        }
      }
      if (rest !== "") {
        yield JSON.parse(rest) as T;
      }
    } catch (error) {
      options.signal?.throwIfAborted();
      throw error instanceof TypeError
        ? new ConnectionError("the stream broke off", { cause: error })
        : error;
    } finally {
      received.release();
      await reader?.cancel().catch(() => undefined);
    }
  }

  /**
   * Reads a resource, changes it and writes it; again from the start if it was changed meanwhile.
   *
   * `change` returns the change, or `undefined` to leave the resource as it is.
   */
  async modify<T extends object, P>(
    read: (options: RequestOptions) => Promise<T>,
    change: Change<T, P>,
    write: (change: P, options: RequestOptions & { ifMatch: string }) => Promise<T>,
    options: RequestOptions = {},
  ): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      let etag: string | undefined;
      const current = await read({ ...options, onMeta: (meta) => (etag = meta.etag) });
      const wanted = await change(current);
      if (wanted === undefined) {
        return current;
      }
      try {
        return await write(wanted, { ...options, ifMatch: etag ?? "*" });
      } catch (error) {
        const outdated = error instanceof ProblemException && error.status === 412;
        if (!outdated || attempt >= MAX_MODIFICATIONS) {
          throw error;
        }
      }
    }
  }

  async #send(call: Call, options: CallOptions, accept: string): Promise<Received> {
    const maxRetries = options.maxRetries ?? this.#options.maxRetries ?? DEFAULT_MAX_RETRIES;
    // One key for the call: a retry after a lost response gets that response.
    const key = call.idempotent ? (options.idempotencyKey ?? crypto.randomUUID()) : undefined;
    let useSession = call.session === true && this.#options.sessionConsistency !== false;
    for (let attempt = 1; ; attempt++) {
      options.signal?.throwIfAborted();
      let failure: unknown;
      let wait: number | undefined;
      try {
        const received = await this.#attempt(call, options, accept, key, useSession, attempt);
        if (received.response.ok) {
          return received;
        }
        const problem = this.#problem(received);
        if (useSession && problem instanceof ProblemException && problem.code === "OTHER_HISTORY") {
          // The database was restored: what this client has written may be gone.
          this.#session = undefined;
          useSession = false;
          continue;
        }
        if (!isRetried(problem, call)) {
          throw problem;
        }
        failure = problem;
        wait = (problem as ProblemException).retryAfter;
      } catch (error) {
        options.signal?.throwIfAborted();
        if (!(error instanceof ConnectionError) || !(call.safe || call.idempotent)) {
          throw error;
        }
        failure = error;
      }
      if (attempt > maxRetries) {
        throw failure;
      }
      await sleep(wait ?? backoff(attempt), options.signal);
    }
  }

  async #attempt(
    call: Call,
    options: CallOptions,
    accept: string,
    key: string | undefined,
    useSession: boolean,
    attempts: number,
  ): Promise<Received> {
    const headers = await this.#headers(call, options, accept, key);
    const url = this.#url(call, options, useSession);
    const controller = new AbortController();
    const abort = () => controller.abort();
    options.signal?.addEventListener("abort", abort, { once: true });
    const timeout = options.timeout ?? this.#options.timeout ?? DEFAULT_TIMEOUT;
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      controller.abort();
    }, timeout);
    const release = () => options.signal?.removeEventListener("abort", abort);
    const isStream = accept !== "application/json";
    let keep = false;
    try {
      const body = call.body === undefined ? null : JSON.stringify(call.body);
      const init = { method: call.method, headers, body, signal: controller.signal };
      const response = await this.#fetch(url, init);
      if (isStream && response.ok) {
        keep = true;
        return { response, attempts, release };
      }
      const text = await response.text();
      if (response.ok && isBrokenJson(response, text)) {
        throw new ConnectionError("the response is not complete");
      }
      return { response, attempts, release, text };
    } catch (error) {
      if (timedOut) {
        throw new TimeoutError(`no response within ${timeout} ms`, { cause: error });
      }
      // The platforms use TypeError for every failure of the network.
      throw error instanceof TypeError
        ? new ConnectionError(`the request failed: ${call.method} ${call.path}`, { cause: error })
        : error;
    } finally {
      clearTimeout(timer);
      if (!keep) {
        release();
      }
    }
  }

  async #headers(call: Call, options: CallOptions, accept: string, key: string | undefined) {
    const headers = new Headers(this.#options.headers);
    const { apiKey } = this.#options;
    const token = typeof apiKey === "function" ? await apiKey() : apiKey;
    const set = (name: string, value: string | undefined) => {
      if (value !== undefined) {
        headers.set(name, value);
      }
    };
    set("accept", accept);
    set("authorization", token === undefined ? undefined : `Bearer ${token}`);
    const merge = call.method === "PATCH" ? "merge-patch+json" : "json";
    set("content-type", call.body === undefined ? undefined : `application/${merge}`);
    set("if-match", options.ifMatch);
    set("if-none-match", options.ifNoneMatch);
    set("idempotency-key", key);
    // Browsers have a user agent of their own.
    if (typeof document === "undefined") {
      set("user-agent", `kampanje-typescript/${VERSION}`);
    }
    return headers;
  }

  #url(call: Call, options: CallOptions, useSession: boolean): string {
    if (!call.path.startsWith("/") || call.path.startsWith("//")) {
      throw new TypeError(`not a path of the service: ${call.path}`);
    }
    const query = new URLSearchParams();
    const values = options as Record<string, unknown>;
    for (const name of call.query ?? []) {
      const value = values[name];
      if (value !== undefined && value !== null) {
        query.set(name, String(value));
      }
    }
    const isChosen = ["publicationVersion", "minPublicationVersion"].some((name) => query.has(name));
    if (useSession && this.#session !== undefined && !isChosen) {
      query.set("minPublicationVersion", String(this.#session.version));
      if (this.#session.bookId !== undefined && !query.has("bookId")) {
        query.set("bookId", this.#session.bookId);
      }
    }
    const text = query.toString();
    return this.#baseUrl + call.path + (text === "" ? "" : `?${text}`);
  }

  #meta({ response, attempts }: Received): Meta {
    const meta = readMeta(response, attempts);
    if (meta.version !== undefined && meta.bookId !== undefined) {
      const known = this.#session;
      const isNewer = known?.bookId !== meta.bookId || known.version < meta.version;
      if (isNewer) {
        this.#session = { version: meta.version, bookId: meta.bookId };
      }
    }
    return meta;
  }

  #problem(received: Received): ProblemException | NotModifiedError {
    const { response, text } = received;
    const meta = readMeta(response, received.attempts);
    if (response.status === 304) {
      return new NotModifiedError(meta);
    }
    let problem: Partial<Problem> = {};
    try {
      const value: unknown = JSON.parse(text ?? "");
      problem = typeof value === "object" && value !== null ? value : {};
    } catch {
      // A proxy answered, in a form of its own.
    }
    return new ProblemException(problem, meta, retryAfter(response));
  }
}

function isRetried(problem: ProblemException | NotModifiedError, call: Call): boolean {
  if (!(problem instanceof ProblemException)) {
    return false;
  }
  if (problem.code === "IDEMPOTENCY_IN_PROGRESS") {
    return true;
  }
  return (call.safe || call.idempotent ? RETRIED : REFUSED).has(problem.status);
}

function isBrokenJson(response: Response, text: string): boolean {
  if (text === "" || !(response.headers.get("content-type") ?? "").includes("json")) {
    return false;
  }
  try {
    JSON.parse(text);
    return false;
  } catch {
    return true;
  }
}

function readMeta(response: Response, attempts: number): Meta {
  const { headers, status } = response;
  const etag = headers.get("etag");
  const version = headers.get("publication-version");
  const bookId = headers.get("book-id");
  const traceId = headers.get("trace-id");
  return {
    status,
    attempts,
    replayed: headers.get("idempotency-replayed") === "true",
    ...(etag !== null && { etag }),
    ...(version !== null && { version: Number(version) }),
    ...(bookId !== null && { bookId }),
    ...(traceId !== null && { traceId }),
  };
}

function retryAfter(response: Response): number | undefined {
  const header = response.headers.get("retry-after");
  if (header === null) {
    return undefined;
  }
  const seconds = Number(header);
  const wait = Number.isFinite(seconds) ? seconds * 1_000 : Date.parse(header) - Date.now();
  return Number.isFinite(wait) ? Math.min(Math.max(wait, 0), MAX_RETRY_AFTER) : undefined;
}

/** Doubles with each attempt, less a random part, so that clients do not return all together. */
export function backoff(attempt: number): number {
  const longest = Math.min(MAX_BACKOFF, FIRST_BACKOFF * 2 ** (attempt - 1));
  return longest * (0.5 + Math.random() / 2);
}

/** Waits, unless the signal aborts. */
export function sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", abort);
      resolve();
    }, milliseconds);
    if (signal?.aborted) {
      abort();
    } else {
      signal?.addEventListener("abort", abort, { once: true });
    }
  });
}
