#!/usr/bin/env python3
"""Measures what the most expensive requests cost for their few bytes: CPU time of the database and of
the service, per request and per byte of the request.

    cargo build --release --bins && bench/request_costs.py
    bench/request_costs.py --binary target/debug/kampanje

CPU time is the kernel's account of the processes, so it means something on a shared machine too.
Builds without optimization inflate that of the service, not that of the database. Talks to
127.0.0.1 only.
"""

import argparse
import json
import pathlib
import statistics
import time
import urllib.parse

from service import ROOT, Client, cpu_of_all, service

DAY = "2031-05-15"
ITEMS = 2_000
CONTACTS = 10_000
LINES = 500
VERSIONS = 30
CLOCK_TICK = 0.01
# Enough work for the resolution of the kernel's clock.
MIN_CPU_SECONDS = 1.0
MAX_REQUESTS = 30


def own_cpu(pid: int) -> float:
    """User and system time of a process alone."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(map(int, fields[11:13])) * CLOCK_TICK


def seed(client: Client) -> int:
    """A company with one campaign for all its accounts, and the version of its activation, which others
    follow."""
    items = [{"number": f"I{n:05}", "listPrice": "100", "description": f"Item {n}"} for n in range(ITEMS)]
    client.batch("/v1/items", items)
    contacts = [{"number": f"C{n:05}", "type": "COMPANY", "name": f"Contact {n}"} for n in range(CONTACTS)]
    client.batch("/v1/contacts", contacts)
    client.ask("POST", "/v1/campaigns", {"number": "ALL", "startingDate": "2031-05-01"})
    segment = {"number": "ALL", "campaignNumber": "ALL", "campaignTarget": True}
    client.ask("POST", "/v1/segments", segment)
    lines = [{"contactNumber": f"C{n:05}"} for n in range(CONTACTS)]
    client.batch("/v1/segments/ALL/lines", lines)
    prices = [{"itemNumber": f"I{n:05}", "unitPrice": "80"} for n in range(LINES)]
    client.batch("/v1/campaigns/ALL/prices", prices)
    activated = client.ask("POST", "/v1/campaigns/ALL/activations", {"acknowledge": ["*"]})
    for n in range(VERSIONS):
        item = {"number": f"I{n:05}", "listPrice": f"{101 + n}"}
        client.ask("POST", "/v1/items/batch", {"rows": [item]})
    return activated["version"]


def requests(activated: int, version: int) -> dict:
    """The requests by name: method, path and body."""
    terms = " or ".join(f"contains(name,'x{n}')" for n in range(100))
    filter_path = "/v1/contacts?filter=" + urllib.parse.quote(terms)
    many_fields = {f"f{n}": None for n in range(270_000)}
    nested = {"rows": [{"number": f"X{n}", "x": {f"f{m}": 0 for m in range(99)}} for n in range(999)]}
    return {
        "publications/compare, first to latest": ("GET", f"/v1/publications/compare?from=1&to={version}", None),
        "audience with count=true": ("GET", "/v1/campaigns/ALL/audience?count=true", None),
        "effective-prices of an earlier version": (
            "GET", f"/v1/effective-prices?campaignNumber=ALL&date={DAY}&publicationVersion={activated}", None
        ),
        "activation with validateOnly": ("POST", "/v1/campaigns/ALL/activations", {"validateOnly": True}),
        "planned-prices": ("GET", "/v1/campaigns/ALL/planned-prices", None),
        "a filter of 100 `contains`": ("GET", filter_path, None),
        "4 MB of JSON with 270,000 keys, to a batch": ("POST", "/v1/items/batch", many_fields),
        "4 MB of JSON, to a resource": ("POST", "/v1/items", many_fields),
        "a batch of 999 rows with 100,000 unknown fields": ("POST", "/v1/items/batch", nested),
    }


def measure(client: Client, pid: int, method: str, path: str, body) -> dict:
    """The cost of one request, over as many as the kernel's clock needs."""
    text = None if body is None else json.dumps(body, separators=(",", ":")).encode()
    headers = {"content-type": "application/json"} if text else {}
    walls, statuses = [], set()
    own, all_before = own_cpu(pid), cpu_of_all(pid)
    while len(walls) < MAX_REQUESTS and cpu_of_all(pid) - all_before < MIN_CPU_SECONDS:
        began = time.perf_counter()
        client.connection.close()
        client.connection.request(method, path, text, headers)
        response = client.connection.getresponse()
        response.read()
        walls.append((time.perf_counter() - began) * 1_000)
        statuses.add(response.status)
    own, everything = own_cpu(pid) - own, cpu_of_all(pid) - all_before
    return {
        "status": "/".join(map(str, sorted(statuses))),
        "bytes": len(method) + len(path) + len(text or b""),
        "database": (everything - own) / len(walls) * 1_000,
        "service": own / len(walls) * 1_000,
        "wall": statistics.median(walls),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default=str(ROOT / "target" / "release" / "kampanje"))
    options = parser.parse_args()
    with service(binary=options.binary) as (port, child):
        client = Client(port)
        activated = seed(client)
        version = client.ask("GET", "/v1/publications?top=1&orderby=version%20desc")["value"][0]["version"]
        print(f"{CONTACTS:,} accounts, {ITEMS:,} items, a campaign with {LINES} prices, {version} versions")
        print("| request | status | bytes | database, ms CPU | service, ms CPU | wall, ms |")
        print("| --- | --- | --- | --- | --- | --- |")
        for name, (method, path, body) in requests(activated, version).items():
            cost = measure(client, child.pid, method, path, body)
            print(
                f"| {name} | {cost['status']} | {cost['bytes']:,} | {cost['database']:.0f} | "
                f"{cost['service']:.0f} | {cost['wall']:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
