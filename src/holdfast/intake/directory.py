"""Reads the files of a folder: each that fits a pattern is an entry, once it has been still for a moment.

A file that is moved into the folder is whole. One that is written there is taken when its size and its time have not
changed for the time ``settle``; its program should write it elsewhere if it ever rests longer than that.
"""

from __future__ import annotations

import mimetypes
import os
import stat
import time
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

from holdfast.errors import UsageError
from holdfast.intake.entry_keys import KEPT_BYTES, digest, entry_key, too_large
from holdfast.intake.opening import path_of
from holdfast.intake.positions import open_regular, unreadable
from holdfast.intake.reading import BATCH_BYTES, Found, Reading, SourceUnavailable
from holdfast.intake.seen import SeenNames, identity_of
from holdfast.intake.terms import SourceTerms
from holdfast.intake.threaded import ThreadedSource
from holdfast.model.ids import check_id


class _Listed(NamedTuple):
    """A file as a look found it; ``since`` then it is where it is, and as it is."""

    changed: int
    name: str
    size: int
    since: int

    @property
    def key(self) -> str:
        """What it is known by as long as nobody changes it."""
        return f"{self.name}\0{self.size}\0{self.changed}"


class DirectorySource(ThreadedSource):
    """Files of a folder, but of none in it, the earliest changed first. One that is changed later counts again."""

    def __init__(self, terms: SourceTerms) -> None:
        super().__init__(terms)
        self._path = path_of(terms)
        self._seen = SeenNames()
        self._waiting: list[_Listed] = []
        """Of what was there, new and still, what has not been read yet; the next one last."""
        self._still: dict[str, float] = {}
        """Since when each file that is not read yet has been as it is, by its key."""
        self._settled = 0
        """How many of them were still when it was looked last."""
        self._looked_at = 0

    def signs(self) -> Any:
        """See `ThreadedSource`: a file may have become still."""
        now = time.monotonic()
        return self._path.stat().st_mtime_ns, any(self._has_settled(since, now) for since in self._still.values())

    def read_now(self, position: bytes, limit: int) -> Reading:
        """See `ThreadedSource`."""
        if not (self._seen.went_on(position) and self._waiting):
            self._look_for(position)
        entries: list[Found] = []
        read: list[str] = []
        total = 0
        while self._waiting and len(read) < limit and total < BATCH_BYTES:
            listed = self._waiting.pop()
            found = self._entry(listed)
            if found is not None:  # else it was changed or taken away meanwhile
                entries.append(found)
                read.append(listed.key)
                total += len(found.content)
        whole = None if self._waiting or len(self._still) > self._settled else self._looked_at
        return Reading(entries, self._seen.after(read, whole), bool(read) and bool(self._waiting))

    def _look_for(self, position: bytes) -> None:
        """Look which files are new and still."""
        self._looked_at = time.time_ns()
        there = {listed.key: listed for listed in self._list()}
        now = time.monotonic()
        of = identity_of(self._path, self.terms.pattern)
        new = self._seen.new(position, there, lambda key: there[key].since, of)
        self._still = {key: self._still.get(key, now) for key in new}
        still = [there[key] for key, since in self._still.items() if self._has_settled(since, now)]
        self._waiting = sorted(still, reverse=True)
        self._settled = len(still)

    def _has_settled(self, since: float, now: float) -> bool:
        return now - since >= self.terms.settle_seconds

    def _list(self) -> list[_Listed]:
        try:
            entries = os.scandir(self._path)
        except (FileNotFoundError, NotADirectoryError):
            raise SourceUnavailable(f"there is no folder {self._path}") from None
        found = []
        hidden = self.terms.pattern.startswith(".")
        with entries:
            for entry in entries:
                if not fnmatchcase(entry.name, self.terms.pattern) or entry.name.startswith(".") is not hidden:
                    continue
                try:
                    one = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                if stat.S_ISREG(one.st_mode):
                    found.append(_Listed(one.st_mtime_ns, entry.name, one.st_size, one.st_ctime_ns))
        return found

    def _entry(self, listed: _Listed) -> Found | None:
        """A file's entry; None where the file is not what it was when it was listed."""
        where = digest(listed.key.encode("utf-8", "surrogateescape"))
        media_type = mimetypes.guess_type(listed.name)[0] or "application/octet-stream"
        name = listed.name.encode("utf-8", "replace").decode()
        try:
            file = open_regular(Path(self._path, listed.name), follow=False)
            if file is None:
                return None
            large = listed.size > self.terms.max_bytes
            with file:
                content = file.read(KEPT_BYTES if large else listed.size)
                after = os.fstat(file.fileno())
        except (OSError, SourceUnavailable) as error:
            return Found("", name, where, b"", media_type=media_type, size=listed.size, problem=unreadable(error))
        if (after.st_mtime_ns, after.st_size) != (listed.changed, listed.size):
            return None
        try:
            message_id = check_id(name, "the name of a file") if name == listed.name else ""
        except UsageError:
            message_id = ""
        return Found(
            message_id=message_id,
            place=name,
            key=entry_key(self.terms.dedupe, message_id, digest(content), where, digest(content)),
            content=content,
            media_type=media_type,
            size=listed.size,
            facts={"name": name, "size": listed.size, "media_type": media_type},
            problem=too_large(listed.size, self.terms.max_bytes) if large else None,
        )
