"""Verifies a file of received webhooks; see `all`."""

import json
import pathlib
import sys
from datetime import datetime, timezone
from unittest import mock

import standardwebhooks.webhooks
from standardwebhooks import Webhook, WebhookVerificationError

received = json.loads(pathlib.Path(sys.argv[1]).read_text(encoding="utf-8"))
webhook = Webhook(received["secret"])
for message in received["messages"]:
    headers, body = message["headers"], message["body"]
    # The library compares the time of the attempt with the clock, within five minutes. The file can
    # be older.
    sent = datetime.fromtimestamp(int(headers["webhook-timestamp"]), tz=timezone.utc)
    with mock.patch.object(standardwebhooks.webhooks, "datetime", wraps=datetime) as clock:
        clock.now.return_value = sent
        webhook.verify(body, headers)
        try:
            webhook.verify(body.replace("kampanje", "kampanja"), headers)
        except WebhookVerificationError:
            continue
        raise SystemExit(f"a changed body is accepted: {headers['webhook-id']}")
print(f"Python: {len(received['messages'])} signatures verified")
