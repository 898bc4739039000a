import type { Finding, Problem, ProblemError } from "./generated/models.js";
import type { Meta } from "./types.js";

/** The base of all errors of this package. */
export class KampanjeError extends Error {
  override name = "KampanjeError";
}

/** No response arrived: the connection failed, or broke before the response was complete. */
export class ConnectionError extends KampanjeError {
  override name = "ConnectionError";
}

/** An attempt took longer than its timeout. */
export class TimeoutError extends ConnectionError {
  override name = "TimeoutError";
}

/** The resource still has the entity tag of `ifNoneMatch` (304). */
export class NotModifiedError extends KampanjeError {
  override name = "NotModifiedError";

  constructor(readonly meta: Meta) {
    super("the resource has not changed");
  }
}

/** The service refused the request. */
export class ProblemException extends KampanjeError {
  override name = "ProblemException";
  /** The HTTP status. */
  readonly status: number;
  /** The stable code, such as `VALIDATION_FAILED`; `HTTP_502` if a proxy answered instead. */
  readonly code: string;
  /** This occurrence in a sentence. */
  readonly detail: string;
  /** Everything that is wrong with the request. */
  readonly errors: readonly ProblemError[];
  /** The findings that refuse an activation. */
  readonly findings: readonly Finding[];
  /** Identifies the request in the log of the service. */
  readonly traceId: string | undefined;

  constructor(
    /** The document as it was received. */
    readonly problem: Partial<Problem>,
    readonly meta: Meta,
    /** The time to wait before a retry in milliseconds, if the service stated one. */
    readonly retryAfter: number | undefined,
  ) {
    const code = problem.code ?? `HTTP_${meta.status}`;
    const detail = problem.detail ?? `the response has the status ${meta.status}`;
    const errors = problem.errors ?? [];
    const places = errors.slice(0, 3).map((error) => `${error.pointer}: ${error.detail}`);
    super([`${code}: ${detail}`, ...places].join("; "));
    this.status = meta.status;
    this.code = code;
    this.detail = detail;
    this.errors = errors;
    this.findings = (problem as { findings?: Finding[] }).findings ?? [];
    this.traceId = problem.traceId ?? meta.traceId;
  }
}
