"""Where in a TOML text a value is written, for messages: as well as a look at its lines can tell."""

from __future__ import annotations

import re
from collections.abc import Sequence

_PART = re.compile(r"""\s*(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|([A-Za-z0-9_-]+))\s*""")

Path = tuple[str | int, ...]


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
