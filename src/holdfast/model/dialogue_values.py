"""What is collected in a dialogue: checked value by value, and told to a model as JSON Schema."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable
from datetime import date, datetime
from typing import Any, NoReturn

from holdfast.errors import UsageError
from holdfast.model.dialogue_kinds import Dialogue, DialogueField, DialogueStep
from holdfast.model.people import EMAIL_CHARACTERS, checked_email

TEXTS_AT_MOST = 100
"""Texts in one field."""

MAX_WHOLE_NUMBER = 2**53
"""The largest whole number, of either sign: up to here every program reads it exactly."""

UNFIT = re.compile("[\0\ud800-\udfff]")
"""What no store can hold in a text."""

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DATETIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)


def check_value(field: DialogueField, value: object) -> Any:
    """A value for a field, as plain JSON.

    Args:
        field: what it is for.
        value: plain JSON; for dates also a `date`, or a `datetime` with its zone.

    Returns:
        A text, a finite number, true or false, or a list of texts. A date is ``YYYY-MM-DD``, an instant ISO 8601 with
        its offset from UTC, an e-mail address in lower case.

    Raises:
        UsageError: it is of another type, or breaks a constraint; names the field and says what to give.
    """
    return _CHECKS[field.type](field, value)


def json_schema(what: DialogueStep | Dialogue) -> dict[str, Any]:
    """The JSON Schema (2020-12) of what may be collected at once: an object with any of the fields.

    Args:
        what: a step; or a dialogue, for the fields of all its steps.
    """
    properties = {}
    for step in what.steps if isinstance(what, Dialogue) else (what,):
        said = step.ask or step.title
        for field in step.fields:
            properties[field.name] = {**_schema(field), **({"description": said} if said else {})}
    return {"type": "object", "properties": properties, "additionalProperties": False}


def shown(value: object) -> str:
    """A value in a message, short."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return repr(value) if len(value) <= 100 else f"{value[:100]!r}…"
        case int():
            return f"{value:,}" if abs(value) < 10**30 else "a number of many digits"
        case float() | date():
            return str(value)
        case list() | tuple():
            return "a list"
        case dict():
            return "a table"
        case _:
            return f"a {type(value).__name__}"


def _refuse(field: DialogueField, value: object, advice: str) -> NoReturn:
    raise UsageError(f"{field.name} is {shown(value)}; give {advice}")


def _text(field: DialogueField, value: object) -> str:
    if not isinstance(value, str):
        _refuse(field, value, "a text")
    if len(value) > field.max_characters:
        _refuse(field, value, f"at most {field.max_characters:,} characters; these are {len(value):,}")
    if (bad := UNFIT.search(value)) is not None:
        what = "the NUL character" if bad[0] == "\0" else "half of a surrogate pair"
        _refuse(field, value, f"it without {what} at {bad.start()}")
    if not value.strip():
        _refuse(field, value, "a text that is not blank, or leave it out")
    if field.pattern is not None and re.fullmatch(field.pattern, value) is None:
        _refuse(field, value, f"a text that matches {field.pattern!r:.200}")
    return str(value)


def _texts(field: DialogueField, value: object) -> list[str]:
    if not isinstance(value, list | tuple) or not value:
        _refuse(field, value, "a list of texts, or leave it out")
    if len(value) > TEXTS_AT_MOST:
        _refuse(field, value, f"at most {TEXTS_AT_MOST} texts; these are {len(value):,}")
    return [_text(field, one) for one in value]


def _email(field: DialogueField, value: object) -> str:
    try:
        address = checked_email(value)
    except UsageError:
        advice = f"an e-mail address of at most {EMAIL_CHARACTERS} characters, such as ann@example.com"
        _refuse(field, value, advice)
    return _text(field, address)


def _choice(field: DialogueField, value: object) -> str:
    if isinstance(value, str) and value in field.choices:
        return str(value)
    near = difflib.get_close_matches(value[:1000], field.choices, 1) if isinstance(value, str) else []
    meant = f". Did you mean {near[0]}?" if near else ""
    _refuse(field, value, f"one of {', '.join(field.choices):.1000}{meant}")


