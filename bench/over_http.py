#!/usr/bin/env python3
"""Measures the service over HTTP: rows through `batch`, the activation of a large campaign, and quotes per second beside a bare
actix handler that answers bodies of the same size, in interleaved rounds.

    cargo build --release --bins --examples && bench/over_http.py

Needs wrk (apt-get install wrk). Talks to 127.0.0.1 only.
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time

from service import ROOT, Client, free_port, process, service


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wrk(url: str, pid: int, seconds: int, connections: int, script: str | None = None) -> dict:
    """Requests per second and the server's CPU microseconds per request."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency"]
    if script:
        command += ["-s", script]
    before = cpu_seconds(pid)
    text = subprocess.run([*command, url], capture_output=True, text=True, check=True).stdout
    used = cpu_seconds(pid) - before
    if "Non-2xx" in text or "Socket errors" in text:
        raise SystemExit(f"{url} failed under load:\n{text}")
    rate = float(text.split("Requests/sec:")[1].split()[0])
    total = int(text.split(" requests in ")[0].split()[-1])
    return {"rate": rate, "cpu": used / total * 1e6}


def post_script(body: str) -> str:
    """A wrk script that posts a body."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua", delete=False) as file:
        quoted = json.dumps(body)
        file.write(f'wrk.method = "POST"\nwrk.headers["content-type"] = "application/json"\nwrk.body = {quoted}\n')
        return file.name


def seed(client: Client, contacts: int, items: int, prices: int) -> None:
    """A campaign for all contacts with prices for the first items; prints the rates."""
    kinds = [
        ("items", "/v1/items", [{"number": f"I{n:06}", "listPrice": f"{n % 500 + 1}.95", "taxPercent": "25"} for n in range(items)]),
        ("contacts", "/v1/contacts", [
            {"number": f"C{n:07}", "type": "COMPANY", "name": f"Company {n}", "customer": {"number": f"D{n:07}", "priceGroupCode": "GOLD"}}
            for n in range(contacts)]),
    ]
    for name, path, rows in kinds:
        print(f"{name:<28} {len(rows) / client.batch(path, rows):>12,.0f} rows/s", flush=True)
    client.ask("PUT", "/v1/campaigns/BIG", {"startingDate": "2031-01-01", "endingDate": "2031-12-31"})
    client.ask("PUT", "/v1/segments/BIG", {"campaignNumber": "BIG", "campaignTarget": True})
    lines = [{"contactNumber": f"C{n:07}"} for n in range(contacts)]
    print(f"{'segment lines':<28} {len(lines) / client.batch('/v1/segments/BIG/lines', lines):>12,.0f} rows/s", flush=True)
    rows = [{"itemNumber": f"I{n:06}", "unitPrice": f"{n % 500}.50"} for n in range(prices)]
    print(f"{'campaign prices':<28} {len(rows) / client.batch('/v1/campaigns/BIG/prices', rows):>12,.0f} rows/s", flush=True)
    # The first items have ten candidate lines: the campaign's, and nine of the customers' group.
    rows = [
        {"source": {"type": "CUSTOMER_PRICE_GROUP", "code": "GOLD"}, "itemNumber": f"I{n:06}", "unitPrice": f"{n % 500}.{80 - step}",
         "minimumQuantity": str(step * 5)}
        for n in range(100) for step in range(9)]
    client.batch("/v1/prices", rows)
    began = time.perf_counter()
    answer = client.ask("POST", "/v1/campaigns/BIG/activations", {"acknowledge": ["*"]})
    took = time.perf_counter() - began
    print(f"activation: {contacts:,} contacts, {prices:,} prices: {took:.2f} s (added {answer['added']:,})", flush=True)


def compare(name: str, ours: tuple, bare: tuple, rounds: int, seconds: int, script: str | None) -> None:
    """Interleaved rounds; prints medians and ratios."""
    results = {"service": [], "bare": []}
    for _ in range(rounds):
        results["service"].append(wrk(*ours, seconds, 16, script))
        results["bare"].append(wrk(*bare, seconds, 16, script))
    middle = {who: {what: statistics.median(r[what] for r in rows) for what in ("rate", "cpu")} for who, rows in results.items()}
    ours, bare = middle["service"], middle["bare"]
    print(f"{name:<28} service {ours['rate']:>9,.0f}/s {ours['cpu']:>7.2f} us   bare {bare['rate']:>9,.0f}/s {bare['cpu']:>7.2f} us"
          f"   ratio {ours['rate'] / bare['rate']:.3f}  cpu {ours['cpu'] / bare['cpu']:.2f}", flush=True)


def main() -> None:
    """Seeds, activates and measures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--contacts", type=int, default=100_000)
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--prices", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=3)
    options = parser.parse_args()
    with service() as (port, child):
        client = Client(port)
        seed(client, options.contacts, options.items, options.prices)
        get = "/v1/price-quotes?contactNumber=C0000042&itemNumber=I000042&quantity=12&date=2031-05-15"
        document = {"contactNumber": "C0000042", "date": "2031-05-15",
                    "lines": [{"itemNumber": f"I{n:06}", "quantity": "12"} for n in range(100)]}
        one = len(json.dumps(client.ask("GET", get), separators=(",", ":")))
        hundred = len(json.dumps(client.ask("POST", "/v1/price-quotes", document), separators=(",", ":")))
        bare_port = free_port()
        bare = [str(ROOT / "target" / "release" / "examples" / "bare"), str(bare_port), str(one), str(hundred)]
        with process(bare, bare_port) as yardstick:
            base, other = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{bare_port}"
            compare("GET one line", (base + get, child.pid), (other + "/one", yardstick.pid), options.rounds, options.seconds, None)
            script = post_script(json.dumps(document))
            compare("POST 100 lines", (base + "/v1/price-quotes", child.pid), (other + "/hundred", yardstick.pid),
                    options.rounds, options.seconds, script)


if __name__ == "__main__":
    main()
