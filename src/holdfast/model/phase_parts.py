"""Tables of a file of phases that stand for one thing: how a model is reached, what it costs, pauses, who approves."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from holdfast.model.dialogue_values import MAX_WHOLE_NUMBER, UNFIT, is_finite, shown
from holdfast.model.phase_terms import Place, Term, Wrong, duration, line, lines, number, price, table

_REFERENCE = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*|file:\S[^\0\n]*")
_SECRET = re.compile(
    r"(.*[-_])?(authorization|cookie|api[-_]?key|password|secret|credentials?)|((access|auth|bearer|id|session)[-_])?token",
    re.IGNORECASE,
)

APPROVAL: dict[str, Term] = {"assignee": line, "group": line, "due": duration, "escalate_to": lines}
BACKOFF: dict[str, Term] = {"initial": duration, "factor": number(1, 1000), "maximum": duration}
PRICE: dict[str, Term] = {"input": price, "output": price, "cached": price}


def key_reference(value: object) -> str:
    """Where an API key is found. What is no such place may be the key itself, so that it is not shown."""
    if not isinstance(value, str) or _REFERENCE.fullmatch(value) is None:
        raise Wrong("is no reference; write env:NAME or file:PATH for where the key is, never the key itself")
    return value


def base_url(value: object) -> str:
    """Where a provider is."""
    found = line(value)
    try:
        parts = urlsplit(found)
        host = parts.hostname and parts.port != 0
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https"):
        raise Wrong("is no address; give one such as http://127.0.0.1:8080/v1")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise Wrong("has more than host, port and path; leave it out, and name a key with api_key")
    return found


def settings(value: object) -> dict[str, Any]:
    """What is given with each request: plain JSON, and no keys of providers."""
    if not isinstance(value, Mapping):
        raise Wrong(f"is {shown(value)}; give a table such as {{ temperature = 0.2 }}")
    return {key: _setting(one, (key,)) for key, one in value.items()}


def _setting(value: object, place: Place) -> Any:
    if isinstance(place[-1], str) and _SECRET.fullmatch(place[-1]):
        raise Wrong("looks like a key of a provider, and this file is stored; name it with api_key", *place)
    match value:
        case Mapping():
            return {key: _setting(one, (*place, key)) for key, one in value.items()}
        case list():
            return [_setting(one, (*place, index)) for index, one in enumerate(value)]
        case bool():
            return value
        case str() if UNFIT.search(value) is None:
            return value
        case int() if abs(value) <= MAX_WHOLE_NUMBER:
            return value
        case float() if is_finite(value):
            return value
    raise Wrong(f"is {shown(value)}; give a text, a number, true or false, a list or a table of these", *place)


def approval(value: object) -> dict[str, Any] | bool:
    """Who approves; False for nobody."""
    if isinstance(value, bool):
        return value and {}
    if not isinstance(value, Mapping):
        raise Wrong(f"is {shown(value)}; give true, false, or a table of {', '.join(APPROVAL)}")
    return table(APPROVAL)(value)


def backoff(value: object) -> dict[str, float]:
    """The pauses between attempts."""
    found = table(BACKOFF)(value)
    if found.get("maximum", math.inf) < found.get("initial", 0):
        raise Wrong("is shorter than initial", "maximum")
    return found


def model_price(value: object) -> dict[str, int]:
    """What a million tokens cost."""
    found = table(PRICE)(value)
    if missing := [key for key in ("input", "output") if key not in found]:
        raise Wrong(f"has no {missing[0]}; give input and output, in US dollars for a million tokens")
    return found
