/** The calls of the desk, made through the project's TypeScript client. */
import { ConnectionError, Kampanje, metaOf, ProblemException, type Pages } from '@kampanje/client';
import type * as m from '@kampanje/client';

/** Parameters of lists. */
export interface ListQuery {
  filter?: string;
  orderby?: string;
  top?: number;
  count?: boolean;
  cursor?: string;
}

export type Stored<T> = T & { etag: string };

export interface Page<T> {
  value: Stored<T>[];
  nextLink?: string | null;
  count?: number | null;
}

export { ProblemException as ApiError } from '@kampanje/client';

const STORED_TOKEN = 'kampanje.token';
const STORED_REFRESH = 'kampanje.refresh';
let unauthorized: () => void = () => undefined;

/** The bearer token of this tab: an API key, or an access token of the issuer. */
export const credentials = {
  get: (): string | null => sessionStorage.getItem(STORED_TOKEN),
  set: (token: string): void => sessionStorage.setItem(STORED_TOKEN, token),
  /** Keeps what `app/oidc.ts` needs for the next access token. */
  setRefresh: (refresh: string | null): void => {
    if (refresh === null) sessionStorage.removeItem(STORED_REFRESH);
    else sessionStorage.setItem(STORED_REFRESH, refresh);
  },
  clear: (): void => {
    sessionStorage.removeItem(STORED_TOKEN);
    sessionStorage.removeItem(STORED_REFRESH);
  },
  /** Calls back when the service refuses the token. */
  onUnauthorized: (listener: () => void): void => {
    unauthorized = listener;
  },
};

const MAX_RETRIES = 2;
const TIMEOUT_MS = 60_000;

const send: typeof fetch = (input, init) => {
  const headers = new Headers(init?.headers);
  const token = credentials.get();
  // A service without credentials is called without any.
  if (token) headers.set('authorization', `Bearer ${token}`);
  return fetch(input, { ...init, headers });
};

let refreshing: Promise<boolean> | null = null;

/** Exchanges the refresh token once for all requests that wait for it. */
function refreshed(): Promise<boolean> {
  const stored = sessionStorage.getItem(STORED_REFRESH);
  if (stored === null) return Promise.resolve(false);
  refreshing ??= import('./app/oidc.ts')
    .then(({ refresh }) => refresh(stored))
    .finally(() => {
      refreshing = null;
    });
  return refreshing;
}

const fetched: typeof fetch = async (input, init) => {
  const token = credentials.get();
  let response = await send(input, init);
  if (response.status === 401) {
    // Another request may have refreshed the token meanwhile.
    const isNewer = credentials.get() !== token && credentials.get() !== null;
    if (isNewer || (await refreshed())) response = await send(input, init);
  }
  if (response.status === 401) unauthorized();
  return response;
};

const kampanje = new Kampanje({ timeout: TIMEOUT_MS, maxRetries: MAX_RETRIES, fetch: fetched });

/** Reads the problem of a response that the client has not received. */
function refusal(status: number, text: string): ProblemException {
  let problem: Partial<m.Problem> = {};
  try {
    problem = JSON.parse(text) as Partial<m.Problem>;
  } catch {
    // A proxy answered, in a form of its own.
  }
  return new ProblemException(problem, { status, attempts: 1, replayed: false }, undefined);
}

type Signal = AbortSignal | undefined;

/** The rows of a resource. */
export interface Collection<T> {
  list: (query: ListQuery, signal?: AbortSignal) => Promise<Page<T>>;
  get: (key: string, signal?: AbortSignal) => Promise<Stored<T>>;
  create: (body: object) => Promise<Stored<T>>;
  update: (key: string, patch: object, etag: string) => Promise<Stored<T>>;
  remove: (key: string, etag: string) => Promise<void>;
  batch: (
    rows: object[],
    options?: { validateOnly?: boolean; atomic?: boolean },
  ) => Promise<m.BatchReceipts>;
}

type Options = { signal?: Signal; ifMatch?: string } & ListQuery;

/** A resource of the client, its path parameters bound. */
interface Bound<T, W, P, R> {
  list(options: Options): Pages<T>;
  get(key: string, options: { signal?: Signal }): Promise<T>;
  create?: (body: W) => Promise<T>;
  update?: (key: string, patch: P, options: { ifMatch: string }) => Promise<T>;
  delete?: (key: string, options: { ifMatch: string }) => Promise<unknown>;
  batch?: (body: {
    rows: R[];
    validateOnly?: boolean;
    atomic?: boolean;
  }) => Promise<m.BatchReceipts>;
}

/** Adds the entity tag of the response. */
function stored<T extends object>(value: T): Stored<T> {
  return { ...value, etag: metaOf(value)?.etag ?? '' };
}

