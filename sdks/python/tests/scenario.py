"""The scenario that every SDK plays, directly and through the hostile proxy."""

import os
import time
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import TypeVar

from kampanje import Kampanje, ProblemException, RequestOptions, Unknown, meta_of
from kampanje import models as m

T = TypeVar("T")

HOSTILE = os.environ.get("KAMPANJE_HOSTILE") == "1"
RUN = f"PY{time.time_ns() // 1_000_000:X}"
kampanje = Kampanje(os.environ["KAMPANJE_URL"], os.environ.get("KAMPANJE_API_KEY"))
ITEM, COMPANY, PERSON = f"{RUN}-DESK", f"{RUN}-ACME", f"{RUN}-ANNE"
CAMPAIGN, SEGMENT = f"{RUN}-SPRING", f"{RUN}-FAIR"
DATE = date(2031, 5, 15)
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


def unit_price(quote: m.PriceQuote) -> Decimal:
    line = quote.lines[0]
    assert isinstance(line, m.PricedLine), line
    return line.unit_price


@step("create an item with exact decimals")
def _item() -> None:
    body = m.ItemWrite(description="Desk", list_price=Decimal("400.10"), tax_percent=Decimal(25))
    created = kampanje.items.put(ITEM, body, if_none_match="*")
    assert created.list_price == Decimal("400.1")
    meta = meta_of(created)
    assert meta is not None and meta.status == 201


@step("create a customer and a person")
def _contacts() -> None:
    customer = m.CustomerWrite(number=f"{RUN}-D1")
    acme = m.ContactWrite(number=COMPANY, type="COMPANY", name="Acme", customer=customer)
    kampanje.contacts.create(acme)
    person = m.ContactWrite(number=PERSON, type="PERSON", name="Anne", company_number=COMPANY)
    assert kampanje.contacts.create(person).company_number == COMPANY


@step("create a campaign")
def created() -> m.Campaign:
    body = m.CampaignWrite(
        number=CAMPAIGN,
        description="Spring",
        starting_date=date(2031, 5, 1),
        ending_date=date(2031, 5, 31),
    )
    return kampanje.campaigns.create(body)


assert created.state == ("STATE_OF_THE_FUTURE" if HOSTILE else "DRAFT")
assert created.starting_date == date(2031, 5, 1)


@step("target the person")
def _segment() -> None:
    body = m.SegmentWrite(campaign_number=CAMPAIGN, campaign_target=True)
    kampanje.segments.put(SEGMENT, body)
    line = kampanje.segment_lines.create(SEGMENT, m.SegmentLineCreate(contact_number=PERSON))
    assert line.contact_number == PERSON


@step("add a price")
def _price() -> None:
    body = m.PriceLineWrite(item_number=ITEM, unit_price=Decimal(350))
    assert kampanje.campaign_prices.create(CAMPAIGN, body).unit_price == 350


@step("plan the activation")
def plan() -> m.ActivationResult:
    return kampanje.campaigns.activate(CAMPAIGN, m.ActivationRequest(validate_only=True))


@step("activate")
def version() -> int:
    body = m.ActivationRequest(plan_hash=plan.plan_hash, acknowledge=["*"])
    meta = meta_of(kampanje.campaigns.activate(CAMPAIGN, body))
    assert meta is not None and meta.version is not None
    assert kampanje.session is not None and kampanje.session.version == meta.version
    return meta.version


@step("quote with an explanation, at the version just made")
def _quote() -> None:
    quote = kampanje.price_quotes.get(
        contact_number=COMPANY, item_number=ITEM, date=DATE, explain=True
    )
    assert quote.publication_version >= version
    assert unit_price(quote) == 350
    assert isinstance(quote.lines[0], m.PricedLine) and quote.lines[0].trace is not None


@step("write a batch")
def _batch() -> None:
    rows = [
        m.ItemBatchRow(
            number=f"{RUN}-LAMP-{at}", description="Lamp", list_price=Decimal(f"{at + 1}.05")
        )
        for at in range(5)
    ]
    receipts = kampanje.items.batch(m.ItemBatch(rows=rows)).receipts
    assert [receipt.status for receipt in receipts] == [201] * 5


