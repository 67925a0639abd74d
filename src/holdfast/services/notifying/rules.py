"""Reads the file of notifications: who is told of what. What is wrong is told with the file and the line."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from string import Template
from typing import Any

from holdfast.engine.notices import NOTICE_EVENTS, Notice
from holdfast.services.rule_files import Place, RuleFile, hint

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
        channels: by which people are told.
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


def read_rules(path: str | Path, channels: Collection[str] | None = None) -> tuple[Rule, ...]:
    """The rules of a file, checked.

    Args:
        path: of the file.
        channels: the names of those that there are, where they are known.

    Raises:
        UsageError: it cannot be read, or something in it is missing, unknown or wrong; names the file and the line.
    """
    file = RuleFile(path)
    if "channels" in file.document:
        file.wrong(
            ("channels",),
            "channels are given in the file of channels, which a worker is given by --channels: move "
            '[channels.NAME] there, and add type = "apprise"',
        )
    file.known(file.document, ("rules",), ())
    read = tuple(_rule(file, one, ("rules", number), channels) for number, one in enumerate(file.tables("rules")))
    if not read:
        file.wrong(("rules",), "there is no rule; begin one with [[rules]]")
    file.different((one.name for one in read), "rules", "rules")
    return read


def _rule(file: RuleFile, given: dict[str, Any], place: Place, channels: Collection[str] | None) -> Rule:
    file.known(given, _KEYS, place)
    name = file.name(given, "a rule", place)
    on, to = file.texts(given, "on", place), file.channels(given, "channels", channels, place)
    for event in on:
        if event not in NOTICE_EVENTS:
            file.wrong(
                (*place, "on"), f"rule {name!r} is on {event!r}, which there is not; {hint(event, NOTICE_EVENTS)}"
            )
    for key, found in (("on", on), ("channels", to)):
        if not found:
            file.wrong((*place, key), f"rule {name!r} has no {key}; name one at least")
    return Rule(
        name, on, to, file.texts(given, "workflows", place), file.texts(given, "about", place),
        file.texts(given, "tenants", place), file.template(given, "title", TITLE, VARIABLES, place),
        file.template(given, "body", BODY, VARIABLES, place), file.duration(given, "dedupe", place),
        file.duration(given, "digest", place),
    )  # fmt: skip