async function page<T>(pages: Pages<T>): Promise<Page<T>> {
  // Rows of lists carry their entity tag, which the models do not declare.
  return (await pages.page()) as Page<T>;
}

const NOT_OFFERED = () => Promise.reject(new Error('the API has no such operation'));

/** Adapts a resource to the forms that lists, cards and grids share. */
function collection<T extends object, W, P, R>(of: Bound<T, W, P, R>): Collection<T> {
  return {
    list: (query, signal) => page(of.list({ ...query, signal })),
    get: async (key, signal) => stored(await of.get(key, { signal })),
    create: async (body) => stored(await (of.create?.(body as W) ?? NOT_OFFERED())),
    update: async (key, patch, ifMatch) =>
      stored(await (of.update?.(key, patch as P, { ifMatch }) ?? NOT_OFFERED())),
    remove: async (key, ifMatch) => {
      await (of.delete?.(key, { ifMatch }) ?? NOT_OFFERED());
    },
    batch: (rows, options) => of.batch?.({ rows: rows as R[], ...options }) ?? NOT_OFFERED(),
  };
}

/** Binds the path parameter of a resource that belongs to another. */
// eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters -- inferred from `of`
function within<T extends object, W, P, R>(
  parent: string,
  of: {
    list(parent: string, options: Options): Pages<T>;
    get(parent: string, key: string, options: { signal?: Signal }): Promise<T>;
    create(parent: string, body: W): Promise<T>;
    update(parent: string, key: string, patch: P, options: { ifMatch: string }): Promise<T>;
    delete(parent: string, key: string, options: { ifMatch: string }): Promise<unknown>;
    batch(
      parent: string,
      body: { rows: R[]; validateOnly?: boolean; atomic?: boolean },
    ): Promise<m.BatchReceipts>;
  },
): Collection<T> {
  return collection<T, W, P, R>({
    list: (options) => of.list(parent, options),
    get: (key, options) => of.get(parent, key, options),
    create: (body) => of.create(parent, body),
    update: (key, patch, options) => of.update(parent, key, patch, options),
    delete: (key, options) => of.delete(parent, key, options),
    batch: (body) => of.batch(parent, body),
  });
}

export interface QuoteQuery {
  contactNumber?: string;
  itemNumber: string;
  variantCode?: string;
  unitOfMeasureCode?: string;
  quantity?: string;
  date?: string;
  currencyCode?: string;
  explain?: boolean;
  publicationVersion?: number;
}

export interface LowestPriceQuery {
  contactNumber?: string;
  itemNumber: string;
  date?: string;
  days?: number;
  quantity?: string;
}

export interface EffectivePriceQuery {
  contactNumber?: string;
  campaignNumber?: string;
  date?: string;
  publicationVersion?: number;
  top?: number;
}

const k = kampanje;

