"""What a command prints and how it ends: tables and text for people, JSON for programs, and the exit codes."""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TextIO

import msgspec

from holdfast.errors import (
    ArtifactNotFound,
    BadURL,
    ConversationNotFound,
    DefinitionNotFound,
    EntryNotFound,
    Forbidden,
    HoldfastError,
    ItemError,
    ItemExists,
    ItemNotFound,
    KeyNotFound,
    MessageNotFound,
    PayloadError,
    RunError,
    RunExists,
    RunNotFound,
    ScheduleNotFound,
    SourceNotFound,
    StepError,
    StepNotFound,
    StoreError,
    SubjectNotFound,
    Unauthorised,
    UnknownWorkflow,
    UsageError,
    UserExists,
    UserNotFound,
)

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

OK = 0
FAILED = 1
"""The run failed or has not ended in time, or a check found a problem."""
USAGE = 2
NOT_FOUND = 3
DATABASE = 4
"""Trouble with the database or the server."""
DENIED = 5
"""A server does not know who asks, or does not let them."""
INTERRUPTED = 130

PIPE_COLUMNS = 200
"""How wide a table may be where there is no terminal."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Missing(HoldfastError):
    """What a command was to work on is not there."""


def exit_code(error: BaseException) -> int:
    """The exit code of an error."""
    match error:
        case RunNotFound() | StepNotFound() | UnknownWorkflow() | Missing():
            return NOT_FOUND
        case ScheduleNotFound() | UserNotFound() | KeyNotFound() | ArtifactNotFound():
            return NOT_FOUND
        case ItemNotFound() | SubjectNotFound() | DefinitionNotFound() | ConversationNotFound():
            return NOT_FOUND
        case MessageNotFound() | SourceNotFound() | EntryNotFound():
            return NOT_FOUND
        case UsageError() | PayloadError() | BadURL() | RunExists() | UserExists() | ItemExists():
            return USAGE
        case StoreError():
            return DATABASE
        case Unauthorised() | Forbidden():
            return DENIED
    return FAILED


def clean(text: str) -> str:
    """Text from outside as it may go to a terminal: control characters are spelled out."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def plain(value: Any) -> Any:
    """What ``json`` cannot do by itself: views of runs, and instants."""
    if dataclasses.is_dataclass(value):
        names = [field.name for field in dataclasses.fields(value)]
        return {name: getattr(value, name) for name in names}
    if isinstance(value, msgspec.Struct):
        return {name: getattr(value, name) for name in value.__struct_fields__}
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value)


def as_json(value: Any, *, indent: int | None = None, ascii_only: bool = False) -> str:
    """A value as JSON text."""
    return json.dumps(value, default=plain, indent=indent, ensure_ascii=ascii_only)


def error_object(error: BaseException) -> dict[str, Any]:
    """An error as it is shown in JSON, its cause within."""
    shown: dict[str, Any] = {"type": type(error).__name__, "message": str(error)}
    if isinstance(error, ItemError) and error.item_id:
        shown["item_id"] = error.item_id
    if isinstance(error, RunError):
        shown["run_id"] = error.run_id
        cause = error.__cause__
        if isinstance(cause, Exception):
            name = cause.type if isinstance(cause, StepError) else type(cause).__name__
            shown["cause"] = {"type": name, "message": str(cause)}
    return shown


class Output:
    """Where a command prints.

    Args:
        as_json: JSON goes to stdout, and nothing else: what other code prints is sent to stderr.
    """

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self._stdout: TextIO = sys.stdout
        self._console: Console | None = None

    def __enter__(self) -> Output:
        if self.as_json:
            sys.stdout = sys.stderr
        return self

    def __exit__(self, *_: object) -> None:
        if self.as_json:
            sys.stdout = self._stdout

    @property
    def stream(self) -> TextIO:
        """The real stdout."""
        return self._stdout

    @property
    def console(self) -> Console:
        """Rich, on stdout."""
        if self._console is None:
            from rich.console import Console

            width = None if self._stdout.isatty() else PIPE_COLUMNS
            self._console = Console(file=self._stdout, width=width, highlight=False, markup=False, emoji=False)
        return self._console

    def json(self, value: Any) -> None:
        """One JSON document on one line."""
        encoding = (getattr(self._stdout, "encoding", None) or "utf-8").lower().replace("-", "")
        self._stdout.write(as_json(value, ascii_only=encoding != "utf8") + "\n")
        self._stdout.flush()

    def text(self, text: str) -> None:
        """A line for people or for ``$(…)``: as it is, but for control characters."""
        self._stdout.write(clean(text) + "\n")
        self._stdout.flush()

    def rich(self, *what: RenderableType) -> None:
        """Tables and the like, for people."""
        self.console.print(*what)

    def facts(self, facts: Mapping[str, object]) -> None:
        """Names and values, one to a line; those without a value are left out."""
        self.rich(facts_table(facts))

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """A table; a cell is text, or Rich's own."""
        self.rich(make_table(columns, rows))

    def note(self, text: str) -> None:
        """A remark that is no result: on stderr."""
        print(clean(text), file=sys.stderr)

    def error(self, error: BaseException) -> None:
        """Say what went wrong: on stderr, or as JSON on stdout."""
        if self.as_json:
            self.json({"error": error_object(error)})
        else:
            self.note(f"error: {str(error) or type(error).__name__}")


def make_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> RenderableType:
    """A Rich table of plain cells; one that is None is empty."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(Text(column), overflow="fold")
    for row in rows:
        cells = ("" if cell is None else cell for cell in row)
        table.add_row(*(cell if isinstance(cell, Text) else Text(clean(str(cell))) for cell in cells))
    return table


def facts_table(facts: Mapping[str, object]) -> RenderableType:
    """Names and values as a Rich table; those without a value are left out."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts.items():
        if value is not None and value != "":
            table.add_row(Text(name), value if isinstance(value, Text) else Text(clean(str(value))))
    return table
