"""Asks the service for the price of every purchase line."""

import itertools
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from loading import PREFIX, contact_number, item_number
from progress import Progress, Rates
from service import Service, ServiceError
from source import PRICE_SCALE

DOCUMENT_LINES = 1_000
"""The most lines of one document."""

DOCUMENTS_AT_ONCE = 2_000
"""So many documents are handed to the threads at a time; after an error no more than these are asked for."""

NO_CAMPAIGN = 0
"""Stands for no discount."""

SCALES = {"unit_price": PRICE_SCALE, "percent": 100_000, "gross": 100, "discount": 100, "line_amount": 100}
"""The columns of an answer that are decimals, each kept as a whole number of 1 / scale."""

FIELDS = {
    "unit_price": "unitPrice",
    "percent": "lineDiscountPercent",
    "gross": "grossAmount",
    "discount": "discountAmount",
    "line_amount": "lineAmount",
}
"""How the API calls these columns."""


@dataclass
class Answers:
    """What the service answered, for the purchase lines in their order.

    lines: `campaign_id` (NO_CAMPAIGN without discount), the columns of SCALES, and `version`, that of the price book.
    discount_lines: by the place of the line, the id of the discount line that it was quoted with, if any.
    problems: by the place of the line, why it has no price or why its answer is not what was asked.
    total_discount: the sum of the documents' own totals.
    """

    lines: pd.DataFrame
    discount_lines: dict[int, str] = field(default_factory=dict)
    problems: dict[int, str] = field(default_factory=dict)
    total_discount: Decimal = Decimal(0)


def quote(service: Service, purchases: pd.DataFrame, version: int, threads: int, rates: Rates) -> Answers:
    """Quotes all purchase lines: one document for each household and date, several at once.

    A document has one contact and one date, and what a household buys on a day is what an order would hold.
    """
    columns = {name: np.zeros(len(purchases), dtype="int64") for name in ("campaign_id", "version", *SCALES)}
    answers = Answers(pd.DataFrame())
    items = [item_number(product_id) for product_id in purchases["product_id"]]
    quantities = [str(quantity) for quantity in purchases["quantity"]]
    documents = _documents(purchases)
    lock = threading.Lock()

    def ask(document: tuple[dict[str, Any], int, int]) -> None:
        head, begin, end = document
        lines = zip(items[begin:end], quantities[begin:end], strict=True)
        body = head | {"lines": [{"itemNumber": item, "quantity": quantity} for item, quantity in lines]}
        began = time.perf_counter()
        answer = service.post("/v1/price-quotes", body, minPublicationVersion=version)
        seconds = time.perf_counter() - began
        if len(answer["lines"]) != end - begin:
            raise ServiceError(f"{len(answer['lines'])} answers came for the {end - begin} lines of {head}")
        with lock:
            rates.took("quote", seconds)
            answers.total_discount += Decimal(answer["totals"]["discountAmount"])
            columns["version"][begin:end] = answer["publicationVersion"]
            for place, line in enumerate(answer["lines"], start=begin):
                if discount_line := line.get("discountLine"):
                    answers.discount_lines[place] = discount_line["id"]
                if problem := _keep(line, place, columns):
                    answers.problems[place] = problem
        progress.advance(end - begin)

    with Progress("purchase lines", len(purchases), rates) as progress, ThreadPoolExecutor(threads) as pool:
        began = time.perf_counter()
        for start in range(0, len(documents), DOCUMENTS_AT_ONCE):
            for _ in pool.map(ask, documents[start : start + DOCUMENTS_AT_ONCE]):
                pass
        rates.done("quotes", len(documents), time.perf_counter() - began)
    answers.lines = pd.DataFrame(columns)
    return answers


def _documents(purchases: pd.DataFrame) -> list[tuple[dict[str, Any], int, int]]:
    """The head of each document, and where its lines begin and end."""
    documents = []
    sizes = purchases.groupby(["household_id", "date"], sort=True).size()
    begin = 0
    for (household_id, date), size in sizes.items():
        head = {"contactNumber": contact_number(household_id), "date": date.date().isoformat()}
        edges = [*range(begin, begin + size, DOCUMENT_LINES), begin + size]
        documents += [(head, first, last) for first, last in itertools.pairwise(edges)]
        begin += size
    return documents


def _keep(line: dict[str, Any], place: int, columns: dict[str, np.ndarray]) -> str | None:
    """Keeps the answer to one line. Answers with what is wrong with it, if anything is."""
    if "problem" in line:
        return f"{line['problem']['code']}: {line['problem']['detail']}"
    for name, scale in SCALES.items():
        units = whole(line[FIELDS[name]], scale)
        if units is None:
            return f"{FIELDS[name]} is {line[FIELDS[name]]}, which is finer than 1/{scale}"
        columns[name][place] = units
    if line["discountLine"] is not None:
        number = line["discountLine"]["source"].get("campaignNumber", "")
        if not number.startswith(PREFIX):
            return f"the discount comes from {line['discountLine']['source']}"
        columns["campaign_id"][place] = int(number.removeprefix(PREFIX))
    if line["source"] != {"type": "LIST_PRICE"}:
        return f"the price comes from {line['source']}"
    return None


@lru_cache(maxsize=1 << 16)
def whole(text: str, scale: int) -> int | None:
    """A decimal of the API as a whole number of 1 / scale; None if it is not one."""
    units = Decimal(text) * scale
    return int(units) if units == units.to_integral_value() else None
