"""Finds messages in a file, a folder or a mail box, and tells the new ones from those already seen."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .message import MAX_BYTES

_STARTS_MESSAGE = re.compile(rb"From .*\d{1,2}:\d{2}.*\d{4}\s*$")
_HEADER = re.compile(rb"[!-9;-~]+:|>From ")
_ESCAPED = re.compile(rb">+From ")

Stamp = tuple[int, int]


class NoMail(Exception):
    """There is nothing to read at the path; the text says what is wrong."""


@dataclass(frozen=True)
class Letter:
    """A message as found.

    Attributes:
        name: unique within the source: a path below the folder, or ``box.mbox#3``. File names may hold any
            characters: clean it before showing it.
        raw: its bytes; empty if there is a problem.
        problem: why it could not even be read, else empty.
    """

    name: str
    raw: bytes
    problem: str = ""


class Source:
    """A path to mail.

    Args:
        mail: an ``.eml`` file, a folder of them at any depth, or an mbox file.
        leave_out: a folder below which nothing is mail, such as the one for drafts.

    Raises:
        NoMail: the path does not exist, cannot be read, or is neither file nor folder.
    """

    def __init__(self, mail: Path, leave_out: Path) -> None:
        self.mail = mail
        self.warnings: list[str] = []
        self._leave_out = leave_out.resolve()
        self._seen: dict[Path, Stamp] = {}
        self._taken: dict[Path, Stamp] = {}
        self._looks = 0
        try:
            mode = mail.stat().st_mode
            self.is_folder = stat.S_ISDIR(mode)
            if self.is_folder:
                os.scandir(mail).close()
            elif stat.S_ISREG(mode):
                mail.open("rb").close()
            else:
                raise NoMail(f"{mail} is neither a file nor a folder")
        except FileNotFoundError:
            raise NoMail(f"there is no file or folder {mail}") from None
        except OSError as error:
            raise NoMail(f"{mail} cannot be read: {error.strerror}") from error
        if self.is_folder and mail.resolve() == self._leave_out:
            raise NoMail(f"{mail} is the folder for drafts as well: choose another, or the desk would answer itself")

    def letters(self) -> Iterator[Letter]:
        """The messages that are new, or changed, since the last call; each call is to be read to its end.

        The first call takes what there is. A later one takes a file only when it has not changed between two calls,
        since it may be half written.
        """
        self._looks += 1
        for path in self._files():
            try:
                status = path.stat()
            except OSError:
                if path not in self._taken and not path.exists():
                    continue  # a dangling link, or gone between listing and reading
                status = None
            if status is not None and not stat.S_ISREG(status.st_mode):
                continue
            stamp = (status.st_size, status.st_mtime_ns) if status else (-1, -1)
            if self._taken.get(path) == stamp:
                continue
            settled = self._looks == 1 or self._seen.get(path) == stamp
            self._seen[path] = stamp
            if settled:
                self._taken[path] = stamp
                yield from self._read(path, stamp[0])

    def _files(self) -> Iterator[Path]:
        if not self.is_folder:
            yield self.mail
            return
        for folder, below, names in os.walk(self.mail, onerror=self._warn):
            below[:] = sorted(name for name in below if Path(folder, name).resolve() != self._leave_out)
            for name in sorted(names):
                if name.lower().endswith(".eml") and not name.startswith("."):
                    yield Path(folder, name)

    def _warn(self, error: OSError) -> None:
        warning = f"{error.filename} cannot be read: {error.strerror}"
        if warning not in self.warnings:
            self.warnings.append(warning)

    def _read(self, path: Path, size: int) -> Iterator[Letter]:
        name = str(path.relative_to(self.mail)) if self.is_folder else path.name
        try:
            if not self.is_folder and is_mailbox(path):
                yield from read_mailbox(path, name)
            elif size > MAX_BYTES:
                yield Letter(name, b"", too_big(size))
            else:
                yield Letter(name, path.read_bytes())
        except OSError as error:
            yield Letter(name, b"", f"it cannot be read: {error.strerror}")


def too_big(size_bytes: int) -> str:
    """Why a message of this size is not taken."""
    return f"it has {size_bytes / 1024 / 1024:.1f} MiB; the desk takes at most {MAX_BYTES // 1024 // 1024} MiB"


def is_mailbox(path: Path) -> bool:
    """Whether a file is an mbox: it begins like one and is not named ``.eml``, which is always one message."""
    if path.suffix.lower() == ".eml":
        return False
    if path.suffix.lower() == ".mbox":
        return True
    with path.open("rb") as file:
        return file.read(5) == b"From "


def read_mailbox(path: Path, name: str) -> Iterator[Letter]:
    """The messages of an mbox, one at a time.

    A line ``From `` begins a message if it is the first, or follows an empty one and either carries a time and a year
    or is followed by a header: "From here on, …" in somebody's text does not. ``>From `` loses its escape.
    """
    lines: list[bytes] = []
    size = number = 0
    after_blank = True
    opened = False

    def letter() -> Letter:
        label = f"{name}#{number}"
        if size > MAX_BYTES:
            return Letter(label, b"", too_big(size))
        if lines and not lines[-1].strip():  # the empty line that parts it from the next belongs to the box
            lines.pop()
        return Letter(label, b"".join(lines))

    with path.open("rb") as file:
        line = file.readline(MAX_BYTES)
        while line:
            following = file.readline(MAX_BYTES)
            if (
                after_blank
                and line.startswith(b"From ")
                and (not opened or _STARTS_MESSAGE.match(line) or _HEADER.match(following))
            ):
                if opened:
                    yield letter()
                lines, size, opened, number = [], 0, True, number + 1
            elif opened:
                size += len(line)
                if size <= MAX_BYTES:
                    lines.append(line[1:] if _ESCAPED.match(line) else line)
            elif line.strip():  # what stands before the first message is a message without its line
                opened, number, size, lines = True, 1, len(line), [line]
            after_blank = not line.strip()
            line = following
        if opened:
            yield letter()
