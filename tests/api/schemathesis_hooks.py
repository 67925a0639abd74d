"""How requests of media types are written that the tool does not know by itself."""

from __future__ import annotations

from typing import Any

import schemathesis


@schemathesis.serializer("application/x-ndjson")
def lines_of_json(context: schemathesis.SerializationContext, value: Any) -> bytes:
    """As text, which they are."""
    return str(value).encode(errors="replace")
