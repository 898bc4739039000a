"""Loads the Complete Journey data set into a running service, quotes and posts all its purchases, and checks all of it.

Exit code 0: all answers are right. 1: some are not, each is listed. 2: the service could not be used.
"""

import argparse
import os
import sys
import time
from decimal import Decimal

import pandas as pd

import expected
import loading
import replaying
import selling
import source
from progress import Rates
from quoting import NO_CAMPAIGN, SCALES, Answers, quote
from service import Service, ServiceError

MOST_LISTED = 100
"""At most so many differences are printed one by one."""


def main() -> int:
    """Runs the example. Answers with the exit code."""
    arguments = read_arguments()
    began = time.perf_counter()
    rates = Rates()
    data = source.load(sample=arguments.sample)
    print(
        f"{len(data.households):,} households, {len(data.products):,} products, {len(data.campaigns):,} campaigns with "
        f"{len(data.targets):,} households and {len(data.offers):,} discounts, {len(data.purchases):,} purchase lines",
        flush=True,
    )
    service = Service(arguments.base_url, arguments.api_key, connections=arguments.threads)
    try:
        version = loading.load(service, data, rates)
        answers = quote(service, data.purchases, version, arguments.threads, rates)
        selling.post(service, data.purchases, answers, rates)
        statistics = selling.statistics(service, data)
        replayed = replaying.differences(service, data, rates)
    except ServiceError as error:
        print(f"complete-journey: {error}", file=sys.stderr)
        return 2
    wanted = expected.expect(data)
    print_result(answers)
    print("\nRates")
    print("\n".join(f"  {line}" for line in rates.table()))
    print(f"  all: {time.perf_counter() - began:,.1f} s")
    differences = expected.differences(data, wanted, answers) + selling.differences(data, wanted, statistics) + replayed
    return print_verdict(differences, len(data.purchases), len(statistics))


def read_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="run", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sample", action="store_true", help="only a small part of the data, always the same")
    parser.add_argument("--base-url", default="http://127.0.0.1:8080", help="the service [default: %(default)s]")
    parser.add_argument(
        "--api-key", default=os.environ.get("KAMPANJE_API_KEY"), help="its API key [default: $KAMPANJE_API_KEY]"
    )
    parser.add_argument("--threads", type=int, default=4, help="how many quotes at once [default: %(default)s]")
    return parser.parse_args()


def print_result(answers: Answers) -> None:
    """Prints how many lines got a discount, from which campaign, and how much it comes to."""
    discounted = answers.lines[answers.lines["campaign_id"] != NO_CAMPAIGN]
    print(f"\n{len(discounted):,} of {len(answers.lines):,} lines got a campaign discount")
    for campaign_id, lines in discounted.groupby("campaign_id"):
        number = loading.campaign_number(campaign_id)
        print(f"  {number:<6}{len(lines):>9,} lines{money(lines['discount']):>14,.2f}")
    print(f"total discount given: {money(discounted['discount']):,.2f}")


def money(cents: pd.Series) -> Decimal:
    """The sum of amounts in cents, exact."""
    return Decimal(int(cents.sum())) / SCALES["discount"]


def print_verdict(differences: list[str], lines: int, campaigns: int) -> int:
    """Prints what the check came to. Answers with the exit code."""
    if not differences:
        print(
            f"\nChecked with pandas: all {lines:,} answers and the statistics of all {campaigns:,} campaigns are as "
            "expected."
        )
        return 0
    print(f"\nChecked with pandas: {len(differences):,} DIFFERENCES (amounts in their smallest units)", file=sys.stderr)
    for difference in differences[:MOST_LISTED]:
        print(f"  {difference}", file=sys.stderr)
    if len(differences) > MOST_LISTED:
        print(f"  and {len(differences) - MOST_LISTED:,} more", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
