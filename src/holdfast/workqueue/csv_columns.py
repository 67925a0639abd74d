"""What the columns of a CSV file of subjects mean, and the subject that a record makes. Pure.

    id            the subject's id; needed
    name          what people call it
    assignee      who looks after it
    contacts      a list of objects, as JSON
    contact.X     field X of its one contact, such as contact.relationship_strength; contact.2.X of the second
    signal.X      the value of signal X; a column that is named as a signal of the policy needs no "signal."
    signals_at    when the signals were measured, such as 2026-03-01T06:30:00Z; now unless given
    property.X    property X; so is a column of any other name

Nothing in a field says nothing: what is stored stays.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from holdfast.engine.part import UNSET
from holdfast.errors import PayloadError, UsageError
from holdfast.model.expressions import check_signal_name
from holdfast.model.ids import check_id
from holdfast.model.policies import Policy, check_signal
from holdfast.workqueue.subject_rows import (
    CONTACTS_AT_MOST,
    STRENGTH,
    Draft,
    checked_contacts,
    checked_name,
    checked_time,
)

COLUMNS_AT_MOST = 1000

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,15})?")
_DIGITS = re.compile(r"[-+]?[0-9]{1,300}(?:\.[0-9]{0,300})?(?:[eE][-+]?[0-9]{1,3})?")
_CONTACT = re.compile(r"contact\.(?:([1-9][0-9]{0,3})\.)?(.+)", re.DOTALL)
_PLAIN = ("id", "name", "assignee", "contacts", "signals_at")

Put = Callable[["_Given", str], None]


class _Given:
    """What the fields of a record gave so far."""

    __slots__ = ("contacts", "fields", "listed", "properties", "signals")

    def __init__(self) -> None:
        self.fields: dict[str, str] = {}
        self.properties: dict[str, Any] = {}
        self.signals: dict[str, float] = {}
        self.contacts: dict[int, dict[str, Any]] = {}
        self.listed: Any = None


class Columns:
    """The columns of a file.

    Args:
        header: the fields of its first record.
        policy: the signals that it declares.

    Raises:
        UsageError: there is no column ``id``, two have one name, or there are too many.
    """

    def __init__(self, header: Sequence[str], policy: Policy) -> None:
        names = [name.strip() for name in header]
        while names and not names[-1]:
            names.pop()
        if len(names) > COLUMNS_AT_MOST:
            raise UsageError(f"the file has {len(names):,} columns; at most {COLUMNS_AT_MOST:,} are read")
        known = [name.casefold() if name.casefold() in _PLAIN else name for name in names]
        if "id" not in known:
            shown = ", ".join(known[:10]) or "nothing"
            raise UsageError(
                f"the first line must name the columns, one of them id, and it has {shown[:200]}; put a line such as "
                "id,name,assignee above the others"
            )
        twice = next((name for number, name in enumerate(known) if name and name in known[:number]), None)
        if twice is not None:
            raise UsageError(f"two columns are called {twice!r:.100}; give each its own name")
        unnamed = next((number for number, name in enumerate(known, 1) if not name), None)
        if unnamed is not None:
            raise UsageError(f"column {unnamed} has no name; give it one, or take it out")
        self.names = known
        self._puts = [_put_of(name, policy) for name in known]

    def draft(self, cells: Sequence[str], now: int) -> Draft:
        """The subject that a record makes.

        Raises:
            UsageError: a field is missing, or wrong; names its column.
            PayloadError: likewise.
        """
        width = len(self.names)
        if len(cells) < width or any(cell.strip() for cell in cells[width:]):
            raise UsageError(f"it has {len(cells)} fields, and the first line names {width} columns")
        given = _Given()
        for column, put, cell in zip(self.names, self._puts, cells, strict=False):
            text = cell.strip()
            if text:
                try:
                    if "\0" in text:
                        raise UsageError("it holds a NUL character; leave it out")
                    put(given, text)
                except (UsageError, PayloadError) as error:
                    raise UsageError(f"column {column}: {error}") from None
        fields = given.fields
        id, name, assignee, at = (fields.get(field) for field in ("id", "name", "assignee", "signals_at"))
        if id is None:
            raise UsageError("it has no id; give one")
        contacts = _contacts(given)
        return Draft(
            check_id(id, "the id of a subject"),
            UNSET if name is None else checked_name(name),
            UNSET if assignee is None else check_id(assignee, "assignee"),
            given.properties or None,
            None if contacts is None else checked_contacts(contacts),
            tuple(given.signals.items()),
            None if at is None else checked_time(at, "signals_at", now),
        )


def _put_of(name: str, policy: Policy) -> Put:
    """What a field of a column says."""
    if name in ("id", "name", "assignee", "signals_at"):
        return lambda given, text: given.fields.__setitem__(name, text)
    if name == "contacts":
        return _put_list
    if (contact := _CONTACT.fullmatch(name)) is not None:
        number, field = int(contact[1] or 1), contact[2]
        if number > CONTACTS_AT_MOST:
            raise UsageError(f"column {name!r:.100}: a subject has at most {CONTACTS_AT_MOST:,} contacts")
        return lambda given, text: _put_contact(given, number, field, text)
    declared = name in policy.signals
    if declared or name.startswith("signal."):
        signal = check_signal_name(name if declared else name.removeprefix("signal."))
        return lambda given, text: given.signals.__setitem__(signal, check_signal(policy, signal, _number(text)))
    property = check_id(name.removeprefix("property.") or name, "the name of a property")
    return lambda given, text: given.properties.__setitem__(property, plain(text))


def _put_list(given: _Given, text: str) -> None:
    try:
        given.listed = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise UsageError(f"it is no JSON: {error}; give a list of objects") from None


def _put_contact(given: _Given, number: int, field: str, text: str) -> None:
    value: Any = text.casefold() if field == STRENGTH else text
    given.contacts.setdefault(number, {})[field] = value


def _contacts(given: _Given) -> Any:
    if not given.contacts:
        return given.listed
    if given.listed is not None:
        raise UsageError("it has contacts both in the column contacts and in columns of their own; use one of them")
    return [given.contacts[number] for number in sorted(given.contacts)]


def _number(text: str) -> float:
    if _DIGITS.fullmatch(text) is None:
        raise UsageError(f"it is {text[:100]!r}; give a number with a point and without a sign behind it, such as 12.5")
    return float(text)


def plain(text: str) -> Any:
    """A property of the text of a field: a number or a truth value where it is written as one, else the text.

    What looks like a number and is a name stays text: 007, 1e5, and more than 15 digits.
    """
    if _NUMBER.fullmatch(text) is not None:
        return float(text) if "." in text else int(text)
    lower = text.casefold()
    if lower in ("true", "false"):
        return lower == "true"
    return text
