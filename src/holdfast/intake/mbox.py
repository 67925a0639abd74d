"""Reads an mbox file: messages that other programs append, each behind a line that begins with ``From ``.

A message is whole when the next one begins. The last one is whole when its last line is, nobody holds a lock on the
file, and it has been still for the time ``settle``. A file that a mail program has written anew is read from its
beginning: what is known of it is known again, whatever the program noted in it of what was read.
"""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, BinaryIO, NamedTuple

from holdfast.intake.entry_keys import digest
from holdfast.intake.mails import HEADER_BYTES, mail_entry
from holdfast.intake.opening import path_of
from holdfast.intake.positions import (
    FilePosition,
    beginning_of,
    decoded,
    open_regular,
    position_at,
    stands_in,
    stored,
)
from holdfast.intake.reading import BATCH_BYTES, Found, Reading, SourceUnavailable
from holdfast.intake.terms import SourceTerms
from holdfast.intake.threaded import ThreadedSource

_BEGIN = b"From "
_QUOTED = re.compile(rb"^>(>*From )", re.MULTILINE)
_BLANK = (b"\n", b"\r\n")
_LINE_BYTES = 64 * 1024


class _Message(NamedTuple):
    """A message as it stands in the file.

    Attributes:
        start, end: where it begins and ends.
        content: its bytes without the first line, or the first of them.
        size: how many there are.
        is_named: whether its first line begins with ``From ``.
        ends_line: whether its last line has an end.
        is_last: whether no other one follows.
    """

    start: int
    end: int
    content: bytes
    size: int
    is_named: bool
    ends_line: bool
    is_last: bool


class MboxSource(ThreadedSource):
    """Messages of an mbox."""

    def __init__(self, terms: SourceTerms) -> None:
        super().__init__(terms)
        self._path = path_of(terms)
        self._still: tuple[tuple[int, ...], float] | None = None
        """The file with a last message that may not be whole, and since when it has been so."""

    def signs(self) -> Any:
        """See `ThreadedSource`: a message may have become still."""
        found = self._path.stat()
        return _state(found), self._still is not None and self._has_settled(self._still[1])

    def read_now(self, position: bytes, limit: int) -> Reading:
        """See `ThreadedSource`."""
        file = open_regular(self._path)
        if file is None:
            raise SourceUnavailable(f"there is no file {self._path}")
        with file:
            if self._is_locked(file):
                return Reading([], position, False, f"{self._path.name} is locked by another program")
            note = ""
            at = decoded(position, FilePosition) if position else beginning_of(os.fstat(file.fileno()))
            if not stands_in(at, file):
                note = f"{self._path.name} was written anew, and is read from its beginning"
                at = beginning_of(os.fstat(file.fileno()), at)
            reading = self._messages(file, at, limit)
            return replace(reading, note=note) if note else reading

    def _is_locked(self, file: BinaryIO) -> bool:
        """Whether another program holds the mailbox; if not, none gets it before the file is closed."""
        if os.path.lexists(f"{self._path}.lock"):
            return True
        try:
            fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            return True
        except OSError:  # the file system has no locks
            return False
        return False

    def _messages(self, file: BinaryIO, at: FilePosition, limit: int) -> Reading:
        found = os.fstat(file.fileno())
        entries: list[Found] = []
        end, total, last = at.offset, 0, at.last
        start = at.offset
        went_on = ""
        if at.last >= 0:
            begun = _behind_last(file, at.offset)
            if begun is None:
                self._still = None
                return Reading([], stored(at), False)
            start = begun if begun >= 0 else at.last
            if begun < 0:
                went_on = "it went on after it had been taken in: its program writes it slowly and without a lock"
        self._still = self._still if self._still and self._still[0] == _state(found) else None
        for one in _split(file, start, max(self.terms.max_bytes, HEADER_BYTES) + 1):
            if one.is_last and not self._is_still(found, one):
                return self._reading(file, at, entries, end, last)
            entries.append(self._entry(at, one, went_on))
            went_on = ""
            end, last = one.end, one.start if one.is_last else -1
            total += len(entries[-1].content)
            if len(entries) >= limit or total >= BATCH_BYTES:
                break
        self._still = None
        return self._reading(file, at, entries, end, last)

    def _reading(self, file: BinaryIO, at: FilePosition, entries: list[Found], end: int, last: int) -> Reading:
        if not entries:
            return Reading([], stored(at), False)
        return Reading(entries, stored(position_at(file, end, at.epoch, last)), last < 0)

    def _is_still(self, found: os.stat_result, last: _Message) -> bool:
        """Whether the last message can be taken: it ends with a line, and the file has been still."""
        if self._still is None:
            self._still = (_state(found), time.monotonic())
        return last.ends_line and self._has_settled(self._still[1])

    def _has_settled(self, since: float) -> bool:
        return time.monotonic() - since >= self.terms.settle_seconds

    def _entry(self, at: FilePosition, one: _Message, problem: str) -> Found:
        where = digest(at.identity(), b"%d" % one.start, b"%d" % one.end)
        entry = mail_entry(self.terms, f"{self._path.name}:{one.start}", where, one.content, one.size)
        if not one.is_named:
            problem = "no message begins here: a line that begins with 'From ' is missing"
        return replace(entry, key=where, problem=problem) if problem else entry


def _behind_last(file: BinaryIO, offset: int) -> int | None:
    """Where a message begins behind one that ended with the file; None while that cannot be told; -1: it went on."""
    file.seek(offset)
    rest = file.read(_LINE_BYTES)
    begins = rest.lstrip(b"\r\n")
    if begins.startswith(_BEGIN):
        return offset + len(rest) - len(begins)
    return None if _BEGIN.startswith(begins) else -1


def _split(file: BinaryIO, offset: int, most: int) -> Iterator[_Message]:
    """The messages behind an offset, of each no more than so many bytes."""
    file.seek(offset)
    start = at = offset
    lines: list[bytes] = []
    held = size = 0
    is_named = False
    starts, blank = True, True
    while line := file.readline(_LINE_BYTES):
        begins = starts and blank and line.startswith(_BEGIN)
        if begins and at > start:
            yield _message(start, at, lines, size, is_named, True, False)
        if begins:
            start, lines, held, size, is_named = at, [], 0, 0, True
        else:
            size += len(line)
            if held < most:
                lines.append(line)
                held += len(line)
        at += len(line)
        blank = starts and line in _BLANK
        starts = line.endswith(b"\n")
    if at > start:
        yield _message(start, at, lines, size, is_named, starts, True)


def _message(
    start: int, end: int, lines: list[bytes], size: int, is_named: bool, ends_line: bool, is_last: bool
) -> _Message:
    if lines and lines[-1] in _BLANK:
        size -= len(lines.pop())
    content = _QUOTED.sub(rb"\1", b"".join(lines))
    return _Message(start, end, content, max(size, len(content)), is_named, ends_line, is_last)


def _state(found: os.stat_result) -> tuple[int, ...]:
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
