#!/usr/bin/env python3
"""Measures plans for large audiences and segments by rule, over HTTP: the plan of a campaign with many lines for all accounts, and
the change of one contact while ten segments select contacts by rule.

    cargo build --profile dist --bin kampanje && bench/audiences.py

Talks to 127.0.0.1 only. The sizes of the defaults need some ten minutes and 2 GB of disk.
"""

import argparse
import statistics
import time

from service import Client, service

# The goals of the design.
PLAN_SECONDS, CHANGE_SECONDS = 3.0, 0.020
RULES = [
    "", "city eq 'Town 7'", "priceGroupCode eq 'GOLD'", "priceGroupCode in ('GOLD','IRON')", "city eq 'Town 1' or city eq 'Town 2'",
    "hasCustomer", "not (city eq 'Town 3')", "startswith(name,'Company 1')", "salesAmount(12) gt 100", "number eq 'C0000042'",
]


def seed(client: Client, contacts: int, items: int) -> None:
    """Contacts in fifty towns and three price groups, and items with a list price and a cost."""
    groups = [None, "GOLD", "IRON"]
    rows = [
        {"number": f"C{n:07}", "type": "COMPANY", "name": f"Company {n}", "city": f"Town {n % 50}",
         "customer": {"number": f"D{n:07}", "priceGroupCode": groups[n % 3]}}
        for n in range(contacts)]
    print(f"{contacts:,} contacts: {client.batch('/v1/contacts', rows):.1f} s", flush=True)
    rows = [{"number": f"I{n:06}", "listPrice": f"{n % 500 + 1}.95", "unitCost": f"{n % 500 * 0.6:.2f}"} for n in range(items)]
    print(f"{items:,} items: {client.batch('/v1/items', rows):.1f} s", flush=True)
    rows = [{"source": {"type": "CUSTOMER_PRICE_GROUP", "code": code}, "itemNumber": f"I{n:06}", "unitPrice": f"{n % 500}.90"}
            for code in ("GOLD", "IRON") for n in range(items)]
    print(f"{len(rows):,} prices of groups: {client.batch('/v1/prices', rows):.1f} s", flush=True)


def campaign(client: Client, number: str, rule: str, lines: int) -> None:
    """A campaign whose changes are published at once, for the contacts of a rule."""
    client.ask("PUT", f"/v1/campaigns/{number}", {"startingDate": "2031-01-01", "endingDate": "2031-12-31", "publishing": "AUTOMATIC"})
    client.ask("PUT", f"/v1/segments/{number}", {
        "campaignNumber": number, "campaignTarget": True, "membership": "RULE", "filter": rule})
    rows = [{"itemNumber": f"I{n:06}", "unitPrice": f"{n % 500 * 0.8 + 0.5:.2f}"} for n in range(lines)]
    client.batch(f"/v1/campaigns/{number}/prices", rows)


def timed(action) -> float:
    """The seconds that an action takes."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def main() -> None:
    """Seeds, plans, activates and changes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--contacts", type=int, default=1_000_000)
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--plans", type=int, default=5)
    parser.add_argument("--changes", type=int, default=50)
    options = parser.parse_args()
    with service() as (port, _):
        client = Client(port)
        seed(client, options.contacts, options.items)
        for share in (100, 10, 1):
            number = f"PLAN{share}"
            campaign(client, number, "", options.items // share)
            path = f"/v1/campaigns/{number}/activations"
            plan = client.ask("POST", path, {"validateOnly": True})
            times = [timed(lambda path=path: client.ask("POST", path, {"validateOnly": True})) for _ in range(options.plans)]
            prices = plan["plan"]["effectivePrices"]
            print(f"plan of {options.items // share:,} lines for {options.contacts:,} accounts: median {statistics.median(times):.2f} s "
                  f"({min(times):.2f} to {max(times):.2f}, goal {PLAN_SECONDS:.1f}), {prices['classes']} classes, compared {prices['compared']:,} prices", flush=True)
            for resource in ("segments", "campaigns"):
                client.call("DELETE", f"/v1/{resource}/{number}", if_match="*")
        for at, rule in enumerate(RULES):
            campaign(client, f"RULE{at}", rule, 10)
            took = timed(lambda at=at: client.ask("POST", f"/v1/campaigns/RULE{at}/activations", {"acknowledge": ["*"]}))
            print(f"activation for the contacts of {rule or 'everybody'!r}: {took:.2f} s", flush=True)
        for name, bodies in [
            ("another town", [{"city": "Town 7"}, {"city": "Town 8"}]),
            ("another price group", [{"customer": {"priceGroupCode": code}} for code in ("GOLD", "IRON")]),
            ("an objection to marketing, or none", [{"privacyBlocked": True}, {"privacyBlocked": False}]),
        ]:
            times = []
            for at in range(options.changes):
                path, body = f"/v1/contacts/C{(at % 10) * 7 + 42:07}", bodies[at % 2]
                times.append(timed(lambda path=path, body=body: client.call("PATCH", path, body, if_match="*", content_type="application/merge-patch+json")))
            print(f"{name} with {len(RULES)} rules: median {statistics.median(times) * 1e3:.1f} ms "
                  f"({min(times) * 1e3:.1f} to {max(times) * 1e3:.1f}, goal {CHANGE_SECONDS * 1e3:.0f})", flush=True)


if __name__ == "__main__":
    main()
