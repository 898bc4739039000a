#!/usr/bin/env node
// A proxy that does everything a client has to survive: it answers 503, loses and truncates
// responses, and adds fields, values of enumerations and types of events that do not exist yet.
//
//   hostile-proxy.mjs UPSTREAM COMMAND [ARGUMENT…]
//
// Runs the command with KAMPANJE_URL as its own address and KAMPANJE_HOSTILE=1, and exits with its
// status. The faults follow from the number of the request, so that a run can be repeated.

import { spawn } from "node:child_process";
import http from "node:http";

const [upstream, command, ...args] = process.argv.slice(2);
if (command === undefined) {
  console.error("usage: hostile-proxy.mjs UPSTREAM COMMAND [ARGUMENT…]");
  process.exit(2);
}
const target = new URL(upstream);
const faults = { unavailable: 0, lost: 0, truncated: 0 };
let requests = 0;

/** Adds what a later version of the service could add. */
function fromTheFuture(value) {
  if (Array.isArray(value)) {
    return value.map(fromTheFuture);
  }
  if (typeof value !== "object" || value === null) {
    return value;
  }
  const future = {};
  for (const [name, member] of Object.entries(value)) {
    future[name] = name === "params" || name === "paths" ? member : fromTheFuture(member);
  }
  if (typeof value.hasUnpublishedChanges === "boolean") {
    future.state = "STATE_OF_THE_FUTURE";
  }
  if (Array.isArray(value.findings)) {
    future.findings.push({
      findingId: "0".repeat(32),
      code: "FINDING_OF_THE_FUTURE",
      severity: "SEVERITY_OF_THE_FUTURE",
      pointer: "",
      detail: "a finding that does not exist yet",
      params: {},
    });
  }
  if (Array.isArray(value.value) && value.value[0]?.specversion !== undefined) {
    const type = "kampanje.future.event";
    const unknown = { ...future.value[0], type, subject: "future", data: { novelty: [1, "2"] } };
    future.value.splice(1, 0, unknown);
  }
  future.fieldOfTheFuture = { nested: [1, "two", null] };
  return future;
}

function altered(contentType, body) {
  try {
    if (contentType.includes("application/json")) {
      return Buffer.from(JSON.stringify(fromTheFuture(JSON.parse(body.toString()))));
    }
    if (contentType.includes("x-ndjson")) {
      const lines = body.toString().split("\n").filter((line) => line !== "");
      const future = lines.map((line) => JSON.stringify(fromTheFuture(JSON.parse(line))) + "\n");
      return Buffer.from(future.join(""));
    }
  } catch {
    // Not JSON: as it is.
  }
  return body;
}

const server = http.createServer((request, response) => {
  const number = requests++;
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    if (number % 6 === 2) {
      faults.unavailable++;
      response.writeHead(503, { "content-type": "text/html", "retry-after": "0" });
      response.end("<h1>503 Service Temporarily Unavailable</h1>");
      return;
    }
    const options = {
      host: target.hostname,
      port: target.port,
      method: request.method,
      path: request.url,
      headers: { ...request.headers, host: target.host },
    };
    const forwarded = http.request(options, (answer) => {
      const parts = [];
      answer.on("data", (part) => parts.push(part));
      answer.on("end", () => {
        // The change has been made, and its response gets lost.
        if (number % 7 === 3) {
          faults.lost++;
          request.socket.destroy();
          return;
        }
        const contentType = answer.headers["content-type"] ?? "";
        const body = answer.statusCode < 300 ? altered(contentType, Buffer.concat(parts)) : Buffer.concat(parts);
        const headers = { ...answer.headers };
        delete headers["transfer-encoding"];
        delete headers["connection"];
        if (answer.statusCode !== 204 && answer.statusCode !== 304) {
          headers["content-length"] = String(body.length);
        }
        response.writeHead(answer.statusCode, headers);
        if (number % 11 === 5 && body.length > 20) {
          faults.truncated++;
          response.write(body.subarray(0, body.length / 2), () => request.socket.destroy());
          return;
        }
        response.end(body);
      });
      answer.on("error", () => request.socket.destroy());
    });
    forwarded.on("error", () => request.socket.destroy());
    forwarded.end(Buffer.concat(chunks));
  });
  request.on("error", () => undefined);
});

server.listen(0, "127.0.0.1", () => {
  const address = `http://127.0.0.1:${server.address().port}`;
  const env = { ...process.env, KAMPANJE_URL: address, KAMPANJE_HOSTILE: "1" };
  const child = spawn(command, args, { stdio: "inherit", env });
  child.on("error", (error) => {
    console.error(error.message);
    process.exit(127);
  });
  child.on("exit", (code) => {
    const { unavailable, lost, truncated } = faults;
    console.log(
      `proxy: ${requests} requests, ${unavailable} answered 503, ` +
        `${lost} responses lost, ${truncated} truncated`,
    );
    const isHostile = unavailable > 0 && lost > 0 && truncated > 0;
    if (code === 0 && !isHostile) {
      console.error("proxy: the run was too short for all faults");
    }
    process.exit(code !== 0 ? (code ?? 1) : isHostile ? 0 : 1);
  });
});
