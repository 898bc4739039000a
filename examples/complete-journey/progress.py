"""Progress bars, and the rates that are printed at the end."""

import sys
import threading
import time
from types import TracebackType
from typing import Self

from tqdm import tqdm


class Rates:
    """How many of what were done in which time."""

    def __init__(self) -> None:
        """Nothing is done yet."""
        self._done: list[tuple[str, int, float]] = []
        self._durations: dict[str, list[float]] = {}

    def done(self, what: str, count: int, seconds: float) -> None:
        """Notes that so many were done in that time."""
        self._done.append((what, count, seconds))

    def took(self, what: str, seconds: float) -> None:
        """Notes how long one call took."""
        self._durations.setdefault(what, []).append(seconds)

    def table(self) -> list[str]:
        """The rates, and how long single calls took, as lines of text."""
        lines = []
        for what, count, seconds in self._done:
            rate = count / max(seconds, 1e-9)
            lines.append(f"{what:<16}{count:>11,} in {seconds:>8.1f} s {rate:>11,.1f} /s")
        for what, durations in self._durations.items():
            ordered = sorted(durations)
            percentiles = {
                "median": ordered[len(ordered) // 2],
                "99 %": ordered[len(ordered) * 99 // 100],
                "longest": ordered[-1],
            }
            shown = ", ".join(f"{name} {seconds * 1_000:,.1f} ms" for name, seconds in percentiles.items())
            lines.append(f"one {what}: {shown}")
        return lines


class Progress:
    """A progress bar that notes its rate at the end. May be advanced from several threads at once."""

    def __init__(self, what: str, total: int, rates: Rates) -> None:
        """A bar for `total` of `what`."""
        self._what = what
        self._rates = rates
        self._lock = threading.Lock()
        # In the log of a build, which keeps every state of a bar, a line now and then is enough.
        seconds_between = 0.1 if sys.stderr.isatty() else 10
        self._bar = tqdm(total=total, desc=f"{what:<16}", unit="", mininterval=seconds_between)

    def __enter__(self) -> Self:
        """Starts the clock."""
        self._began = time.perf_counter()
        return self

    def advance(self, count: int) -> None:
        """Tells that so many more are done."""
        with self._lock:
            self._bar.update(count)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops the clock."""
        self._bar.close()
        if kind is None:
            self._rates.done(self._what, self._bar.n, time.perf_counter() - self._began)
