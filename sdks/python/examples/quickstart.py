"""A first campaign: an item, a customer, a campaign price, and the quote that results.

It can be run again: batches create what does not exist and change what does.
"""

import os
from datetime import date
from decimal import Decimal

from kampanje import Kampanje
from kampanje.models import (
    ActivationRequest,
    CampaignBatch,
    CampaignBatchRow,
    ContactBatch,
    ContactBatchRow,
    CustomerPatch,
    ItemBatch,
    ItemBatchRow,
    PricedLine,
    PriceLineBatch,
    PriceLineBatchRow,
    SegmentBatch,
    SegmentBatchRow,
    SegmentLineBatch,
    SegmentLineBatchRow,
)

url = os.environ.get("KAMPANJE_URL", "http://localhost:8080")
with Kampanje(url, os.environ.get("KAMPANJE_API_KEY")) as kampanje:
    desk = ItemBatchRow(
        number="DESK", description="Desk", list_price=Decimal(400), tax_percent=Decimal(25)
    )
    kampanje.items.batch(ItemBatch(rows=[desk]))
    customer = CustomerPatch(number="D100")
    acme = ContactBatchRow(number="ACME", type="COMPANY", name="Acme", customer=customer)
    kampanje.contacts.batch(ContactBatch(rows=[acme]))
    spring = CampaignBatchRow(
        number="SPRING", starting_date=date(2031, 5, 1), ending_date=date(2031, 5, 31)
    )
    kampanje.campaigns.batch(CampaignBatch(rows=[spring]))
    fair = SegmentBatchRow(number="FAIR", campaign_number="SPRING", campaign_target=True)
    kampanje.segments.batch(SegmentBatch(rows=[fair]))
    line = SegmentLineBatchRow(contact_number="ACME")
    kampanje.segment_lines.batch("FAIR", SegmentLineBatch(rows=[line]))
    price = PriceLineBatchRow(item_number="DESK", unit_price=Decimal(350))
    kampanje.campaign_prices.batch("SPRING", PriceLineBatch(rows=[price]))

    plan = kampanje.campaigns.activate("SPRING", ActivationRequest(validate_only=True))
    for finding in plan.findings:
        print(f"{finding.severity} {finding.code}: {finding.detail}")
    kampanje.campaigns.activate("SPRING", ActivationRequest(plan_hash=plan.plan_hash))

    # The quote waits for the version of the price book that the activation has made.
    quote = kampanje.price_quotes.get(
        contact_number="ACME", item_number="DESK", date=date(2031, 5, 15)
    )
    for answer in quote.lines:
        if isinstance(answer, PricedLine):
            print(f"Acme pays {answer.unit_price}")
