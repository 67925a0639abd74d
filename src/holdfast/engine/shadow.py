"""Whether a run works in shadow: kept among its stored attributes, where only the engine puts it."""

from __future__ import annotations

from typing import Any

from holdfast.errors import UsageError
from holdfast.model.payload import codec_of
from holdfast.model.publishing import SHADOW

_ATTRIBUTES = codec_of(dict[str, Any])
_KEY = SHADOW.encode()

IN_SHADOW = _ATTRIBUTES.encode({SHADOW: True}, "attributes")
"""The stored attributes of a run that has no others."""


def in_shadow(attributes: bytes | None) -> bool:
    """Whether a run with these stored attributes works in shadow."""
    if attributes is None or _KEY not in attributes:
        return False
    return _ATTRIBUTES.decode(attributes, "attributes").get(SHADOW) is True


def inherited(attributes: bytes | None) -> bytes | None:
    """The stored attributes with which a run of these ones starts another."""
    return IN_SHADOW if in_shadow(attributes) else None


def check_own(attributes: dict[str, Any], what: str) -> None:
    """Refuse attributes by which a run would come into the shadow, or out of it.

    Raises:
        UsageError: the name is among them.
    """
    if SHADOW in attributes:
        raise UsageError(f"{what}: {SHADOW!r} is kept by holdfast; start a run with options(shadow=True) instead")
