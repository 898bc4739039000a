"""The core against a service that misbehaves in one way at a time."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timezone
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from kampanje import (
    UNSET,
    ConnectionFailed,
    Kampanje,
    NotModified,
    ProblemException,
    RequestOptions,
    ResponseError,
    Session,
    TimedOut,
    Unknown,
    meta_of,
    to_json,
    webhooks,
)
from kampanje import models as m
from kampanje._codec import decode

Answer = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class Seen:
    method: str
    url: str
    headers: dict[str, str]
    body: str


@contextmanager
def service(*answers: Answer, **options: Any) -> Iterator[tuple[Kampanje, list[Seen]]]:
    """A server that gives each request the next answer, the last one repeatedly."""
    seen: list[Seen] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
            headers = {name.lower(): value for name, value in self.headers.items()}
            seen.append(Seen(self.command, self.path, headers, body))
            answers[min(len(seen), len(answers)) - 1](self)

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = handle_any

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    client = Kampanje(f"http://127.0.0.1:{server.server_port}", api_key="secret", **options)
    try:
        with client:
            yield client, seen
    finally:
        server.shutdown()
        server.server_close()


def reply(status: int, value: Any, media: str = "application/json", **headers: str) -> Answer:
    body = value.encode() if isinstance(value, str) else json.dumps(value).encode()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("content-type", media)
        handler.send_header("content-length", str(len(body)))
        for name, text in headers.items():
            handler.send_header(name.replace("_", "-"), text)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def problem(status: int, code: str, **headers: str) -> Answer:
    return reply(status, {"code": code, "detail": "a sentence", "errors": []}, **headers)


def lost(handler: BaseHTTPRequestHandler) -> None:
    handler.close_connection = True
    handler.connection.close()


ITEM: dict[str, Any] = {
    "id": "0190b5c2-7d5e-7000-8000-000000000001",
    "number": "DESK",
    "description": "Desk",
    "baseUnitOfMeasureCode": "PCS",
    "listPrice": "400.10",
    "unitCost": None,
    "priceIncludesTax": False,
    "taxPercent": None,
    "itemDiscountGroupCode": None,
    "blocked": False,
    "unitsOfMeasure": [],
    "createdBy": "local",
    "updatedBy": "local",
    "updatedAt": "2031-05-15T08:30:00.123456Z",
    "variants": [],
    "fieldOfTheFuture": 1,
}
WRITE = m.ItemCreate(number="DESK", description="Desk")


def test_a_lost_response_is_fetched_again_under_the_same_key() -> None:
    with service(lost, reply(201, ITEM, idempotency_replayed="true", etag='"a"')) as (client, seen):
        created = client.items.create(WRITE)
        assert seen[0].headers["idempotency-key"] == seen[1].headers["idempotency-key"]
        meta = meta_of(created)
        assert meta is not None
        assert (meta.replayed, meta.attempts, meta.etag) == (True, 2, '"a"')
        client.items.create(WRITE)
        assert seen[0].headers["idempotency-key"] != seen[2].headers["idempotency-key"]
        client.items.create(WRITE, options=RequestOptions(idempotency_key="mine"))
        assert seen[3].headers["idempotency-key"] == "mine"


def test_a_response_that_ends_too_early_is_fetched_again() -> None:
    def short(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("content-type", "application/json")
        handler.send_header("content-length", "100")
        handler.end_headers()
        handler.wfile.write(b'{"number": "DE')
        handler.close_connection = True

    with service(short, reply(200, '{"number": "DE'), reply(200, ITEM)) as (client, seen):
        assert client.items.get("DESK").list_price == Decimal("400.10")
        assert len(seen) == 3


def test_refusals_that_pass_are_retried_and_others_are_not() -> None:
    passing = [
        problem(408, "REQUEST_TIMEOUT", retry_after="0"),
        problem(429, "TOO_MANY_REQUESTS", retry_after="0"),
        problem(503, "UNAVAILABLE", retry_after="0"),
        problem(409, "IDEMPOTENCY_IN_PROGRESS", retry_after="0"),
    ]
    with service(*passing, reply(201, ITEM)) as (client, seen):
        client.items.create(WRITE)
        assert len(seen) == 5
    for status, code in [(409, "CONFLICT"), (500, "INTERNAL"), (400, "BAD")]:
        with service(problem(status, code)) as (client, seen):
            with pytest.raises(ProblemException):
                client.items.create(WRITE)
            assert len(seen) == 1
    with service(problem(503, "UNAVAILABLE", retry_after="0"), max_retries=1) as (client, seen):
        with pytest.raises(ProblemException, match="UNAVAILABLE"):
            client.items.create(WRITE)
        assert len(seen) == 2


def test_a_creation_that_cannot_be_repeated_safely_is_not_repeated() -> None:
    with service(lost) as (client, seen):
        with pytest.raises(ConnectionFailed):
            client.api_keys.create(m.ApiKeyWrite(name="till", scopes=["quotes:read"]))
        assert len(seen) == 1
        assert "idempotency-key" not in seen[0].headers


def test_retry_after_is_waited_for() -> None:
    with service(problem(503, "UNAVAILABLE", retry_after="1"), reply(200, ITEM)) as (client, _):
        begin = time.monotonic()
        client.items.get("DESK")
        # A lower bound: the wait is not shorter, however slow the machine is.
        assert time.monotonic() - begin >= 0.95


def test_an_answer_that_is_no_problem_document_is_an_exception_too() -> None:
    with service(reply(502, "<h1>Bad Gateway</h1>", "text/html"), max_retries=0) as (client, _):
        with pytest.raises(ProblemException, match="HTTP_502"):
            client.items.get("DESK")


def test_problems_carry_their_errors_and_findings() -> None:
    finding = {
        "findingId": "0" * 32,
        "code": "NO_TARGETS",
        "severity": "ERROR",
        "pointer": "/segments",
        "detail": "d",
        "params": {},
    }
    document = {
        "code": "ACTIVATION_REFUSED",
        "detail": "two findings refuse it",
        "errors": [{"pointer": "/a", "code": "REQUIRED", "detail": "is required"}],
        "findings": [finding],
    }
    with service(reply(422, document)) as (client, _):
        with pytest.raises(ProblemException) as caught:
            client.campaigns.activate("SPRING")
    assert str(caught.value) == "ACTIVATION_REFUSED: two findings refuse it; /a: is required"
    assert caught.value.findings[0].code == "NO_TARGETS"


def test_a_changed_resource_is_read_and_changed_again() -> None:
    def read(text: str) -> Answer:
        return reply(200, ITEM | {"description": text}, etag=f'"{text}"')

    outdated = problem(412, "PRECONDITION_FAILED")
    with service(read("a"), outdated, read("b"), read("b!")) as (client, seen):
        modified = client.items.modify(
            "DESK", lambda item: m.ItemPatch(description=f"{item.description}!")
        )
        assert modified.description == "b!"
        assert [one.method for one in seen] == ["GET", "PATCH", "GET", "PATCH"]
        assert seen[3].headers["if-match"] == '"b"'
        assert seen[3].headers["content-type"] == "application/merge-patch+json"
        assert seen[3].body == '{"description": "b!"}'
    with service(read("a")) as (client, seen):
        client.items.modify("DESK", lambda _: None)
        assert len(seen) == 1


def test_unset_and_none_are_different() -> None:
    assert to_json(m.ItemPatch(unit_cost=None)) == {"unitCost": None}
    assert to_json(m.ItemPatch(unit_cost=UNSET)) == {}
    assert to_json(m.ItemPatch(unit_cost=Decimal("1E+2"))) == {"unitCost": "100"}
    with pytest.raises(TypeError, match="not exact"):
        to_json(m.ItemPatch(unit_cost=1.5))  # type: ignore[arg-type]


def test_queries_wait_for_the_version_that_the_client_has_made() -> None:
    made = reply(201, ITEM, publication_version="7", book_id="b1")
    quote = reply(
        200,
        {
            "publicationVersion": 7,
            "bookId": "b1",
            "date": "2031-05-15",
            "accountNumber": None,
            "currencyCode": None,
            "pricesIncludeTax": False,
            "lines": [],
            "totals": {"grossAmount": "0", "discountAmount": "0", "lineAmount": "0"},
            "warnings": [],
        },
    )
    with service(made, quote, problem(409, "OTHER_HISTORY"), quote, quote) as (client, seen):
        client.items.create(WRITE)
        assert client.session == Session(version=7, book_id="b1")
        client.price_quotes.get(item_number="DESK", explain=True)
        assert seen[1].url.endswith("explain=true&minPublicationVersion=7&bookId=b1")
        # The database was restored: the version means nothing any more.
        client.price_quotes.get(item_number="DESK", date=date(2031, 5, 15))
        assert seen[3].url == "/v1/price-quotes?itemNumber=DESK&date=2031-05-15"
        assert client.session is None
        client.session = Session(version=9)
        client.price_quotes.get(item_number="DESK", publication_version=3)
        assert "minPublicationVersion" not in seen[4].url


def test_a_list_is_requested_as_it_is_iterated() -> None:
    first = reply(200, {"value": [ITEM], "nextLink": "/v1/items?cursor=x%2Fy&top=1"})
    with service(first, reply(200, {"value": [ITEM]})) as (client, seen):
        items = client.items.list(top=1)
        assert seen == []
        assert len(items.take(1)) == 1
        assert len(seen) == 1
        assert [item.number for item in client.items.list(top=1).take(5)] == ["DESK"]
    with service(first, reply(200, {"value": [ITEM]})) as (client, seen):
        assert len(list(client.items.list(top=1))) == 2
        assert seen[1].url == "/v1/items?cursor=x%2Fy&top=1"


@pytest.mark.parametrize("link", ["//evil.example/v1", "http://evil.example/v1"])
def test_a_link_to_another_server_is_not_followed(link: str) -> None:
    with service(reply(200, {"value": [], "nextLink": link})) as (client, _):
        with pytest.raises(ValueError, match="not a path of the service"):
            client.items.list().take(1)


def test_keys_are_encoded_in_paths() -> None:
    with service(reply(200, ITEM)) as (client, seen):
        client.items.get("A/B 100?")
        assert seen[0].url == "/v1/items/A%2FB%20100%3F"
        assert seen[0].headers["authorization"] == "Bearer secret"
        assert seen[0].headers["user-agent"].startswith("kampanje-python/")


def test_a_request_takes_at_most_its_timeout() -> None:
    release = threading.Event()

    def silent(handler: BaseHTTPRequestHandler) -> None:
        release.wait(30)
        handler.close_connection = True

    with service(silent) as (client, _):
        try:
            with pytest.raises(TimedOut):
                client.items.get("DESK", options=RequestOptions(timeout=0.02, max_retries=1))
        finally:
            release.set()


def test_an_unchanged_resource_is_not_sent_again() -> None:
    with service(reply(304, "")) as (client, _):
        with pytest.raises(NotModified):
            client.items.get("DESK", if_none_match='"a"')


def test_a_stream_that_breaks_off_is_an_error() -> None:
    row = {
        "outcome": "UNPRICED",
        "accountNumber": "ACME",
        "itemNumber": "A",
        "variantCode": None,
        "unitOfMeasureCode": "PCS",
        "minimumQuantity": "0",
        "currencyCode": "EUR",
        "pricesIncludeTax": False,
        "problem": {"code": "NO_PRICE", "detail": "d"},
    }
    line = json.dumps(row) + "\n"

    def broken(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("content-type", "application/x-ndjson")
        handler.send_header("content-length", "10000")
        handler.end_headers()
        handler.wfile.write(line.encode() + b'{"item')
        handler.close_connection = True

    future = json.dumps({"outcome": "PRICED_OTHERWISE", "itemNumber": "B"}) + "\n"
    with service(reply(200, line + future, "application/x-ndjson"), broken) as (client, _):
        rows = list(client.effective_prices.stream(contact_number="ACME"))
        assert [row.item_number for row in rows] == ["A", "B"]
        assert isinstance(rows[1], Unknown)
        with pytest.raises(ConnectionFailed):
            list(client.effective_prices.stream(contact_number="ACME"))


def test_events_are_followed_also_unknown_ones_and_past_failures() -> None:
    def page(*sequences: int) -> Answer:
        events = [{"sequence": at, "type": f"future.{at}", "bookid": "b1"} for at in sequences]
        return reply(200, {"value": events})

    unavailable = problem(503, "UNAVAILABLE", retry_after="0")
    answers = [page(4, 5), page(), lost, unavailable, page(6)]
    with service(*answers, max_retries=0) as (client, seen):
        types: list[str] = []
        processed: list[int] = []
        for event in client.events.follow(
            after=3, poll_interval=0.01, on_sequence=processed.append
        ):
            types.append(event.type)
            if event.sequence == 6:
                break
        assert types == ["future.4", "future.5", "future.6"]
        assert processed == [4, 5], "the last one was not yet processed"
        assert "after=3" in seen[0].url
        assert "wait=20" in seen[0].url
        assert "after=5&bookId=b1" in seen[1].url


def test_values_are_decoded_by_their_types() -> None:
    moments = {
        "2031-05-01T08:30:00Z": datetime(2031, 5, 1, 8, 30, tzinfo=timezone.utc),
        "2031-05-01T08:30:00.1Z": datetime(2031, 5, 1, 8, 30, 0, 100_000, timezone.utc),
        "2031-05-01T08:30:00.123456789Z": datetime(2031, 5, 1, 8, 30, 0, 123_456, timezone.utc),
    }
    for text, moment in moments.items():
        assert decode(text, datetime) == moment
    with pytest.raises(ResponseError):
        decode({"number": "DESK"}, m.Item)


VECTORS = json.loads((Path(__file__).parents[2] / "testdata" / "webhooks.json").read_text("utf-8"))


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_webhook(vector: dict[str, Any]) -> None:
    def verify() -> Any:
        return webhooks.verify(
            vector["payload"], vector["headers"], vector["secrets"], now=vector["now"]
        )

    if vector["valid"]:
        assert verify().sequence == 1042
    else:
        with pytest.raises(webhooks.WebhookVerificationError):
            verify()
