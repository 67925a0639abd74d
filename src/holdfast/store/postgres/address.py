"""Reads a PostgreSQL address: our own options, and what goes on to asyncpg."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit

from holdfast.errors import BadURL
from holdfast.store.url import hide_password

_OPTIONS = {"notify": ("on", "off"), "migrate": ("auto", "off")}


@dataclass(frozen=True, slots=True)
class Address:
    """Where a database is and how to talk to it.

    Attributes:
        dsn: for asyncpg; may hold a password.
        where: for messages: no password.
        notify: False behind PgBouncer in transaction mode: no LISTEN, and nothing that outlives a transaction.
        migrate: bring an older schema up to date when opening.
        named: the address gives an application_name of its own.
    """

    dsn: str
    where: str
    notify: bool
    migrate: bool
    named: bool


def read_address(url: str) -> Address:
    """The parts of a ``postgresql://`` URL.

    Raises:
        BadURL: it cannot be read, or an option has a value that it does not take.
    """
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises if it is no number
        options = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:
        # What is wrong with it may be a part of the password: say nothing of it.
        raise BadURL(
            f"{url.partition('://')[0]}://…: this address cannot be read; "
            "write special characters in the user or the password as in %40 for @"
        ) from None
    where = hide_password(url).partition("?")[0]
    ours = {"notify": "on", "migrate": "off"}
    rest = []
    for key, value in options:
        if key not in _OPTIONS:
            rest.append((key, value))
        elif value not in _OPTIONS[key]:
            raise BadURL(f"{where}: {key}={value}: it is one of {', '.join(_OPTIONS[key])}")
        else:
            ours[key] = value
    return Address(
        dsn=parts._replace(query=urlencode(rest)).geturl() if options else url,
        where=where,
        notify=ours["notify"] == "on",
        migrate=ours["migrate"] == "auto",
        named="application_name" in dict(rest),
    )
