"""What is kept of a person beside id, address and password, and what may stand there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from holdfast.errors import UsageError
from holdfast.model.ids import check_id

EMAIL_CHARACTERS = 254
"""The longest address that mail is delivered to (RFC 5321)."""

NAME_CHARACTERS = 200
GROUPS_AT_MOST = 100
AWAY_AT_MOST = 100
CAPACITY_AT_MOST = 1_000_000
PASSWORD_CHARACTERS = (12, 1000)

_MACHINE_ZONES = ("localtime", "posixrules")  # another zone on each machine


class Person(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is stored of a person as a document.

    Attributes:
        away: pairs of dates, first and last day, in order.
    """

    name: str = ""
    role: str = "viewer"
    zone: str = "UTC"
    manager: str | None = None
    groups: list[str] = []
    capacity: int | None = None
    away: list[tuple[date, date]] = []
    disabled: bool = False


def encode_person(person: Person) -> bytes:
    """The stored form: JSON."""
    return msgspec.json.encode(person)


def decode_person(document: bytes) -> Person:
    """What `encode_person` gave."""
    return msgspec.json.decode(document, type=Person)


def checked_email(email: object) -> str:
    """An address in lower case.

    Raises:
        UsageError: it is none.
    """
    if not isinstance(email, str):
        raise UsageError(f"email is {email!r}; it must be text")
    name, at, host = email.partition("@")
    plain = email.isprintable() and not any(one.isspace() for one in email)
    if not (name and at and host) or "@" in host or not plain or len(email) > EMAIL_CHARACTERS:
        raise UsageError(
            f"email is {email[:300]!r}; give an address with one @, without spaces, "
            f"of at most {EMAIL_CHARACTERS} characters"
        )
    return check_id(email.lower(), "email")


def checked_name(name: object, what: str = "name") -> str:
    """A name to show: a text without control characters, or none.

    Raises:
        UsageError: it is no such text.
    """
    if not isinstance(name, str) or len(name) > NAME_CHARACTERS or not name.isprintable():
        raise UsageError(f"{what} is {name!r:.300}; give a text of at most {NAME_CHARACTERS} characters on one line")
    return name


def checked_zone(zone: object) -> str:
    """The name of a time zone.

    Raises:
        UsageError: this machine knows none of this name.
    """
    try:
        if not isinstance(zone, str) or zone in _MACHINE_ZONES:
            raise ValueError(zone)
        ZoneInfo(zone)
    except (ValueError, OSError, KeyError):
        raise UsageError(f"zone is {zone!r:.300}; give the IANA name of one, such as 'Europe/Berlin'") from None
    return zone


def checked_groups(groups: object) -> list[str]:
    """The names of groups, each once, in the given order.

    Raises:
        UsageError: no list of texts, or too long a one.
    """
    if isinstance(groups, str) or not isinstance(groups, Sequence) or len(groups) > GROUPS_AT_MOST:
        raise UsageError(f"groups is {groups!r:.300}; give a list of at most {GROUPS_AT_MOST} names")
    return list(dict.fromkeys(check_id(group, "a name in groups") for group in groups))


def checked_capacity(capacity: object) -> int | None:
    """How much somebody takes on at once.

    Raises:
        UsageError: neither a whole number in range nor None.
    """
    if capacity is None:
        return None
    if isinstance(capacity, bool) or not isinstance(capacity, int) or not 0 <= capacity <= CAPACITY_AT_MOST:
        raise UsageError(f"capacity is {capacity!r:.300}; give a whole number, 0 to {CAPACITY_AT_MOST:,}, or None")
    return capacity


def checked_away(away: object) -> list[tuple[date, date]]:
    """When somebody is away: first and last day of each time, in order.

    Args:
        away: a list of ``{"from": …, "until": …}``, each a date or its ISO text; both days count.

    Raises:
        UsageError: no such list.
    """
    if isinstance(away, str) or not isinstance(away, Sequence) or len(away) > AWAY_AT_MOST:
        raise UsageError(
            f'away is {away!r:.300}; give a list of at most {AWAY_AT_MOST} times as {{"from": date, "until": date}}'
        )
    times: list[tuple[date, date]] = []
    for number, one in enumerate(away):
        if not isinstance(one, Mapping) or set(one) != {"from", "until"}:
            raise UsageError(f'away[{number}] is {one!r:.300}; give {{"from": date, "until": date}}')
        first, last = (_day(one[part], f"away[{number}].{part}") for part in ("from", "until"))
        if last < first:
            raise UsageError(f"away[{number}] ends on {last}, before it begins on {first}")
        times.append((first, last))
    return sorted(times)


def _day(value: Any, what: str) -> date:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    try:
        return date.fromisoformat(value)
    except (TypeError, ValueError):
        raise UsageError(f"{what} is {value!r:.300}; give a date, such as 2026-12-24") from None


def checked_password(password: object) -> str:
    """A password that may be set. The message never shows it.

    Raises:
        UsageError: it is too short or too long, or no text.
    """
    least, most = PASSWORD_CHARACTERS
    if not isinstance(password, str):
        raise UsageError("password must be text")
    if not least <= len(password) <= most:
        raise UsageError(f"password has {len(password)} characters; give {least} to {most}")
    try:
        password.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"password holds half of a surrogate pair at {error.start}; leave it out") from None
    return password
