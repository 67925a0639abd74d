"""The files that a configuration names, read as workers and servers read them: what is wrong is told before they start.

Of each file the first fault is told, as a worker tells it. Whether secrets are where a file says is looked at too, and
whether the libraries are there that it needs; nothing is connected to.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from holdfast.cli.settings import Problem, Settings
from holdfast.engine.secrets import Secret
from holdfast.errors import UsageError
from holdfast.model.toml_places import toml_line

T = TypeVar("T")

_WHERE = re.compile(r"(?P<file>.+?)(, line (?P<line>\d+))?: (?P<what>.*)", re.DOTALL)


def problems_of_files(settings: Settings) -> list[Problem]:
    """What is wrong in the files of channels, notifications, alerts and sources."""
    from holdfast.intake.files import read_intake
    from holdfast.services.alerting.rules import read_alerts
    from holdfast.services.notifying.rules import read_rules
    from holdfast.services.outbox.channel_files import read_channels

    found: list[Problem] = []

    def read(key: str, reader: Callable[[str], T]) -> T | None:
        """What a reader gives for the file of a setting; None if none is named, or it is wrong."""
        path = settings[key]
        try:
            return None if path is None else reader(path)
        except UsageError as error:
            found.append(_problem(key, path, str(error)))
            return None

    channels = read("worker.channels", read_channels)
    if channels is not None:
        found += _unusable(settings["worker.channels"], channels)
    # Where the channels cannot be read, it is not told of each that there is none of its name.
    read("worker.notifications", lambda path: read_rules(path, channels))
    read("worker.alerts", lambda path: read_alerts(path, channels))
    for key in ("worker.intake", "serve.intake"):
        if key == "serve.intake" and settings[key] == settings["worker.intake"]:
            continue
        sources = read(key, read_intake)
        if sources is not None:
            found += _unread(key, settings[key], sources)
    return found


def _problem(key: str, path: str, message: str) -> Problem:
    """What a reader says begins with the file, and its line where that is known."""
    said = _WHERE.fullmatch(message)
    if said is None or Path(said["file"]) != Path(path):
        return Problem(path, None, key, message)
    return Problem(path, int(said["line"]) if said["line"] else None, key, said["what"])


def _unusable(path: str, channels: Mapping[str, Any]) -> Iterator[Problem]:
    from holdfast.services.outbox.channels import make_channel

    for name, terms in channels.items():
        try:
            make_channel(terms)
        except UsageError as error:
            yield Problem(path, _line(path, ("channels", name)), "worker.channels", str(error))
        means = terms.means
        for field in ("url", "password", "secret"):
            yield from _hidden("worker.channels", path, ("channels", name, field), getattr(means, field, None))
        for header, value in getattr(means, "headers", {}).items():
            yield from _hidden("worker.channels", path, ("channels", name, "headers", header), value)


def _unread(key: str, path: str, sources: tuple[Any, ...]) -> Iterator[Problem]:
    from holdfast.intake.opening import open_source

    for terms in sources:
        place = ("sources", terms.name)
        try:
            if terms.kind != "http" and key == "worker.intake":
                open_source(terms)
        except UsageError as error:
            yield Problem(path, _line(path, place), key, str(error))
        if terms.server is not None:
            yield from _hidden(key, path, (*place, "password"), terms.server.password)


def _hidden(key: str, path: str, place: tuple[str, ...], value: object) -> Iterator[Problem]:
    """A secret that is not where it is said to be."""
    if isinstance(value, Secret):
        try:
            value.reveal(f"the {place[-1]} of {place[0].removesuffix('s')} {place[1]!r}")
        except UsageError as error:
            yield Problem(path, _line(path, place), key, str(error))


def _line(path: str, place: tuple[str, ...]) -> int | None:
    return toml_line(Path(path).read_text("utf-8"), place)