export const api = {
  me: (signal?: AbortSignal) => k.me.get({ signal }),
  settings: {
    get: async (signal?: AbortSignal) => stored(await k.settings.get({ signal })),
    update: async (patch: object, ifMatch: string) =>
      stored(await k.settings.update(patch, { ifMatch })),
  },
  campaigns: {
    ...collection(k.campaigns),
    copy: (campaign: string, body: m.CampaignCopyWrite) => k.campaigns.copy(campaign, body),
    changeStatus: (campaign: string, statusCode: string) =>
      k.campaignStatusChanges.create(campaign, { statusCode }),
    plan: (campaign: string, signal?: AbortSignal) =>
      k.campaigns.activate(campaign, { validateOnly: true }, { signal }),
    activate: (campaign: string, planHash: string, acknowledge: string[]) =>
      k.campaigns.activate(campaign, { planHash, acknowledge }),
    deactivate: (campaign: string) => k.campaigns.deactivate(campaign),
    rollBack: (campaign: string, version: number) => k.campaigns.rollBack(campaign, { version }),
    statistics: (campaign: string, groupBy?: m.GroupBy, signal?: AbortSignal) =>
      k.campaigns.getStatistics(campaign, { ...(groupBy && { groupBy }), signal }),
    history: (campaign: string, query: ListQuery, signal?: AbortSignal) =>
      page(k.campaignActivationHistory.list(campaign, { ...query, signal })),
    audience: (campaign: string, query: ListQuery, signal?: AbortSignal) =>
      page(k.campaignAudience.list(campaign, { ...query, signal })),
    membership: (campaign: string, contact: string, signal?: AbortSignal) =>
      k.campaignAudience.getMembership(campaign, contact, { signal }),
    grant: (
      campaign: string,
      query: { contactNumber: string; itemNumber?: string; date?: string },
      signal?: AbortSignal,
    ) => k.campaigns.getGrant(campaign, { ...query, signal }),
    plannedPrices: (
      campaign: string,
      query: { accountNumber?: string; changedOnly?: boolean; top?: number; cursor?: string },
      signal?: AbortSignal,
    ) => page(k.plannedPrices.list(campaign, { ...query, signal })),
  },
  campaignPrices: (campaign: string) => within(campaign, k.campaignPrices),
  campaignDiscounts: (campaign: string) => within(campaign, k.campaignDiscounts),
  prices: collection(k.prices),
  discounts: collection(k.discounts),
  items: collection(k.items),
  contacts: collection(k.contacts),
  segments: {
    ...collection(k.segments),
    actions: (segment: string, query: ListQuery, signal?: AbortSignal) =>
      page(k.criteriaActions.list(segment, { ...query, signal })),
    act: (segment: string, body: m.CriteriaActionWrite) => k.criteriaActions.create(segment, body),
    preview: (segment: string, body: m.CriteriaActionWrite, signal?: AbortSignal) =>
      k.segments.createCriteriaPreview(segment, body, { signal }),
    goBack: (segment: string) => k.criteriaActions.deleteLatest(segment, { ifMatch: '*' }),
    replay: (segment: string, code: string) => k.segments.createCriteriaReplay(segment, { code }),
    log: (segment: string, createFollowUp: boolean) =>
      k.segments.log(segment, { createFollowUp, sendAttachments: false }),
  },
  segmentLines: (segment: string) => within(segment, k.segmentLines),
  savedCriteria: collection(k.savedCriteria),
  loggedSegments: collection(k.loggedSegments),
  campaignStatuses: collection(k.campaignStatuses),
  currencies: collection(k.currencies),
  exchangeRates: collection(k.exchangeRates),
  salespeople: collection(k.salespeople),
  teams: collection(k.teams),
  templates: collection(k.interactionTemplates),
  interactions: collection(k.interactions),
  tasks: collection(k.tasks),
  opportunities: collection(k.opportunities),
  approvals: {
    list: (query: ListQuery, signal?: AbortSignal) =>
      page(k.approvalRequests.list({ ...query, signal })),
    of: (campaign: string, query: ListQuery, signal?: AbortSignal) =>
      page(k.campaignApprovalRequests.list(campaign, { ...query, signal })),
    request: (campaign: string, body: m.ApprovalRequestWrite) =>
      k.campaignApprovalRequests.requestApproval(campaign, body),
    approve: (campaign: string, id: string, comment: string) =>
      k.campaignApprovalRequests.approveRequest(campaign, id, { comment }),
    reject: (campaign: string, id: string, comment: string) =>
      k.campaignApprovalRequests.rejectRequest(campaign, id, { comment }),
  },
  auditEntries: (query: ListQuery, signal?: AbortSignal) =>
    page(k.auditEntries.list({ ...query, signal })),
  apiKeys: {
    list: (query: ListQuery, signal?: AbortSignal) => page(k.apiKeys.list({ ...query, signal })),
    issue: (body: m.ApiKeyWrite) => k.apiKeys.create(body),
    remove: (key: string, ifMatch: string) => k.apiKeys.delete(key, { ifMatch }),
  },
  publications: {
    list: (query: ListQuery, signal?: AbortSignal) =>
      page(k.publications.list({ ...query, signal })),
    get: (version: string, signal?: AbortSignal) => k.publications.get(version, { signal }),
    changes: (version: string, query: ListQuery, signal?: AbortSignal) =>
      page(k.publicationChanges.list(version, { ...query, signal })),
    compare: (query: ListQuery & { from: number; to: number }, signal?: AbortSignal) =>
      page(k.publications.compare({ ...query, signal })),
  },
  quote: (query: QuoteQuery, signal?: AbortSignal) => k.priceQuotes.get({ ...query, signal }),
  lowestPrice: (query: LowestPriceQuery, signal?: AbortSignal) =>
    k.lowestPrices.get({ ...query, signal }),
  /** Returns the first page, or that of a link, which has the date and the version in itself. */
  effectivePrices: (query: EffectivePriceQuery, link: string | undefined, signal?: AbortSignal) =>
    k.effectivePrices.list({ ...query, signal }).page(link),
  imports: {
    list: (query: ListQuery, signal?: AbortSignal) => page(k.imports.list({ ...query, signal })),
    get: (id: string, signal?: AbortSignal) => k.imports.get(id, { signal }),
    cancel: (id: string) => k.imports.cancel(id),
    start: sendFile,
    /** All rows of a collection as a file that can be changed and imported. */
    exported: async (resource: string, contentType: string) => {
      const response = await fetched(`/v1/${resource}`, { headers: { accept: contentType } });
      if (!response.ok) throw refusal(response.status, await response.text());
      return response.blob();
    },
    errors: async (id: string, signal?: AbortSignal) => {
      const errors: m.ImportError[] = [];
      for await (const error of k.importErrors.list(id, { signal })) errors.push(error);
      return errors;
    },
  },
  webhooks: {
    list: (query: ListQuery, signal?: AbortSignal) =>
      page(k.webhookSubscriptions.list({ ...query, signal })),
    get: async (id: string, signal?: AbortSignal) =>
      stored(await k.webhookSubscriptions.get(id, { signal })),
    create: (body: m.WebhookSubscriptionWrite) => k.webhookSubscriptions.create(body),
    update: async (id: string, patch: m.WebhookSubscriptionPatch, ifMatch: string) =>
      stored(await k.webhookSubscriptions.update(id, patch, { ifMatch })),
    remove: (id: string) => k.webhookSubscriptions.delete(id, { ifMatch: '*' }),
    rotateSecret: (id: string, overlapSeconds: number) =>
      k.webhookSubscriptions.rotateWebhookSecret(id, { overlapSeconds }),
    test: (id: string) => k.webhookSubscriptions.test(id),
    deliveries: (id: string, query: ListQuery, signal?: AbortSignal) =>
      page(k.webhookDeliveries.list(id, { ...query, signal })),
    retry: (id: string, delivery: string) => k.webhookDeliveries.retryWebhookDelivery(id, delivery),
  },
};

