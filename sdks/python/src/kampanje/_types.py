"""Types that models and resources share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, Literal


class _Unset(Enum):
    UNSET = "UNSET"

    def __repr__(self) -> str:
        return "UNSET"

    def __bool__(self) -> Literal[False]:
        return False


Unset = _Unset
"""The type of `UNSET`."""

UNSET: Final = _Unset.UNSET
"""The value of a field that a request does not contain. `None` is sent as null instead."""


class Unknown:
    """An object of a kind that this version of the package does not know.

    Its members are attributes, in snake case: `event.sequence`.
    """

    def __init__(self, raw: dict[str, Any]) -> None:
        self.raw = raw
        """The object as it was received."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "raw":
            raise AttributeError(name)
        for key in (name, to_wire_name(name)):
            if key in self.raw:
                return self.raw[key]
        raise AttributeError(name)

    def __repr__(self) -> str:
        return f"Unknown({self.raw!r})"


def to_wire_name(name: str) -> str:
    """Returns the JSON name of a field: `itemNumber` for `item_number`."""
    first, *rest = name.rstrip("_").split("_")
    return first + "".join(part.capitalize() for part in rest)


@dataclass(frozen=True, kw_only=True)
class Meta:
    """The headers of a response."""

    status: int
    """The HTTP status."""
    etag: str | None = None
    """The entity tag, for `if_match`."""
    version: int | None = None
    """The version of the price book that the change made, or that answered."""
    book_id: str | None = None
    """The history that `version` belongs to."""
    trace_id: str | None = None
    """Identifies the request in the log of the service."""
    replayed: bool = False
    """True if this is the stored response of an earlier attempt with the same idempotency key."""
    attempts: int = 1
    """The number of attempts that this request took."""


@dataclass(frozen=True, kw_only=True)
class Session:
    """The newest version of the price book that a client has made."""

    version: int
    """The version."""
    book_id: str | None = None
    """The history that it belongs to."""


@dataclass(frozen=True, kw_only=True)
class RequestOptions:
    """Options of one request, instead of those of the client."""

    timeout: float | None = None
    """The time for one attempt in seconds."""
    max_retries: int | None = None
    """The maximum number of retries."""
    idempotency_key: str | None = None
    """The idempotency key. By default each call has a new one, which its retries keep. Pass your
    own to make a call safe to repeat after a restart of your process."""
    on_meta: Callable[[Meta], None] | None = None
    """Receives the headers of the successful response, also of one without content."""


def meta_of(value: object) -> Meta | None:
    """Returns the headers of the response that `value` came from."""
    meta = getattr(value, "__dict__", {}).get("_meta")
    return meta if isinstance(meta, Meta) else None


def set_meta(value: object, meta: Meta) -> None:
    """Remembers the headers of the response that `value` came from."""
    if hasattr(value, "__dict__"):
        value.__dict__["_meta"] = meta
