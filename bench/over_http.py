#!/usr/bin/env python3
"""Measures the service over HTTP: rows through `batch`, the activation of a large campaign, and quotes beside a bare actix handler
that takes the same requests and answers the same bodies (examples/bare.rs), in interleaved rounds: per second as fast as they
go, and how long they take at a fixed rate (examples/open_loop.rs).

    cargo build --profile dist --bins --examples && bench/over_http.py

Needs wrk (apt-get install wrk). Talks to 127.0.0.1 only.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import tempfile
import time

from service import ROOT, Client, free_port, process, service

EXAMPLES = ROOT / "target" / "dist" / "examples"


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


def bodies(client: Client, directory: str, get: str, document: dict) -> list:
    """The service's own answers, as files for the yardstick."""
    paths = []
    path = "/v1/price-quotes"
    asked = [("one", "GET", get, None), ("hundred", "POST", path, document), ("explained", "POST", f"{path}?explain=true", document)]
    for name, method, path, body in asked:
        paths.append(os.path.join(directory, name))
        with open(paths[-1], "wb") as file:
            file.write(client.raw(method, path, body)[1])
    return paths


def interleaved(rounds: int, *measures) -> list:
    """What each of the measures gives, round by round, taken in turn."""
    taken = [[] for _ in measures]
    for _ in range(rounds):
        for rows, measure in zip(taken, measures, strict=True):
            rows.append(measure())
    return taken


def median(rows: list, name: str) -> float:
    """The median of a figure over the rounds."""
    return statistics.median(row[name] for row in rows)


def ratio(ours: list, others: list, name: str) -> float:
    """The median of the rounds' own ratios: how fast the machine is changes from round to round, and for both."""
    return statistics.median(mine[name] / other[name] for mine, other in zip(ours, others, strict=True))


def compare(name: str, rounds: int, ours, *yardsticks) -> None:
    """Prints the service beside each (name, measure)."""
    service, *others = interleaved(rounds, ours, *(measure for _, measure in yardsticks))
    for (other, _), bare in zip(yardsticks, others, strict=True):
        print(f"{name:<22} service {median(service, 'rate'):>9,.0f}/s {median(service, 'cpu'):>7.2f} us"
              f"   {other} {median(bare, 'rate'):>9,.0f}/s {median(bare, 'cpu'):>7.2f} us"
              f"   ratio {ratio(service, bare, 'rate'):.3f}  cpu {ratio(service, bare, 'cpu'):.2f}   {load()}", flush=True)


def open_loop(port: int, path: str, rate: int, seconds: int) -> dict:
    """Microseconds from the moment a request was due to the end of its answer."""
    command = [str(EXAMPLES / "open_loop"), f"127.0.0.1:{port}", path, str(rate), str(seconds), "64"]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def compare_delays(rate: int, rounds: int, ours, bare) -> None:
    """Prints the quantiles at a fixed rate."""
    service, bare = interleaved(rounds, ours, bare)
    for name in ("p50", "p90", "p99", "p999"):
        print(f"at {rate:,}/s, {name:<5} service {median(service, name):>8,.0f} us   bare {median(bare, name):>8,.0f} us"
              f"   ratio {ratio(service, bare, name):.2f}")
    print(f"answered per second: {median(service, 'rate'):,.0f} and {median(bare, 'rate'):,.0f}   {load()}", flush=True)


def load() -> str:
    """How busy the machine is with all it does."""
    return "load " + " ".join(open("/proc/loadavg").read().split()[:3])


def main() -> None:
    """Seeds, activates and measures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--contacts", type=int, default=100_000)
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--prices", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--seconds", type=int, default=1)
    parser.add_argument("--beside", metavar="BINARY", help="another build of the service, measured in the same rounds")
    parser.add_argument("--rate", type=int, default=20_000, help="requests per second of the open loop")
    options = parser.parse_args()
    other_build = service(binary=options.beside) if options.beside else contextlib.nullcontext((None, None))
    with service() as (port, child), other_build as (other_port, other), tempfile.TemporaryDirectory() as directory:
        client = Client(port)
        seed(client, options.contacts, options.items, options.prices)
        if other:
            print(f"the same in {options.beside}:")
            seed(Client(other_port), options.contacts, options.items, options.prices)
        path = "/v1/price-quotes"
        get = f"{path}?contactNumber=C0000042&itemNumber=I000042&quantity=12&date=2031-05-15"
        document = {"contactNumber": "C0000042", "date": "2031-05-15",
                    "lines": [{"itemNumber": f"I{n:06}", "quantity": "12"} for n in range(100)]}
        bare_port = free_port()
        bare = [str(EXAMPLES / "bare"), str(bare_port), *bodies(client, directory, get, document)]
        with process(bare, bare_port) as yardstick:
            script = post_script(json.dumps(document, separators=(",", ":")))

            def ours(path: str, script: str | None = None):
                return lambda: wrk(f"http://127.0.0.1:{port}{path}", child.pid, options.seconds, 16, script)

            def theirs(path: str, script: str | None = None):
                return lambda: wrk(f"http://127.0.0.1:{bare_port}{path}", yardstick.pid, options.seconds, 16, script)

            def beside(path: str, script: str | None = None):
                """The other build, if there is one."""
                url = f"http://127.0.0.1:{other_port}{path}"
                return [("other build", lambda: wrk(url, other.pid, options.seconds, 16, script))] if other else []

            explained = f"{path}?explain=true"
            compare("GET one line", options.rounds, ours(get), ("bare", theirs(get)), *beside(get))
            compare("POST 100 lines", options.rounds, ours(path, script),
                    ("bare serde", theirs(path, script)), ("bare bytes", theirs("/ready", script)), *beside(path, script))
            compare("POST with explain", options.rounds, ours(explained, script),
                    ("without", ours(path, script)), ("bare bytes", theirs("/explained", script)), *beside(explained, script))
            compare_delays(options.rate, options.rounds,
                           lambda: open_loop(port, get, options.rate, options.seconds),
                           lambda: open_loop(bare_port, get, options.rate, options.seconds))
        print(f"resident {resident(child.pid):,.0f} MiB")


def resident(pid: int) -> float:
    """The memory of a process, in MiB."""
    line = next(line for line in open(f"/proc/{pid}/status") if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    main()
