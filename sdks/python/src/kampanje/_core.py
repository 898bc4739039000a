"""Sends requests: authentication, retries, consistency, errors."""

from __future__ import annotations

import email.utils
import json
import random
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import quote

import httpx

from ._codec import decode, encode
from ._errors import ConnectionFailed, KampanjeError, NotModified, ProblemException, TimedOut
from ._pages import Pages
from ._types import Meta, RequestOptions, Session, meta_of, set_meta
from ._version import VERSION

DEFAULT_TIMEOUT = 30.0
DEFAULT_MAX_RETRIES = 4
FIRST_BACKOFF = 0.25
MAX_BACKOFF = 8.0
MAX_RETRY_AFTER = 60.0
MAX_MODIFICATIONS = 10
RETRIED = frozenset({408, 429, 502, 503, 504})
# The statuses after which a request without idempotency key certainly had no effect.
REFUSED = frozenset({429, 503})
JSON = "application/json"
NDJSON = "application/x-ndjson"

T = TypeVar("T")
P = TypeVar("P")


@dataclass(frozen=True)
class Call:
    """An operation with its arguments."""

    method: str
    path: str
    query: Mapping[str, object] = field(default_factory=dict)
    body: object = None
    if_match: str | None = None
    if_none_match: str | None = None
    idempotent: bool = False
    """The operation accepts an idempotency key."""
    safe: bool = False
    """A repetition has no effect."""
    session: bool = False
    """The operation can wait for a version of the price book."""


def path(*parts: str | int) -> str:
    """Joins a path of literals and parameters: literals are at even positions."""
    return "".join(
        quote(str(part), safe="") if at % 2 else str(part) for at, part in enumerate(parts)
    )


