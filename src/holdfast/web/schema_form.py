"""A form made from a JSON Schema, of a workflow's input or of what a person fills in; what its fields give. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from holdfast.web.form import Form
from holdfast.web.text import in_line, pretty

PREFIX = "in."
"""What the names of the fields begin with, so that they are told from those of the form itself."""

FIELDS_AT_MOST = 100
DEPTH_AT_MOST = 4

LONG_FROM = 200
"""A text that may have so many characters gets more than a line."""

Kind = Literal["text", "long", "lines", "integer", "number", "boolean", "choice", "json"]


@dataclass(frozen=True, slots=True)
class SchemaField:
    """A field for one value.

    Attributes:
        argument: its name; the way to it with dots, if it stands inside of others.
        kind: how it is written; ``json`` for whatever has no simpler form.
        needed: whether it has no default.
        value: what stands in the field at first.
        hint: what may stand there.
        choices: for a choice: by what is sent, the value.
        title: what people call it.
        path: the names that lead to the value.
        input: the type of the field of a text: text, date, email or url.
    """

    argument: str
    kind: Kind
    needed: bool
    value: str
    hint: str
    choices: Mapping[str, Any] = field(default_factory=dict)
    title: str = ""
    path: tuple[str, ...] = ()
    input: str = "text"

    @property
    def labels(self) -> dict[str, str]:
        """What is offered: by what is sent, what is shown."""
        nothing = {} if self.needed else {"": "(the default)"}
        return nothing | {text: text for text in self.choices}

    @property
    def answers(self) -> dict[str, str]:
        """The same for a person who fills something in: nothing is chosen for them."""
        return {"": "(choose one)" if self.needed else "(none)"} | {text: text for text in self.choices}

    @property
    def name(self) -> str:
        """The field's name in the form."""
        return PREFIX + self.argument


def fields_of(schema: Mapping[str, Any], *, nested: bool = False) -> list[SchemaField]:
    """The fields for the properties of a schema, in their order.

    Args:
        schema: of an object.
        nested: whether an object in it has a field for each of its own properties, and is not written as JSON.
    """
    found = _fields(_resolved(schema, schema), schema, (), nested, True)
    return found[:FIELDS_AT_MOST]


def _fields(
    schema: Mapping[str, Any], root: Mapping[str, Any], above: tuple[str, ...], nested: bool, needed: bool
) -> list[SchemaField]:
    required = schema.get("required", [])
    properties = schema.get("properties", {})
    found: list[SchemaField] = []
    for name, said in list(properties.items())[:FIELDS_AT_MOST] if isinstance(properties, dict) else ():
        path = (*above, str(name))
        plain = _without_null(_resolved(said if isinstance(said, dict) else {}, root), root)
        must = needed and name in required
        if nested and len(path) < DEPTH_AT_MOST and plain.get("type") == "object" and plain.get("properties"):
            found += _fields(plain, root, path, nested, must)
        else:
            found.append(_field(path, said, plain, must, root))
    return found


def read_fields(form: Form, fields: list[SchemaField], *, blank: bool = True) -> dict[str, Any]:
    """What a form gives; what is empty and has a default is left out. Errors stand at the fields.

    Args:
        form: what was sent.
        fields: of the schema.
        blank: whether an empty text is a value where one is needed.
    """
    given: dict[str, Any] = {}
    for one in fields:
        value = form.values.get(one.name, "")
        if one.kind == "boolean":
            _put(given, one, form.ticked(one.name))
        elif one.kind in ("text", "long") and blank and not value:
            if one.needed:
                _put(given, one, "")
        elif not value.strip() and not (one.kind == "text" and blank):
            if one.kind == "lines" and one.needed:
                _put(given, one, [])
            elif one.needed:
                form.refuse(one.name, "Choose one of these." if one.kind == "choice" else "Give a value.")
        else:
            _read(form, one, value, given)
    return given


