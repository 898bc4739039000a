"""Replays quotes of the past: what was answered once is answered again, whatever was published since."""

import itertools
import time
from collections.abc import Iterator
from typing import Any

from loading import PREFIX, campaign_number, contact_number, item_number
from progress import Rates
from service import Service
from source import Source

DOCUMENTS = 400
"""So many documents are asked for again, from all over the data."""


def differences(service: Service, data: Source, rates: Rates) -> list[str]:
    """Withdraws a campaign, and asks on for what was known before; then brings it back.

    Answers with what is not as it was. The campaign is the one with most discount lines. Afterwards the book says what it said before.
    """
    campaign = campaign_number(data.offers.groupby("campaign_id").size().idxmax())
    documents = list(_documents(data, campaign))
    before = [service.post("/v1/price-quotes", document) for document in documents]
    known = before[0]["publicationVersion"]
    wrong = []
    gone = service.post(f"/v1/campaigns/{campaign}/deactivations", {})["version"]
    affected = 0
    began = time.perf_counter()
    for document, answer in zip(documents, before, strict=True):
        again = service.post("/v1/price-quotes", document, publicationVersion=known)
        if again != answer:
            wrong.append(f"as of {known}, {document} is answered {again}, and was answered {answer}")
    rates.done("replays", len(documents), time.perf_counter() - began)
    for document, answer in zip(documents, before, strict=True):
        now = service.post("/v1/price-quotes", document, minPublicationVersion=gone)
        affected += _prices(now) != _prices(answer)
        if any(_is_of(line, campaign) for line in now["lines"]):
            wrong.append(f"{campaign} is withdrawn, and still grants {document} a price")
    back = service.post(f"/v1/campaigns/{campaign}/rollbacks", {"version": _last_before(service, campaign, gone)})
    for document, answer in zip(documents, before, strict=True):
        now = service.post("/v1/price-quotes", document, minPublicationVersion=back["version"])
        if _prices(now) != _prices(answer):
            wrong.append(f"{campaign} is back, and {document} is answered {now} instead of {answer}")
    print(
        f"\n{campaign} withdrawn and brought back: {len(documents):,} documents replayed as of version {known:,}, "
        f"{affected:,} of them cost something else without it"
    )
    if affected == 0:
        wrong.append(f"none of the documents depends on {campaign}: the replay shows nothing")
    return wrong


def _last_before(service: Service, campaign: str, before: int) -> int:
    """The last publication of a campaign before a version."""
    question = f"campaignNumber eq '{campaign}' and version lt {before}"
    return service.get("/v1/publications", filter=question, top=1)["value"][0]["version"]


def _documents(data: Source, campaign: str) -> Iterator[dict[str, Any]]:
    """Documents of the campaign's households on its first day, and others, each with some of the items."""
    number = int(campaign.removeprefix(PREFIX))
    offered = data.offers[data.offers["campaign_id"] == number]["product_id"].unique()
    targeted = data.targets[data.targets["campaign_id"] == number]["household_id"].unique()
    day = data.campaigns[data.campaigns["campaign_id"] == number]["start_date"].iloc[0].date().isoformat()
    households = [*targeted, *data.households]
    for place, household in enumerate(itertools.islice(itertools.cycle(households), DOCUMENTS)):
        items = [offered[(place * 7 + step) % len(offered)] for step in range(10)]
        lines = [{"itemNumber": item_number(item), "quantity": "3"} for item in items]
        yield {"contactNumber": contact_number(household), "date": day, "lines": lines}


def _is_of(line: dict[str, Any], campaign: str) -> bool:
    used = [line.get("priceLine"), line.get("discountLine")]
    return any(one and one["source"].get("campaignNumber") == campaign for one in used)


def _prices(answer: dict[str, Any]) -> list[tuple[Any, ...]]:
    names = ("unitPrice", "lineDiscountPercent", "grossAmount", "discountAmount", "lineAmount")
    return [tuple(line.get(name) for name in names) for line in answer["lines"]]
