"""Client of Kampanje, campaign prices as a service.

>>> from kampanje import Kampanje
>>> with Kampanje("http://localhost:8080", api_key="…") as kampanje:  # doctest: +SKIP
...     campaign = kampanje.campaigns.get("SPRING")
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import TracebackType

import httpx

from . import models, webhooks
from ._codec import encode as to_json
from ._core import DEFAULT_MAX_RETRIES, DEFAULT_TIMEOUT, Core
from ._errors import (
    ConnectionFailed,
    KampanjeError,
    NotModified,
    ProblemException,
    ResponseError,
    TimedOut,
)
from ._pages import Pages
from ._types import UNSET, Meta, RequestOptions, Session, Unknown, Unset, meta_of
from ._version import VERSION
from .resources import Resources

__version__ = VERSION
__all__ = [
    "UNSET",
    "ConnectionFailed",
    "Kampanje",
    "KampanjeError",
    "Meta",
    "NotModified",
    "Pages",
    "ProblemException",
    "RequestOptions",
    "ResponseError",
    "Session",
    "TimedOut",
    "Unknown",
    "Unset",
    "meta_of",
    "models",
    "to_json",
    "webhooks",
]


class Kampanje(Resources):
    """A client of the service. It can be shared by threads."""

    def __init__(
        self,
        base_url: str,
        api_key: str | Callable[[], str] | None = None,
        *,
        timeout: float = DEFAULT_TIMEOUT,
        max_retries: int = DEFAULT_MAX_RETRIES,
        headers: Mapping[str, str] | None = None,
        session_consistency: bool = True,
        http_client: httpx.Client | None = None,
    ) -> None:
        """Creates a client.

        `api_key` may be a function that returns the current key. `timeout` is the time for one
        attempt in seconds. With `session_consistency`, a query about prices waits for the newest
        version of the price book that this client has made. `http_client` brings proxies,
        certificates and limits of connections.
        """
        self._core = Core(
            base_url,
            api_key,
            timeout=timeout,
            max_retries=max_retries,
            headers=headers,
            session_consistency=session_consistency,
            http_client=http_client,
        )
        super().__init__(self._core)

    @property
    def session(self) -> Session | None:
        """The newest version of the price book that this client has made.

        Give it to another client, so that its queries wait for the same version.
        """
        return self._core.session

    @session.setter
    def session(self, session: Session | None) -> None:
        self._core.session = session

    def close(self) -> None:
        """Closes the connections."""
        self._core.close()

    def __enter__(self) -> Kampanje:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