def _read(form: Form, one: SchemaField, value: str, given: dict[str, Any]) -> None:
    """Read a field in which something stands."""
    if one.kind in ("text", "long"):
        _put(given, one, value.replace("\r\n", "\n"))
    elif one.kind == "choice":
        if value in one.choices:
            _put(given, one, one.choices[value])
        else:
            form.refuse(one.name, "Choose one of these.")
    elif one.kind == "lines":
        _put(given, one, [line.strip() for line in value.splitlines() if line.strip()])
    elif one.kind == "integer":
        number = form.integer(one.name)
        if number is not None:
            _put(given, one, number)
    else:
        read = form.json(one.name)
        if one.name not in form.errors:
            if one.kind == "number" and (isinstance(read, bool) or not isinstance(read, int | float)):
                form.refuse(one.name, "Give a number.")
            _put(given, one, read)


def example(schema: Mapping[str, Any]) -> str:
    """The beginning of an input, as JSON: each argument with its default, or null."""
    properties: Mapping[str, Any] = schema.get("properties", {})
    return pretty({name: said.get("default") if isinstance(said, dict) else None for name, said in properties.items()})


# What is filled in already


def filled(fields: Iterable[SchemaField], data: Mapping[str, Any], hidden: object = None) -> list[SchemaField]:
    """The fields with what is filled in already.

    Args:
        fields: of the schema.
        data: what is filled in.
        hidden: what stands in the data for a value that whoever looks does not see: such a field is empty, and leaving
            it so keeps what is there.
    """
    made = []
    for one in fields:
        value, there = _at(data, one.path)
        if there and hidden is not None and value == hidden:
            made.append(replace(one, value="", needed=False, kind="text", hint="Hidden from you; empty keeps it."))
        elif there and value is not None:
            made.append(replace(one, value=_written(one, value)))
        else:
            made.append(one)
    return made


def patch_of(
    fields: Iterable[SchemaField], given: Mapping[str, Any], data: Mapping[str, Any], hidden: object = None
) -> dict[str, Any]:
    """What is to be merged into the data so that it has what was given: what was emptied is null, which deletes."""
    patch: dict[str, Any] = deepcopy(dict(given))
    for one in fields:
        value, there = _at(data, one.path)
        if there and value is not None and not _at(given, one.path)[1] and value != hidden:
            _put(patch, one, None)
    return patch


def _at(data: Mapping[str, Any], path: tuple[str, ...]) -> tuple[Any, bool]:
    """What stands at a place in data, and whether something does."""
    value: Any = data
    for name in path:
        if not isinstance(value, Mapping) or name not in value:
            return None, False
        value = value[name]
    return value, True


def _put(given: dict[str, Any], one: SchemaField, value: Any) -> None:
    *above, last = one.path
    for name in above:
        inner = given.get(name)
        if not isinstance(inner, dict):
            inner = given[name] = {}
        given = inner
    given[last] = value


def _written(one: SchemaField, value: Any) -> str:
    if one.kind == "boolean":
        return "yes" if value is True else ""
    if one.kind == "choice":
        return next((text for text, other in one.choices.items() if other == value), "")
    if one.kind == "lines" and isinstance(value, list):
        return "\n".join(text if isinstance(text, str) else json.dumps(text) for text in value)
    return value if isinstance(value, str) and one.kind != "json" else pretty(value)


# From a schema


