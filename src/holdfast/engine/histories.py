"""`hf.History`: what is recorded of one run, apart from any database, and the file that keeps it.

A file is one JSON object, whose format number says how it is read, and whose checksum covers everything else in it,
however it is laid out. Its last character closes the object, so that no part of a file is a file. Of each payload the
value itself is written where its stored bytes can be made of that again; else its text, or its bytes in base64.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from holdfast.engine.history_parts import Document, checksum, laid_out, parsed, payloads, read, written
from holdfast.errors import HistoryError
from holdfast.model.run import PROTOCOL
from holdfast.model.sealed import is_unopened
from holdfast.store.rows import AttemptRow, ChildRow, JournalRow, RunRow

FORMAT = 1
"""The number of the file's format; a file of a higher one is refused."""

WHAT = "holdfast.history"

MOST_BYTES = 1 << 30
"""A larger file is not read."""

NAME_BYTES = 200
"""So long may the name of a file become, which is the run's id."""

Fan = tuple[bytes, int, bytes]
"""Whose child runs an entry of kind map is about: the parent's uid, its generation, the entry's position."""


@dataclass(frozen=True, slots=True)
class History:
    """What is recorded of a run: to be replayed against code, and kept in a file.

    Attributes:
        run: the run.
        entries: its journal, every generation of it.
        attempts: failed attempts of its steps.
        at: when it was read, in microseconds since 1970.
        children: how the child runs of its fan-outs stood.
        phases: by name and version, the files of phases that it goes by.
        source: the file that it was loaded from.
    """

    run: RunRow
    entries: list[JournalRow]
    attempts: list[AttemptRow]
    at: int
    children: Mapping[Fan, list[ChildRow]] = field(default_factory=dict)
    phases: Mapping[tuple[str, str], bytes] = field(default_factory=dict)
    source: str | None = field(default=None, compare=False)

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self.run.id

    @property
    def sealed(self) -> int:
        """How many payloads are kept as a codec has sealed them, which was not there to open them."""
        rows: list[RunRow | JournalRow | AttemptRow | ChildRow] = [self.run, *self.entries, *self.attempts]
        rows += [row for fan in self.children.values() for row in fan]
        return sum(isinstance(value, bytes) and is_unopened(value) for row in rows for value in payloads(row))

    @property
    def file_name(self) -> str:
        """What a file with it is called."""
        name = quote(self.run.id, safe=" @+=,:").replace(".", "%2E", 1 if self.run.id.startswith(".") else 0)
        if len(name) > NAME_BYTES:
            name = f"{name[:100]}-{hashlib.sha256(self.run.id.encode()).hexdigest()}"
        return f"{name}.json"

    def to_json(self) -> bytes:
        """The text of a file."""
        kept: dict[str, Any] = {
            "what": WHAT,
            "format": FORMAT,
            "protocol": PROTOCOL,
            "at": self.at,
            "sealed": self.sealed,
            "run": written(self.run),
            "entries": [written(row) for row in self.entries],
            "attempts": [written(row) for row in self.attempts],
            "children": [
                {
                    "parent": parent.hex(),
                    "generation": generation,
                    "position": position.hex(),
                    "runs": [written(row) for row in rows],
                }
                for (parent, generation, position), rows in self.children.items()
            ],
            "phases": [
                {"name": name, "version": version, "content": content.decode()}
                for (name, version), content in self.phases.items()
            ],
        }
        return laid_out({**kept, "checksum": checksum(kept)}).encode()

    @classmethod
    def from_json(cls, text: bytes, source: str = "a history") -> History:
        """What `to_json` gave.

        Args:
            text: the file.
            source: what it is called in messages.

        Raises:
            HistoryError: it is no history, is not whole, was changed, or is of a newer format.
        """
        document = parsed(text, source)
        if document.get("what") != WHAT:
            raise HistoryError(f"{source} is no history of a run: export one with `holdfast runs export`")
        number = document.get("format")
        if isinstance(number, int) and number > FORMAT:
            raise HistoryError(
                f"{source} is of format {number}, and this holdfast reads formats up to {FORMAT}: it was exported by "
                "a newer one; upgrade, or export it again"
            )
        told = document.pop("checksum", None)
        if told != checksum(document):
            raise HistoryError(
                f"{source} is damaged: its checksum is not that of what it holds; export it again"
                if told is not None
                else f"{source} has no checksum: it is not whole; export it again"
            )
        protocol = document.get("protocol")
        if not isinstance(protocol, int) or protocol > PROTOCOL:
            raise HistoryError(f"{source}: its journal is of format {protocol}, and this holdfast reads {PROTOCOL}")
        try:
            kept = msgspec.convert(document, Document)
            return cls(
                run=read(RunRow, kept.run, "$.run"),
                entries=[read(JournalRow, row, f"$.entries[{n}]") for n, row in enumerate(kept.entries)],
                attempts=[read(AttemptRow, row, f"$.attempts[{n}]") for n, row in enumerate(kept.attempts)],
                at=kept.at,
                children={
                    (bytes.fromhex(one.parent), one.generation, bytes.fromhex(one.position)): [
                        read(ChildRow, row, f"$.children[{n}].runs[{m}]") for m, row in enumerate(one.runs)
                    ]
                    for n, one in enumerate(kept.children)
                },
                phases={(one.name, one.version): one.content.encode() for one in kept.phases},
                source=source,
            )
        except (ValueError, TypeError, RecursionError) as error:  # msgspec's own is one of these
            raise HistoryError(f"{source} cannot be read: {error}") from error

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write it into a folder, whole or not at all, in place of an older one of the run.

        Returns:
            The file.
        """
        target = Path(folder) / self.file_name
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, beside = tempfile.mkstemp(prefix=".", suffix=".part", dir=target.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(self.to_json())
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, target)
        except BaseException:
            Path(beside).unlink(missing_ok=True)
            raise
        return target

    @classmethod
    def load(cls, file: str | os.PathLike[str]) -> History:
        """Read a file.

        Raises:
            HistoryError: it is not there, too large, no history, not whole, changed, or of a newer format.
        """
        path = Path(file)
        try:
            size = path.stat().st_size
            if size > MOST_BYTES:
                raise HistoryError(f"{path} has {size:,} bytes; files of at most {MOST_BYTES:,} are read")
            return cls.from_json(path.read_bytes(), str(path))
        except OSError as error:
            raise HistoryError(f"{path} cannot be read: {error.strerror or error}") from error


def histories_in(place: str | os.PathLike[str]) -> list[Path]:
    """The files at a place: itself, or those of a folder that end in ``.json``, in order of name.

    Raises:
        HistoryError: there is none.
    """
    path = Path(place)
    if not path.is_dir():
        if not path.exists():
            raise HistoryError(f"there is no file or folder {path}")
        return [path]
    found = sorted(path.glob("*.json"))
    if not found:
        raise HistoryError(f"folder {path} has no history: export some with `holdfast runs export ID --to {path}`")
    return found
