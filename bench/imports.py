#!/usr/bin/env python3
"""Measures imports of items against PostgreSQL's COPY of the same rows into the same table with its
indexes, in interleaved rounds, each into an empty table.

    cargo build --profile dist --bins && bench/imports.py

`--binary target/debug/kampanje --rows 2000` checks that it works, without figures that mean anything.
An import validates, publishes and records its rows as well; COPY only stores them. Needs psql. Talks
to 127.0.0.1 only.
"""

import argparse
import datetime
import os
import pathlib
import platform
import shutil
import statistics
import time

from price_book import Database, resident
from service import ROOT, Client, scratch, serving

POLL_SECONDS = 0.05
TIMEOUT_SECONDS = 1_800
COLUMNS = "id, number, description, list_price, unit_cost, created_by, updated_by"


def rows(count: int) -> str:
    """The rows as CSV, with its header."""
    lines = (f"N{at:07},Item number {at},{at % 900 + 1}.5,{at % 700 + 1}" for at in range(count))
    return "number,description,listPrice,unitCost\n" + "\n".join(lines) + "\n"


def imported(client: Client, port: int, body: bytes, options: str) -> float:
    """Seconds from the first byte of the file to the end of the import."""
    began = time.perf_counter()
    client.connection.close()
    client.connection.request("POST", f"/v1/imports?resource=items{options}", body, {"content-type": "text/csv"})
    response = client.connection.getresponse()
    answer = response.read().decode()
    if response.status != 201:
        raise SystemExit(f"the import is refused: {answer}")
    place = response.headers["location"]
    while True:
        state = client.ask("GET", place)
        if state["finishedAt"]:
            break
        if time.perf_counter() - began > TIMEOUT_SECONDS:
            raise SystemExit("the import does not end")
        time.sleep(POLL_SECONDS)
    if state["state"] != "SUCCEEDED" or state["rowsWritten"] != state["rowsRead"]:
        raise SystemExit(f"not all rows are written: {state}")
    return time.perf_counter() - began


def main() -> None:
    """Runs the rounds, and prints the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=pathlib.Path, default=ROOT / "target" / "dist" / "kampanje")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if not shutil.which("psql"):
        raise SystemExit("psql is missing; it comes with PostgreSQL's client package")
    csv = rows(options.rows)
    kinds = {"import": "", "atomic import": "&atomic=true"}
    seconds: dict = {name: [] for name in ["COPY", *kinds]}
    print(f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC, {platform.platform()}, {os.cpu_count()} processors, {options.binary}")
    with scratch() as directory, serving(
            options.binary, KAMPANJE_DATA_DIR=f"{directory}/data", DATABASE_URL="") as (port, child):
        database, client = Database(directory), Client(port)
        # The server reads the file itself, which is the fastest way.
        file = directory / "rows.csv"
        with file.open("w") as lines:
            for at, line in enumerate(csv.splitlines()[1:]):
                lines.write(f"00000000-0000-7000-8000-{at:012x},{line},bench,bench\n")
        file.chmod(0o644)
        copy = f"COPY items ({COLUMNS}) FROM '{file}' (FORMAT csv)"
        for _ in range(options.rounds):
            seconds["COPY"].append(database.timed(copy))
            database.run("DELETE FROM items", "VACUUM items")
            for name, parameters in kinds.items():
                seconds[name].append(imported(client, port, csv.encode(), parameters))
                client.ask("GET", "/v1/items?top=1")
                database.run("DELETE FROM items", "VACUUM items")
        memory = resident(child.pid, "VmHWM") / 1024
    base = statistics.median(seconds["COPY"])
    print(f"\n| {options.rows:,} items, median of {options.rounds} | seconds | rows per second | of COPY |\n| --- | --- | --- | --- |")
    for name, samples in seconds.items():
        median = statistics.median(samples)
        print(f"| {name} | {median:.2f} | {options.rows / median:,.0f} | {median / base:.1f} times |")
    print(f"\nhighest memory of the service: {memory:,.0f} MiB")


if __name__ == "__main__":
    main()
