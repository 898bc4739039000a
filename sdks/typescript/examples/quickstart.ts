// A first campaign: an item, a customer, a campaign price, and the quote that results. It can be
// run again: batches create what does not exist and change what does.

import { Kampanje } from "@kampanje/client";

const kampanje = new Kampanje({
  baseUrl: process.env["KAMPANJE_URL"] ?? "http://localhost:8080",
  apiKey: process.env["KAMPANJE_API_KEY"],
});

await kampanje.items.batch({
  rows: [{ number: "DESK", description: "Desk", listPrice: "400", taxPercent: "25" }],
});
await kampanje.contacts.batch({
  rows: [{ number: "ACME", type: "COMPANY", name: "Acme", customer: { number: "D100" } }],
});
await kampanje.campaigns.batch({
  rows: [{ number: "SPRING", startingDate: "2031-05-01", endingDate: "2031-05-31" }],
});
await kampanje.segments.batch({
  rows: [{ number: "FAIR", campaignNumber: "SPRING", campaignTarget: true }],
});
await kampanje.segmentLines.batch("FAIR", { rows: [{ contactNumber: "ACME" }] });
await kampanje.campaignPrices.batch("SPRING", { rows: [{ itemNumber: "DESK", unitPrice: "350" }] });

const plan = await kampanje.campaigns.activate("SPRING", { validateOnly: true });
for (const finding of plan.findings) {
  console.log(`${finding.severity} ${finding.code}: ${finding.detail}`);
}
await kampanje.campaigns.activate("SPRING", { planHash: plan.planHash });

// The quote waits for the version of the price book that the activation has made.
const quote = await kampanje.priceQuotes.get({
  contactNumber: "ACME",
  itemNumber: "DESK",
  date: "2031-05-15",
});
for (const line of quote.lines) {
  console.log(line.outcome === "PRICED" ? `Acme pays ${line.unitPrice}` : line.problem.detail);
}
