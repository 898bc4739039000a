// The core against a service that misbehaves in one way at a time.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import http from "node:http";
import { test } from "node:test";

import {
  ConnectionError,
  Kampanje,
  metaOf,
  NotModifiedError,
  ProblemException,
  TimeoutError,
  webhooks,
  type ClientOptions,
} from "../src/index.js";

type Answer = (request: http.IncomingMessage, response: http.ServerResponse) => void;

interface Seen {
  method: string;
  url: string;
  headers: http.IncomingHttpHeaders;
  body: string;
}

/** Runs `use` beside a server that gives each request the next answer, the last one repeatedly. */
async function withServer(
  answers: Answer[],
  use: (client: Kampanje, seen: Seen[]) => Promise<void>,
  options: ClientOptions = {},
): Promise<void> {
  const seen: Seen[] = [];
  const server = http.createServer((request, response) => {
    let body = "";
    request.on("data", (chunk) => (body += chunk));
    request.on("end", () => {
      const { method = "", url = "", headers } = request;
      seen.push({ method, url, headers, body });
      answers[Math.min(seen.length, answers.length) - 1]?.(request, response);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  const baseUrl = `http://127.0.0.1:${address.port}`;
  try {
    await use(new Kampanje({ baseUrl, apiKey: "secret", ...options }), seen);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

function json(status: number, value: unknown, headers: http.OutgoingHttpHeaders = {}): Answer {
  return (_, response) => {
    response.writeHead(status, { "content-type": "application/json", ...headers });
    response.end(JSON.stringify(value));
  };
}

const problem = (status: number, code: string, headers: http.OutgoingHttpHeaders = {}) =>
  json(status, { status, code, detail: "a sentence", errors: [] }, headers);
const lost: Answer = (request) => request.socket.destroy();
const item = { number: "DESK", description: "Desk" };

test("a lost response is fetched again under the same idempotency key", async () => {
  const replayed = json(201, item, { "idempotency-replayed": "true", etag: '"a"' });
  await withServer([lost, replayed], async (client, seen) => {
    const created = await client.items.create(item);
    assert.equal(seen.length, 2);
    assert.ok(seen[0]?.headers["idempotency-key"]);
    assert.equal(seen[0].headers["idempotency-key"], seen[1]?.headers["idempotency-key"]);
    const meta = metaOf(created);
    assert.deepEqual([meta?.replayed, meta?.attempts, meta?.etag], [true, 2, '"a"']);
    await client.items.create(item);
    assert.notEqual(seen[0].headers["idempotency-key"], seen[2]?.headers["idempotency-key"]);
    await client.items.create(item, { idempotencyKey: "mine" });
    assert.equal(seen[3]?.headers["idempotency-key"], "mine");
  });
});

test("a response that ends too early is fetched again", async () => {
  const short: Answer = (request, response) => {
    response.writeHead(200, { "content-type": "application/json" });
    response.write('{"number": "DE', () => request.socket.destroy());
  };
  const cut: Answer = (_, response) => {
    response.writeHead(200, { "content-type": "application/json" });
    response.end('{"number": "DE');
  };
  await withServer([short, cut, json(200, item)], async (client, seen) => {
    assert.equal((await client.items.get("DESK")).number, "DESK");
    assert.equal(seen.length, 3);
  });
});

test("refusals that pass are retried, others are not", async () => {
  const passing = [
    problem(408, "REQUEST_TIMEOUT", { "retry-after": "0" }),
    problem(429, "TOO_MANY_REQUESTS", { "retry-after": "0" }),
    problem(503, "UNAVAILABLE", { "retry-after": "0" }),
    problem(409, "IDEMPOTENCY_IN_PROGRESS", { "retry-after": "0" }),
  ];
  await withServer([...passing, json(201, item)], async (client, seen) => {
    await client.items.create(item);
    assert.equal(seen.length, 5);
  });
  for (const answer of [problem(409, "CONFLICT"), problem(500, "INTERNAL"), problem(400, "BAD")]) {
    await withServer([answer], async (client, seen) => {
      await assert.rejects(client.items.create(item), ProblemException);
      assert.equal(seen.length, 1);
    });
  }
  const always = [problem(503, "UNAVAILABLE", { "retry-after": "0" })];
  await withServer(always, async (client, seen) => {
    await assert.rejects(client.items.create(item, { maxRetries: 1 }), { code: "UNAVAILABLE" });
    assert.equal(seen.length, 2);
  });
});

test("a creation that cannot be repeated safely is not repeated", async () => {
  await withServer([lost], async (client, seen) => {
    const key = { name: "till", scopes: ["quotes:read" as const] };
    await assert.rejects(client.apiKeys.create(key as never), ConnectionError);
    assert.equal(seen.length, 1);
    assert.equal(seen[0]?.headers["idempotency-key"], undefined);
  });
});

test("retry-after is waited for", async () => {
  const answers = [problem(503, "UNAVAILABLE", { "retry-after": "1" }), json(200, item)];
  await withServer(answers, async (client) => {
    const begin = performance.now();
    await client.items.get("DESK");
    // A lower bound: the wait is not shorter, however slow the machine is.
    assert.ok(performance.now() - begin >= 950);
  });
});

test("an answer that is no problem document is an exception too", async () => {
  const html: Answer = (_, response) => {
    response.writeHead(502, { "content-type": "text/html" });
    response.end("<h1>Bad Gateway</h1>");
  };
  await withServer([html], async (client) => {
    await assert.rejects(client.items.get("DESK", { maxRetries: 0 }), { code: "HTTP_502" });
  });
});

test("problems carry their errors and findings", async () => {
  const document = {
    code: "ACTIVATION_REFUSED",
    detail: "two findings refuse it",
    traceId: "0".repeat(32),
    errors: [{ pointer: "/a", code: "REQUIRED", detail: "is required" }],
    findings: [{ code: "NO_TARGETS" }],
  };
  await withServer([json(422, document)], async (client) => {
    await assert.rejects(client.campaigns.activate("SPRING", {}), (error: unknown) => {
      assert.ok(error instanceof ProblemException);
      assert.equal(error.message, "ACTIVATION_REFUSED: two findings refuse it; /a: is required");
      assert.equal(error.findings[0]?.code, "NO_TARGETS");
      assert.equal(error.traceId, "0".repeat(32));
      return true;
    });
  });
});

test("a changed resource is read and changed again", async () => {
  const read = (text: string) => json(200, { ...item, description: text }, { etag: `"${text}"` });
  const answers = [read("a"), problem(412, "PRECONDITION_FAILED"), read("b"), read("b!")];
  await withServer(answers, async (client, seen) => {
    const change = (current: { description: string }) => ({ description: `${current.description}!` });
    const modified = await client.items.modify("DESK", change);
    assert.equal(modified.description, "b!");
    assert.deepEqual(seen.map(({ method }) => method), ["GET", "PATCH", "GET", "PATCH"]);
    assert.equal(seen[3]?.headers["if-match"], '"b"');
    assert.equal(seen[3]?.headers["content-type"], "application/merge-patch+json");
    assert.equal(seen[3]?.body, '{"description":"b!"}');
  });
  await withServer([read("a")], async (client, seen) => {
    await client.items.modify("DESK", () => undefined);
    assert.equal(seen.length, 1);
  });
});

test("absent and null are different", async () => {
  await withServer([json(200, item)], async (client, seen) => {
    await client.items.update("DESK", { unitCost: null }, { ifMatch: "*" });
    assert.equal(seen[0]?.body, '{"unitCost":null}');
  });
});

test("queries wait for the version that the client has made", async () => {
  const made = json(201, item, { "publication-version": "7", "book-id": "b1" });
  const quote = json(200, { lines: [], publicationVersion: 7 });
  const answers = [made, quote, problem(409, "OTHER_HISTORY"), quote, quote];
  await withServer(answers, async (client, seen) => {
    await client.items.create(item);
    assert.deepEqual(client.session, { version: 7, bookId: "b1" });
    const wanted = { itemNumber: "DESK" };
    await client.priceQuotes.get(wanted);
    assert.match(seen[1]?.url ?? "", /minPublicationVersion=7&bookId=b1/);
    // The database was restored: the version means nothing any more.
    await client.priceQuotes.get(wanted);
    assert.equal(seen[3]?.url, "/v1/price-quotes?itemNumber=DESK");
    assert.equal(client.session, undefined);
    client.session = { version: 9 };
    await client.priceQuotes.get({ ...wanted, publicationVersion: 3 });
    assert.doesNotMatch(seen[4]?.url ?? "", /minPublicationVersion/);
  });
});

test("a list is requested as it is iterated", async () => {
  const first = json(200, { value: [item], nextLink: "/v1/items?cursor=x%2Fy&top=1" });
  await withServer([first, json(200, { value: [item], nextLink: null })], async (client, seen) => {
    const list = client.items.list({ top: 1 });
    assert.equal(seen.length, 0);
    assert.equal((await list.take(1)).length, 1);
    assert.equal(seen.length, 1);
    seen.length = 0;
    let rows = 0;
    for await (const row of list) {
      rows += row.number === "DESK" ? 1 : 0;
    }
    assert.equal(rows, 2);
    assert.equal(seen[1]?.url, "/v1/items?cursor=x%2Fy&top=1");
  });
});

test("a link to another server is not followed", async () => {
  for (const nextLink of ["//evil.example/v1", "http://evil.example/v1"]) {
    await withServer([json(200, { value: [], nextLink })], async (client) => {
      await assert.rejects(client.items.list().take(1), TypeError);
    });
  }
});

test("keys are encoded in paths", async () => {
  await withServer([json(200, item)], async (client, seen) => {
    await client.items.get("A/B 100?");
    assert.equal(seen[0]?.url, "/v1/items/A%2FB%20100%3F");
    assert.equal(seen[0].headers.authorization, "Bearer secret");
    assert.match(seen[0].headers["user-agent"] ?? "", /^kampanje-typescript\//);
  });
});

test("a request can be aborted, and takes at most its timeout", async () => {
  const silent: Answer = () => undefined;
  await withServer([silent], async (client) => {
    const controller = new AbortController();
    const request = client.items.get("DESK", { signal: controller.signal });
    controller.abort(new Error("enough"));
    await assert.rejects(request, /enough/);
    await assert.rejects(client.items.get("DESK", { timeout: 20, maxRetries: 1 }), TimeoutError);
  });
});

test("an unchanged resource is not sent again", async () => {
  const unchanged: Answer = (_, response) => response.writeHead(304).end();
  await withServer([unchanged], async (client) => {
    await assert.rejects(client.items.get("DESK", { ifNoneMatch: '"a"' }), NotModifiedError);
  });
});

test("a stream that breaks off is an error", async () => {
  const whole: Answer = (_, response) => {
    response.writeHead(200, { "content-type": "application/x-ndjson" });
    response.write('{"itemNumber": "A"}\n{"item');
    response.end('Number": "B"}\n');
  };
  const broken: Answer = (request, response) => {
    response.writeHead(200, { "content-type": "application/x-ndjson" });
    response.write('{"itemNumber": "A"}\n{"item', () => {
      setTimeout(() => request.socket.destroy(), 50);
    });
  };
  await withServer([whole, broken], async (client) => {
    const numbers = async () => {
      const seen: string[] = [];
      for await (const row of client.effectivePrices.stream({ contactNumber: "ACME" })) {
        seen.push(row.itemNumber);
      }
      return seen;
    };
    assert.deepEqual(await numbers(), ["A", "B"]);
    await assert.rejects(numbers(), ConnectionError);
  });
});

test("events are followed, also unknown ones and past failures", async () => {
  const event = (sequence: number, type: string) => ({ sequence, type, bookid: "b1", data: {} });
  const page = (...value: unknown[]) => json(200, { value });
  const unavailable = problem(503, "UNAVAILABLE", { "retry-after": "0" });
  const answers = [page(event(4, "a"), event(5, "future")), page(), lost, unavailable, page(event(6, "b"))];
  await withServer(answers, async (client, seen) => {
    const types: string[] = [];
    const processed: number[] = [];
    const onSequence = (sequence: number) => void processed.push(sequence);
    const options = { after: 3, pollInterval: 10, onSequence, maxRetries: 0 };
    for await (const { type, sequence } of client.events.follow(options)) {
      types.push(type);
      if (sequence === 6) {
        break;
      }
    }
    assert.deepEqual(types, ["a", "future", "b"]);
    assert.deepEqual(processed, [4, 5], "the last one was not yet processed");
    assert.match(seen[0]?.url ?? "", /after=3/);
    assert.match(seen[0]?.url ?? "", /wait=20/);
    assert.match(seen[1]?.url ?? "", /after=5&bookId=b1/);
  });
});

interface Vector {
  name: string;
  payload: string;
  headers: Record<string, string>;
  secrets: string[];
  now: number;
  valid: boolean;
}

const vectors = readFileSync(new URL("../../../testdata/webhooks.json", import.meta.url), "utf8");

for (const vector of JSON.parse(vectors) as Vector[]) {
  test(`webhook: ${vector.name}`, async () => {
    const { payload, headers, secrets, now } = vector;
    const verified = webhooks.verify(payload, headers, secrets, { now: now * 1_000 });
    if (vector.valid) {
      assert.equal((await verified).sequence, 1042);
    } else {
      await assert.rejects(verified, webhooks.WebhookVerificationError);
    }
  });
}
