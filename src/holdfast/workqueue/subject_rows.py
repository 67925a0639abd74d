"""Subjects as they are given, checked, and what becomes of a stored one by them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from holdfast.engine.part import UNSET, Unset
from holdfast.errors import PayloadError, UsageError
from holdfast.model.exactness import member, plain_fault
from holdfast.model.expressions import check_signal_name
from holdfast.model.ids import check_id
from holdfast.model.merging import merge
from holdfast.model.policies import Policy, check_signal
from holdfast.model.run import instant
from holdfast.store.work_rows import SignalRow, SubjectRow
from holdfast.workqueue.part import checked_instant
from holdfast.workqueue.views import ScoreView, SubjectView

NAME_CHARACTERS = 500
CONTACTS_AT_MOST = 1000
DOCUMENT_BYTES = 256 * 1024
"""The properties of a subject, and its contacts, each as JSON."""

STRENGTH = "relationship_strength"
STRENGTHS = ("weak", "moderate", "strong")
"""How well somebody at the subject is known."""

FIELDS = ("id", "name", "assignee", "properties", "contacts", "signals", "signals_at")
"""What may be given of a subject."""

CLOCKS_MAY_DIFFER_US = 60_000_000
"""A signal may be so far ahead of the database's clock."""


class Draft(NamedTuple):
    """What is given of a subject, checked.

    Attributes:
        name, assignee, contacts: as they are to be, if given.
        properties: a patch of the stored ones: objects are merged, null deletes.
        signals: (name, value).
        at: when the signals were measured; None for now.
    """

    id: str
    name: str | Unset = UNSET
    assignee: str | Unset | None = UNSET
    properties: dict[str, Any] | None = None
    contacts: list[dict[str, Any]] | None = None
    signals: tuple[tuple[str, float], ...] = ()
    at: int | None = None


def draft_from(given: object, policy: Policy, now: int) -> Draft:
    """A subject as a program gives it: an object with `FIELDS`.

    Raises:
        UsageError: a field is unknown or wrong.
        PayloadError: a property or a contact cannot be stored.
    """
    if not isinstance(given, Mapping):
        raise UsageError(f"it is {given!r:.100}; give an object with {', '.join(FIELDS)}")
    for field in given:
        if field not in FIELDS:
            raise UsageError(f"{field!r:.100} is no field of a subject; put it into properties, or into signals")
    return drafted(
        given.get("id"),
        name=given.get("name", UNSET),
        assignee=given.get("assignee", UNSET),
        properties=given.get("properties"),
        contacts=given.get("contacts"),
        signals=given.get("signals") or {},
        at=given.get("signals_at"),
        policy=policy,
        now=now,
    )


def drafted(
    id: object,
    *,
    name: object = UNSET,
    assignee: object = UNSET,
    properties: object = None,
    contacts: object = None,
    signals: object = None,
    at: object = None,
    policy: Policy,
    now: int,
) -> Draft:
    """A subject of these fields, checked.

    Raises:
        UsageError: a field is wrong.
        PayloadError: a property or a contact cannot be stored.
    """
    if id is None or id == "":
        raise UsageError("it has no id; give one")
    named = check_id(id, "the id of a subject")
    measured = None if at is None else checked_time(at, "signals_at", now)
    return Draft(
        named,
        UNSET if isinstance(name, Unset) or name is None else checked_name(name),
        assignee if isinstance(assignee, Unset) or assignee is None else check_id(assignee, "assignee"),
        None if properties is None else _checked_properties(properties),
        None if contacts is None else checked_contacts(contacts),
        () if not signals else checked_signals(signals, policy),
        measured,
    )


def applied(stored: SubjectRow | None, draft: Draft, *, tenant: str, demo: bool, now: int) -> SubjectRow:
    """What becomes of a subject by a draft: equal to the stored one if nothing does, else a revision further.

    Raises:
        PayloadError: its properties would be too large.
    """
    row = stored or SubjectRow(
        tenant, draft.id, draft.id, None, b"{}", b"[]", 0, b"{}", b"{}", b"{}", demo, now, 0
    )  # fmt: skip
    changed = row
    if not isinstance(draft.name, Unset):
        changed = changed._replace(name=draft.name)
    if not isinstance(draft.assignee, Unset):
        changed = changed._replace(assignee=draft.assignee)
    if draft.properties:
        before = msgspec.json.decode(row.properties)
        merged = merge(before, draft.properties, place="properties")
        if not _same(merged, before):
            changed = changed._replace(properties=_sized(merged, "properties"))
    if draft.contacts is not None and not _same(draft.contacts, msgspec.json.decode(row.contacts)):
        changed = changed._replace(contacts=_sized(draft.contacts, "contacts"), weak=weak_of(draft.contacts))
    if stored is not None and changed == stored:
        return stored
    return changed._replace(revision=row.revision + 1)


def signal_rows(draft: Draft, tenant: str, now: int, source: str) -> list[SignalRow]:
    """The signals of a draft."""
    at = now if draft.at is None else draft.at
    return [SignalRow(tenant, draft.id, name, at, value, source) for name, value in draft.signals]


