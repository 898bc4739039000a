"""Reckons with pandas what the service has to answer, from the source's tables alone, and compares.

The rules are those of the price book: of the campaigns that hold the household, the product and the date the highest
percent wins, then the earlier starting date. (The minimum quantities are all 0. After them the ids of the lines would
decide, which only the service knows; the data set has no such case, and one is refused here.) All numbers are whole
numbers; no binary float is compared.
"""

import pandas as pd

from quoting import NO_CAMPAIGN, SCALES, Answers
from source import PRICE_SCALE, Source, divide_half_up

COMPARED = ["campaign_id", *SCALES]
"""The columns in which expectation and answer have to agree."""


def expect(source: Source) -> pd.DataFrame:
    """For each purchase line, in order, the columns COMPARED as they have to be."""
    purchases = source.purchases
    expected = pd.DataFrame(index=purchases.index)
    list_price = source.products.set_index("product_id")["list_price"]
    expected["unit_price"] = purchases["product_id"].map(list_price)
    expected["gross"] = divide_half_up(expected["unit_price"] * purchases["quantity"], PRICE_SCALE // SCALES["gross"])
    winners = _winners(source)
    expected["campaign_id"] = winners["campaign_id"].reindex(purchases.index, fill_value=NO_CAMPAIGN)
    percent = winners["percent"].reindex(purchases.index, fill_value=0)
    expected["percent"] = percent * SCALES["percent"]
    expected["discount"] = divide_half_up(expected["gross"] * percent, 100)
    expected["line_amount"] = expected["gross"] - expected["discount"]
    return expected[COMPARED]


def _winners(source: Source) -> pd.DataFrame:
    """The campaign whose discount wins, with its percent, for each purchase line that gets one."""
    candidates = [_candidates(source, campaign) for campaign in source.campaigns.itertuples(index=False)]
    candidates = pd.concat(candidates).sort_values(["place", "percent", "start_date"], ascending=[True, False, True])
    if candidates.duplicated(["place", "percent", "start_date"]).any():
        raise ValueError("campaigns alike in percent and starting date discount the same purchase line")
    return candidates.drop_duplicates("place").set_index("place")[["campaign_id", "percent"]]


def _candidates(source: Source, campaign: tuple) -> pd.DataFrame:
    """The purchase lines that a campaign discounts: by its households, of its products, within its dates."""
    targets = source.targets.loc[source.targets["campaign_id"] == campaign.campaign_id, "household_id"]
    offers = source.offers.loc[source.offers["campaign_id"] == campaign.campaign_id, "product_id"]
    purchases = source.purchases
    found = purchases[
        purchases["date"].between(campaign.start_date, campaign.end_date, inclusive="both")
        & purchases["household_id"].isin(targets)
        & purchases["product_id"].isin(offers)
    ]
    return pd.DataFrame(
        {
            "place": found.index,
            "campaign_id": campaign.campaign_id,
            "percent": campaign.percent,
            "start_date": campaign.start_date,
        }
    )


def differences(source: Source, expected: pd.DataFrame, answers: Answers) -> list[str]:
    """Every difference between expectation and answers, one line of text each."""
    purchases = source.purchases
    answered = answers.lines[COMPARED]
    unequal = (expected.to_numpy() != answered.to_numpy()).any(axis=1)
    places = sorted(set(purchases.index[unequal]) | set(answers.problems))
    listed = [_difference(place, purchases, expected, answered, answers.problems.get(place)) for place in places]
    total = int(expected["discount"].sum())
    if answers.total_discount * SCALES["discount"] != total:
        given = f"{answers.total_discount * SCALES['discount']} cents"
        listed.append(f"the documents' totals of discounts add up to {given}, expected are {total} cents")
    return listed


def _difference(
    place: int, purchases: pd.DataFrame, expected: pd.DataFrame, answered: pd.DataFrame, problem: str | None
) -> str:
    line = purchases.loc[place]
    asked = f"household {line.household_id}, {line.date.date()}, product {line.product_id}, quantity {line.quantity}"
    if problem:
        return f"line {place} ({asked}): {problem}"
    parts = [
        f"{column} expected {expected.at[place, column]}, got {answered.at[place, column]}"
        for column in COMPARED
        if expected.at[place, column] != answered.at[place, column]
    ]
    return f"line {place} ({asked}): " + "; ".join(parts)
