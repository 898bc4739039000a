// The scenario, played with the types of openapi-typescript and the client of openapi-fetch.
import assert from "node:assert/strict";

import createClient from "openapi-fetch";

import type { components, paths } from "./schema.js";

const run = `OF${Date.now().toString(36).toUpperCase()}`;
const baseUrl = process.env["KAMPANJE_URL"] ?? "http://localhost:8080";
const client = createClient<paths>({
  baseUrl,
  headers: { authorization: `Bearer ${process.env["KAMPANJE_API_KEY"] ?? ""}` },
});

type Problem = components["schemas"]["Problem"];
type Response_<T> = { data?: T; error?: Problem; response: Response };

function ok<T>(answer: Response_<T>): T {
  if (answer.data === undefined) {
    const { code, detail } = answer.error ?? { code: answer.response.status, detail: "" };
    throw new Error(`${code}: ${detail}`);
  }
  return answer.data;
}

function refused<T>(answer: Response_<T>, status: number): Problem {
  assert.equal(answer.response.status, status);
  assert.ok(answer.error !== undefined);
  return answer.error;
}

function unitPrice(quote: components["schemas"]["PriceQuote"]): string {
  const line = quote.lines[0];
  assert.ok(line?.outcome === "PRICED");
  return line.unitPrice;
}

let steps = 0;
async function step<T>(name: string, action: () => Promise<T>): Promise<T> {
  steps += 1;
  try {
    return await action();
  } catch (error) {
    console.error(`step ${steps} failed: ${name}`);
    throw error;
  }
}

const [item, company, person] = [`${run}-DESK`, `${run}-ACME`, `${run}-ANNE`];
const [campaign, segment] = [`${run}-SPRING`, `${run}-FAIR`];
const inCampaign = { path: { campaign } };

await step("create an item with exact decimals", async () => {
  const created = await client.PUT("/v1/items/{item}", {
    params: { path: { item }, header: { "If-None-Match": "*" } },
    body: { description: "Desk", listPrice: "400.10", taxPercent: "25" },
  });
  assert.equal(ok(created).listPrice, "400.1");
});

await step("create a customer and a person", async () => {
  const customer = { number: `${run}-D1` };
  ok(
    await client.POST("/v1/contacts", {
      body: { number: company, type: "COMPANY", name: "Acme", customer },
    }),
  );
  const anne = await client.POST("/v1/contacts", {
    body: { number: person, type: "PERSON", name: "Anne", companyNumber: company },
  });
  assert.equal(ok(anne).companyNumber, company);
});

await step("create a campaign", async () => {
  const dates = { startingDate: "2031-05-01", endingDate: "2031-05-31" };
  const created = await client.POST("/v1/campaigns", {
    body: { number: campaign, description: "Spring", ...dates },
  });
  assert.equal(ok(created).state, "DRAFT");
});

await step("target the person", async () => {
  const inSegment = { path: { segment } };
  ok(
    await client.PUT("/v1/segments/{segment}", {
      params: inSegment,
      body: { campaignNumber: campaign, campaignTarget: true },
    }),
  );
  const line = await client.POST("/v1/segments/{segment}/lines", {
    params: inSegment,
    body: { contactNumber: person },
  });
  assert.equal(ok(line).contactNumber, person);
});

await step("add a price", async () => {
  const price = await client.POST("/v1/campaigns/{campaign}/prices", {
    params: inCampaign,
    body: { itemNumber: item, unitPrice: "350" },
  });
  assert.equal(ok(price).unitPrice, "350");
});

const planHash = await step("plan the activation", async () => {
  const plan = await client.POST("/v1/campaigns/{campaign}/activations", {
    params: inCampaign,
    body: { validateOnly: true },
  });
  return ok(plan).planHash;
});

const version = await step("activate", async () => {
  const activated = await client.POST("/v1/campaigns/{campaign}/activations", {
    params: inCampaign,
    body: { planHash, acknowledge: ["*"] },
  });
  ok(activated);
  return Number(activated.response.headers.get("publication-version"));
});

const question = { contactNumber: company, itemNumber: item, date: "2031-05-15" };

await step("quote with an explanation, at the version just made", async () => {
  const query = { ...question, explain: true, minPublicationVersion: version };
  const quote = ok(await client.GET("/v1/price-quotes", { params: { query } }));
  assert.equal(unitPrice(quote), "350");
  assert.ok(quote.lines[0]?.outcome === "PRICED" && quote.lines[0].trace);
});

