// Verifies a file of received webhooks; see `all`.
import { readFileSync } from "node:fs";
import { Webhook } from "standardwebhooks";

const { secret, messages } = JSON.parse(readFileSync(process.argv[2], "utf8"));
const webhook = new Webhook(secret);
// The library compares the time of the attempt with the clock, within five minutes. The file can be
// older.
const now = Date.now;
for (const { headers, body } of messages) {
  Date.now = () => Number(headers["webhook-timestamp"]) * 1_000;
  webhook.verify(body, headers);
  let forged = false;
  try {
    webhook.verify(body.replace("kampanje", "kampanja"), headers);
    forged = true;
  } catch {
    // As expected.
  }
  if (forged) {
    throw new Error(`a changed body is accepted: ${headers["webhook-id"]}`);
  }
}
Date.now = now;
console.log(`JavaScript: ${messages.length} signatures verified`);
