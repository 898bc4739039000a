import { KampanjeError } from "./errors.js";
import type { CloudEvent } from "./generated/models.js";

const TOLERANCE_SECONDS = 300;
const SECRET_PREFIX = "whsec_";

/** A delivery is not signed by any of the secrets, or is too old. */
export class WebhookVerificationError extends KampanjeError {
  override name = "WebhookVerificationError";
}

/** The headers of a delivery. */
export type WebhookHeaders = Headers | Readonly<Record<string, string | string[] | undefined>>;

/** Options of `verify`. */
export interface VerifyOptions {
  /** The permitted difference of the clocks in seconds. Default: 5 minutes. */
  toleranceSeconds?: number | undefined;
  /** The current time in milliseconds. */
  now?: number | undefined;
}

/**
 * Verifies a delivery by the scheme of Standard Webhooks, and returns its event.
 *
 * `payload` is the body exactly as it was received. While a secret is being replaced, pass both.
 */
export async function verify(
  payload: string | Uint8Array,
  headers: WebhookHeaders,
  secrets: string | readonly string[],
  options: VerifyOptions = {},
): Promise<CloudEvent> {
  const id = header(headers, "webhook-id");
  const timestamp = header(headers, "webhook-timestamp");
  const signatures = header(headers, "webhook-signature").split(" ");
  const seconds = /^[0-9]{1,15}$/.test(timestamp) ? Number(timestamp) : Number.NaN;
  const age = (options.now ?? Date.now()) / 1_000 - seconds;
  if (!(Math.abs(age) <= (options.toleranceSeconds ?? TOLERANCE_SECONDS))) {
    throw new WebhookVerificationError("the timestamp is missing, too old or in the future");
  }
  const encoder = new TextEncoder();
  const body = typeof payload === "string" ? encoder.encode(payload) : payload;
  const prefix = encoder.encode(`${id}.${timestamp}.`);
  const signed = new Uint8Array(prefix.length + body.length);
  signed.set(prefix);
  signed.set(body, prefix.length);
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  for (const secret of typeof secrets === "string" ? [secrets] : secrets) {
    const bytes = decodeBase64(secret.replace(SECRET_PREFIX, ""));
    if (bytes === undefined || bytes.length === 0) {
      throw new TypeError("a webhook secret is Base64, with or without the prefix whsec_");
    }
    const key = await crypto.subtle.importKey("raw", bytes, algorithm, false, ["verify"]);
    for (const signature of signatures) {
      const [version, text] = signature.split(",", 2);
      const expected = version === "v1" ? decodeBase64(text ?? "") : undefined;
      // `verify` compares in constant time.
      if (expected !== undefined && (await crypto.subtle.verify("HMAC", key, expected, signed))) {
        return JSON.parse(new TextDecoder().decode(body)) as CloudEvent;
      }
    }
  }
  throw new WebhookVerificationError("no signature matches");
}

function header(headers: WebhookHeaders, name: string): string {
  if (headers instanceof Headers) {
    return headers.get(name) ?? "";
  }
  const entry = Object.entries(headers).find(([key]) => key.toLowerCase() === name)?.[1];
  return (Array.isArray(entry) ? entry[0] : entry) ?? "";
}

function decodeBase64(text: string): Uint8Array<ArrayBuffer> | undefined {
  try {
    return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  } catch {
    return undefined;
  }
}
