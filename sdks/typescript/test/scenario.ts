// The scenario that every SDK plays, directly and through the hostile proxy.

import assert from "node:assert/strict";

import { Kampanje, metaOf, ProblemException, toCampaignWrite } from "../src/index.js";

const hostile = process.env["KAMPANJE_HOSTILE"] === "1";
const run = `TS${Date.now().toString(36).toUpperCase()}`;
const kampanje = new Kampanje({
  baseUrl: process.env["KAMPANJE_URL"],
  apiKey: process.env["KAMPANJE_API_KEY"],
});

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

const item = `${run}-DESK`;
const company = `${run}-ACME`;
const person = `${run}-ANNE`;
const campaign = `${run}-SPRING`;
const segment = `${run}-FAIR`;

await step("create an item with exact decimals", async () => {
  const body = { description: "Desk", listPrice: "400.10", taxPercent: "25" };
  const created = await kampanje.items.put(item, body, { ifNoneMatch: "*" });
  assert.equal(created.listPrice, "400.1");
  assert.equal(metaOf(created)?.status, 201);
});

await step("create a customer and a person", async () => {
  const customer = { number: `${run}-D1` };
  await kampanje.contacts.create({ number: company, type: "COMPANY", name: "Acme", customer });
  const body = { number: person, type: "PERSON", name: "Anne", companyNumber: company } as const;
  const anne = await kampanje.contacts.create(body);
  assert.equal(anne.companyNumber, company);
});

const created = await step("create a campaign", async () => {
  const dates = { startingDate: "2031-05-01", endingDate: "2031-05-31" };
  return kampanje.campaigns.create({ number: campaign, description: "Spring", ...dates });
});
assert.equal(created.state, hostile ? "STATE_OF_THE_FUTURE" : "DRAFT");

await step("target the person", async () => {
  await kampanje.segments.put(segment, { campaignNumber: campaign, campaignTarget: true });
  const line = await kampanje.segmentLines.create(segment, { contactNumber: person });
  assert.equal(line.contactNumber, person);
});

await step("add a price", async () => {
  const body = { itemNumber: item, unitPrice: "350" };
  const price = await kampanje.campaignPrices.create(campaign, body);
  assert.equal(price.unitPrice, "350");
});

const plan = await step("plan the activation", async () => {
  const result = await kampanje.campaigns.activate(campaign, { validateOnly: true });
  assert.ok(result.planHash);
  return result;
});

const version = await step("activate", async () => {
  const body = { planHash: plan.planHash, acknowledge: ["*"] };
  const result = await kampanje.campaigns.activate(campaign, body);
  const made = metaOf(result)?.version ?? 0;
  assert.ok(made > 0);
  assert.equal(kampanje.session?.version, made);
  return made;
});

await step("quote with an explanation, at the version just made", async () => {
  const quote = await kampanje.priceQuotes.get({
    contactNumber: company,
    itemNumber: item,
    date: "2031-05-15",
    explain: true,
  });
  assert.ok(quote.publicationVersion >= (kampanje.session?.version ?? 1));
  const line = quote.lines[0];
  assert.ok(line?.outcome === "PRICED");
  assert.equal(line.unitPrice, "350");
  assert.ok(line.trace);
});

await step("write a batch", async () => {
  const rows = Array.from({ length: 5 }, (_, at) => ({
    number: `${run}-LAMP-${at}`,
    description: "Lamp",
    listPrice: `${at + 1}.05`,
  }));
  const receipts = await kampanje.items.batch({ rows });
  assert.deepEqual(receipts.receipts.map((receipt) => receipt.status), [201, 201, 201, 201, 201]);
});

