"""Reads guided dialogues from their files: TOML, YAML or JSON. What is wrong is told with the file and the line."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from holdfast.conversations.json_places import TOO_DEEP, NotReadable, read_json
from holdfast.conversations.yaml_places import read_yaml
from holdfast.errors import UsageError
from holdfast.model import dialogue_reading
from holdfast.model.dialogues import Dialogue, dialogue_from
from holdfast.model.toml_places import toml_line

FILE_BYTES = 1024 * 1024
"""The largest file."""

_TOML_LINE = re.compile(r" \(at line (\d+), column (\d+)\)$")


def read_dialogue(path: str | Path) -> Dialogue:
    """The dialogue that a file defines, checked.

    Args:
        path: of the file, whose name ends with ``.toml``, ``.yaml``, ``.yml`` or ``.json``.

    Raises:
        UsageError: the file cannot be read, or something in it is missing, unknown or wrong; names the file and, where
            there is one, the line.
        RuleError: likewise, a rule.
    """
    if not isinstance(path, str | Path):
        raise UsageError(f"the dialogue is {path!r:.100}; give a Dialogue, or the path of a file")
    path = Path(path)
    format = _FORMATS.get(path.suffix.lower())
    if format is None:
        raise UsageError(f"file {str(path)!r} is of no format that is known; name it .toml, .yaml, .yml or .json")
    name, read = format
    text = _text_of(path)
    try:
        document, lines = read(text)
    except NotReadable as error:
        where = f"{path}, line {error.line}" if error.line is not None else f"{path}"
        raise UsageError(f"{where}: is no {name} that can be read: {error.reason}") from None
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
    return dialogue_from(document, str(path), source=lines)


def _text_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"file {str(path)!r} cannot be read: {reason}") from None
    if len(data) > FILE_BYTES:
        raise UsageError(f"file {path} is larger than {FILE_BYTES:,} bytes; a dialogue takes less")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{path}, line {line}: is not UTF-8: byte {error.start} is {data[error.start]:#04x}") from None
    if (at := text.find("\0")) >= 0:
        raise UsageError(f"{path}, line {text.count(chr(10), 0, at) + 1}: holds the NUL character; leave it out")
    if not text.strip():
        raise UsageError(f"{path}, line 1: is empty; give a table conversation with its id, and a list of steps")
    return text


def _toml(text: str) -> tuple[Any, dialogue_reading.Lines]:
    try:
        document = tomllib.loads(text)
    except RecursionError:
        raise NotReadable(TOO_DEEP, None) from None
    except ValueError as error:  # also for a number of thousands of digits
        found = _TOML_LINE.search(str(error))
        if found is None:
            at_end = str(error).endswith("(at end of document)")
            raise NotReadable(str(error), len(text.splitlines()) if at_end else None) from None
        raise NotReadable(f"{str(error)[: found.start()]} (column {found[2]})", int(found[1])) from None
    return document, lambda place: toml_line(text, place)


def _json(text: str) -> tuple[Any, dialogue_reading.Lines]:
    document, found = read_json(text)
    return document, lambda place: _innermost(found, place)


def _yaml(text: str) -> tuple[Any, dialogue_reading.Lines]:
    document, found = read_yaml(text)
    return document, lambda place: _innermost(found, place)


def _innermost(found: dict[dialogue_reading.Path, int], place: dialogue_reading.Path) -> int | None:
    """The line of a place, else of what is around it."""
    return next((found[place[:end]] for end in range(len(place), -1, -1) if place[:end] in found), None)


_FORMATS: dict[str, tuple[str, Callable[[str], tuple[Any, dialogue_reading.Lines]]]] = {
    ".toml": ("TOML", _toml),
    ".json": ("JSON", _json),
    ".yaml": ("YAML", _yaml),
    ".yml": ("YAML", _yaml),
}
