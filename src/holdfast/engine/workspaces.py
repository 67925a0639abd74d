"""Reads files that a database names, below the folders that an operator allows and nowhere else.

A path in a database says nothing of who may read it. Every part of it is opened from the one before it, and links are
not followed, so that no name leads out of a folder that is allowed.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from holdfast.errors import UsageError

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""Not waiting: the other end of a pipe may never come."""


class Elsewhere(Exception):
    """A location is in none of the folders."""


class Workspaces:
    """Folders whose files may be read.

    Args:
        folders: their paths; a relative one counts from the current folder.

    Raises:
        UsageError: one is no path.
    """

    def __init__(self, folders: Iterable[str | os.PathLike[str]] = ()) -> None:
        self._folders: list[tuple[Path, Path]] = []
        for given in (folders,) if isinstance(folders, str | bytes) else folders:
            if given is folders or not isinstance(given, str | os.PathLike) or not os.fspath(given):
                raise UsageError(f"workspaces has {given!r:.300}; give a list of folders")
            path = Path(os.path.abspath(given))
            self._folders.append((path, path.resolve()))

    def read(self, location: str, at_most: int) -> bytes:
        """The bytes of a file, or its first.

        Args:
            location: its absolute path, as a database has it.
            at_most: no more of them than this.

        Raises:
            Elsewhere: it is below none of the folders, or no file.
            FileNotFoundError: it is not there.
            OSError: it cannot be read.
        """
        path = Path(location)
        if not path.is_absolute() or ".." in path.parts or "\0" in location:
            raise Elsewhere
        for given, resolved in self._folders:
            for folder in (given, resolved):
                if path != folder and path.is_relative_to(folder):
                    return _read(resolved, path.relative_to(folder).parts, at_most)
        raise Elsewhere


def _read(folder: Path, parts: tuple[str, ...], at_most: int) -> bytes:
    inside = os.open(folder, _FOLDER)
    try:
        for part in parts[:-1]:
            inner = os.open(part, _FOLDER | os.O_NOFOLLOW, dir_fd=inside)
            os.close(inside)
            inside = inner
        file = os.open(parts[-1], _FILE, dir_fd=inside)
        try:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise Elsewhere
            with open(file, "rb", closefd=False) as opened:
                return opened.read(at_most)
        finally:
            os.close(file)
    finally:
        os.close(inside)