await step("read a list page by page", async () => {
  const filter = `startswith(number, '${run}-LAMP')`;
  const pages: number[] = [];
  for await (const page of kampanje.items.list({ filter, top: 2, orderby: "number" }).pages()) {
    pages.push(page.value.length);
  }
  assert.deepEqual(pages, [2, 2, 1]);
  const lamps = await kampanje.items.list({ filter, top: 2, orderby: "number desc" }).take(3);
  assert.deepEqual(lamps.map((lamp) => lamp.listPrice), ["5.05", "4.05", "3.05"]);
});

await step("be refused with an outdated entity tag", async () => {
  const change = { description: "Spring sale" };
  const refused = kampanje.campaigns.update(campaign, change, { ifMatch: '"outdated"' });
  await assert.rejects(refused, (error: unknown) => {
    assert.ok(error instanceof ProblemException);
    assert.equal(error.status, 412);
    return true;
  });
});

await step("modify: an absent field stays, and null removes", async () => {
  let reads = 0;
  const modified = await kampanje.campaigns.modify(campaign, async (current) => {
    reads += 1;
    if (reads === 1) {
      // Somebody else is faster.
      const other = { maxDiscountPercent: "20" };
      await kampanje.campaigns.update(campaign, other, { ifMatch: "*" });
    }
    return { description: `${current.description} sale` };
  });
  assert.equal(reads, 2);
  assert.equal(modified.description, "Spring sale");
  assert.equal(modified.maxDiscountPercent, "20");
  const change = { maxDiscountPercent: null };
  const cleared = await kampanje.campaigns.modify(campaign, () => change);
  assert.equal(cleared.maxDiscountPercent, null);
  assert.equal(cleared.description, "Spring sale");
  const ifMatch = metaOf(cleared)?.etag;
  const same = await kampanje.campaigns.put(campaign, toCampaignWrite(cleared), { ifMatch });
  assert.equal(same.description, "Spring sale");
});

await step("get every error of a refused request", async () => {
  const dates = { startingDate: "2031-06-02", endingDate: "2031-06-01" };
  const rows = [{ number: `${run}-A`, ...dates }, { number: `${run}-B`, ...dates }];
  await assert.rejects(kampanje.campaigns.batch({ rows }), (error: unknown) => {
    assert.ok(error instanceof ProblemException);
    assert.equal(error.status, 422);
    assert.equal(error.code, "VALIDATION_FAILED");
    const pointers = error.errors.map((one) => one.pointer).sort();
    assert.deepEqual(pointers, ["/rows/0/endingDate", "/rows/1/endingDate"]);
    assert.match(error.traceId ?? "", /^[0-9a-f]{32}$/);
    return true;
  });
});

await step("stream the price list", async () => {
  const list = { contactNumber: company, date: "2031-05-15" };
  let price: string | undefined;
  for await (const row of kampanje.effectivePrices.stream(list)) {
    if (row.itemNumber === item && row.outcome === "PRICED") {
      price = row.unitPrice;
    }
  }
  assert.equal(price, "350");
});

await step("follow the events", async () => {
  let processed = 0;
  const seen = new Set<string>();
  let published: number | undefined;
  const onSequence = (sequence: number) => void (processed = sequence);
  for await (const event of kampanje.events.follow({ onSequence })) {
    seen.add(event.type);
    if (event.type === "kampanje.publication.created" && event.data.campaignNumber === campaign) {
      published = event.data.version;
      break;
    }
  }
  assert.ok(processed > 0);
  assert.equal(published, version);
  assert.equal(seen.has("kampanje.future.event"), hostile);
});

await step("deactivate", async () => {
  const publication = await kampanje.campaigns.deactivate(campaign);
  assert.ok(publication !== undefined && publication.version > version);
  const quote = { contactNumber: company, itemNumber: item, date: "2031-05-15" };
  const line = (await kampanje.priceQuotes.get(quote)).lines[0];
  assert.ok(line?.outcome === "PRICED");
  assert.equal(line.unitPrice, "400.1");
});

console.log(`typescript: ${steps} steps passed${hostile ? " through the hostile proxy" : ""}`);