await step("write a batch", async () => {
  const rows = Array.from({ length: 5 }, (_, at) => ({
    number: `${run}-LAMP-${at}`,
    description: "Lamp",
    listPrice: `${at + 1}.05`,
  }));
  const { receipts } = ok(await client.POST("/v1/items/batch", { body: { rows } }));
  assert.deepEqual(receipts.map((receipt) => receipt.status), [201, 201, 201, 201, 201]);
});

await step("read a list page by page", async () => {
  const sizes: number[] = [];
  const filter = `startswith(number, '${run}-LAMP')`;
  let cursor: string | undefined;
  do {
    const query = { filter, top: 2, orderby: "number", ...(cursor ? { cursor } : {}) };
    const page = ok(await client.GET("/v1/items", { params: { query } }));
    // The type permits the text of an export as well.
    assert.ok(typeof page !== "string");
    sizes.push(page.value.length);
    const next = page.nextLink ? new URL(page.nextLink, baseUrl) : undefined;
    cursor = next?.searchParams.get("cursor") ?? undefined;
  } while (cursor !== undefined);
  assert.deepEqual(sizes, [2, 2, 1]);
});

await step("be refused with an outdated entity tag", async () => {
  const answer = await client.PATCH("/v1/campaigns/{campaign}", {
    params: { ...inCampaign, header: { "If-Match": '"outdated"' } },
    body: { description: "x" },
  });
  refused(answer, 412);
});

await step("change: an absent field stays, and null removes", async () => {
  const change = async (body: components["schemas"]["CampaignPatch"]) => {
    const read = await client.GET("/v1/campaigns/{campaign}", { params: inCampaign });
    ok(read);
    const etag = read.response.headers.get("etag") ?? "";
    const header = { "If-Match": etag };
    return ok(
      await client.PATCH("/v1/campaigns/{campaign}", { params: { ...inCampaign, header }, body }),
    );
  };
  const capped = await change({ description: "Spring sale", maxDiscountPercent: "20" });
  assert.equal(capped.maxDiscountPercent, "20");
  const cleared = await change({ maxDiscountPercent: null });
  assert.equal(cleared.maxDiscountPercent, null);
  assert.equal(cleared.description, "Spring sale");
});

await step("get every error of a refused request", async () => {
  const dates = { startingDate: "2031-06-02", endingDate: "2031-06-01" };
  const rows = [{ number: `${run}-A`, ...dates }, { number: `${run}-B`, ...dates }];
  const problem = refused(await client.POST("/v1/campaigns/batch", { body: { rows } }), 422);
  assert.equal(problem.code, "VALIDATION_FAILED");
  const pointers = (problem.errors ?? []).map((error) => error.pointer).sort();
  assert.deepEqual(pointers, ["/rows/0/endingDate", "/rows/1/endingDate"]);
});

await step("read the price list", async () => {
  const query = { contactNumber: company, date: "2031-05-15" };
  const page = ok(await client.GET("/v1/effective-prices", { params: { query } }));
  // The type permits a row of the stream as well.
  assert.ok("value" in page);
  const row = page.value.find((one) => one.itemNumber === item);
  assert.ok(row?.outcome === "PRICED");
  assert.equal(row.unitPrice, "350");
});

await step("read the events", async () => {
  let after = 0;
  let published: number | undefined;
  while (published === undefined) {
    const page = ok(await client.GET("/v1/events", { params: { query: { after, top: 500 } } }));
    assert.ok(page.value.length > 0, "no event of the publication");
    for (const event of page.value) {
      after = event.sequence;
      if (event.type === "kampanje.publication.created" && event.data.campaignNumber === campaign) {
        published = event.data.version;
      }
    }
  }
  assert.equal(published, version);
});

await step("deactivate", async () => {
  const answer = await client.POST("/v1/campaigns/{campaign}/deactivations", {
    params: inCampaign,
  });
  const made = ok(answer)?.version ?? 0;
  assert.ok(made > version);
  const query = { ...question, minPublicationVersion: made };
  const quote = ok(await client.GET("/v1/price-quotes", { params: { query } }));
  assert.equal(unitPrice(quote), "400.1");
});

console.log(`openapi-fetch: ${steps} steps passed`);
