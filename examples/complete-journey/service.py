"""The service's API, as far as this example needs it."""

import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import httpx

BATCH_ROWS = 1_000
"""The most rows of one batch."""

TRIES = 5
"""How often a call is made that is answered 429 or 503."""


class ServiceError(Exception):
    """A call that was not answered as it should have been."""


class Service:
    """Calls to the API. May be used from several threads at once."""

    def __init__(self, base_url: str, api_key: str | None, connections: int) -> None:
        """A client of the service at `base_url`, with at most `connections` connections."""
        self._client = httpx.Client(
            base_url=base_url,
            headers={"Authorization": f"Bearer {api_key}"} if api_key else {},
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
            # The activation of a large campaign takes a while.
            timeout=httpx.Timeout(300, connect=5),
            # The service is named outright; a proxy of the environment has no part in this.
            trust_env=False,
        )

    def get(self, path: str, **params: str | int) -> Any:
        """The answer to a GET."""
        return self._call("GET", path, params=params).json()

    def post(self, path: str, body: Any, **params: str | int) -> Any:
        """The answer to a POST."""
        return self._call("POST", path, json=body, params=params).json()

    def every(self, path: str, **params: str | int) -> Iterator[Any]:
        """All resources of a list, page by page."""
        page = self.get(path, top=1_000, **params)
        yield from page["value"]
        while next_link := page.get("nextLink"):
            page = self._call("GET", next_link).json()
            yield from page["value"]

    def write(self, path: str, rows: Iterable[Any], written: Callable[[int], None]) -> None:
        """Writes all rows through the resource's batch; `written` is told how many came in with each."""
        for batch in _batched(rows):
            receipts = self.post(f"{path}/batch", {"rows": batch})["receipts"]
            if len(receipts) != len(batch):
                raise ServiceError(f"{path}/batch answered {len(receipts)} receipts for {len(batch)} rows")
            written(len(batch))

    def _call(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        for attempt in range(1, TRIES + 1):
            try:
                response = self._client.request(method, path, **arguments)
            except httpx.HTTPError as error:
                raise ServiceError(f"{method} {path}: {error or type(error).__name__}") from error
            if response.status_code not in (429, 503) or attempt == TRIES:
                break
            time.sleep(float(response.headers.get("Retry-After", 1)))
        if not response.is_success:
            raise ServiceError(f"{method} {path} answered {response.status_code}: {_problem(response)}")
        return response


def _batched(rows: Iterable[Any]) -> Iterator[list[Any]]:
    """The rows in lists of at most BATCH_ROWS."""
    rows = iter(rows)
    while batch := list(itertools.islice(rows, BATCH_ROWS)):
        yield batch


def _problem(response: httpx.Response) -> str:
    """What a problem says, in a few lines."""
    try:
        problem = response.json()
        lines = [f"{problem['code']}: {problem['detail']} (trace {problem.get('traceId')})"]
        wrong = problem.get("errors") or problem.get("findings") or []
        lines += [f"  {error['pointer']}: {error['code']}: {error['detail']}" for error in wrong[:10]]
        return "\n".join(lines)
    except (ValueError, KeyError, TypeError):
        return response.text[:1_000]