def weak_of(contacts: Iterable[Mapping[str, Any]]) -> int:
    """How many contacts are weak."""
    return sum(one.get(STRENGTH) == "weak" for one in contacts)


def checked_contacts(contacts: object) -> list[dict[str, Any]]:
    """Contacts: objects of plain JSON with a ``relationship_strength`` that is known, if they have one.

    Raises:
        UsageError: too many, or another strength.
        PayloadError: they are no plain JSON.
    """
    if not isinstance(contacts, list) or len(contacts) > CONTACTS_AT_MOST:
        raise UsageError(f"contacts is {contacts!r:.100}; give a list of at most {CONTACTS_AT_MOST:,} objects")
    for number, one in enumerate(contacts):
        if not isinstance(one, dict):
            raise UsageError(f'contacts[{number}] is {one!r:.100}; give an object, such as {{"name": "Ada Okafor"}}')
        strength = one.get(STRENGTH)
        if strength is not None and strength not in STRENGTHS:
            raise UsageError(f"contacts[{number}].{STRENGTH} is {strength!r:.100}; give {', '.join(STRENGTHS)}")
    _check_plain(contacts, "contacts")
    return contacts


def checked_signals(signals: object, policy: Policy) -> tuple[tuple[str, float], ...]:
    """Signals by name.

    Raises:
        UsageError: one is no number, or out of range.
    """
    if not isinstance(signals, Mapping):
        raise UsageError(f"signals is {signals!r:.100}; give an object of numbers by name")
    return tuple((check_signal_name(name), check_signal(policy, name, value)) for name, value in signals.items())


def checked_time(value: object, what: str, now: int) -> int:
    """When a signal was measured: not in the future, but for what clocks may differ.

    Raises:
        UsageError: it is no such instant.
    """
    at = checked_instant(value, what)
    if at > now + CLOCKS_MAY_DIFFER_US:
        raise UsageError(f"{what} is {instant(at).isoformat()}, which is in the future; give when it was measured")
    if at < 0:
        raise UsageError(f"{what} is {instant(at).isoformat()}; give an instant after 1970")
    return at


def checked_name(name: object) -> str:
    """What people call a subject.

    Raises:
        UsageError: it is no text on one line, or too long.
    """
    if not isinstance(name, str) or not 1 <= len(name) <= NAME_CHARACTERS or not name.isprintable():
        raise UsageError(f"name is {name!r:.100}; give a text of 1 to {NAME_CHARACTERS} characters on one line")
    return name


def _checked_properties(properties: object) -> dict[str, Any]:
    if not isinstance(properties, dict):
        raise UsageError(f"properties is {properties!r:.100}; give an object")
    _check_plain(properties, "properties")
    return properties


def _check_plain(value: Any, place: str) -> None:
    if (fault := plain_fault(value, place)) is not None:
        raise PayloadError(fault.place, fault.reason)
    try:
        encoded = msgspec.json.encode(value)
    except OverflowError:
        raise PayloadError(place, "holds a whole number of more than 64 bits: write it as text") from None
    # A database that searches in JSON keeps no NUL in it.
    if b"\\u0000" in encoded and (found := _with_nul(value, place)) is not None:
        raise PayloadError(found, "holds a NUL character: leave it out")


def _with_nul(value: Any, place: str) -> str | None:
    if isinstance(value, str):
        return place if "\0" in value else None
    parts: Iterable[tuple[object, Any]] = ()
    if isinstance(value, dict):
        if any("\0" in key for key in value):
            return place
        parts = value.items()
    elif isinstance(value, list):
        parts = enumerate(value)
    return next((found for key, part in parts if (found := _with_nul(part, member(place, key))) is not None), None)


def _same(one: Any, other: Any) -> bool:
    # Not by their bytes: a database may keep JSON in a form of its own. Not by ==: 1 is True there.
    encode = msgspec.json.Encoder(order="deterministic").encode
    return encode(one) == encode(other)


def _sized(value: Any, place: str) -> bytes:
    encoded = msgspec.json.encode(value)
    if len(encoded) > DOCUMENT_BYTES:
        raise PayloadError(place, f"takes {len(encoded):,} bytes; at most {DOCUMENT_BYTES:,} are kept of a subject")
    return encoded


class _Score(msgspec.Struct):
    score: float
    inputs: dict[str, Any]
    at: int


_scores = msgspec.json.Decoder(dict[str, _Score])
_times = msgspec.json.Decoder(dict[str, int])
_numbers = msgspec.json.Decoder(dict[str, float])


def subject_view(row: SubjectRow) -> SubjectView:
    """A subject as it is shown."""
    return SubjectView(
        id=row.id,
        name=row.name,
        assignee=row.assignee,
        properties=msgspec.json.decode(row.properties),
        contacts=msgspec.json.decode(row.contacts),
        weak=row.weak,
        signals=_numbers.decode(row.signals),
        signals_at={name: instant(at) for name, at in _times.decode(row.signals_at).items()},
        scores={
            name: ScoreView(one.score, one.inputs, instant(one.at)) for name, one in _scores.decode(row.scores).items()
        },
        demo=row.demo,
        created_at=instant(row.created_at),
        revision=row.revision,
    )
