"""Reads a maildir: messages in ``new`` and ``cur``, in the order of their names; the mailbox stays as it is.

A look lists both folders, which costs a tenth of a second for a hundred thousand messages, and opens new ones only.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from holdfast.intake.entry_keys import KEPT_BYTES, digest
from holdfast.intake.mails import HEADER_BYTES, MEDIA_TYPE, mail_entry
from holdfast.intake.opening import path_of
from holdfast.intake.positions import open_regular, unreadable
from holdfast.intake.reading import BATCH_BYTES, Found, Reading, SourceUnavailable
from holdfast.intake.seen import SeenNames, identity_of
from holdfast.intake.terms import SourceTerms
from holdfast.intake.threaded import ThreadedSource

FOLDERS = ("new", "cur")


class MaildirSource(ThreadedSource):
    """Messages of a maildir. One has its name up to the colon, which stays the same when it is read or moved."""

    def __init__(self, terms: SourceTerms) -> None:
        super().__init__(terms)
        self._path = path_of(terms)
        self._seen = SeenNames()
        self._there: dict[str, str] = {}
        self._waiting: list[str] = []
        """Of what was there and new, what has not been read yet; the next one last."""
        self._looked_at = 0

    def signs(self) -> Any:
        """See `ThreadedSource`."""
        return [(self._path / folder).stat().st_mtime_ns for folder in FOLDERS]

    def read_now(self, position: bytes, limit: int) -> Reading:
        """See `ThreadedSource`."""
        if not (self._seen.went_on(position) and self._waiting):
            self._looked_at = time.time_ns()
            self._there = self._list()
            new = self._seen.new(position, self._there, self._since, identity_of(self._path / "cur"))
            self._waiting = sorted(new, key=_in_order, reverse=True)
        entries: list[Found] = []
        read: list[str] = []
        total = 0
        while self._waiting and len(read) < limit and total < BATCH_BYTES:
            name = self._waiting.pop()
            found = self._entry(name, self._path / self._there[name])
            if found is not None:  # else it was moved meanwhile, and is there when it is looked for again
                entries.append(found)
                read.append(name)
                total += len(found.content)
        whole = None if self._waiting else self._looked_at
        return Reading(entries, self._seen.after(read, whole), bool(read) and bool(self._waiting))

    def take_now(self, entries: Sequence[Found]) -> None:
        """See `ThreadedSource`: marks messages as seen, if it is asked for."""
        if not self.terms.mark:
            return
        there = self._list()
        for entry in entries:
            name = there.get(entry.handle)
            if name is None:
                continue
            flags = name.partition(":2,")[2]
            marked = f"cur/{entry.handle}:2,{''.join(sorted({*flags, 'S'}))}"
            try:
                (self._path / name).rename(self._path / marked)
            except FileNotFoundError:  # somebody else moved it
                continue

    def _list(self) -> dict[str, str]:
        """The messages that are there: folder and file by name. What moves meanwhile is in one of them at least."""
        there: dict[str, str] = {}
        for folder in FOLDERS:
            try:
                names = os.listdir(self._path / folder)
            except (FileNotFoundError, NotADirectoryError):
                raise SourceUnavailable(f"{self._path} is no maildir: it has no folder {folder!r}") from None
            there.update((name.partition(":")[0], f"{folder}/{name}") for name in names if not name.startswith("."))
        return there

    def _since(self, name: str) -> int:
        """Since when a message has been where it is: who moves a file changes this, and nobody can set it."""
        try:
            return os.lstat(self._path / self._there[name]).st_ctime_ns
        except FileNotFoundError:
            return self._looked_at

    def _entry(self, name: str, path: Path) -> Found | None:
        """A message; None where it is not there any more."""
        place, where = os.fsencode(name).decode("utf-8", "replace"), digest(os.fsencode(name))
        try:
            file = open_regular(path, follow=False)
            if file is None:
                return None
            with file:
                size = os.fstat(file.fileno()).st_size
                content = file.read(size if size <= self.terms.max_bytes else max(KEPT_BYTES, HEADER_BYTES))
        except (OSError, SourceUnavailable) as error:
            return Found("", place, where, b"", media_type=MEDIA_TYPE, problem=unreadable(error), handle=name)
        return mail_entry(self.terms, place, where, content, max(size, len(content)), name)


def _in_order(name: str) -> tuple[int, str]:
    """A message's place among others: names begin with the second they came in."""
    seconds = name.partition(".")[0]
    return (int(seconds) if seconds.isascii() and seconds.isdigit() and len(seconds) < 20 else 0, name)