def _field(
    path: tuple[str, ...], said: Any, plain: Mapping[str, Any], needed: bool, root: Mapping[str, Any]
) -> SchemaField:
    schema: Mapping[str, Any] = said if isinstance(said, dict) else {}
    default, hint = schema.get("default"), str(schema.get("description", "") or plain.get("description", ""))
    written = default if isinstance(default, str) else "" if default is None else json.dumps(default)
    title = str(schema.get("title") or _title(path[-1]))

    def made(kind: Kind, value: str, hint: str, **more: Any) -> SchemaField:
        return SchemaField(".".join(path), kind, needed, value, hint, title=title, path=path, **more)

    choices = plain.get("enum")
    if "const" in plain:
        choices = [plain["const"]]
    of = plain.get("type")
    if isinstance(choices, list) and 0 < len(choices) <= 100:
        texts = {one if isinstance(one, str) else json.dumps(one): one for one in choices}
        return made("choice", written, hint, choices=texts)
    if of == "string":
        return _text(plain, made, default if isinstance(default, str) else "", hint)
    if of == "boolean":
        if needed or isinstance(default, bool):
            return made("boolean", "yes" if default else "", hint)
        if "anyOf" not in schema:
            return made("choice", "", hint, choices={"yes": True, "no": False})
    if of in ("integer", "number"):
        bounds = hint or _bounds(plain, "A whole number" if of == "integer" else "A number")
        return made("integer" if of == "integer" else "number", "" if default is None else json.dumps(default), bounds)
    if of == "array" and _without_null(_resolved(plain.get("items"), root), root).get("type") == "string":
        lines = [one for one in default if isinstance(one, str)] if isinstance(default, list) else []
        return made("lines", "\n".join(lines), hint or "One on each line.")
    shown = "" if default is None else pretty(default)
    return made("json", shown, hint or f"JSON{_shape(plain)}")


def _text(plain: Mapping[str, Any], made: Any, value: str, hint: str) -> SchemaField:
    form = str(plain.get("format", ""))
    hint = hint or {"date-time": "A date and a time, as in 2026-12-01T10:00:00Z", "date": "As in 2026-12-01"}.get(
        form, ""
    )
    most = plain.get("maxLength")
    if form in ("textarea", "multiline") or (isinstance(most, int) and most >= LONG_FROM):
        field: SchemaField = made("long", value, hint)
        return field
    field = made("text", value, hint, input={"date": "date", "email": "email", "uri": "url"}.get(form, "text"))
    return field


def _bounds(plain: Mapping[str, Any], noun: str) -> str:
    least, most = plain.get("minimum"), plain.get("maximum")
    if isinstance(least, int | float) and isinstance(most, int | float):
        return f"{noun}, {least:g} to {most:g}"
    if isinstance(least, int | float):
        return f"{noun}, {least:g} or more"
    return f"{noun}, at most {most:g}" if isinstance(most, int | float) else noun


def _title(name: str) -> str:
    """A field's name as words."""
    words = name.replace("_", " ").strip()
    return words[:1].upper() + words[1:]


def _resolved(schema: Any, root: Mapping[str, Any]) -> Mapping[str, Any]:
    """A schema, or that which it refers to within the whole."""
    for _ in range(DEPTH_AT_MOST):
        reference = schema.get("$ref") if isinstance(schema, dict) else None
        if not isinstance(reference, str) or not reference.startswith("#/"):
            break
        found: Any = root
        for part in reference[2:].split("/"):
            found = found.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(found, dict) else None
        schema = {**found, **{name: said for name, said in schema.items() if name != "$ref"}} if found else {}
    return schema if isinstance(schema, dict) else {}


def _without_null(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    """A schema, or of one that may also be null the rest, where that is one."""
    any_of = schema.get("anyOf")
    if isinstance(any_of, list):
        rest = [one for one in any_of if isinstance(one, dict) and one.get("type") != "null"]
        if len(rest) == 1:
            return _resolved(rest[0], root)
    of = schema.get("type")
    if isinstance(of, list):
        kinds = [one for one in of if one != "null"]
        if len(kinds) == 1:
            return {**schema, "type": kinds[0]}
    return schema


def _shape(schema: Mapping[str, Any]) -> str:
    of = schema.get("type")
    return {"array": ": a list", "object": ": an object"}.get(str(of), "") or (
        f": {in_line(schema['title'])}" if isinstance(schema.get("title"), str) else ""
    )
