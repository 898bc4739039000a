#!/usr/bin/env python3
"""Measures the price book at full size: activation, small changes, visibility on replicas, quotes while something large is published,
the start and the memory, beside their goals and, where there is one, a yardstick in the same run.

    cargo build --profile dist --bins --examples && bench/price_book.py

Loads 1,000,000 contacts, 100,000 items, 1,000,000 price and discount lines and 100 campaigns with audiences from 100 to 1,000,000
accounts into a service of its own; `--small` takes a hundredth of it. Needs psql; the figures over HTTP need wrk. Talks to
127.0.0.1 only.
"""

import argparse
import concurrent.futures
import contextlib
import datetime
import multiprocessing
import os
import pathlib
import platform
import select
import shutil
import socket
import statistics
import subprocess
import sys
import threading
import time
import urllib.parse
from collections import deque
from http.client import HTTPConnection

from service import BATCH_ROWS, ROOT, Client, cpu_of_all, scratch, serving

# Long enough that no campaign is over while it is measured.
DATES = {"startingDate": "2026-01-01", "endingDate": "2035-12-31"}
QUOTE_DAY = "2031-05-15"
CONNECTIONS = 3


class Table:
    """The rows that were measured, each printed at once, and all of them as Markdown at the end."""

    HEAD = ("what", "measured", "beside it", "ratio", "goal", "", "load")

    def __init__(self):
        self.rows = []

    def add(self, what: str, measured: str, ratio: float | None = None, goal: str = "", limit: float = 1.0, beside: str = "") -> None:
        """A row; with a ratio, whether it is at most the limit. The ratio is to the yardstick where there is one, else to the goal."""
        verdict = "" if ratio is None or not goal else "reached" if ratio <= limit else "MISSED"
        row = (what, measured, beside, "" if ratio is None else f"{ratio:.2f}", goal, verdict, f"{os.getloadavg()[0]:.1f}")
        self.rows.append(row)
        print(f"{what:<72} {measured:>26}  {' '.join(cell for cell in row[2:6] if cell):<48} load {row[6]}", flush=True)

    def missing(self, what: str, why: str) -> None:
        """A row that could not be measured."""
        self.add(what, f"not measured: {why}")

    def markdown(self) -> str:
        """All rows."""
        lines = [self.HEAD, ("---",) * len(self.HEAD), *self.rows]
        return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def seconds(values: list) -> str:
    """The median with its spread."""
    unit, factor = ("s", 1) if statistics.median(values) >= 1 else ("ms", 1e3)
    digits = 2 if unit == "s" else 0 if statistics.median(values) > 0.1 else 1
    low, middle, high = (f"{value * factor:,.{digits}f}" for value in (min(values), statistics.median(values), max(values)))
    return f"{middle} {unit} ({low}–{high})" if len(values) > 1 else f"{middle} {unit}"


def percentile(values: list, part: float) -> float:
    """The value that so many of the values do not exceed."""
    return sorted(values)[max(0, min(len(values), int(len(values) * part + 0.999999)) - 1)]


def resident(pid: int, what: str = "VmRSS") -> int:
    """Memory of a process in KiB."""
    return int(pathlib.Path(f"/proc/{pid}/status").read_text().split(f"{what}:")[1].split()[0])


class Database:
    """The embedded server, by its own command line."""

    def __init__(self, directory: pathlib.Path):
        self.socket_dir = directory / "data" / "run"
        self.url = f"postgres://kampanje@{urllib.parse.quote(str(self.socket_dir), safe='')}:5432/kampanje"

    def run(self, *commands: str) -> str:
        """What the commands print."""
        return self.psql("-A", "-t", *(part for command in commands for part in ("-c", command)))

    def psql(self, *arguments: str) -> str:
        """What psql prints."""
        command = ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", str(self.socket_dir), "-U", "kampanje", "-d", "kampanje"]
        done = subprocess.run([*command, *arguments], capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"psql failed: {done.stderr}")
        return done.stdout

    def timed(self, command: str) -> float:
        """Seconds that a command takes, the round trip included."""
        return float(self.run("\\timing on", command).split("Time: ")[1].split()[0]) / 1e3