/** A file with rows, and how they are imported. */
export interface ImportRequest {
  file: Blob;
  contentType: string;
  isGzip: boolean;
  /** The parameters of the request, of which empty ones are left out. */
  query: Record<string, string>;
}

/**
 * Sends a file, which the client does not offer since the body is no JSON. `fetch` does not report
 * the progress of an upload.
 */
async function sendFile(
  request: ImportRequest,
  onProgress: (sent: number) => void,
  signal: AbortSignal,
): Promise<m.Import> {
  // A repetition after a lost response returns the same import.
  const key = crypto.randomUUID();
  let answer = await upload(request, key, onProgress, signal);
  if (answer.status === 401 && (await refreshed())) {
    answer = await upload(request, key, onProgress, signal);
  }
  if (answer.status === 401) unauthorized();
  if (answer.status === 201) return JSON.parse(answer.responseText) as m.Import;
  throw refusal(answer.status, answer.responseText);
}

function upload(
  { file, contentType, isGzip, query }: ImportRequest,
  key: string,
  onProgress: (sent: number) => void,
  signal: AbortSignal,
): Promise<XMLHttpRequest> {
  const given = Object.entries(query).filter(([, value]) => value);
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open('POST', `/v1/imports?${new URLSearchParams(given).toString()}`);
    request.setRequestHeader('accept', 'application/json');
    request.setRequestHeader('content-type', contentType);
    request.setRequestHeader('idempotency-key', key);
    if (isGzip) request.setRequestHeader('content-encoding', 'gzip');
    const token = credentials.get();
    if (token) request.setRequestHeader('authorization', `Bearer ${token}`);
    const abort = () => request.abort();
    signal.addEventListener('abort', abort, { once: true });
    request.upload.onprogress = (event) => onProgress(event.loaded);
    request.onload = () => resolve(request);
    request.onerror = () => reject(new ConnectionError('the upload failed'));
    request.onabort = () => reject(new DOMException('the upload was aborted', 'AbortError'));
    request.onloadend = () => signal.removeEventListener('abort', abort);
    request.send(file);
  });
}

/** Returns the cursor of the next page. */
export function cursorOf(page: { nextLink?: string | null }): string | undefined {
  if (!page.nextLink) return undefined;
  return new URL(page.nextLink, window.location.origin).searchParams.get('cursor') ?? undefined;
}

/** The largest page of lists. */
export const MAX_PAGE = 1000;

/** Reads all pages of a list, up to a bound. */
export async function all<T>(
  list: (query: ListQuery) => Promise<Page<T>>,
  query: ListQuery = {},
  max = 20_000,
): Promise<Stored<T>[]> {
  const rows: Stored<T>[] = [];
  let cursor: string | undefined;
  do {
    const page: Page<T> = await list({
      ...query,
      top: Math.min(MAX_PAGE, max),
      ...(cursor && { cursor }),
    });
    rows.push(...page.value);
    cursor = cursorOf(page);
  } while (cursor && rows.length < max);
  return rows;
}

/** Quotes a text for a filter. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}
