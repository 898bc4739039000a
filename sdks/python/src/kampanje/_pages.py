"""Lists that are read page by page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Generic, TypeVar, cast

T = TypeVar("T")
P = TypeVar("P")


class Pages(Generic[T, P]):
    """A list, read page by page as it is iterated.

    >>> for campaign in kampanje.campaigns.list():  # doctest: +SKIP
    ...     print(campaign.number)
    """

    def __init__(self, read: Callable[[str | None], P]) -> None:
        self._read = read

    def page(self, next_link: str | None = None) -> P:
        """Returns the first page, or the one that a `next_link` leads to."""
        return self._read(next_link)

    def pages(self) -> Iterator[P]:
        """Iterates over the pages."""
        link: str | None = None
        while True:
            page: Any = self._read(link)
            yield page
            link = page.next_link
            if link is None:
                return

    def __iter__(self) -> Iterator[T]:
        for page in self.pages():
            yield from cast("Any", page).value

    def take(self, limit: int) -> list[T]:
        """Returns the first rows, at most `limit`."""
        return list(islice(self, max(limit, 0)))
