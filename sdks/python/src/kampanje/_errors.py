"""The exceptions of this package."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._types import Meta
    from .models import Finding, ProblemError


class KampanjeError(Exception):
    """The base of all exceptions of this package."""


class ConnectionFailed(KampanjeError):
    """No response arrived: the connection failed, or broke before the response was complete."""


class TimedOut(ConnectionFailed):
    """An attempt took longer than its timeout."""


class ResponseError(KampanjeError):
    """A successful response has another form than this version of the package knows."""


class NotModified(KampanjeError):
    """The resource still has the entity tag of `if_none_match` (304)."""

    def __init__(self, meta: Meta) -> None:
        super().__init__("the resource has not changed")
        self.meta = meta


class ProblemException(KampanjeError):
    """The service refused the request."""

    def __init__(
        self,
        problem: dict[str, Any],
        errors: list[ProblemError],
        findings: list[Finding],
        meta: Meta,
        retry_after: float | None,
    ) -> None:
        self.status = meta.status
        """The HTTP status."""
        self.code = str(problem.get("code", f"HTTP_{meta.status}"))
        """The stable code, such as `VALIDATION_FAILED`; `HTTP_502` if a proxy answered instead."""
        self.detail = str(problem.get("detail", f"the response has the status {meta.status}"))
        """This occurrence in a sentence."""
        self.errors = errors
        """Everything that is wrong with the request."""
        self.findings = findings
        """The findings that refuse an activation."""
        self.trace_id: str | None = problem.get("traceId", meta.trace_id)
        """Identifies the request in the log of the service."""
        self.problem = problem
        """The document as it was received."""
        self.meta = meta
        self.retry_after = retry_after
        """The time to wait before a retry in seconds, if the service stated one."""
        places = [f"{error.pointer}: {error.detail}" for error in errors[:3]]
        super().__init__("; ".join([f"{self.code}: {self.detail}", *places]))
