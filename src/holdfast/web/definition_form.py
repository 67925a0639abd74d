"""The form of a definition: its document as fields, and what the fields say as a document again. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from holdfast.errors import RuleError
from holdfast.web.form import Form
from holdfast.web.text import pretty

TEXTS = ("name", "description", "rule", "assign", "group", "workflow_id")
SPANS = ("due", "cooldown", "acknowledge")
NUMBERS = ("weight", "business_days", "order")
LISTS = ("escalate_to", "after")
DOCUMENTS = ("form", "steps")

TRIGGERS: Mapping[str, Mapping[str, str]] = {
    "sla": {"start": "span", "complete": "span"},
    "renewal": {"days": "number", "property": "text", "signal": "text"},
    "annual": {"property": "text", "days": "number"},
    "change": {"signal": "text", "over": "span", "by": "decimal"},
}
"""Fields of fields, with what each is."""

_FIELD = re.compile(r"definition '(?:[^'\\]|\\.)*':? (?P<field>[a-z_]+)(?P<more>[.\[][^ ]*)? ")


def shown(document: Mapping[str, Any]) -> dict[str, str]:
    """A document as the values of the form."""
    values: dict[str, str] = {"type": str(document.get("type", "custom"))}
    for name in (*TEXTS, *SPANS, *NUMBERS):
        values[name] = _text(document.get(name))
    for name in LISTS:
        values[name] = ", ".join(str(one) for one in document.get(name) or [])
    for name in DOCUMENTS:
        values[name] = pretty(document[name]) if document.get(name) else ""
    for name, fields in TRIGGERS.items():
        inside = document.get(name) or {}
        for field in fields:
            values[f"{name}.{field}"] = _text(inside.get(field))
    if document.get("demo"):
        values["demo"] = "yes"
    return values


def document_of(form: Form, stands: Mapping[str, Any]) -> dict[str, Any]:
    """What the form says, as a document; what no field of it is about stays as it stands."""
    document = dict(stands)
    document["type"] = form.values.get("type", "custom")
    for name in TEXTS:
        _set(document, name, form.text(name, needed=name == "name", most=20_000, what="a name") or None)
    for name in SPANS:
        _set(document, name, form.text(name, needed=False, most=100) or None)
    for name in NUMBERS:
        _set(document, name, form.integer(name))
    for name in LISTS:
        parts = [one.strip() for one in re.split(r"[,\n]", form.text(name, needed=False)) if one.strip()]
        _set(document, name, parts or None)
    for name in DOCUMENTS:
        value = form.json(name, needed=False)
        if value is not None and not isinstance(value, dict if name == "form" else list):
            form.refuse(name, "Give an object." if name == "form" else "Give a list of objects.")
        _set(document, name, value or None)
    for name, fields in TRIGGERS.items():
        inside = {field: _read(form, f"{name}.{field}", kind) for field, kind in fields.items()}
        _set(document, name, {field: value for field, value in inside.items() if value is not None} or None)
    _set(document, "demo", True if form.ticked("demo") else None)
    return document


def place(form: Form, error: Exception) -> None:
    """Put what is wrong beside the field that it is about."""
    text = str(error)
    found = _FIELD.match(text)
    if isinstance(error, RuleError):
        name = "steps" if ": steps[" in text else "rule"
        form.refuse(name, text.partition("\n")[0])
    elif found is not None:
        name = found["field"]
        inner = f"{name}{found['more'] or ''}"
        form.refuse(inner if inner in form.values else name if name in form.values else "", text)
    else:
        form.refuse("", text)


def marked(rule: str, error: RuleError) -> tuple[str, str, str]:
    """The line of a rule that cannot be read: what stands before the place, at it, and behind it."""
    lines = rule.replace("\r\n", "\n").split("\n")
    line = lines[min(error.line, len(lines)) - 1]
    at = min(max(error.column - 1, 0), len(line))
    end = next(
        (place for place in range(at + 1, len(line)) if not (line[place].isalnum() or line[place] in "_.")), None
    )
    end = len(line) if end is None else end
    return line[max(0, at - 80) : at], line[at:end] or "⟨end⟩", line[end : end + 60]


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """The fields in which two versions differ, with what each says; None for nothing."""
    names = dict.fromkeys([*before, *after])
    return [(name, before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name)]


def _text(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value)


def _set(document: dict[str, Any], name: str, value: Any) -> None:
    if value is None:
        document.pop(name, None)
    else:
        document[name] = value


def _read(form: Form, name: str, kind: str) -> Any:
    if kind == "number":
        return form.integer(name)
    text = form.text(name, needed=False, most=512)
    if not text:
        return None
    if kind == "decimal":
        try:
            return float(text)
        except ValueError:
            form.refuse(name, "Give a number, such as -10.")
            return None
    return text
