"""Definitions: what a kind of work is, when there is some to do, and what becomes of it. Checked when they are read.

    [definitions.renewal-90]
    name = "Prepare the renewal"
    type = "renewal"
    rule = "signals.usage_score < 60.0"
    renewal = {property = "renews_on", days = 90}
    due = "14d"
    escalate_to = ["@manager"]

    [[definitions.renewal-90.steps]]
    id = "terms"
    title = "Look at the terms"

An item is made for a subject when all that a definition names holds: its rule, and each of its triggers by time.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NoReturn

import msgspec

from holdfast.errors import HoldfastError, RuleError, UsageError
from holdfast.model.duration import seconds
from holdfast.model.exactness import plain_fault
from holdfast.model.ids import check_id
from holdfast.model.notes import ESCALATIONS_AT_MOST
from holdfast.model.rules import rule_from
from holdfast.model.toml_places import toml_line
from holdfast.model.work_kinds import TYPES, Annual, Change, Definition, Renewal, Sla, Step, span_us

NAME_CHARACTERS = 200
TEXT_CHARACTERS = 10_000
STEPS_AT_MOST = 100
AFTER_AT_MOST = 100
WEIGHT_AT_MOST = 1_000_000
DAYS_AT_MOST = 3660
FORM_BYTES = 100_000

_Path = tuple[str | int, ...]


def definition_from(document: object, where: str = "", *, source: str | None = None, path: _Path = ()) -> Definition:
    """A definition, checked.

    Args:
        document: its fields by name.
        where: the file or place that it is from, for messages.
        source: the TOML text that it was read from, so that messages name the line.
        path: where in the text it is.

    Raises:
        UsageError: a field is missing, unknown or wrong; says which, and what to write.
    """
    return _Reader(where, source, path).read(document)


def definitions_from(document: object, where: str = "", *, source: str | None = None) -> list[Definition]:
    """The definitions of a file: a table ``definitions``, in which each has its id as key.

    Args:
        document: the file's content.
        where: its name, for messages.
        source: its text if it is TOML, so that messages name the line.

    Raises:
        UsageError: as for `definition_from`; or they come after one another in a circle.
    """
    reader = _Reader(where, source, ())
    if not isinstance(document, Mapping) or not isinstance(document.get("definitions"), Mapping):
        reader.refuse((), "has no definitions; write each as a table [definitions.ID], with its fields below")
    reader.known(document, ("definitions",), ())
    found = []
    for id, fields in document["definitions"].items():
        inside = _Reader(where, source, ("definitions", id))
        if not isinstance(fields, Mapping):
            inside.refuse((), f"is {fields!r:.100}; give a table of fields")
        if fields.get("id", id) != id:
            inside.refuse(("id",), f"is {fields['id']!r:.100}, and the table is called {id!r:.100}: leave it out")
        found.append(inside.read({**fields, "id": id}))
    circle = circle_of({one.id: one.after for one in found})
    if circle:
        reader.refuse(("definitions", circle[0], "after"), f"goes round in a circle: {' after '.join(circle)}")
    return found


def circle_of(after: Mapping[str, Sequence[str]]) -> list[str]:
    """A circle among things that come after one another, its first one again at its end; empty if there is none."""
    done: set[str] = set()
    for first in after:
        way: dict[str, Iterator[str]] = {}  # from the first one down, each with what is still to be followed
        name: str | None = first if first not in done else None
        while name is not None:
            if name not in way:
                way[name] = iter(after.get(name, ()))
            other = next(way[name], None)
            if other is None:
                done.add(name)
                del way[name]
                name = next(reversed(way), None)
            elif other in way:
                names = list(way)
                return [*names[names.index(other) :], other]
            elif other not in done:
                name = other
    return []


_FIELDS: dict[str, type[msgspec.Struct]] = {"sla": Sla, "renewal": Renewal, "annual": Annual, "change": Change}
_SPANS: tuple[_Path, ...] = (
    ("cooldown",), ("due",), ("acknowledge",), ("sla", "start"), ("sla", "complete"), ("change", "over")
)  # fmt: skip
_AT = re.compile(r" - at `\$(.*)`$")
_PLACES = re.compile(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]")


class _Reader:
    """Reads one definition, and says where it is wrong."""

    def __init__(self, where: str, source: str | None, path: _Path) -> None:
        self.where = where
        self.source = source
        self.path = path
        self.name = f"definition {path[-1]!r:.100}" if path else ""

    def refuse(self, place: _Path, reason: str) -> NoReturn:
        """Raise what is wrong at a place inside the definition."""
        head = self._head(place)
        raise UsageError(f"{head} {reason}" if head else reason)

    def _head(self, place: _Path) -> str:
        """What a message begins with: where the file, the line, the definition and the field are."""
        line = toml_line(self.source, (*self.path, *place)) if self.source is not None else None
        place_of = f"{self.where}, line {line}" if line and self.where else f"line {line}" if line else self.where
        field = "".join(f"[{one}]" if isinstance(one, int) else f".{one}" for one in place)[1:]
        return ": ".join(part for part in (place_of, self.name, field) if part)

    def known(self, fields: Mapping[str, Any], names: Sequence[str], place: _Path) -> None:
        """Refuse what is no field."""
        for key in fields:
            if key not in names:
                near = difflib.get_close_matches(str(key), names, 1)
                advice = f"did you mean {near[0]}?" if near else f"the fields are {', '.join(names)}"
                self.refuse((*place, key if isinstance(key, str) else repr(key)), f"is no field; {advice}")

    def read(self, document: object) -> Definition:
        if not isinstance(document, Mapping):
            self.refuse((), f"is {document!r:.100}; give an object with its fields by name")
        if isinstance(document.get("id"), str):
            self.name = f"definition {document['id']!r:.100}"
        if (fault := plain_fault(dict(document), "")) is not None:
            self.refuse((fault.place.lstrip("."),), fault.reason)
        self._check_fields(document)
        try:
            definition = msgspec.convert(document, Definition)
        except msgspec.ValidationError as error:
            text = str(error)
            at = _AT.search(text)
            self.refuse(_place(at[1] if at else ""), f"is not right: {_AT.sub('', text).lower()}")
        self._check(definition)
        return definition

    def _check_fields(self, document: Mapping[str, Any]) -> None:
        self.known(document, Definition.__struct_fields__, ())
        for field, kind in _FIELDS.items():
            if isinstance(document.get(field), Mapping):
                self.known(document[field], kind.__struct_fields__, (field,))
        steps = document.get("steps")
        for number, step in enumerate(steps if isinstance(steps, list) else ()):
            if isinstance(step, Mapping):
                self.known(step, Step.__struct_fields__, ("steps", number))
        for needed in ("id", "name"):
            if needed not in document:
                self.refuse((), f"has no {needed}: give one")

    def _check(self, one: Definition) -> None:
        self._id(one.id, ("id",))
        self._line(one.name, ("name",), least=1)
        self._text(one.description, ("description",))
        if one.type not in TYPES:
            near = difflib.get_close_matches(one.type, TYPES, 1)
            self.refuse(("type",), f"is {one.type!r:.100}; give one of {', '.join(TYPES)}" + _meant(near))
        self._number(one.weight, ("weight",), 0, WEIGHT_AT_MOST)
        self._number(one.order, ("order",), 0, WEIGHT_AT_MOST)
        self._number(one.business_days, ("business_days",), 0, DAYS_AT_MOST)
        if one.due is not None and one.business_days is not None:
            self.refuse(("business_days",), "stands beside due: give one of them")
        for place in _SPANS:
            self._span(one, place)
        self._people(one)
        self._rule(one.rule, ("rule",))
        self._form(one.form, ("form",))
        self._steps(one.steps)
        self._triggers(one)
        if one.workflow_id is not None:
            self._id(one.workflow_id, ("workflow_id",))

    def _people(self, one: Definition) -> None:
        for place, ids, most in (
            ("escalate_to", one.escalate_to, ESCALATIONS_AT_MOST),
            ("after", one.after, AFTER_AT_MOST),
        ):
            if len(ids) > most:
                self.refuse((place,), f"has {len(ids)} entries; give at most {most}")
            for number, id in enumerate(ids):
                self._id(id, (place, number))
        if one.id in one.after:
            self.refuse(("after",), "names the definition itself; leave it out")
        for place, named in (("group", one.group), ("assign", one.assign)):
            if named is not None:
                self._id(named, (place,))
        if one.group is not None and one.assign is not None:
            self.refuse(("assign",), "stands beside group: give one of them")
        if one.acknowledge is not None and not one.escalate_to:
            self.refuse(("acknowledge",), "says how long an escalation waits, and escalate_to names nobody")

    def _steps(self, steps: list[Step]) -> None:
        if len(steps) > STEPS_AT_MOST:
            self.refuse(("steps",), f"has {len(steps)} entries; give at most {STEPS_AT_MOST}")
        ids: set[str] = set()
        for number, step in enumerate(steps):
            place: _Path = ("steps", number)
            self._id(step.id, (*place, "id"))
            if step.id in ids:
                self.refuse((*place, "id"), f"is {step.id!r:.100}, as that of a step before it: give each its own")
            ids.add(step.id)
            self._line(step.title, (*place, "title"))
            self._text(step.text, (*place, "text"))
            self._form(step.form, (*place, "form"))
            self._rule(step.when, (*place, "when"))

    def _triggers(self, one: Definition) -> None:
        if (renewal := one.renewal) is not None:
            self._number(renewal.days, ("renewal", "days"), 0, DAYS_AT_MOST)
            if (renewal.signal is None) == (renewal.property is None):
                self.refuse(("renewal",), "needs one of signal (days that are left) and property (a date)")
            for field in ("signal", "property"):
                if (name := getattr(renewal, field)) is not None:
                    self._id(name, ("renewal", field))
        if one.annual is not None:
            self._id(one.annual.property, ("annual", "property"))
            self._number(one.annual.days, ("annual", "days"), 0, 366)
        if one.change is not None:
            self._id(one.change.signal, ("change", "signal"))
            if one.change.by == 0 or not math.isfinite(one.change.by):
                self.refuse(
                    ("change", "by"), f"is {one.change.by}; give how much it rises, or below 0 how much it falls"
                )
            if not span_us(one.change.over):
                self.refuse(("change", "over"), 'is no time at all; give a span such as "30d"')

    def _id(self, value: str, place: _Path) -> None:
        try:
            check_id(value, "it")
        except HoldfastError as error:
            self.refuse(place, f"is not right: {error}")

    def _line(self, value: str, place: _Path, least: int = 0) -> None:
        if not least <= len(value) <= NAME_CHARACTERS or not value.isprintable():
            self.refuse(place, f"is {value!r:.100}; give a text of {least} to {NAME_CHARACTERS} characters on one line")

    def _text(self, value: str, place: _Path) -> None:
        if len(value) > TEXT_CHARACTERS or "\0" in value:
            self.refuse(place, f"has {len(value):,} characters; give at most {TEXT_CHARACTERS:,}, and no NUL")

    def _number(self, value: int | None, place: _Path, least: int, most: int) -> None:
        if value is not None and not least <= value <= most:
            self.refuse(place, f"is {value}; give a whole number, {least} to {most:,}")

    def _span(self, one: Definition, place: _Path) -> None:
        value: Any = one
        for field in place:
            value = None if value is None else getattr(value, str(field))
        if value is not None:
            try:
                seconds(value, what="it")
            except HoldfastError as error:
                self.refuse(place, f"is not right: {error}")

    def _form(self, form: dict[str, Any] | None, place: _Path) -> None:
        if form is None:
            return
        if len(msgspec.json.encode(form)) > FORM_BYTES:
            self.refuse(place, f"takes more than {FORM_BYTES:,} bytes: make it smaller")
        if (reason := form_fault(form)) is not None:
            self.refuse(place, reason)

    def _rule(self, rule: str | None, place: _Path) -> None:
        if rule is None:
            return
        try:
            rule_from(rule, self._head(place))
        except RuleError:
            raise
        except UsageError as error:
            self.refuse(place, f"is not right: {error}")


def form_fault(form: Mapping[str, Any]) -> str | None:
    """What is wrong with a JSON Schema as the form of an item; None if nothing is."""
    import jsonschema  # here: it loads slowly, and only who writes definitions needs it

    if form.get("type") != "object":
        return 'is no form: its "type" must be "object", with the fields under "properties"'
    try:
        jsonschema.Draft202012Validator.check_schema(dict(form))
    except jsonschema.SchemaError as error:
        path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path)
        return f"is no JSON Schema: {path or 'it'}: {error.message:.300}"
    except RecursionError:
        return "is nested too deeply"
    return _foreign_reference(form)


def _foreign_reference(value: Any) -> str | None:
    """Refuse a reference out of the schema: following it would ask another server."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            if key in ("$ref", "$dynamicRef") and isinstance(part, str) and not part.startswith("#"):
                return f'refers to {part!r:.100}; only references within it work, such as "#/$defs/address"'
            if (fault := _foreign_reference(part)) is not None:
                return fault
    elif isinstance(value, list):
        return next((fault for part in value if (fault := _foreign_reference(part)) is not None), None)
    return None


def _meant(near: Sequence[str]) -> str:
    return f". Did you mean {near[0]}?" if near else ""


def _place(text: str) -> _Path:
    return tuple(int(number) if number.isdigit() else name or "*" for name, number in _PLACES.findall(text))
