"""From a database's address to its store."""

from __future__ import annotations

import os
import re
from urllib.parse import parse_qs, unquote, urlsplit

from holdfast.errors import BadURL
from holdfast.store.base import Store

_PASSWORD = re.compile(r"((?:^|&)(?:ssl)?password=)[^&]*", re.IGNORECASE)

FORMS = "sqlite:///path/to/file.db, memory://, or postgresql://user@host/database"


def make_store(url: str) -> Store:
    """The store at an address; nothing is opened yet.

    Args:
        url: ``sqlite:///relative.db``, ``sqlite:////absolute.db``, ``memory://``, or
            ``postgresql://…`` with the options ``notify=off`` (behind PgBouncer in transaction
            mode) and ``migrate=auto``.

    Raises:
        BadURL: it is none of these.
    """
    if not isinstance(url, str) or not url:
        raise BadURL(f"the database address is {url!r}; give {FORMS}")
    scheme = url.partition("://")[0].lower()
    if "://" not in url:
        raise BadURL(f"{url!r} is not a database address; give {FORMS}")
    if scheme == "memory":
        return _sqlite(None)
    if scheme == "sqlite":
        return _sqlite(_sqlite_path(url))
    if scheme in ("postgresql", "postgres"):
        from holdfast.store.postgres.store import PostgresStore

        return PostgresStore(url)
    raise BadURL(f"{hide_password(url)!r}: holdfast has no store for {scheme!r}; give {FORMS}")


def _sqlite(path: str | None) -> Store:
    from holdfast.store.sqlite.store import SqliteStore

    return SqliteStore(path)


def _sqlite_path(url: str) -> str | None:
    rest = url.partition("://")[2]
    path, _, query = rest.partition("?")
    if query:
        raise BadURL(f"{url!r}: an SQLite address takes no options, found {sorted(parse_qs(query))}")
    if not path.startswith("/"):
        raise BadURL(f"{url!r}: write three slashes before a relative path and four before an absolute one")
    path = unquote(path[1:])
    if path in ("", ":memory:"):
        return None
    if "\0" in path:
        raise BadURL(f"{url!r}: a path cannot hold a NUL character")
    if os.path.isdir(path):
        raise BadURL(f"{url!r}: {path} is a folder; name a file in it")
    return path


def hide_password(url: str) -> str:
    """The address as it may be shown in messages and logs."""
    try:
        parts = urlsplit(url)
        netloc, query = parts.netloc, _PASSWORD.sub(r"\1***", parts.query)
        if parts.password is not None:
            netloc = f"{netloc.partition(':')[0]}:***@{netloc.rpartition('@')[2]}"
        if (netloc, query) == (parts.netloc, parts.query):
            return url
        return parts._replace(netloc=netloc, query=query).geturl()
    except ValueError:
        return url.partition("://")[0] + "://…"
