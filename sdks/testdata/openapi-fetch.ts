// Uses the generated types as a client would; compiled only.
import createClient from "openapi-fetch";

import type { components, paths } from "./schema.js";

const client = createClient<paths>({ baseUrl: "http://localhost:8080" });

export async function quote(contactNumber: string, itemNumber: string): Promise<string | null> {
  const query = { contactNumber, itemNumber, date: "2031-05-15" };
  const { data, error } = await client.GET("/v1/price-quotes", { params: { query } });
  if (error !== undefined) {
    throw new Error(`${error.code}: ${error.detail}`);
  }
  const line = data.lines[0];
  return line?.outcome === "PRICED" ? line.unitPrice : null;
}

export async function rename(campaign: string, etag: string, description: string): Promise<void> {
  const { error } = await client.PATCH("/v1/campaigns/{campaign}", {
    params: { path: { campaign }, header: { "If-Match": etag } },
    body: { description, maxDiscountPercent: null },
  });
  for (const finding of error?.findings ?? []) {
    console.log(finding.code);
  }
}

export function versionOf(event: components["schemas"]["CloudEvent"]): number | undefined {
  return event.type === "kampanje.publication.created" ? event.data.version : undefined;
}
