"""The scenario, played with the models and functions of openapi-python-client."""

import os
import time
from collections.abc import Callable
from datetime import date
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

from generated import AuthenticatedClient, models as m
from generated.api.activation import activate_campaign, deactivate_campaign
from generated.api.campaigns import batch_campaigns, create_campaign, get_campaign, update_campaign
from generated.api.contacts import create_contact
from generated.api.events import list_events
from generated.api.price_quotes import get_price_quote, list_effective_prices
from generated.api.prices_and_discounts import create_campaign_price
from generated.api.reference_data import batch_items, list_items, put_item
from generated.api.segments import create_segment_line, put_segment
from generated.types import UNSET, Response, Unset

T = TypeVar("T")

RUN = f"OP{time.time_ns() // 1_000_000:X}"
ITEM, COMPANY, PERSON = f"{RUN}-DESK", f"{RUN}-ACME", f"{RUN}-ANNE"
CAMPAIGN, SEGMENT = f"{RUN}-SPRING", f"{RUN}-FAIR"
DATE = date(2031, 5, 15)
client = AuthenticatedClient(
    base_url=os.environ["KAMPANJE_URL"], token=os.environ.get("KAMPANJE_API_KEY", "")
)
steps = 0


def step(name: str) -> Callable[[Callable[[], T]], T]:
    """Runs a step immediately; its name stands for its result."""

    def run(action: Callable[[], T]) -> T:
        global steps
        steps += 1
        try:
            return action()
        except BaseException as error:
            error.args = (f"step {steps} failed: {name}", *error.args)
            raise

    return run


def ok(kind: type[T], answer: Response[Any]) -> T:
    assert isinstance(answer.parsed, kind), (answer.status_code, answer.content)
    return answer.parsed


def refused(answer: Response[Any], status: int) -> m.Problem:
    assert answer.status_code == status, (answer.status_code, answer.content)
    return ok(m.Problem, answer)


def unit_price(quote: m.PriceQuote) -> str:
    line = quote.lines[0]
    assert isinstance(line, m.PricedLine), line
    return line.unit_price


@step("create an item with exact decimals")
def _item() -> None:
    body = m.ItemWrite(description="Desk", list_price="400.10", tax_percent="25")
    answer = put_item.sync_detailed(ITEM, client=client, body=body, if_none_match="*")
    assert answer.status_code == 201
    assert ok(m.Item, answer).list_price == "400.1"


@step("create a customer and a person")
def _contacts() -> None:
    acme = m.ContactWrite(
        number=COMPANY,
        type_=m.ContactType.COMPANY,
        name="Acme",
        customer=m.CustomerWrite(number=f"{RUN}-D1"),
    )
    ok(m.Contact, create_contact.sync_detailed(client=client, body=acme))
    anne = m.ContactWrite(
        number=PERSON, type_=m.ContactType.PERSON, name="Anne", company_number=COMPANY
    )
    created = ok(m.Contact, create_contact.sync_detailed(client=client, body=anne))
    assert created.company_number == COMPANY


@step("create a campaign")
def _campaign() -> None:
    body = m.CampaignWrite(
        number=CAMPAIGN,
        description="Spring",
        starting_date=date(2031, 5, 1),
        ending_date=date(2031, 5, 31),
    )
    created = ok(m.Campaign, create_campaign.sync_detailed(client=client, body=body))
    assert (created.state, created.starting_date) == ("DRAFT", date(2031, 5, 1))


@step("target the person")
def _segment() -> None:
    body = m.SegmentWrite(campaign_number=CAMPAIGN, campaign_target=True)
    ok(m.Segment, put_segment.sync_detailed(SEGMENT, client=client, body=body))
    person = m.SegmentLineCreate(contact_number=PERSON)
    line = create_segment_line.sync_detailed(SEGMENT, client=client, body=person)
    assert ok(m.SegmentLine, line).contact_number == PERSON


@step("add a price")
def _price() -> None:
    body = m.PriceLineWrite(item_number=ITEM, unit_price="350")
    price = create_campaign_price.sync_detailed(CAMPAIGN, client=client, body=body)
    assert ok(m.PriceLine, price).unit_price == "350"


@step("plan the activation")
def plan() -> m.ActivationResult:
    body = m.ActivationRequest(validate_only=True)
    return ok(
        m.ActivationResult, activate_campaign.sync_detailed(CAMPAIGN, client=client, body=body)
    )


