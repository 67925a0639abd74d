"""Reads the file of notifications: who is told of what. What is wrong is told with the file and the line."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from string import Template
from typing import Any

from holdfast.engine.notices import NOTICE_EVENTS, Notice
from holdfast.engine.secrets import Secret, secret
from holdfast.errors import UsageError
from holdfast.model.duration import seconds
from holdfast.model.ids import check_id
from holdfast.model.toml_places import NotReadable, read_toml, toml_line
from holdfast.store.text_files import text_of

FILE_BYTES = 1024 * 1024

VARIABLES = ("event", "workflow", "run", "tenant", "about", "text")
"""What titles and texts may name."""

TITLE = "$workflow: $event"
BODY = "Run $run of $workflow: $event $about\n$text"

_KEYS = ("name", "on", "channels", "workflows", "about", "tenants", "title", "body", "dedupe", "digest")


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    Attributes:
        on: the events that it is about.
        channels: names of those who are told.
        workflows, about, tenants: patterns, of which one must fit; none for any. ``about`` is a phase's name, or the
            title of what is asked.
        title, body: with ``$run`` and the like in them.
        dedupe_seconds: what is said in the same words is told once in each such period; None for always.
        digest_seconds: what comes up within this time is told together; None for at once.
    """

    name: str
    on: tuple[str, ...]
    channels: tuple[str, ...]
    workflows: tuple[str, ...]
    about: tuple[str, ...]
    tenants: tuple[str, ...]
    title: Template
    body: Template
    dedupe_seconds: float | None
    digest_seconds: float | None

    def fits(self, notice: Notice) -> bool:
        """Whether the rule is about a notice."""
        return notice.event in self.on and all(
            not patterns or any(fnmatchcase(value, one) for one in patterns)
            for patterns, value in (
                (self.workflows, notice.workflow),
                (self.about, notice.about),
                (self.tenants, notice.tenant),
            )
        )


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules, and where each channel's address is."""

    rules: tuple[Rule, ...]
    channels: Mapping[str, Secret]


class _Reader:
    """Reads one file; knows where in it what is."""

    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        self._text = text

    def wrong(self, place: tuple[str | int, ...], what: str) -> UsageError:
        line = toml_line(self._text, place)
        return UsageError(f"{self._path}, line {line}: {what}" if line else f"{self._path}: {what}")

    def known(self, table: Mapping[str, Any], keys: tuple[str, ...], place: tuple[str | int, ...]) -> None:
        for key in table:
            if key not in keys:
                near = difflib.get_close_matches(key, keys, 1)
                hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(keys)}"
                raise self.wrong((*place, key), f"{key!r} is no key here; {hint}")

    def texts(self, table: Mapping[str, Any], key: str, place: tuple[str | int, ...]) -> tuple[str, ...]:
        given = table.get(key, [])
        texts = [given] if isinstance(given, str) else given
        if not isinstance(texts, list) or not all(isinstance(one, str) and one for one in texts):
            raise self.wrong((*place, key), f"{key} is {given!r:.100}; give a text, or a list of texts")
        for number, one in enumerate(texts):
            if one in texts[:number]:
                raise self.wrong((*place, key), f"{key} names {one!r} a second time; leave it out")
        return tuple(texts)

    def template(self, table: Mapping[str, Any], key: str, default: str, place: tuple[str | int, ...]) -> Template:
        given = table.get(key, default)
        if not isinstance(given, str):
            raise self.wrong((*place, key), f"{key} is {given!r:.100}; give a text")
        template = Template(given)
        if not template.is_valid():
            raise self.wrong((*place, key), f"{key} has a $ without a name; write $$ for a dollar sign")
        unknown = [name for name in template.get_identifiers() if name not in VARIABLES]
        if unknown:
            raise self.wrong(
                (*place, key), f"{key} names ${unknown[0]}; there are {', '.join(f'${one}' for one in VARIABLES)}"
            )
        return template

    def duration(self, table: Mapping[str, Any], key: str, place: tuple[str | int, ...]) -> float | None:
        if key not in table:
            return None
        try:
            found = seconds(table[key], what=key)
        except UsageError as error:
            raise self.wrong((*place, key), str(error)) from None
        if found <= 0:
            raise self.wrong((*place, key), f"{key} is {table[key]!r}; give a time, such as '10m'")
        return found

    def rule(self, given: Any, number: int, channels: Mapping[str, Secret]) -> Rule:
        place = ("rules", number)
        if not isinstance(given, dict):
            raise self.wrong(place, "a rule is a table: begin it with [[rules]]")
        self.known(given, _KEYS, place)
        try:
            name = check_id(given.get("name"), "the name of a rule")
        except UsageError as error:
            raise self.wrong((*place, "name"), str(error)) from None
        on = self.texts(given, "on", place)
        for event in on:
            if event not in NOTICE_EVENTS:
                near = difflib.get_close_matches(event, NOTICE_EVENTS, 1)
                hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(NOTICE_EVENTS)}"
                raise self.wrong((*place, "on"), f"rule {name!r} is on {event!r}, which there is not; {hint}")
        to = self.texts(given, "channels", place)
        for key, found in (("on", on), ("channels", to)):
            if not found:
                raise self.wrong((*place, key), f"rule {name!r} has no {key}; name one at least")
        for channel in to:
            if channel not in channels:
                raise self.wrong((*place, "channels"), f"rule {name!r} names channel {channel!r}, which there is not")
        return Rule(
            name, on, to, self.texts(given, "workflows", place), self.texts(given, "about", place),
            self.texts(given, "tenants", place), self.template(given, "title", TITLE, place),
            self.template(given, "body", BODY, place), self.duration(given, "dedupe", place),
            self.duration(given, "digest", place),
        )  # fmt: skip

    def read(self, document: Mapping[str, Any]) -> Rules:
        self.known(document, ("channels", "rules"), ())
        channels: dict[str, Secret] = {}
        given = document.get("channels", {})
        if not isinstance(given, dict):
            raise self.wrong(("channels",), "channels is no table: begin each with [channels.NAME]")
        for name, channel in given.items():
            place = ("channels", name)
            if not isinstance(channel, dict):
                raise self.wrong(place, f"channel {name!r} is no table: begin it with [channels.{name}]")
            self.known(channel, ("url",), place)
            try:
                channels[name] = secret(channel.get("url"), f"the url of channel {name!r}")
            except UsageError as error:
                raise self.wrong((*place, "url"), str(error)) from None
        rules = document.get("rules", [])
        if not isinstance(rules, list) or not rules:
            raise self.wrong(("rules",), "there is no rule; begin one with [[rules]]")
        read = tuple(self.rule(rule, number, channels) for number, rule in enumerate(rules))
        for number, rule in enumerate(read):
            if any(rule.name == other.name for other in read[:number]):
                raise self.wrong(("rules", number, "name"), f"there are two rules {rule.name!r}")
        return Rules(read, channels)


def read_rules(path: str | Path) -> Rules:
    """The rules of a file, checked.

    Raises:
        UsageError: it cannot be read, or something in it is missing, unknown or wrong; names the file and the line.
    """
    path, text = Path(path), ""
    try:
        text = text_of(path, FILE_BYTES, "a file of rules")
        document = read_toml(text)
    except NotReadable as error:
        where = f"{path}, line {error.line}" if error.line else str(path)
        raise UsageError(f"{where}: {'is no TOML that can be read: ' if text else ''}{error.reason}") from None
    return _Reader(path, text).read(document)
