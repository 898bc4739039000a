#!/usr/bin/env python3
"""Measures what it costs to know the caller of a quote: the same quotes with an API key, with the bootstrap key, and without
credentials, in interleaved rounds.

    cargo build --profile dist --bin kampanje && bench/authenticated.py

`--beside BINARY` measures another build with the bootstrap key in the same rounds. Needs wrk. Talks to 127.0.0.1 only.
"""

import argparse
import contextlib
import json
import statistics
import tempfile

import over_http
from service import Client, service

BOOTSTRAP = "bootstrap-key-of-a-benchmark-only-0123"


class KeyClient(Client):
    """A client with the bootstrap key."""

    def raw(self, method: str, path: str, body=None, **headers):
        return super().raw(method, path, body, authorization=f"Bearer {BOOTSTRAP}", **headers)


def script(token: str | None, body: str | None) -> str:
    """A wrk script with a token, which posts a body if there is one."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua", delete=False) as file:
        if token:
            file.write(f'wrk.headers["authorization"] = "Bearer {token}"\n')
        if body:
            file.write(f'wrk.method = "POST"\nwrk.headers["content-type"] = "application/json"\nwrk.body = {json.dumps(body)}\n')
        return file.name


def main() -> None:
    """Seeds, and measures a line and a document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--contacts", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--beside", metavar="BINARY", help="another build of the service")
    options = parser.parse_args()
    path = "/v1/price-quotes"
    get = f"{path}?contactNumber=C0000042&itemNumber=I000042&quantity=12&date=2031-05-15"
    document = json.dumps({"contactNumber": "C0000042", "date": "2031-05-15",
                           "lines": [{"itemNumber": f"I{n:06}", "quantity": "12"} for n in range(100)]}, separators=(",", ":"))
    with contextlib.ExitStack() as stack:
        open_port, open_child = stack.enter_context(service())
        port, child = stack.enter_context(service(KAMPANJE_API_KEY=BOOTSTRAP))
        targets = {"no credentials": (open_port, open_child, None), "bootstrap key": (port, child, BOOTSTRAP)}
        over_http.seed(Client(open_port), options.contacts, 10_000, 1_000)
        client = KeyClient(port)
        over_http.seed(client, options.contacts, 10_000, 1_000)
        key = client.ask("POST", "/v1/api-keys", {"name": "shop", "roles": ["SHOP"]})["secret"]
        targets["API key"] = (port, child, key)
        if options.beside:
            other_port, other = stack.enter_context(service(binary=options.beside, KAMPANJE_API_KEY=BOOTSTRAP))
            over_http.seed(KeyClient(other_port), options.contacts, 10_000, 1_000)
            targets["other build, bootstrap key"] = (other_port, other, BOOTSTRAP)
        for name, target, body in [("GET one line", get, None), ("POST 100 lines", path, document)]:
            measures = [
                lambda at=at, pid=process.pid, lua=script(token, body), target=target:
                    over_http.wrk(f"http://127.0.0.1:{at}{target}", pid, 1, 16, lua)
                for at, process, token in targets.values()]
            taken = dict(zip(targets, over_http.interleaved(options.rounds, *measures), strict=True))
            for who, rows in taken.items():
                ratios = ", ".join(
                    f"{over_http.ratio(rows, others, 'cpu'):.3f} of {other}" for other, others in taken.items() if other != who)
                print(f"{name:<15} {who:<27} {statistics.median(row['rate'] for row in rows):>9,.0f}/s "
                      f"{statistics.median(row['cpu'] for row in rows):>7.2f} us CPU: {ratios}   {over_http.load()}", flush=True)


if __name__ == "__main__":
    main()
