"""Reads the file of sources: where what comes in is. What is wrong is told with the file and the line."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

from holdfast.engine.secrets import secret
from holdfast.errors import UsageError
from holdfast.intake.rules import FILE_FACTS, MAIL_FACTS, EntryRule, entry_rule
from holdfast.intake.terms import KINDS, MAIL_KINDS, Dedupe, ImapServer, Security, SourceKind, SourceTerms
from holdfast.model.duration import seconds
from holdfast.model.ids import check_id
from holdfast.model.nearest import nearest
from holdfast.model.toml_places import NotReadable, read_toml, toml_line
from holdfast.store.intake_rows import ENTRIES_AT_ONCE
from holdfast.store.text_files import text_of

T = TypeVar("T")

FILE_BYTES = 1024 * 1024

LARGEST_ENTRY_BYTES = 30_000_000
"""What a run can be given: see `holdfast.engine.incoming.INCOMING_BYTES`."""

_OUTCOME_KEYS = ("kind", "path", "outcomes_of", "tenant", "batch", "max_bytes", "poll")
_COMMON_KEYS = (
    "kind", "workflow", "tenant", "priority", "max_waiting", "max_bytes", "batch", "poll", "when", "dedupe", "old_path",
)  # fmt: skip
KEYS: Mapping[SourceKind, tuple[str, ...]] = {
    "jsonl": (*_COMMON_KEYS, "path", "id", "outcomes_of"),
    "maildir": (*_COMMON_KEYS, "path", "mark"),
    "mbox": (*_COMMON_KEYS, "path", "settle"),
    "directory": (*_COMMON_KEYS, "path", "pattern", "settle"),
    "imap": (*_COMMON_KEYS, "host", "port", "security", "user", "password", "folder", "ca", "timeout", "mark"),
    "http": (*_COMMON_KEYS, "id"),
}
"""What each kind of source can be told."""

_UNITS = {"": 1, "b": 1, "kb": 1000, "mb": 1000**2, "gb": 1000**3, "kib": 1024, "mib": 1024**2, "gib": 1024**3}
_SIZE = re.compile(r"(\d{1,18}(?:\.\d{1,18})?)\s*([a-z]*)", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class _Table:
    """One source's table of a file; knows where in the file what is."""

    def __init__(self, file: Path, text: str, name: str, table: Mapping[str, Any]) -> None:
        self._file = file
        self._text = text
        self._place = ("sources", name)
        self.table = table

    def wrong(self, key: str | None, what: str) -> UsageError:
        return _wrong(self._file, self._text, self._place if key is None else (*self._place, key), what)

    def own(self, key: str, check: Callable[[Any], T], default: T | None = None) -> T:
        """The value of a key, checked; the default where it is not given, which None forbids."""
        if key not in self.table:
            if default is None:
                raise self.wrong(None, f"{key} is missing; write {key} = …")
            return default
        try:
            return check(self.table[key])
        except UsageError as error:
            raise self.wrong(key, str(error)) from None

    def text(self, key: str, default: str | None = None) -> str:
        return self.own(key, lambda value: check_id(value, key), default)

    def one_of(self, key: str, known: tuple[str, ...], default: str | None = None) -> str:
        def check(value: Any) -> str:
            if not isinstance(value, str) or value not in known:
                raise UsageError(f"{key} is {value!r:.100}; {_meant(value, known)}")
            return value

        return self.own(key, check, default)

    def whole(self, key: str, least: int, most: int, default: int) -> int:
        def check(value: Any) -> int:
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
                raise UsageError(f"{key} is {value!r:.100}; give a whole number from {least:,} to {most:,}")
            return value

        return self.own(key, check, default)

    def flag(self, key: str) -> bool:
        def check(value: Any) -> bool:
            if not isinstance(value, bool):
                raise UsageError(f"{key} is {value!r:.100}; give true or false")
            return value

        return self.own(key, check, False)

    def duration(self, key: str, default: float, least: float) -> float:
        def check(value: Any) -> float:
            found = seconds(value, what=key)
            if found < least:
                raise UsageError(f"{key} is {value!r:.100}; give {least:g} seconds or more")
            return found

        return self.own(key, check, default)

    def size(self, key: str, default: int) -> int:
        def check(value: Any) -> int:
            found = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
            if found is not None and found[2].lower() in _UNITS:
                value = int(float(found[1]) * _UNITS[found[2].lower()])
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= LARGEST_ENTRY_BYTES:
                raise UsageError(f"{key} is {value!r:.100}; give bytes up to 30 MB, such as '26MB'")
            return value

        return self.own(key, check, default)

    def path(self, key: str, default: Path | None = None) -> Path:
        def check(value: Any) -> Path:
            if not isinstance(value, str) or not value or "\0" in value:
                raise UsageError(f"{key} is {value!r:.100}; give a path, of this file's folder where it is relative")
            try:
                return self._file.absolute().parent / Path(value).expanduser()
            except RuntimeError:
                raise UsageError(f"{key} is {value!r:.100}, and there is no such home folder") from None

        return self.own(key, check, default)

    def id(self) -> tuple[str, ...]:
        def check(value: Any) -> tuple[str, ...]:
            if not isinstance(value, str) or not all(value.split(".")):
                raise UsageError(f"id is {value!r:.100}; give where in an entry its id is, such as 'order.id'")
            return tuple(value.split("."))

        return self.own("id", check, ())

    def rule(self, kind: SourceKind) -> EntryRule | None:
        if "when" not in self.table:
            return None
        facts = MAIL_FACTS if kind in MAIL_KINDS else FILE_FACTS if kind == "directory" else "any"

        def check(value: Any) -> EntryRule:
            if not isinstance(value, str):
                raise UsageError(f"when is {value!r:.100}; give a text such as 'entry.total > 0'")
            return entry_rule(value, "when", facts)

        return self.own("when", check)


