#!/usr/bin/env python3
"""Measures quotes while price lists are streamed: how long quotes take at a fixed rate, in quiet and
while clients read `GET /v1/effective-prices` as NDJSON as fast as they can, in interleaved rounds.

    cargo build --profile dist --bins && bench/streams.py

The readers and the generator of quotes share the machine with the service. Readers run at low
priority, since elsewhere they have processors of their own; `--reader-niceness 0` lets them compete.
Talks to 127.0.0.1 only.
"""

import argparse
import contextlib
import multiprocessing
import os
import socket
import statistics
import time

from over_http import load, seed
from price_book import generate, percentile
from service import Client, service

QUOTE_DAY = "2031-05-15"
CONNECTIONS = 16
# What processes need to start, and the first requests for the caches.
LEAD_SECONDS = 0.5
RETRY_SECONDS = 0.1
GOAL = 3.0


def quotes(port: int, paths: list, rate: int, seconds: float) -> list:
    """Seconds from the instant at which each quote was due to its answer."""
    stopping, (ours, theirs) = multiprocessing.Event(), multiprocessing.Pipe(duplex=False)
    arguments = (port, paths, rate, CONNECTIONS, stopping, theirs)
    child = multiprocessing.Process(target=generate, args=arguments, daemon=True)
    child.start()
    time.sleep(seconds + LEAD_SECONDS)
    stopping.set()
    samples = ours.recv()
    child.join()
    failed = sum(not good for _, _, good in samples)
    if failed:
        raise SystemExit(f"{failed} of {len(samples)} quotes failed")
    first = samples[0][0] + LEAD_SECONDS
    return [took for due, took, _ in samples if due >= first]


def read_lists(port: int, path: str, niceness: int, stopping, received, refused) -> None:
    """Reads one list after the other until it is told to stop; counts bytes and refusals."""
    os.nice(niceness)
    request = f"GET {path} HTTP/1.1\r\nhost: localhost\r\naccept: application/x-ndjson\r\nconnection: close\r\n\r\n".encode()
    buffer = bytearray(1 << 18)
    while not stopping.is_set():
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(request)
            size = connection.recv_into(buffer)
            if not buffer.startswith(b"HTTP/1.1 200"):
                refused.value += 1
                time.sleep(RETRY_SECONDS)
                continue
            while size and not stopping.is_set():
                received.value += size
                size = connection.recv_into(buffer)


@contextlib.contextmanager
def readers(port: int, path: str, count: int, niceness: int):
    """Readers in processes of their own for as long as the block runs: their counters."""
    stopping = multiprocessing.Event()
    counters = [(multiprocessing.Value("q", 0), multiprocessing.Value("q", 0)) for _ in range(count)]
    arguments = [(port, path, niceness, stopping, *counter) for counter in counters]
    children = [multiprocessing.Process(target=read_lists, args=each, daemon=True) for each in arguments]
    for child in children:
        child.start()
    time.sleep(LEAD_SECONDS)
    try:
        yield counters
    finally:
        stopping.set()
        for child in children:
            child.join(10)


def main() -> None:
    """Seeds, measures in rounds, and prints the medians beside the goal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--readers", type=int, default=8, help="clients that read streams")
    parser.add_argument("--reader-niceness", type=int, default=10)
    parser.add_argument("--rate", type=int, default=500, help="quotes per second")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=4, help="of each measurement")
    parser.add_argument("--small", action="store_true", help="a tenth of the load and two rounds, to try it out")
    options = parser.parse_args()
    contacts, items, prices = (1_000, 1_000, 100) if options.small else (10_000, 10_000, 1_000)
    rounds = 2 if options.small else options.rounds
    with service() as (port, _):
        seed(Client(port), contacts, items, prices)
        quote_paths = [
            f"/v1/price-quotes?contactNumber=C{n * 7919 % contacts:07}&itemNumber=I{n * 104_729 % items:06}"
            f"&quantity=12&date={QUOTE_DAY}"
            for n in range(1000)]
        # Each account of the audience with each item: millions of rows, more than a round reads.
        list_path = f"/v1/effective-prices?campaignNumber=BIG&date={QUOTE_DAY}"
        quiet, meanwhile = [], []
        for turn in range(rounds):
            quiet.append(quotes(port, quote_paths, options.rate, options.seconds))
            with readers(port, list_path, options.readers, options.reader_niceness) as counters:
                before, began = sum(received.value for received, _ in counters), time.monotonic()
                meanwhile.append(quotes(port, quote_paths, options.rate, options.seconds))
                took = time.monotonic() - began
                megabytes = (sum(received.value for received, _ in counters) - before) / took / 1e6
                refused = sum(refused.value for _, refused in counters)
            figures = "   ".join(
                f"{name} {percentile(quiet[-1], part) * 1e3:.2f} → {percentile(meanwhile[-1], part) * 1e3:.2f} ms"
                for name, part in [("p50", 0.5), ("p99", 0.99)])
            print(f"round {turn + 1}: {figures}   {megabytes:.0f} MB/s streamed, {refused} refused   {load()}", flush=True)
            if not megabytes:
                raise SystemExit("nothing was streamed")
        # How fast the machine is changes from round to round, so each round has its own ratio.
        for name, part, goal in [("p50", 0.5, GOAL), ("p99", 0.99, None)]:
            pairs = [(percentile(one, part), percentile(other, part)) for one, other in zip(quiet, meanwhile, strict=True)]
            alone, beside = (statistics.median(values) * 1e3 for values in zip(*pairs, strict=True))
            ratio = statistics.median(other / one for one, other in pairs)
            verdict = "" if goal is None else f"   goal ≤ {goal:.0f}: {'reached' if ratio <= goal else 'MISSED'}"
            print(f"quotes at {options.rate}/s, {name}: {alone:.2f} ms in quiet, {beside:.2f} ms beside "
                  f"{options.readers} streams, ratio {ratio:.2f}{verdict}", flush=True)


if __name__ == "__main__":
    main()
