"""Keys are texts of any script, which no portable pattern describes: it cannot exclude unassigned characters. And the media types
that Schemathesis does not know."""

import schemathesis
from hypothesis import strategies as st

LETTERS = "ABCXYZ0189-_./%+'\"&()#abcåøßéКлю商品 "


def is_key(text):
    return text == text.strip() and "  " not in text and text not in ("", ".", "..")


schemathesis.openapi.format("key", st.text(LETTERS, min_size=1, max_size=25).filter(is_key))


@schemathesis.serializer("application/x-ndjson", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet")
def send_as_is(_context, value):
    return value if isinstance(value, bytes) else str(value).encode()
