"""Brings the source's tables into the service: contacts, items, campaigns with segments and discounts, activations.

Every write is an upsert by business key, so a second run changes nothing.
"""

import time
from collections.abc import Iterable
from typing import Any

from progress import Progress, Rates
from service import Service, ServiceError
from source import PRICE_SCALE, Source

PREFIX = "CJ-"
"""All numbers begin with this, to keep apart from whatever else the service holds."""


def contact_number(household_id: int) -> str:
    """The contact that a household becomes."""
    return f"{PREFIX}HH-{household_id}"


def item_number(product_id: int) -> str:
    """The item that a product becomes."""
    return f"{PREFIX}{product_id}"


def campaign_number(campaign_id: int) -> str:
    """The campaign that a campaign becomes; its segment has the same number."""
    return f"{PREFIX}{campaign_id}"


def decimal_text(units: int, scale: int) -> str:
    """A number of units of 1 / scale (a power of ten) as the API writes it."""
    digits = len(str(scale)) - 1
    whole, fraction = divmod(units, scale)
    return f"{whole}.{fraction:0{digits}d}".rstrip("0").rstrip(".")


def load(service: Service, source: Source, rates: Rates) -> int:
    """Loads and activates everything. Answers with the version of the price book that carries it all."""
    numbers = [campaign_number(campaign_id) for campaign_id in source.campaigns["campaign_id"]]
    _refuse_other_campaigns(service, numbers)
    _write(service, rates, "contacts", {"/v1/contacts": _contacts(source)})
    _write(service, rates, "items", {"/v1/items": _items(source)})
    _write(service, rates, "campaigns", {"/v1/campaigns": _campaigns(source)})
    _write(service, rates, "segments", {"/v1/segments": _segments(numbers)})
    lines = {f"/v1/segments/{number}/lines": [] for number in numbers}
    for campaign_id, household_id in source.targets.itertuples(index=False):
        path = f"/v1/segments/{campaign_number(campaign_id)}/lines"
        lines[path].append({"contactNumber": contact_number(household_id)})
    _write(service, rates, "segment lines", lines)
    _expect_counts(service, lines)
    discounts = {f"/v1/campaigns/{number}/discounts": [] for number in numbers}
    percents = dict(zip(source.campaigns["campaign_id"], source.campaigns["percent"], strict=True))
    for campaign_id, product_id in source.offers.itertuples(index=False):
        line = {"itemNumber": item_number(product_id), "lineDiscountPercent": str(percents[campaign_id])}
        discounts[f"/v1/campaigns/{campaign_number(campaign_id)}/discounts"].append(line)
    _write(service, rates, "discount lines", discounts)
    _expect_counts(service, discounts)
    return _activate(service, numbers, rates)


def _contacts(source: Source) -> list[dict[str, Any]]:
    """A household is a COMPANY: it is an account, which prices are granted to, and could become a customer.

    PERSON would stand for a member of it, whom the data set does not know. A person without company is an account too,
    but every activation would warn of them, and they could never be a customer. Without customer an account has no
    groups and takes prices without tax, which is all that is needed here.
    """
    return [
        {"number": contact_number(household), "type": "COMPANY", "name": f"Household {household}"}
        for household in source.households
    ]


def _items(source: Source) -> list[dict[str, Any]]:
    return [
        {
            "number": item_number(product.product_id),
            "description": product.description,
            "listPrice": decimal_text(product.list_price, PRICE_SCALE),
        }
        for product in source.products.itertuples(index=False)
    ]


def _campaigns(source: Source) -> list[dict[str, Any]]:
    return [
        {
            "number": campaign_number(campaign.campaign_id),
            "description": f"Complete Journey campaign {campaign.campaign_id}",
            "type": campaign.campaign_type.upper().replace(" ", "-"),
            "startingDate": campaign.start_date.date().isoformat(),
            "endingDate": campaign.end_date.date().isoformat(),
        }
        for campaign in source.campaigns.itertuples(index=False)
    ]


def _segments(numbers: list[str]) -> list[dict[str, Any]]:
    return [
        {
            "number": number,
            "description": f"Households of campaign {number}",
            "campaignNumber": number,
            "campaignTarget": True,
        }
        for number in numbers
    ]


def _write(service: Service, rates: Rates, what: str, rows_of: dict[str, list[Any]]) -> None:
    """Writes the rows of each path, with one progress bar for all."""
    with Progress(what, sum(map(len, rows_of.values())), rates) as progress:
        for path, rows in rows_of.items():
            service.write(path, rows, progress.advance)


def _expect_counts(service: Service, rows_of: dict[str, list[Any]]) -> None:
    """Makes sure that each list holds what was written and nothing else, say of an earlier state of this example."""
    for path, rows in rows_of.items():
        count = service.get(path, top=1, count="true")["count"]
        if count != len(rows):
            raise ServiceError(f"{path} has {count} rows where {len(rows)} were written; begin with an empty database")


def _refuse_other_campaigns(service: Service, numbers: Iterable[str]) -> None:
    """Refuses to go on where the full data set is published and the sample is to be checked."""
    standing = service.every("/v1/campaigns", filter=f"startswith(number, '{PREFIX}')")
    published = {campaign["number"] for campaign in standing if campaign["publicationVersion"] is not None}
    if others := sorted(published.difference(numbers)):
        raise ServiceError(
            f"campaigns are published whose discounts would count too: {', '.join(others)}; deactivate them, or begin "
            "with an empty database"
        )


def _activate(service: Service, numbers: list[str], rates: Rates) -> int:
    """Activates the campaigns. Their dates lie in the past, of which the service warns; that is meant."""
    newest = 0
    with Progress("activations", len(numbers), rates) as progress:
        for number in numbers:
            began = time.perf_counter()
            answer = service.post(f"/v1/campaigns/{number}/activations", {"acknowledge": ["*"]})
            rates.took("activation", time.perf_counter() - began)
            newest = max(newest, answer["version"])
            progress.advance(1)
    return newest
