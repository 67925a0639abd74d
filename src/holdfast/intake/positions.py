"""Positions in files that grow: which file, how far, and a mark by which it is seen that it is still the same file."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from pathlib import Path
from typing import BinaryIO, TypeVar

import msgspec

from holdfast.intake.reading import SourceUnavailable

MARKED_BYTES = 1024
"""So many bytes at the beginning of a file, and behind which reading goes on, are told by its mark."""

_OF_THE_MACHINE = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EAGAIN, errno.ESTALE, errno.ETIMEDOUT)
"""Too many open files, no memory, a server of files that is away: what passes, and is no fault of a file."""

P = TypeVar("P", bound=msgspec.Struct)


class FilePosition(msgspec.Struct, frozen=True):
    """Where reading goes on in a file.

    Attributes:
        device, inode: which file, as long as nobody else is given the number.
        offset: in bytes.
        mark: of what stands before, see `mark_of`.
        epoch: rises when reading begins with another file, or with this one again.
        changed: when the file was changed last, in nanoseconds, as it was seen then.
        last: where the last entry began, if it ended with the file; else -1.
    """

    device: int
    inode: int
    offset: int
    mark: str
    epoch: int
    changed: int
    last: int = -1

    def is_of(self, found: os.stat_result) -> bool:
        """Whether a file has its number."""
        return (found.st_dev, found.st_ino) == (self.device, self.inode)

    def identity(self) -> bytes:
        """What stands for the file, as long as it is the same one."""
        return b"%d/%d/%d" % (self.device, self.inode, self.epoch)


def beginning_of(found: os.stat_result, before: FilePosition | None = None) -> FilePosition:
    """The beginning of a file.

    Args:
        before: where reading was in another file, or in this one before it was begun again. The epoch is then one
            that no file had before, even if the source was put back to its beginning meanwhile.
    """
    epoch = 0 if before is None else max(before.epoch + 1, found.st_mtime_ns)
    return FilePosition(found.st_dev, found.st_ino, 0, "", epoch, found.st_mtime_ns)


def position_at(file: BinaryIO, offset: int, epoch: int, last: int = -1) -> FilePosition:
    """A position in an open file."""
    found = os.fstat(file.fileno())
    return FilePosition(found.st_dev, found.st_ino, offset, mark_of(file, offset), epoch, found.st_mtime_ns, last)


def mark_of(file: BinaryIO, offset: int) -> str:
    """A digest of the first bytes of a file, and of the last ones before an offset."""
    if offset == 0:
        return ""
    file.seek(0)
    found = hashlib.blake2b(file.read(min(offset, MARKED_BYTES)), digest_size=12)
    file.seek(max(0, offset - MARKED_BYTES))
    found.update(file.read(min(offset, MARKED_BYTES)))
    return found.hexdigest()


def stands_in(at: FilePosition, file: BinaryIO) -> bool:
    """Whether an open file is the one of a position, and still has what stood before it."""
    found = os.fstat(file.fileno())
    return at.is_of(found) and found.st_size >= at.offset and mark_of(file, at.offset) == at.mark


def open_regular(path: Path, *, follow: bool = True) -> BinaryIO | None:
    """A file to read; None where there is none.

    Raises:
        SourceUnavailable: it is no regular file.
        OSError: it cannot be opened.
    """
    try:  # a pipe would block for ever
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW))
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise SourceUnavailable(f"{path} is no regular file")
    return os.fdopen(descriptor, "rb", buffering=256 * 1024)


def unreadable(error: OSError | SourceUnavailable) -> str:
    """Why one of many files cannot be read.

    Raises:
        OSError: it has to do with the machine, and with no file.
    """
    if isinstance(error, OSError) and error.errno in _OF_THE_MACHINE:
        raise error
    return f"it cannot be read: {getattr(error, 'strerror', None) or error}"


def stored(position: msgspec.Struct) -> bytes:
    """A position as it is stored: JSON."""
    return msgspec.json.encode(position)


def decoded(position: bytes, kind: type[P]) -> P:
    """A stored position.

    Raises:
        SourceUnavailable: it is none of this kind.
    """
    try:
        return msgspec.json.decode(position, type=kind)
    except (msgspec.DecodeError, RecursionError) as error:
        reason = f"its position cannot be read ({error}): was its kind changed? Rewind it to the start"
        raise SourceUnavailable(reason) from error
