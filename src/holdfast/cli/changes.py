"""Looks for changes of what `holdfast dev` would read anew: the code, the settings, and what else a process has read.

Code is found by watching folders. Other files may be anywhere, so the process tells through a pipe which it has read,
and those are looked at again and again.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from watchfiles import Change, DefaultFilter

LOOK_SECONDS = 0.5
"""How often the files that a process has read are looked at."""


def tell(fd: int, files: Iterable[str | Path]) -> None:
    """Tell `Changes` which files this process has read, once; the pipe is closed then."""
    marks = {os.path.abspath(file): _mark(file) for file in files}
    with open(fd, "w") as pipe:
        pipe.write(json.dumps(marks) + "\n")


def _mark(file: str | Path) -> list[int] | None:
    """What differs when a file has changed; None where there is none."""
    try:
        found = os.stat(file)
    except (OSError, ValueError):
        return None
    return [found.st_mtime_ns, found.st_size, found.st_ino]


def code_filter(settings_file: Path) -> DefaultFilter:
    """Lets through what every process that is begun anew would read: Python files and the settings."""
    from watchfiles import DefaultFilter

    class Code(DefaultFilter):
        def __call__(self, change: Change, path: str) -> bool:
            ours = path.endswith(".py") or path == str(settings_file)
            return ours and super().__call__(change, path)

    return Code()


class Changes:
    """Finds what has changed, while an event loop runs.

    Args:
        folders: where the code is.
        settings_file: the file of settings, wherever it is.
        fd: what comes out of the pipe that processes `tell` through.
    """

    def __init__(self, folders: Sequence[Path], settings_file: Path, fd: int) -> None:
        from watchfiles import awatch

        os.set_blocking(fd, False)
        self._fd = fd
        self._heard = b""
        self._marks: dict[str, list[int] | None] = {}
        self._code = awatch(
            *folders, watch_filter=code_filter(settings_file), debounce=200, step=50, ignore_permission_denied=True
        )
        self._watch()

    def _watch(self) -> None:
        self._watched: asyncio.Task[Any] = asyncio.create_task(anext(self._code))

    async def next(self) -> str:
        """What has changed, in words, once something has."""
        found: set[str] = set()
        while not found:
            await asyncio.wait((self._watched,), timeout=LOOK_SECONDS)
            if self._watched.done():
                found.update(path for _, path in self._watched.result())
                self._watch()
            self._hear()
            for file, mark in self._marks.items():
                if (now := _mark(file)) != mark:
                    self._marks[file] = now
                    found.add(file)
        here = Path.cwd()
        paths = sorted(map(Path, found))
        names = [str(path.relative_to(here) if path.is_relative_to(here) else path) for path in paths]
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        return f"{', '.join(names[:3])}{more} changed"

    def _hear(self) -> None:
        """Take in what was told last."""
        try:
            self._heard += os.read(self._fd, 1 << 16)
        except BlockingIOError:
            return
        *told, self._heard = self._heard.split(b"\n")
        if told:
            self._marks = json.loads(told[-1])

    async def close(self) -> None:
        """Look no more."""
        self._watched.cancel()
        await asyncio.gather(self._watched, return_exceptions=True)