@step("activate")
def version() -> int:
    body = m.ActivationRequest(plan_hash=plan.plan_hash, acknowledge=["*"])
    answer = activate_campaign.sync_detailed(CAMPAIGN, client=client, body=body)
    ok(m.ActivationResult, answer)
    return int(answer.headers["publication-version"])


def quote(at_least: int) -> m.PriceQuote:
    return ok(
        m.PriceQuote,
        get_price_quote.sync_detailed(
            client=client,
            contact_number=COMPANY,
            item_number=ITEM,
            date=DATE,
            explain=True,
            min_publication_version=at_least,
        ),
    )


@step("quote with an explanation, at the version just made")
def _quote() -> None:
    answer = quote(version)
    assert unit_price(answer) == "350"
    assert isinstance(answer.lines[0], m.PricedLine)
    assert not isinstance(answer.lines[0].trace, Unset)


@step("write a batch")
def _batch() -> None:
    rows = [
        m.ItemBatchRow(number=f"{RUN}-LAMP-{at}", description="Lamp", list_price=f"{at + 1}.05")
        for at in range(5)
    ]
    answer = batch_items.sync_detailed(client=client, body=m.ItemBatch(rows=rows))
    assert [receipt.status for receipt in ok(m.BatchReceipts, answer).receipts] == [201] * 5


@step("read a list page by page")
def _pages() -> None:
    sizes = []
    cursor: str | Unset = UNSET
    while True:
        page = ok(
            m.ItemPage,
            list_items.sync_detailed(
                client=client,
                filter_=f"startswith(number, '{RUN}-LAMP')",
                top=2,
                orderby="number",
                cursor=cursor,
            ),
        )
        sizes.append(len(page.value))
        if isinstance(page.next_link, Unset):
            break
        cursor = parse_qs(urlsplit(page.next_link).query)["cursor"][0]
    assert sizes == [2, 2, 1]


@step("be refused with an outdated entity tag")
def _outdated() -> None:
    body = m.CampaignPatch(description="x")
    refused(
        update_campaign.sync_detailed(CAMPAIGN, client=client, body=body, if_match='"outdated"'),
        412,
    )


def change(body: m.CampaignPatch) -> m.Campaign:
    read = get_campaign.sync_detailed(CAMPAIGN, client=client)
    ok(m.Campaign, read)
    answer = update_campaign.sync_detailed(
        CAMPAIGN, client=client, body=body, if_match=read.headers["etag"]
    )
    return ok(m.Campaign, answer)


@step("change: an absent field stays, and None removes")
def _change() -> None:
    capped = change(m.CampaignPatch(description="Spring sale", max_discount_percent="20"))
    assert capped.max_discount_percent == "20"
    cleared = change(m.CampaignPatch(max_discount_percent=None))
    assert (cleared.description, cleared.max_discount_percent) == ("Spring sale", None)


@step("get every error of a refused request")
def _errors() -> None:
    rows = [
        m.CampaignBatchRow(
            number=f"{RUN}-{name}", starting_date=date(2031, 6, 2), ending_date=date(2031, 6, 1)
        )
        for name in "AB"
    ]
    answer = batch_campaigns.sync_detailed(client=client, body=m.CampaignBatch(rows=rows))
    problem = refused(answer, 422)
    assert problem.code == "VALIDATION_FAILED"
    pointers = sorted(error.pointer for error in problem.errors)
    assert pointers == ["/rows/0/endingDate", "/rows/1/endingDate"]


@step("read the price list")
def _list() -> None:
    answer = list_effective_prices.sync_detailed(client=client, contact_number=COMPANY, date=DATE)
    prices = {
        row.item_number: row.unit_price
        for row in ok(m.EffectivePricePage, answer).value
        if isinstance(row, m.EffectivePricePriced)
    }
    assert prices[ITEM] == "350"


@step("read the events")
def _events() -> None:
    after = 0
    while True:
        page = ok(m.EventPage, list_events.sync_detailed(client=client, after=after, top=500))
        assert page.value, "no event of the publication"
        for event in page.value:
            after = event.sequence
            if isinstance(event, m.PublicationCreatedEvent):
                if event.data.campaign_number == CAMPAIGN:
                    assert event.data.version == version
                    return


@step("deactivate")
def _deactivate() -> None:
    answer = deactivate_campaign.sync_detailed(CAMPAIGN, client=client)
    publication = ok(m.Publication, answer)
    assert publication.version > version
    assert unit_price(quote(publication.version)) == "400.1"


print(f"openapi-python-client: {steps} steps passed")