def read_intake(path: str | Path) -> tuple[SourceTerms, ...]:
    """The sources of a file, checked. Nothing of what they name is opened, and no secret is revealed.

    Raises:
        UsageError: it cannot be read, or something in it is missing, unknown or wrong; names the file and the line.
    """
    file, text = Path(path), ""
    try:
        text = text_of(file, FILE_BYTES, "a file of sources")
        document = read_toml(text)
    except NotReadable as error:
        where = f"{file}, line {error.line}" if error.line else str(file)
        raise UsageError(f"{where}: {'is no TOML that can be read: ' if text else ''}{error.reason}") from None
    for key in document:
        if key != "sources":
            raise _wrong(file, text, (key,), f"{key!r} is no key here; begin each source with [sources.NAME]")
    sources = document.get("sources")
    if not isinstance(sources, dict) or not sources:
        raise _wrong(file, text, ("sources",), "there is no source; begin one with [sources.NAME]")
    for name, table in sources.items():
        if _NAME.fullmatch(name) is None:
            reason = "give it up to 100 letters, digits, dots, dashes and underscores, a letter or digit first"
            raise _wrong(file, text, ("sources", name), f"a source is called {name!r:.200}; {reason}")
        if not isinstance(table, dict):
            raise _wrong(file, text, ("sources", name), f"source {name!r} is no table: begin it with [sources.{name}]")
    return tuple(_source(name, _Table(file, text, name, table)) for name, table in sources.items())


def _source(name: str, of: _Table) -> SourceTerms:
    kind: SourceKind = of.one_of("kind", KINDS)  # type: ignore[assignment]
    outcomes = "outcomes_of" in of.table
    for key in of.table:
        if key not in KEYS[kind]:
            elsewhere = [other for other in KINDS if key in KEYS[other]]
            hint = f"it is for {', '.join(elsewhere)}" if elsewhere else _meant(key, KEYS[kind])
            raise of.wrong(key, f"{key!r} is no key of a source of kind {kind!r}; {hint}")
        if outcomes and key not in _OUTCOME_KEYS:
            raise of.wrong(key, f"{key!r} says nothing of outcomes (outcomes_of), which start no runs; leave it out")
    usual = SourceTerms(name, kind, "")
    server = _server(of) if kind == "imap" else None
    return SourceTerms(
        name=name,
        kind=kind,
        workflow=of.text("outcomes_of" if outcomes else "workflow"),
        outcomes=outcomes,
        id=of.id(),
        rule=of.rule(kind),
        dedupe=of.one_of("dedupe", get_args(Dedupe), usual.dedupe),  # type: ignore[arg-type]
        max_waiting=of.whole("max_waiting", 1, 10**9, usual.max_waiting),
        max_bytes=of.size("max_bytes", usual.max_bytes),
        batch=of.whole("batch", 1, ENTRIES_AT_ONCE, usual.batch),
        tenant=of.text("tenant", usual.tenant),
        old_path=of.text("old_path") if "old_path" in of.table else None,
        priority=of.whole("priority", -1000, 1000, usual.priority),
        poll_seconds=of.duration("poll", 30.0 if kind == "imap" else usual.poll_seconds, 0.01),
        path=of.path("path") if "path" in KEYS[kind] else None,
        pattern=of.text("pattern", usual.pattern),
        settle_seconds=of.duration("settle", usual.settle_seconds, 0.0),
        mark=of.flag("mark"),
        server=server,
    )


def _server(of: _Table) -> ImapServer:
    security: Security = of.one_of("security", get_args(Security), "tls")  # type: ignore[assignment]
    return ImapServer(
        host=of.text("host"),
        port=of.whole("port", 1, 65535, 993 if security == "tls" else 143),
        security=security,
        user=of.text("user"),
        password=of.own("password", lambda value: secret(value, "password")),
        folder=of.text("folder", "INBOX"),
        ca=of.path("ca") if "ca" in of.table else None,
        timeout_seconds=of.duration("timeout", 30.0, 0.1),
    )


def _meant(given: Any, known: tuple[str, ...]) -> str:
    near = nearest(given, known) if isinstance(given, str) else None
    return f"did you mean {near!r}?" if near else f"there are {', '.join(known)}"


def _wrong(file: Path, text: str, place: tuple[str | int, ...], what: str) -> UsageError:
    line = toml_line(text, place)
    return UsageError(f"{file}, line {line}: {what}" if line else f"{file}: {what}")
