/** An exact decimal number, such as `"12.50"`. Never a JavaScript number, which would round it. */
export type Decimal = string;

/** A calendar date, such as `"2031-05-15"`. */
export type CalendarDate = string;

/** A point in time in RFC 3339. */
export type Timestamp = string;

/** Any JSON value. */
export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

/** A text with known values. Later versions of the service may add others. */
export type Open<T extends string> = T | (string & {});

/** The headers of a response. */
export interface Meta {
  /** The HTTP status. */
  readonly status: number;
  /** The entity tag, for `ifMatch`. */
  readonly etag?: string;
  /** The version of the price book that the change made, or that answered. */
  readonly version?: number;
  /** The history that `version` belongs to. */
  readonly bookId?: string;
  /** Identifies the request in the log of the service. */
  readonly traceId?: string;
  /** True if this is the stored response of an earlier attempt with the same idempotency key. */
  readonly replayed: boolean;
  /** The number of attempts that this request took. */
  readonly attempts: number;
}

const metas = new WeakMap<object, Meta>();

/** Returns the headers of the response that `value` came from. */
export function metaOf(value: object): Meta | undefined {
  return metas.get(value);
}

/** Remembers the headers of the response that `value` came from. */
export function setMeta(value: unknown, meta: Meta): void {
  if (typeof value === "object" && value !== null) {
    metas.set(value, meta);
  }
}

/** Options of every request. */
export interface RequestOptions {
  /** Aborts the request, and the wait for a retry. */
  signal?: AbortSignal | undefined;
  /** The time for one attempt in milliseconds, instead of that of the client. */
  timeout?: number | undefined;
  /** The maximum number of retries, instead of that of the client. */
  maxRetries?: number | undefined;
  /**
   * The idempotency key. By default each call has a new one, which its retries keep. Pass your own
   * to make a call safe to repeat after a restart of your process.
   */
  idempotencyKey?: string | undefined;
  /** Receives the headers of the successful response, also of one without content. */
  onMeta?: ((meta: Meta) => void) | undefined;
}

/** Returns the named members of an object, those in `nested` converted. Others are left out. */
export function pick<T extends object>(
  value: object,
  names: readonly string[],
  nested: Readonly<Record<string, (value: never) => unknown>> = {},
): T {
  const result: Record<string, unknown> = {};
  for (const [name, member] of Object.entries(value)) {
    const convert = nested[name];
    if (names.includes(name)) {
      result[name] = member;
    } else if (convert !== undefined) {
      result[name] = member == null ? member : convert(member as never);
    }
  }
  return result as T;
}
