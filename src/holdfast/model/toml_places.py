"""Reads TOML, and tells where in its text a value is written, for messages: as well as a look at its lines can tell."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from typing import Any

_PART = re.compile(r"""\s*(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|([A-Za-z0-9_-]+))\s*""")

_LINE = re.compile(r" \(at line (\d+), column (\d+)\)$")

Path = tuple[str | int, ...]

TOO_DEEP = "it is nested too deeply"


class NotReadable(Exception):
    """A text is not of the format that it should be of.

    Args:
        reason: what is wrong.
        line: where, from 1; None if that is not known.
    """

    def __init__(self, reason: str, line: int | None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.line = line


def read_toml(text: str) -> dict[str, Any]:
    """A TOML document.

    Raises:
        NotReadable: it is no TOML, or is nested too deeply.
    """
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise NotReadable(TOO_DEEP, None) from None
    except ValueError as error:  # also for a number of thousands of digits
        found = _LINE.search(str(error))
        if found is None:
            at_end = str(error).endswith("(at end of document)")
            raise NotReadable(str(error), len(text.splitlines()) if at_end else None) from None
        raise NotReadable(f"{str(error)[: found.start()]} (column {found[2]})", int(found[1])) from None


def toml_line(text: str, path: Sequence[str | int]) -> int | None:
    """The line, from 1, of the innermost part of a path that is found.

    Args:
        text: TOML that can be read.
        path: keys of tables, and places in lists from 0.

    Returns:
        The line of a value, else of the table around it; None where not even that is found.
    """
    wanted = tuple(path)
    best: tuple[int, int] | None = None
    table: Path = ()
    counts: dict[Path, int] = {}
    quotes = ""
    for number, line in enumerate(text.split("\n"), 1):
        if quotes:  # inside a text of several lines
            if quotes in line:
                quotes = ""
            continue
        stripped = line.strip()
        here: Path | None = None
        if stripped.startswith("[["):
            name = _keys(stripped[2:])
            table = _located(name[:-1], counts) + name[-1:]
            counts[table] = counts.get(table, -1) + 1
            table = (*table, counts[table])
            here = table
        elif stripped.startswith("["):
            table = _located(_keys(stripped[1:]), counts)
            here = table
        elif stripped and stripped[0] != "#":
            here = (*table, *_keys(stripped))
            quotes = next((mark for mark in ('"""', "'''") if line.count(mark) % 2), "")
        if not here or not wanted:
            continue
        common = len(wanted) if here[: len(wanted)] == wanted else len(here) if wanted[: len(here)] == here else 0
        if common and (best is None or common > best[0]):
            best = (common, number)
    return best and best[1]


def _keys(text: str) -> Path:
    keys: list[str] = []
    index = 0
    while (part := _PART.match(text, index)) is not None:
        keys.append(next(one for one in part.groups() if one is not None))
        index = part.end()
        if text[index : index + 1] != ".":
            break
        index += 1
    return tuple(keys)


def _located(name: Path, counts: dict[Path, int]) -> Path:
    """A table's name with the places of the lists that it lies in, each the newest."""
    path: Path = ()
    for key in name:
        path = (*path, key)
        if path in counts:
            path = (*path, counts[path])
    return path
