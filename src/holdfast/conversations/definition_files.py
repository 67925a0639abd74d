"""Reads guided dialogues from their files: TOML, YAML or JSON. What is wrong is told with the file and the line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from holdfast.conversations.json_places import read_json
from holdfast.conversations.yaml_places import read_yaml
from holdfast.errors import UsageError
from holdfast.model import dialogue_reading
from holdfast.model.dialogues import Dialogue, dialogue_from
from holdfast.model.toml_places import NotReadable, read_toml, toml_line
from holdfast.store.text_files import text_of

FILE_BYTES = 1024 * 1024
"""The largest file."""

read_files: set[Path] = set()
"""The files that this process has read, or tried to, absolute: what a change of makes it out of date."""


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
    read_files.add(path.absolute())
    format = _FORMATS.get(path.suffix.lower())
    if format is None:
        raise UsageError(f"file {str(path)!r} is of no format that is known; name it .toml, .yaml, .yml or .json")
    name, read = format
    try:
        text = text_of(path, FILE_BYTES, "a dialogue")
    except NotReadable as error:
        raise UsageError(f"{path}, line {error.line}: {error.reason}") from None
    if not text.strip():
        raise UsageError(f"{path}, line 1: is empty; give a table conversation with its id, and a list of steps")
    try:
        document, lines = read(text)
    except NotReadable as error:
        where = f"{path}, line {error.line}" if error.line is not None else f"{path}"
        raise UsageError(f"{where}: is no {name} that can be read: {error.reason}") from None
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
    return dialogue_from(document, str(path), source=lines)


def _toml(text: str) -> tuple[Any, dialogue_reading.Lines]:
    return read_toml(text), lambda place: toml_line(text, place)


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