@step("read a list page by page")
def _pages() -> None:
    filter = f"startswith(number, '{RUN}-LAMP')"
    pages = kampanje.items.list(filter=filter, top=2, orderby="number").pages()
    assert [len(page.value) for page in pages] == [2, 2, 1]
    lamps = kampanje.items.list(filter=filter, top=2, orderby="number desc").take(3)
    assert [str(lamp.list_price) for lamp in lamps] == ["5.05", "4.05", "3.05"]


@step("be refused with an outdated entity tag")
def _outdated() -> None:
    try:
        kampanje.campaigns.update(CAMPAIGN, m.CampaignPatch(description="x"), if_match='"old"')
    except ProblemException as problem:
        assert problem.status == 412
    else:
        raise AssertionError("an outdated tag was accepted")


@step("modify: an absent field stays, and None removes")
def _modify() -> None:
    reads = 0

    def append(current: m.Campaign) -> m.CampaignPatch:
        nonlocal reads
        reads += 1
        if reads == 1:
            # Somebody else is faster.
            other = m.CampaignPatch(max_discount_percent=Decimal(20))
            kampanje.campaigns.update(CAMPAIGN, other, if_match="*")
        return m.CampaignPatch(description=f"{current.description} sale")

    modified = kampanje.campaigns.modify(CAMPAIGN, append)
    assert reads == 2
    assert (modified.description, modified.max_discount_percent) == ("Spring sale", Decimal(20))
    clear = m.CampaignPatch(max_discount_percent=None)
    cleared = kampanje.campaigns.modify(CAMPAIGN, lambda _: clear)
    assert (cleared.description, cleared.max_discount_percent) == ("Spring sale", None)
    meta = meta_of(cleared)
    assert meta is not None
    write = m.to_campaign_write(cleared)
    assert kampanje.campaigns.put(CAMPAIGN, write, if_match=meta.etag).description == "Spring sale"


@step("get every error of a refused request")
def _errors() -> None:
    rows = [
        m.CampaignBatchRow(
            number=f"{RUN}-{name}", starting_date=date(2031, 6, 2), ending_date=date(2031, 6, 1)
        )
        for name in "AB"
    ]
    try:
        kampanje.campaigns.batch(m.CampaignBatch(rows=rows))
    except ProblemException as problem:
        assert (problem.status, problem.code) == (422, "VALIDATION_FAILED")
        pointers = sorted(error.pointer for error in problem.errors)
        assert pointers == ["/rows/0/endingDate", "/rows/1/endingDate"]
        assert len(problem.trace_id or "") == 32
    else:
        raise AssertionError("the batch was accepted")


@step("stream the price list")
def _stream() -> None:
    rows = kampanje.effective_prices.stream(contact_number=COMPANY, date=DATE)
    prices = {
        row.item_number: row.unit_price for row in rows if isinstance(row, m.EffectivePricePriced)
    }
    assert prices[ITEM] == 350


@step("follow the events")
def _follow() -> None:
    sequences: list[int] = []
    unknown = 0
    for event in kampanje.events.follow(on_sequence=sequences.append):
        if isinstance(event, Unknown):
            unknown += 1
            assert event.type == "kampanje.future.event"
        elif isinstance(event, m.PublicationCreatedEvent):
            if event.data.campaign_number == CAMPAIGN:
                assert event.data.version == version
                break
    assert sequences
    assert (unknown > 0) == HOSTILE


@step("deactivate")
def _deactivate() -> None:
    publication = kampanje.campaigns.deactivate(
        CAMPAIGN, options=RequestOptions(idempotency_key=f"{RUN}-deactivate")
    )
    assert publication is not None and publication.version > version
    quote = kampanje.price_quotes.get(contact_number=COMPANY, item_number=ITEM, date=DATE)
    assert unit_price(quote) == Decimal("400.1")


kampanje.close()
print(f"python: {steps} steps passed{' through the hostile proxy' if HOSTILE else ''}")