class Core:
    """The connection of a client to the service."""

    def __init__(
        self,
        base_url: str,
        api_key: str | Callable[[], str] | None,
        *,
        timeout: float,
        max_retries: int,
        headers: Mapping[str, str] | None,
        session_consistency: bool,
        http_client: httpx.Client | None,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._api_key = api_key
        self._timeout = timeout
        self._max_retries = max_retries
        self._headers = dict(headers or {})
        self._session_consistency = session_consistency
        self._owns_client = http_client is None
        self._http = http_client or httpx.Client()
        self.session: Session | None = None

    def close(self) -> None:
        """Closes the connections, unless the caller brought them."""
        if self._owns_client:
            self._http.close()

    def request(self, call: Call, hint: Any, options: RequestOptions | None) -> Any:
        """Sends a request and returns its content; `None` if there is none."""
        options = options or RequestOptions()
        response, attempts = self._send(call, options, JSON)
        meta = self._read_meta(response, attempts)
        if options.on_meta is not None:
            options.on_meta(meta)
        if not response.content or hint is None:
            return None
        if not _is_json(response):
            return response.text
        value = decode(json.loads(response.content), hint)
        set_meta(value, meta)
        return value

    def pages(self, call: Call, page: type[P], options: RequestOptions | None) -> Pages[Any, P]:
        """Returns a list, of which nothing is requested until it is iterated."""

        def read(link: str | None) -> P:
            next_call = call if link is None else Call("GET", link, safe=True)
            value: P = self.request(next_call, page, options)
            return value

        return Pages(read)

    def stream(self, call: Call, hint: Any, options: RequestOptions | None) -> Iterator[Any]:
        """Requests a stream of JSON lines. A stream that breaks off is an error, not an end."""
        options = options or RequestOptions()
        response, attempts = self._send(call, options, NDJSON)
        try:
            meta = self._read_meta(response, attempts)
            if options.on_meta is not None:
                options.on_meta(meta)
            for line in response.iter_lines():
                if line:
                    yield decode(json.loads(line), hint)
        except httpx.TransportError as error:
            raise ConnectionFailed("the stream broke off") from error
        finally:
            response.close()

    def modify(
        self,
        read: Callable[[], T],
        change: Callable[[T], P | None],
        write: Callable[[P, str], T],
    ) -> T:
        """Reads, changes and writes a resource; again from the start if it was changed meanwhile."""
        for attempt in range(1, MAX_MODIFICATIONS + 1):
            current = read()
            wanted = change(current)
            if wanted is None:
                return current
            meta = meta_of(current)
            try:
                return write(wanted, (meta.etag if meta else None) or "*")
            except ProblemException as problem:
                if problem.status != 412 or attempt == MAX_MODIFICATIONS:
                    raise
        raise AssertionError("the last attempt returns or raises")

    def _send(
        self, call: Call, options: RequestOptions, accept: str
    ) -> tuple[httpx.Response, int]:
        max_retries = self._max_retries if options.max_retries is None else options.max_retries
        # One key for the call: a retry after a lost response gets that response.
        key = (options.idempotency_key or str(uuid.uuid4())) if call.idempotent else None
        use_session = call.session and self._session_consistency
        attempt = 0
        while True:
            attempt += 1
            wait: float | None = None
            try:
                response = self._attempt(call, options, accept, key, use_session)
                if response.is_success:
                    return response, attempt
                refusal = self._refusal(response, attempt)
                if use_session and getattr(refusal, "code", None) == "OTHER_HISTORY":
                    # The database was restored: what this client has written may be gone.
                    self.session = None
                    use_session = False
                    continue
                if not _is_retried(refusal, call):
                    raise refusal
                failure = refusal
                wait = getattr(refusal, "retry_after", None)
            except ConnectionFailed as error:
                if not (call.safe or call.idempotent):
                    raise
                failure = error
            if attempt > max_retries:
                raise failure
            time.sleep(backoff(attempt) if wait is None else wait)

    def _attempt(
        self,
        call: Call,
        options: RequestOptions,
        accept: str,
        key: str | None,
        use_session: bool,
    ) -> httpx.Response:
        timeout = self._timeout if options.timeout is None else options.timeout
        request = self._http.build_request(
            call.method,
            self._url(call),
            params=self._query(call, use_session),
            content=None if call.body is None else json.dumps(encode(call.body)).encode(),
            headers=self._request_headers(call, accept, key),
            timeout=timeout,
        )
        try:
            response = self._http.send(request, stream=True)
            if accept != NDJSON or not response.is_success:
                response.read()
        except httpx.TimeoutException as error:
            raise TimedOut(f"no response within {timeout} s") from error
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise ConnectionFailed(f"the request failed: {call.method} {call.path}") from error
        if accept != NDJSON and response.is_success and response.content and _is_json(response):
            try:
                json.loads(response.content)
            except ValueError as error:
                raise ConnectionFailed("the response is not complete") from error
        return response

    def _url(self, call: Call) -> str:
        if not call.path.startswith("/") or call.path.startswith("//"):
            raise ValueError(f"not a path of the service: {call.path}")
        return self._base_url + call.path

    def _query(self, call: Call, use_session: bool) -> dict[str, str] | None:
        values = {name: encode(value) for name, value in call.query.items() if value is not None}
        chosen = "publicationVersion" in values or "minPublicationVersion" in values
        if use_session and self.session is not None and not chosen:
            values["minPublicationVersion"] = self.session.version
            if self.session.book_id is not None:
                values.setdefault("bookId", self.session.book_id)
        # The link of a page has its query already, which an empty one would replace.
        return {name: _parameter(value) for name, value in values.items()} or None

    def _request_headers(self, call: Call, accept: str, key: str | None) -> dict[str, str]:
        token = self._api_key() if callable(self._api_key) else self._api_key
        merge = "merge-patch+json" if call.method == "PATCH" else "json"
        headers = {
            "accept": accept,
            "authorization": None if token is None else f"Bearer {token}",
            "content-type": None if call.body is None else f"application/{merge}",
            "if-match": call.if_match,
            "if-none-match": call.if_none_match,
            "idempotency-key": key,
            "user-agent": f"kampanje-python/{VERSION}",
        }
        return self._headers | {name: value for name, value in headers.items() if value is not None}

    def _read_meta(self, response: httpx.Response, attempts: int) -> Meta:
        meta = _meta(response, attempts)
        if meta.version is not None and meta.book_id is not None:
            known = self.session
            if known is None or known.book_id != meta.book_id or known.version < meta.version:
                self.session = Session(version=meta.version, book_id=meta.book_id)
        return meta

    def _refusal(self, response: httpx.Response, attempts: int) -> KampanjeError:
        from .models import Finding, ProblemError

        meta = _meta(response, attempts)
        if response.status_code == 304:
            return NotModified(meta)
        try:
            value = json.loads(response.content)
        except ValueError:
            # A proxy answered, in a form of its own.
            value = {}
        problem = value if isinstance(value, dict) else {}
        errors = decode(problem.get("errors", []), list[ProblemError])
        findings = decode(problem.get("findings", []), list[Finding])
        return ProblemException(problem, errors, findings, meta, _retry_after(response))


def _is_retried(refusal: KampanjeError, call: Call) -> bool:
    if not isinstance(refusal, ProblemException):
        return False
    if refusal.code == "IDEMPOTENCY_IN_PROGRESS":
        return True
    return refusal.status in (RETRIED if call.safe or call.idempotent else REFUSED)


def _is_json(response: httpx.Response) -> bool:
    return "json" in response.headers.get("content-type", "")


def _parameter(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _meta(response: httpx.Response, attempts: int) -> Meta:
    headers = response.headers
    version = headers.get("publication-version")
    return Meta(
        status=response.status_code,
        etag=headers.get("etag"),
        version=None if version is None else int(version),
        book_id=headers.get("book-id"),
        trace_id=headers.get("trace-id"),
        replayed=headers.get("idempotency-replayed") == "true",
        attempts=attempts,
    )


def _retry_after(response: httpx.Response) -> float | None:
    header = response.headers.get("retry-after")
    if header is None:
        return None
    try:
        wait = float(header)
    except ValueError:
        try:
            wait = email.utils.parsedate_to_datetime(header).timestamp() - time.time()
        except ValueError:
            return None
    return min(max(wait, 0.0), MAX_RETRY_AFTER)


def backoff(attempt: int) -> float:
    """Doubles with each attempt, less a random part, so that clients do not return all together."""
    longest = min(MAX_BACKOFF, FIRST_BACKOFF * 2.0 ** min(attempt - 1, 10))
    return longest * random.uniform(0.5, 1.0)
