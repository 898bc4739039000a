"""The feed of events."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from ._core import RETRIED, backoff
from ._errors import ConnectionFailed, ProblemException
from ._types import RequestOptions

if TYPE_CHECKING:
    from .models import CloudEvent

POLL_INTERVAL = 1.0
WAIT_SECONDS = 20
PAGE_SIZE = 500


class EventFeed:
    """The feed of events."""

    if TYPE_CHECKING:
        list: Callable[..., Any]

    def follow(
        self,
        *,
        after: int = 0,
        book_id: str | None = None,
        type: Any = None,
        wait: int = WAIT_SECONDS,
        poll_interval: float = POLL_INTERVAL,
        on_sequence: Callable[[int], None] | None = None,
        stop: threading.Event | None = None,
        options: RequestOptions | None = None,
    ) -> Iterator[CloudEvent]:
        """Iterates over all events after a sequence, and waits for new ones.

        Ends only when `stop` is set or the caller leaves the loop. Each event is delivered at least
        once. Types that this package does not know are delivered as `Unknown`. Failures of the
        network and of the service are retried without limit.

        The service answers as soon as there is an event, or after `wait` seconds: at most 30, and
        less than the timeout of the client. `poll_interval` is the minimum time in seconds between
        two requests at the end of the feed.

        `on_sequence` is called with the sequence of an event after it was processed, which is when
        the next one is requested. Store it, and pass it as `after` after a restart. A restored
        database is refused with `OTHER_HISTORY` if `book_id` is given or an event was read.
        """
        stop = stop or threading.Event()
        failures = 0
        while not stop.is_set():
            began = time.monotonic()
            try:
                page = self.list(
                    after=after,
                    book_id=book_id,
                    type=type,
                    wait=wait,
                    top=PAGE_SIZE,
                    options=options,
                ).page()
                failures = 0
            except (ConnectionFailed, ProblemException) as error:
                if isinstance(error, ProblemException) and error.status not in RETRIED:
                    raise
                failures += 1
                stop.wait(backoff(failures))
                continue
            for event in page.value:
                yield event
                after = event.sequence
                book_id = book_id or event.bookid
                if on_sequence is not None:
                    on_sequence(after)
                if stop.is_set():
                    return
            if not page.value:
                # The service has waited, unless it is stopping.
                stop.wait(max(0.0, began + poll_interval - time.monotonic()))