class Campaign:
    """A campaign of the load: its number, how many accounts it is for, and which items it has prices for."""

    def __init__(self, number: str, audience: int, lines: int, first_item: int = 0):
        self.number, self.audience, self.lines, self.first_item = number, audience, lines, first_item


class Size:
    """How much is loaded."""

    def __init__(self, small: bool):
        self.small = small
        part = 100 if small else 1
        self.contacts, self.items, self.lines = 1_000_000 // part, 100_000 // part, 1_000_000 // part
        self.campaigns = 100 // (10 if small else 1)
        self.rounds, self.changes, self.seen = (2, 6, 40) if small else (5, 20, 200)

    def all_campaigns(self) -> list:
        """Those that are measured, and beside them as many as are missing, of all sizes in between."""
        n = self.contacts
        measured = [
            Campaign("ALL", n, self.items // 10, 0),
            Campaign("ALL-100", n, self.items // 1000, self.items // 2),
            Campaign("TENTH-100", n // 10, self.items // 1000, self.items // 2 + 200),
            Campaign("HUNDREDTH-100", n // 100, self.items // 1000, self.items // 2 + 400),
            Campaign("THOUSANDTH-100", n // 1000, self.items // 1000, self.items // 2 + 600),
            Campaign("THOUSANDTH-1000", n // 1000, self.items // 100, self.items // 5),
            Campaign("LINES", max(10, n // 10_000), self.items // 10, self.items // 10),
        ]
        others = self.campaigns - len(measured)
        sizes = [(at + 1) / others for at in range(others)]
        return measured + [
            Campaign(f"C{at:03}", int(n / 10_000 * 1000 ** part), max(1, int(self.items / 10_000 * 100 ** part)), at * self.items // 120)
            for at, part in enumerate(sizes)]


def load(size: Size, ports: list, path: str, rows: int, row, first: int = 0) -> float:
    """Writes rows through `batch` over some connections: rows per second. `row` makes those of a number."""
    began = time.perf_counter()
    starts = iter(range(first, rows, BATCH_ROWS))
    lock = threading.Lock()

    def write(port: int) -> None:
        client = Client(port)
        while True:
            with lock:
                start = next(starts, None)
            if start is None:
                return
            client.ask("POST", f"{path}/batch", {"rows": [row(n) for n in range(start, min(rows, start + BATCH_ROWS))]})

    with concurrent.futures.ThreadPoolExecutor(CONNECTIONS) as pool:
        for done in [pool.submit(write, ports[n % len(ports)]) for n in range(CONNECTIONS)]:
            done.result()
    return (rows - first) / (time.perf_counter() - began)


def item(n: int) -> dict:
    """An item; a tenth of them belongs to an item discount group."""
    return {"number": f"I{n:06}", "listPrice": f"{n % 500 + 10}.95", "taxPercent": "25",
            "itemDiscountGroupCode": f"G{n % 97:02}" if n % 10 == 0 else None}


def contact(n: int) -> dict:
    """A company that is a customer, in one of three price groups and two discount groups."""
    customer = {"number": f"D{n:07}", "priceGroupCode": ("GOLD", "SILVER", "BRONZE")[n % 3], "discountGroupCode": ("LARGE", "SMALL")[n % 2]}
    return {"number": f"C{n:07}", "type": "COMPANY", "name": f"Company {n}", "customer": customer}


# What an item has of standing lines: seven prices (of which two are for one contact each) and then three discounts.
PRICES_OF_ITEM = [
    lambda n, size: ({"type": "ALL_CUSTOMERS"}, "0", 9), lambda n, size: ({"type": "ALL_CUSTOMERS"}, "10", 8),
    lambda n, size: ({"type": "CUSTOMER_PRICE_GROUP", "code": "GOLD"}, "0", 7),
    lambda n, size: ({"type": "CUSTOMER_PRICE_GROUP", "code": "GOLD"}, "10", 6),
    lambda n, size: ({"type": "CUSTOMER_PRICE_GROUP", "code": "SILVER"}, "0", 8),
    lambda n, size: ({"type": "CONTACT", "contactNumber": f"C{n * 7 % (size.contacts // 10):07}"}, "0", 5),
    lambda n, size: ({"type": "CONTACT", "contactNumber": f"C{n * 11 % (size.contacts // 10):07}"}, "5", 4),
]
DISCOUNTS_OF_ITEM = [
    lambda n, size: {"type": "ALL_CUSTOMERS"}, lambda n, size: {"type": "CUSTOMER_DISCOUNT_GROUP", "code": "LARGE"},
    lambda n, size: {"type": "CONTACT", "contactNumber": f"C{n * 13 % (size.contacts // 10):07}"},
]


def price_line(size: Size, n: int) -> dict:
    """A standing price line."""
    source, minimum, digit = PRICES_OF_ITEM[n % 7](n // 7, size)
    return {"source": source, "itemNumber": f"I{n // 7:06}", "minimumQuantity": minimum, "unitPrice": f"{n // 7 % 500 + 10}.{digit}0"}


def discount_line(size: Size, n: int) -> dict:
    """A standing discount line."""
    source = DISCOUNTS_OF_ITEM[n % 3](n // 3, size)
    return {"source": source, "itemNumber": f"I{n // 3:06}", "lineDiscountPercent": str(n % 20)}


def load_base(size: Size, port: int, first: float, last: float, table: Table) -> None:
    """Items, contacts and standing lines from one part of the whole to another."""
    ports = [port]
    # The campaigns have lines of their own.
    standing = size.lines - sum(campaign.lines for campaign in size.all_campaigns())
    prices, discounts = standing * 7 // 10, standing * 3 // 10
    for what, path, whole, row in [
        ("items", "/v1/items", size.items, item),
        ("contacts", "/v1/contacts", size.contacts, contact),
        ("standing price lines", "/v1/prices", prices, lambda n: price_line(size, n)),
        ("standing discount lines", "/v1/discounts", discounts, lambda n: discount_line(size, n)),
    ]:
        rate = load(size, ports, path, int(whole * last), row, int(whole * first))
        if last == 1:
            table.add(f"loading {what} by `batch`, {CONNECTIONS} connections, {whole:,} in all", f"{rate:,.0f} rows/s")


def load_campaigns(size: Size, client: Client, database: Database) -> None:
    """The drafts of the campaigns. Their segments' lines are as many as the audiences, so they are filled by the database: they do
    not count before the activation, which goes through the API."""
    for campaign in size.all_campaigns():
        number = campaign.number
        client.ask("PUT", f"/v1/campaigns/{number}", DATES)
        client.ask("PUT", f"/v1/segments/{number}", {"campaignNumber": number, "campaignTarget": True})
        client.batch(f"/v1/campaigns/{number}/prices", [
            {"itemNumber": f"I{(campaign.first_item + n) % size.items:06}", "unitPrice": f"{n % 400 + 8}.50"} for n in range(campaign.lines)])
    # Spread evenly over all contacts, which is the worst case for an audience in chunks.
    values = ", ".join(f"('{campaign.number}', {campaign.audience})" for campaign in size.all_campaigns())
    database.run(f"""INSERT INTO segment_lines (id, segment_number, contact_number)
        SELECT lpad(to_hex(row_number() OVER ()), 32, '0')::uuid, number, 'C' || to_char(n * ({size.contacts} / audience), 'FM0000000')
        FROM (VALUES {values}) AS campaigns (number, audience), generate_series(0, audience - 1) AS n""")


class Bench:
    """What all measurements share."""

    def __init__(self, size: Size, table: Table, directory: pathlib.Path, database: Database, port: int, pid: int):
        self.size, self.table, self.directory, self.database, self.port, self.pid = size, table, directory, database, port, pid
        self.client = Client(port)

    def activate(self, number: str) -> float:
        """Publishes a campaign: the seconds until the answer, when quotes of this process carry it."""
        began = time.perf_counter()
        self.client.ask("POST", f"/v1/campaigns/{number}/activations", {"acknowledge": ["*"]})
        return time.perf_counter() - began

    def deactivate(self, number: str) -> float:
        """Withdraws a campaign."""
        began = time.perf_counter()
        self.client.ask("POST", f"/v1/campaigns/{number}/deactivations", {})
        return time.perf_counter() - began

    def activations(self, number: str) -> list:
        """Withdraws and publishes a campaign in turn."""
        times = []
        for _ in range(self.size.rounds):
            self.deactivate(number)
            times.append(self.activate(number))
        return times

    def change(self, path: str, states: list) -> list:
        """Patches something to and fro: the seconds of each round trip to an answer that names the version."""
        times = []
        for turn in range(self.size.changes + 2):
            began = time.perf_counter()
            headers, _ = self.client.call("PATCH", path, states[turn % 2], If_Match="*")
            took = time.perf_counter() - began
            if "publication-version" not in headers:
                raise SystemExit(f"PATCH {path} published nothing")
            # The first two are for the caches; their number is even, as the last turn has to leave the second state.
            if turn >= 2:
                times.append(took)
        return times

    def first(self, path: str) -> str:
        """The id of the first of a collection."""
        return self.client.ask("GET", f"{path}?top=1")["value"][0]["id"]

    def change_line(self, number: str) -> list:
        """Changes the price of one line of a campaign."""
        path = f"/v1/campaigns/{number}/prices"
        return self.change(f"{path}/{self.first(path)}", [{"unitPrice": "7.25"}, {"unitPrice": "7.5"}])

    def change_target(self, number: str) -> list:
        """Lets one contact out of a campaign and takes it in again."""
        path = f"/v1/segments/{number}/lines"
        return self.change(f"{path}/{self.first(path)}", [{"campaignTarget": False}, {"campaignTarget": True}])


def measure_activation(bench: Bench) -> None:
    """A campaign for everybody beside the plain insert, in turn."""
    size, database = bench.size, bench.database
    database.run("CREATE TABLE yardstick_contacts (contact uuid PRIMARY KEY)",
                 f"INSERT INTO yardstick_contacts SELECT lpad(to_hex(n), 32, '0')::uuid FROM generate_series(1, {size.contacts}) AS n",
                 "CREATE TABLE yardstick (campaign uuid, contact uuid, PRIMARY KEY (campaign, contact))", "VACUUM ANALYZE yardstick_contacts")
    times, beside, ends, cpu, cpu_beside = [], [], [], [], []
    for _ in range(size.rounds):
        database.run("TRUNCATE yardstick")
        before = cpu_of_all(bench.pid)
        beside.append(database.timed("INSERT INTO yardstick SELECT '0190b5c2-7d5e-7000-8000-000000000001', contact FROM yardstick_contacts"))
        cpu_beside.append(cpu_of_all(bench.pid) - before)
        ends.append(bench.deactivate("ALL"))
        before = cpu_of_all(bench.pid)
        times.append(bench.activate("ALL"))
        cpu.append(cpu_of_all(bench.pid) - before)
    database.run("DROP TABLE yardstick, yardstick_contacts")
    lines = size.items // 10
    bench.table.add(
        f"activate {size.contacts:,} contacts with {lines:,} lines; beside it INSERT … SELECT of as many (uuid, uuid)", seconds(times),
        statistics.median(times) / statistics.median(beside), "≤ 1.3 of it", 1.3, seconds(beside))
    # Steadier than the time on a machine that others use too.
    bench.table.add("  the same by processor time of the service and the database", seconds(cpu),
                    statistics.median(cpu) / statistics.median(cpu_beside), beside=seconds(cpu_beside))
    bench.table.add("deactivate the same", seconds(ends))
    for campaign, what, goal in [
        ("LINES", f"activate {lines:,} lines for {max(10, size.contacts // 10_000)} contacts", 0.2),
        ("THOUSANDTH-100", f"activate {size.contacts // 1000:,} contacts with {size.items // 1000} lines", 0.05),
    ]:
        times = bench.activations(campaign)
        bench.table.add(what, seconds(times), statistics.median(times) / goal, f"≤ {goal * 1e3:.0f} ms")
    for campaign, part in [("THOUSANDTH-100", 1000), ("HUNDREDTH-100", 100), ("TENTH-100", 10), ("ALL-100", 1)]:
        bench.table.add(f"growth: activate {size.contacts // part:,} contacts with {size.items // 1000} lines", seconds(bench.activations(campaign)))


def measure_changes(bench: Bench) -> None:
    """One line and one contact of campaigns of different sizes."""
    size = bench.size
    base = {}
    for number, what in [
        ("THOUSANDTH-100", f"{size.contacts // 1000:,} contacts, {size.items // 1000} lines"),
        ("THOUSANDTH-1000", f"{size.contacts // 1000:,} contacts, {size.items // 100:,} lines"),
        ("LINES", f"{max(10, size.contacts // 10_000)} contacts, {size.items // 10:,} lines"),
        ("ALL", f"{size.contacts:,} contacts, {size.items // 10:,} lines"),
    ]:
        for kind, change in [("price", bench.change_line), ("contact on the segment", bench.change_target)]:
            times = change(number)
            middle = statistics.median(times)
            bench.table.add(f"change one {kind} of a campaign with {what}", seconds(times), middle / 0.02, "≤ 20 ms")
            first = base.setdefault(kind, middle)
            if number != "THOUSANDTH-100":
                bench.table.add(f"  the same against the first of these campaigns", "", middle / first, "≤ 2 of it", 2.0)
    # The first contact is on every campaign, the second on those for everybody.
    for contact in ("C0000000", "C0000001"):
        held = int(bench.database.run(f"SELECT count(*) FROM segment_lines WHERE contact_number = '{contact}'"))
        path = f"/v1/contacts/{contact}"
        times = bench.change(path, [{"privacyBlocked": True}, {"privacyBlocked": False}])
        bench.table.add(f"a contact on {held} campaigns objects to marketing, or no longer", seconds(times), statistics.median(times) / 0.02, "≤ 20 ms")
        times = bench.change(path, [{"customer": {"priceGroupCode": group}} for group in ("COPPER", "GOLD")])
        bench.table.add(f"a contact on {held} campaigns gets another price group", seconds(times), statistics.median(times) / 0.02, "≤ 20 ms")
    times = bench.change("/v1/items/I000000", [{"listPrice": "10.5"}, {"listPrice": "10.75"}])
    bench.table.add("an item gets another list price", seconds(times), statistics.median(times) / 0.02, "≤ 20 ms")


def quote_path(size: Size, n: int) -> str:
    """A quote for some contact and item."""
    return (f"/v1/price-quotes?contactNumber=C{n * 7919 % size.contacts:07}&itemNumber=I{n * 104_729 % size.items:06}"
            f"&quantity=12&date={QUOTE_DAY}")


def watch(port: int, path: str, seen: dict, stopping: threading.Event) -> None:
    """Notes when a node's quotes carry each version for the first time."""
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    last = -1
    while not stopping.is_set():
        connection.request("GET", path)
        response = connection.getresponse()
        response.read()
        now = time.time()
        version = int(response.headers["publication-version"])
        if version < last:
            raise SystemExit(f"port {port} went back from version {last} to {version}")
        if version > last:
            seen.update({between: now for between in range(last + 1, version + 1)} if last >= 0 else {version: now})
            last = version
        time.sleep(0.001)


def measure_visibility(bench: Bench, others: list) -> None:
    """From a publication to the first quote that carries it, on the node that made it and on others. A publication notes its
    instant within its transaction, so the commit itself is counted too."""
    path = "/v1/campaigns/THOUSANDTH-100/prices"
    line = f"{path}/{bench.first(path)}"
    stopping, nodes = threading.Event(), [bench.port, *others]
    seen = [{} for _ in nodes]
    watchers = [
        threading.Thread(target=watch, args=(port, quote_path(bench.size, 1), seen[at], stopping), daemon=True) for at, port in enumerate(nodes)]
    for watcher in watchers:
        watcher.start()
    time.sleep(0.5)
    versions, times = [], []
    for turn in range(bench.size.seen):
        began = time.perf_counter()
        headers, _ = bench.client.call("PATCH", line, {"unitPrice": f"6.{turn % 89 + 10}"}, If_Match="*")
        times.append(time.perf_counter() - began)
        versions.append(int(headers["publication-version"]))
        time.sleep(0.02)
    time.sleep(1.5)
    stopping.set()
    for watcher in watchers:
        watcher.join()
    instants = dict(
        row.split("|") for row in bench.database.run(
            f"SELECT version, extract(epoch FROM published_at) FROM publications WHERE version >= {versions[0]}").split())
    for at, seen_here in enumerate(seen[:2]):
        delays = [seen_here[version] - float(instants[str(version)]) for version in versions]
        where, goal = ("same node", 0.05) if at == 0 else ("another replica", 0.2)
        p99 = percentile(delays, 0.99)
        bench.table.add(f"published → in quotes, {where}, {len(nodes)} nodes: p99 of {len(delays)}",
                        f"{p99 * 1e3:.1f} ms (median {statistics.median(delays) * 1e3:.1f})", p99 / goal, f"≤ {goal * 1e3:.0f} ms")
    bench.table.add(f"growth: change one price with {len(nodes)} nodes that follow", seconds(times))


def generate(port: int, paths: list, rate: int, connections: int, stopping, out) -> None:
    """Asks at fixed instants, whatever the answers take, so that nothing is left out while the service does not answer. A latency
    counts from the instant at which the request was due."""
    idle, busy, due, samples = deque(), {}, deque(), []
    for _ in range(connections):
        made = socket.create_connection(("127.0.0.1", port))
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        idle.append(made)
    requests = [f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode() for path in paths]
    begin, asked = time.monotonic() + 0.01, 0
    while busy or due or not stopping.is_set():
        now = time.monotonic()
        while not stopping.is_set() and begin + asked / rate <= now:
            due.append((begin + asked / rate, requests[asked % len(requests)]))
            asked += 1
        while due and idle:
            intended, request = due.popleft()
            connection = idle.popleft()
            connection.sendall(request)
            busy[connection] = (intended, b"")
        readable, _, _ = select.select(list(busy), [], [], max(0, begin + asked / rate - time.monotonic()))
        for connection in readable:
            intended, so_far = busy[connection]
            answer = so_far + connection.recv(65536)
            head, found, body = answer.partition(b"\r\n\r\n")
            if answer == so_far:
                samples.append((intended, time.monotonic() - intended, False))
                del busy[connection]
            elif found and len(body) >= int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]):
                samples.append((intended, time.monotonic() - intended, answer.startswith(b"HTTP/1.1 200")))
                del busy[connection]
                idle.append(connection)
            else:
                busy[connection] = (intended, answer)
    out.send(samples)


@contextlib.contextmanager
def open_loop(bench: Bench, rate: int):
    """Quotes at a fixed rate from a process of its own while the block runs; then the list holds (due, latency, whether it was 200)."""
    stopping, (ours, theirs) = multiprocessing.Event(), multiprocessing.Pipe(duplex=False)
    paths = [quote_path(bench.size, n) for n in range(1000)]
    child = multiprocessing.Process(target=generate, args=(bench.port, paths, rate, 32, stopping, theirs), daemon=True)
    child.start()
    samples = []
    try:
        yield samples
    finally:
        stopping.set()
        samples.extend(ours.recv())
        child.join()


def measure_quotes_meanwhile(bench: Bench, rate: int) -> None:
    """Quotes in quiet, while the database inserts as many plain rows, and while a campaign for everybody is published, in turn. The
    plain rows show what a busy processor costs by itself: the database, the service and the generator share this machine."""
    quiet, inserting, meanwhile, failures, asked = [], [], [], 0, 0
    for _ in range(bench.size.rounds):
        bench.deactivate("ALL")
        time.sleep(1)
        with open_loop(bench, rate) as samples:
            time.sleep(2.5)
            inserts = time.monotonic()
            bench.database.run(f"CREATE TEMP TABLE plain AS SELECT n, lpad(to_hex(n), 32, '0')::uuid AS contact FROM generate_series(1, {bench.size.contacts}) AS n")
            inserted = time.monotonic()
            time.sleep(0.5)
            began = time.monotonic()
            bench.activate("ALL")
            ended = time.monotonic()
        # The generator's own beginning does not count.
        first = samples[0][0] + 0.5
        for values, begin, end in [(quiet, first, inserts), (inserting, inserts, inserted), (meanwhile, began, ended)]:
            values.append(percentile([took for due, took, _ in samples if begin <= due < end], 0.99))
        failures += sum(not good for _, _, good in samples)
        asked += len(samples)
    bench.table.add(f"quotes at {rate:,}/s while {bench.size.contacts:,} contacts are activated, p99; beside it in quiet", seconds(meanwhile),
                    statistics.median(meanwhile) / statistics.median(quiet), "≤ 2 of it", 2.0, seconds(quiet))
    bench.table.add("  the same while the database writes as many plain rows and nobody else works; beside it in quiet", seconds(inserting),
                    statistics.median(inserting) / statistics.median(quiet), beside=seconds(quiet))
    bench.table.add(f"  failures among these {asked:,} quotes", str(failures), float(failures), "0", 0.0)


@contextlib.contextmanager
def replica(database: Database, copy: str = ""):
    """Another process over the same database: its port, its process and the seconds until it is ready and has answered a quote."""
    began = time.perf_counter()
    with serving(DATABASE_URL=database.url, KAMPANJE_SNAPSHOT_PATH=copy, KAMPANJE_SNAPSHOT_SECONDS="1") as (port, child):
        while True:
            connection = HTTPConnection("127.0.0.1", port, timeout=60)
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                break
            time.sleep(0.01)
        Client(port).ask("GET", f"/v1/price-quotes?contactNumber=C0000000&itemNumber=I000000&date={QUOTE_DAY}")
        yield port, child, time.perf_counter() - began


def keeps_copies() -> bool:
    """Whether this build keeps a copy of the price book on disk."""
    asked = subprocess.run([str(ROOT / "target" / "dist" / "kampanje"), "serve", "--help"], capture_output=True, text=True)
    return "KAMPANJE_SNAPSHOT_PATH" in asked.stdout


def measure_start(bench: Bench, what: str, goal: bool) -> None:
    """Starts from the database and from the copy on disk. The operating system's caches are left as they are."""
    rounds = max(2, bench.size.rounds // 2 + 1)
    times, cpu, memory, peak = [], 0, 0, 0
    for _ in range(rounds):
        with replica(bench.database) as (_, child, took):
            times.append(took)
            cpu = cpu_of_all(child.pid)
            memory, peak = resident(child.pid), resident(child.pid, "VmHWM")
    limits = (statistics.median(times) / 10, "≤ 10 s") if goal else (None, "")
    bench.table.add(f"start from the database with {what}; beside it the service's processor time", seconds(times), *limits,
                    beside=f"{cpu:.2f} s")
    if goal:
        bench.table.add(f"  memory right after it (highest: {peak / 1024:,.0f} MiB)", f"{memory / 1024:,.0f} MiB", memory / 1024 / 512, "≤ 512 MiB")
    copy = bench.directory / "copy"
    copy.unlink(missing_ok=True)
    with replica(bench.database, str(copy)):
        deadline = time.monotonic() + 60
        while keeps_copies() and not copy.exists() and time.monotonic() < deadline:
            time.sleep(0.2)
    if not copy.exists():
        return bench.table.missing(f"start from the copy on disk with {what}", "no copy was kept")
    times = []
    for _ in range(rounds):
        with replica(bench.database, str(copy)) as (_, child, took):
            times.append(took)
            memory, peak = resident(child.pid), resident(child.pid, "VmHWM")
    limits = (statistics.median(times) / 3, "≤ 3 s") if goal else ()
    bench.table.add(f"start from the copy on disk ({copy.stat().st_size >> 20} MiB) with {what}", seconds(times), *limits)
    if goal:
        bench.table.add(f"  memory right after it (highest: {peak / 1024:,.0f} MiB)", f"{memory / 1024:,.0f} MiB", memory / 1024 / 512, "≤ 512 MiB")


def over_http(size: Size) -> None:
    """The figures of single requests, in a process and with a load of their own."""
    if not shutil.which("wrk"):
        return print("over HTTP: not measured, wrk is missing")
    command = [sys.executable, str(ROOT / "bench" / "over_http.py")]
    if size.small:
        command += ["--contacts", "1000", "--items", "1000", "--prices", "100", "--rounds", "1", "--seconds", "1"]
    print(f"\n{' '.join(command[1:])}", flush=True)
    if subprocess.run(command).returncode:
        print("over HTTP: not measured")


def main() -> None:
    """Loads, measures and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="a hundredth of the load and fewer rounds, to try it out")
    parser.add_argument("--rate", type=int, default=2_000, help="quotes per second while a campaign is published")
    parser.add_argument("--without-http", action="store_true", help="leave out what bench/over_http.py measures")
    parser.add_argument("--data", type=pathlib.Path, help="a directory below /var/tmp to keep the load in, and to take it from the next time")
    options = parser.parse_args()
    if not shutil.which("psql"):
        raise SystemExit("psql is missing; it comes with PostgreSQL's client package")
    size, table = Size(options.small), Table()
    print(f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC, {platform.platform()}, {os.cpu_count()} processors")
    directory = contextlib.nullcontext(options.data.absolute()) if options.data else scratch()
    with directory as directory, serving(
            KAMPANJE_DATA_DIR=f"{directory}/data", DATABASE_URL="", KAMPANJE_SNAPSHOT_SECONDS="86400") as (port, child):
        database = Database(directory)
        bench = Bench(size, table, directory, database, port, child.pid)
        campaigns = size.all_campaigns()
        is_loaded = directory / ("loaded-small" if size.small else "loaded")
        if is_loaded.exists():
            print("the data of an earlier run is used again")
            for campaign in campaigns:
                bench.deactivate(campaign.number)
        else:
            load_base(size, port, 0, 0.1, table)
            measure_start(bench, f"a tenth: {size.contacts // 10:,} contacts, {size.lines // 10:,} lines", goal=False)
            load_base(size, port, 0.1, 1, table)
            load_campaigns(size, bench.client, database)
            is_loaded.touch()
        # As a server that has run for a while has done by itself, so that it does not happen in the middle of a measurement.
        database.run("VACUUM (ANALYZE)", "CHECKPOINT")
        began = time.perf_counter()
        for at, campaign in enumerate(campaigns):
            bench.activate(campaign.number)
            if at + 1 in (len(campaigns) // 10, len(campaigns)):
                table.add(f"growth: change one price with {at + 1} campaigns published", seconds(bench.change_line(campaigns[0].number)))
        table.add(f"activating the {len(campaigns)} campaigns one after the other", seconds([time.perf_counter() - began]))
        measure_activation(bench)
        measure_changes(bench)
        with replica(database) as (second, _, _):
            measure_visibility(bench, [second])
            with replica(database) as (third, _, _):
                measure_visibility(bench, [second, third])
        measure_quotes_meanwhile(bench, options.rate)
        everything = f"{size.contacts:,} contacts, {size.items:,} items, {size.lines:,} lines, {len(campaigns)} campaigns"
        measure_start(bench, everything, goal=True)
        memory = resident(child.pid) / 1024
        table.add(f"memory at the end of the run (highest: {resident(child.pid, 'VmHWM') / 1024:,.0f} MiB)", f"{memory:,.0f} MiB", memory / 512, "≤ 512 MiB")
        forms = str(ROOT / "bench" / "audience_forms.sql")
        print(f"\n{database.psql('-v', f'accounts={size.contacts}', '-f', forms)}")
    if not options.without_http:
        over_http(size)
    print(f"\n{table.markdown()}")
    missed = [row[0].strip() for row in table.rows if row[5] == "MISSED"]
    print(f"\n{sum(row[5] == 'reached' for row in table.rows)} goals reached, {len(missed)} missed{': ' if missed else ''}{'; '.join(missed)}")
    print("one quote in the process, by candidate lines and by the size of the book: cargo bench")


if __name__ == "__main__":
    main()
