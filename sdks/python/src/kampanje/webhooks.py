"""Verifies deliveries by the scheme of Standard Webhooks."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

from ._codec import decode
from ._errors import KampanjeError

if TYPE_CHECKING:
    from .models import CloudEvent

TOLERANCE_SECONDS = 300
SECRET_PREFIX = "whsec_"


class WebhookVerificationError(KampanjeError):
    """A delivery is not signed by any of the secrets, or is too old."""


def verify(
    payload: bytes | str,
    headers: Mapping[str, str],
    secrets: str | Sequence[str],
    *,
    tolerance_seconds: float = TOLERANCE_SECONDS,
    now: float | None = None,
) -> CloudEvent:
    """Verifies a delivery and returns its event.

    `payload` is the body exactly as it was received. While a secret is being replaced, pass both.
    """
    from . import models

    lower = {name.lower(): value for name, value in headers.items()}
    timestamp = lower.get("webhook-timestamp", "")
    is_number = timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 15
    age = (time.time() if now is None else now) - int(timestamp) if is_number else None
    if age is None or abs(age) > tolerance_seconds:
        raise WebhookVerificationError("the timestamp is missing, too old or in the future")
    body = payload.encode() if isinstance(payload, str) else payload
    signed = f"{lower.get('webhook-id', '')}.{timestamp}.".encode() + body
    signatures = [
        text
        for version, _, text in (
            signature.partition(",") for signature in lower.get("webhook-signature", "").split()
        )
        if version == "v1"
    ]
    for secret in [secrets] if isinstance(secrets, str) else secrets:
        try:
            key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
        except binascii.Error as error:
            raise ValueError(
                "a webhook secret is Base64, with or without the prefix whsec_"
            ) from error
        if not key:
            raise ValueError("a webhook secret must not be empty")
        expected = base64.b64encode(hmac.digest(key, signed, hashlib.sha256))
        if any(hmac.compare_digest(expected, text.encode()) for text in signatures):
            return cast("CloudEvent", decode(json.loads(body), models.CloudEvent))
    raise WebhookVerificationError("no signature matches")
