"""Artifacts in a folder: each is written whole or not at all, and nothing is ever written or read outside it.

Every part of a path is opened from the one before it, and links are not followed: what somebody puts into the folder
meanwhile cannot lead a write elsewhere.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from holdfast.agents.artifacts.names import OURS, fold
from holdfast.errors import ArtifactNotFound, WorkspaceError

LEFTOVER_SECONDS = 3600.0
"""A temporary file that is older was left by a process that was killed."""

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

_REASONS = {
    errno.EROFS: "it is read-only",
    errno.EACCES: "this process may not, or it is read-only",
    errno.EPERM: "this process may not, or it is read-only",
    errno.ENOSPC: "it is full",
    errno.EDQUOT: "it is full: the quota is used up",
    errno.EFBIG: "it is full: a file may not get so large",
    errno.ENAMETOOLONG: "the name is too long for it",
}


class Folder:
    """A folder with artifacts; made when the first is written.

    Attributes:
        path: absolute.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.location = str(path)

    def at(self, inside: str, name: str) -> str:
        """Where an artifact is."""
        return str(self.path / inside / name)

    def ready(self) -> None:
        """Make the folder, and see whether it can be written to.

        Raises:
            WorkspaceError: it cannot; says why.
        """
        with self._telling("it cannot be used"):
            self.path.mkdir(parents=True, exist_ok=True)
            with self._opened("", []) as folder:
                if not os.access(self.path, os.W_OK | os.X_OK):
                    raise PermissionError(errno.EACCES, "")
                if os.fstatvfs(folder).f_bavail == 0:
                    raise OSError(errno.ENOSPC, "")

    def write(self, inside: str, name: str, data: bytes) -> None:
        """Write a file: after a crash it is there as it was or as it is now.

        Args:
            inside: the folder in the workspace that the name is in; none for the workspace itself.

        Raises:
            WorkspaceError: it cannot be written; says why.
        """
        with self._telling(f"{name!r} cannot be written"):
            *folders, last = name.split("/")
            self.path.mkdir(parents=True, exist_ok=True)
            with self._opened(inside, folders, make=True) as folder:
                self._check_place(folder, last, name)
                _drop_leftovers(folder)
                temporary = f"{OURS}-{secrets.token_hex(8)}.tmp"
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
                file = os.open(temporary, flags, 0o666, dir_fd=folder)
                try:
                    try:
                        rest = memoryview(data)
                        while rest:
                            rest = rest[os.write(file, rest) :]
                        os.fsync(file)
                    finally:
                        os.close(file)
                    os.rename(temporary, last, src_dir_fd=folder, dst_dir_fd=folder)
                except BaseException:
                    with suppress(OSError):
                        os.unlink(temporary, dir_fd=folder)
                    raise
                os.fsync(folder)

    def read(self, inside: str, name: str) -> bytes:
        """The bytes of a file.

        Raises:
            ArtifactNotFound: there is none of this name.
            WorkspaceError: it cannot be read; says why.
        """
        *folders, last = name.split("/")
        try:
            with self._telling(f"{name!r} cannot be read", missing=True), self._opened(inside, folders) as folder:
                # Not waiting: the other end of a pipe may never come.
                flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
                file = os.open(last, flags, dir_fd=folder)
                try:
                    if not stat.S_ISREG(os.fstat(file).st_mode):
                        raise self._error(f"{name!r} is no file")
                    with open(file, "rb", closefd=False) as opened:
                        return opened.read()
                finally:
                    os.close(file)
        except FileNotFoundError:
            message = f"the workspace {self.location} has no artifact {name!r}"
            raise ArtifactNotFound(message, location=self.location, name=name) from None

    def names(self, inside: str) -> list[str]:
        """The files in a folder of it and in the folders within: no links, and none of the workspace's own."""
        found: list[str] = []
        folders = [""]
        with self._telling("it cannot be listed", missing=True):
            while folders:
                at = folders.pop()
                try:
                    with self._opened(inside, at.split("/") if at else []) as folder, os.scandir(folder) as entries:
                        for entry in entries:
                            name = f"{at}/{entry.name}" if at else entry.name
                            if fold(entry.name).startswith(OURS):
                                continue
                            if entry.is_dir(follow_symlinks=False):
                                folders.append(name)
                            elif entry.is_file(follow_symlinks=False):
                                found.append(name)
                except FileNotFoundError:
                    continue
        return found

    @contextmanager
    def _opened(self, inside: str, folders: list[str], *, make: bool = False) -> Iterator[int]:
        """A folder within, open."""
        above = inside.split("/") if inside else []
        # The folder itself may be under a link, as temporary folders are on macOS, but must not be one.
        folder = os.open(self.path, _FOLDER)
        try:
            for number, part in enumerate((*above, *folders)):
                if make:
                    if number >= len(above):  # ids of runs may differ in case alone
                        self._check_case(folder, part)
                    with suppress(FileExistsError):
                        os.mkdir(part, dir_fd=folder)
                inner = os.open(part, _FOLDER, dir_fd=folder)
                os.close(folder)
                folder = inner
            yield folder
        finally:
            os.close(folder)

    def _check_place(self, folder: int, last: str, name: str) -> None:
        self._check_case(folder, last)
        try:
            mode = os.stat(last, dir_fd=folder, follow_symlinks=False).st_mode
        except FileNotFoundError:
            return
        if not stat.S_ISREG(mode):
            kind = "a link" if stat.S_ISLNK(mode) else "a folder" if stat.S_ISDIR(mode) else "no file"
            raise self._error(f"{name!r} is {kind} there, and is not replaced")

    def _check_case(self, folder: int, part: str) -> None:
        folded = fold(part)
        for other in os.listdir(folder):
            if other != part and fold(other) == folded:
                raise self._error(
                    f"{part!r} would stand beside {other!r}, and not every system tells them apart: give one name"
                )

    @contextmanager
    def _telling(self, what: str, *, missing: bool = False) -> Iterator[None]:
        """Errors of the system as ours, save of a missing file if that is the caller's to tell."""
        try:
            yield
        except (NotADirectoryError, FileExistsError) as error:
            raise self._error(f"{what}: {self._in_the_way()}") from error
        except OSError as error:
            if missing and isinstance(error, FileNotFoundError):
                raise
            if error.errno == errno.ELOOP:
                raise self._error(f"{what}: {self._in_the_way()}") from error
            reason = _REASONS.get(error.errno or 0, os.strerror(error.errno) if error.errno else str(error))
            raise self._error(f"{what}: {reason}") from error

    def _in_the_way(self) -> str:
        if self.path.is_symlink():
            return "the workspace is a link to elsewhere; name the folder itself"
        if self.path.exists() and not self.path.is_dir():
            return "the workspace is a file; name a folder"
        return "there is a link or a file where a folder should be, and links are not followed"

    def _error(self, what: str) -> WorkspaceError:
        return WorkspaceError(f"the workspace {self.location}: {what}", location=self.location)


def _drop_leftovers(folder: int) -> None:
    """Delete what writes left that were killed."""
    for name in os.listdir(folder):
        if name.startswith(f"{OURS}-") and name.endswith(".tmp"):
            with suppress(OSError):
                if time.time() - os.stat(name, dir_fd=folder, follow_symlinks=False).st_mtime > LEFTOVER_SECONDS:
                    os.unlink(name, dir_fd=folder)