def _boolean(field: DialogueField, value: object) -> bool:
    if not isinstance(value, bool):
        _refuse(field, value, "true or false")
    return value


def _integer(field: DialogueField, value: object) -> int:
    advice = f"a whole number{_range(field)}"
    whole = int(value) if isinstance(value, float) and value.is_integer() else value
    if isinstance(whole, bool) or not isinstance(whole, int) or abs(whole) > MAX_WHOLE_NUMBER:
        _refuse(field, value, advice)
    if not _is_in_range(field, whole):
        _refuse(field, value, advice)
    return int(whole)


def _number(field: DialogueField, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not is_finite(value):
        _refuse(field, value, f"a number{_range(field)}")
    if not _is_in_range(field, value):
        _refuse(field, value, f"a number{_range(field)}")
    return float(value) if abs(value) > MAX_WHOLE_NUMBER else value


def is_finite(value: float) -> bool:
    """Whether a number is one that a float can be near to."""
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _is_in_range(field: DialogueField, value: float) -> bool:
    above = field.minimum is None or value >= field.minimum
    return above and (field.maximum is None or value <= field.maximum)


def _range(field: DialogueField) -> str:
    least, most = (None if end is None else f"{end:,}" for end in (field.minimum, field.maximum))
    if least is not None and most is not None:
        return f", {least} to {most}"
    return f", at least {least}" if least is not None else f", at most {most}" if most is not None else ""


def _date(field: DialogueField, value: object) -> str:
    text = value.isoformat() if isinstance(value, date) and not isinstance(value, datetime) else value
    try:
        if isinstance(text, str) and _DATE.fullmatch(text):
            return date.fromisoformat(text).isoformat()
    except ValueError:
        pass
    _refuse(field, value, "a date of the calendar, such as 2026-01-31")


def _datetime(field: DialogueField, value: object) -> str:
    text = value.isoformat() if isinstance(value, datetime) else value
    try:
        if isinstance(text, str) and _DATETIME.fullmatch(text):
            return datetime.fromisoformat(text.upper()).isoformat()
    except ValueError:
        pass
    advice = "date, time and offset from UTC, such as 2026-01-31T14:30:00+01:00, or Z at the end for UTC itself"
    _refuse(field, value, advice)


_CHECKS: dict[str, Callable[[DialogueField, object], Any]] = {
    "text": _text, "integer": _integer, "number": _number, "boolean": _boolean, "date": _date, "datetime": _datetime,
    "email": _email, "choice": _choice, "texts": _texts,
}  # fmt: skip
_PLAIN: dict[str, dict[str, Any]] = {
    "text": {"type": "string"},
    "integer": {"type": "integer"},
    "number": {"type": "number"},
    "boolean": {"type": "boolean"},
    "date": {"type": "string", "format": "date"},
    "datetime": {"type": "string", "format": "date-time"},
    "email": {"type": "string", "format": "email"},
}


def _schema(field: DialogueField) -> dict[str, Any]:
    """The JSON Schema of a field's values."""
    if field.type == "choice":
        return {"type": "string", "enum": list(field.choices)}
    if field.type == "texts":
        each = {"type": "string", **_text_bounds(field)}
        return {"type": "array", "items": each, "minItems": 1, "maxItems": TEXTS_AT_MOST}
    schema = dict(_PLAIN[field.type])
    if field.type in ("text", "email"):
        schema |= _text_bounds(field)
    return schema | {end: value for end in ("minimum", "maximum") if (value := getattr(field, end)) is not None}


def _text_bounds(field: DialogueField) -> dict[str, Any]:
    bounds: dict[str, Any] = {"minLength": 1, "maxLength": field.max_characters}
    # A schema's pattern is searched for, ours is to match the whole.
    return bounds if field.pattern is None else {**bounds, "pattern": f"^(?:{field.pattern})$"}
