"""Posts the purchases as the ERP would once they are invoiced, and checks the campaigns' statistics with pandas."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pandas as pd

from loading import PREFIX, campaign_number, contact_number, decimal_text, item_number
from progress import Progress, Rates
from quoting import NO_CAMPAIGN, SCALES, Answers
from service import Service
from source import Source

COMPARED = {
    "salesLines": ("lines", 1),
    "salesAmount": ("amount", SCALES["line_amount"]),
    "discountGiven": ("discount", SCALES["discount"]),
    "customersWhoBought": ("households", 1),
}
"""The figures that are compared, by the API's names: the column of the expectation, and its unit, 1 / scale."""


def post(service: Service, purchases: pd.DataFrame, answers: Answers, rates: Rates) -> None:
    """Posts every purchase line that got a price, with the reference of its quote."""
    with Progress("sales", len(purchases) - len(answers.problems), rates) as progress:
        service.write("/v1/sales", _rows(purchases, answers), progress.advance)


def _rows(purchases: pd.DataFrame, answers: Answers) -> Iterator[dict[str, Any]]:
    """A line of an invoice for each purchase line; what a household buys on a day is one document."""
    lines = zip(purchases.itertuples(index=False), answers.lines.itertuples(index=False), strict=True)
    for place, (purchase, answer) in enumerate(lines):
        if place in answers.problems:
            continue
        date = purchase.date.date().isoformat()
        row = {
            "documentType": "INVOICE",
            "documentNumber": f"{PREFIX}{purchase.household_id}-{date}",
            "lineNumber": place + 1,
            "postingDate": date,
            "contactNumber": contact_number(purchase.household_id),
            "itemNumber": item_number(purchase.product_id),
            "quantity": str(purchase.quantity),
            "lineAmount": decimal_text(answer.line_amount, SCALES["line_amount"]),
            "discountAmount": decimal_text(answer.discount, SCALES["discount"]),
            "publicationVersion": int(answer.version),
        }
        if place in answers.discount_lines:
            row["discountLineId"] = answers.discount_lines[place]
        yield row


def statistics(service: Service, source: Source) -> dict[int, dict[str, Any]]:
    """What the service says came of each campaign."""
    return {
        campaign_id: service.get(f"/v1/campaigns/{campaign_number(campaign_id)}/statistics")
        for campaign_id in source.campaigns["campaign_id"]
    }


def differences(source: Source, expected: pd.DataFrame, statistics: dict[int, dict[str, Any]]) -> list[str]:
    """Every difference between the statistics and what the source's tables come to, one line of text each."""
    owed = expected.assign(household_id=source.purchases["household_id"])
    owed = owed[owed["campaign_id"] != NO_CAMPAIGN].groupby("campaign_id")
    wanted = owed.agg(
        lines=("discount", "size"),
        amount=("line_amount", "sum"),
        discount=("discount", "sum"),
        households=("household_id", "nunique"),
    ).reindex(list(statistics), fill_value=0)
    listed = []
    for campaign_id, figures in statistics.items():
        for name, (column, scale) in COMPARED.items():
            want = Decimal(int(wanted.at[campaign_id, column])) / scale
            if Decimal(figures[name]) != want:
                listed.append(f"{campaign_number(campaign_id)}: {name} expected {want}, got {figures[name]}")
    return listed
