"""Nulls in what people fill in: the data of a work item holds none, since null deletes a field there.

So a form requires nothing that may be null, and what is missing from the answer is null again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from holdfast.workqueue.forms import Form


class NullForm(Form):
    """A form whose answer may hold nulls; made by `null_form`."""

    shown: Any
    whole: Mapping[str, Any]

    def answer(self, data: Mapping[str, Any], place: str) -> Any:
        """The answer in an item's data with its nulls: those that were shown, and fields that must not be missing."""
        filled = _with_shown(data, self.shown)
        return super().answer(_with_required(filled, self.whole, self.whole), place)


def null_form(form: Form, shown: Any = None) -> NullForm:
    """A form that requires nothing that may be null.

    Args:
        form: as it is without regard to this.
        shown: what is filled in already, with its nulls.
    """
    whole = form.schema or {}
    made = NullForm(_nullable(whole), form.codec, form.wrapped)
    made.shown, made.whole = shown, whole
    return made


def _nullable(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_nullable(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _nullable(value) for key, value in schema.items()}
    if isinstance(found.get("required"), list) and isinstance(found.get("properties"), dict):
        found["required"] = [name for name in found["required"] if not _may_be_null(found["properties"].get(name))]
    return found


def _may_be_null(schema: Any) -> bool:
    if not isinstance(schema, dict):
        return False
    return schema.get("type") == "null" or any(map(_may_be_null, schema.get("anyOf", ())))


def _with_shown(data: Mapping[str, Any], shown: Any) -> dict[str, Any]:
    found = dict(data)
    for name, value in shown.items() if isinstance(shown, dict) else ():
        if value is None:
            found.setdefault(name, None)
        elif isinstance(value, dict) and isinstance(found.get(name), dict):
            found[name] = _with_shown(found[name], value)
    return found


def _with_required(value: Any, schema: Any, root: Mapping[str, Any]) -> Any:
    if isinstance(value, list):
        items = [one.get("items") for one in _variants(schema, root)]
        return [_with_required(one, {"anyOf": items}, root) for one in value]
    if not isinstance(value, dict):
        return value
    found = dict(value)
    for one in _variants(schema, root):
        properties = one.get("properties", {})
        missing = [name for name in one.get("required", ()) if name not in found]
        if all(_may_be_null(properties.get(name)) for name in missing):
            found.update(dict.fromkeys(missing))
            return {name: _with_required(inner, properties.get(name), root) for name, inner in found.items()}
    return found


def _variants(schema: Any, root: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The schemas that a value may be of, references followed."""
    if not isinstance(schema, dict):
        return
    if "$ref" in schema:
        yield from _variants(root.get("$defs", {}).get(str(schema["$ref"]).rpartition("/")[2]), root)
    for key in ("anyOf", "oneOf"):
        for one in schema.get(key, ()):
            yield from _variants(one, root)
    if "properties" in schema or "items" in schema:
        yield schema
