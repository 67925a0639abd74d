"""Writers of one file take turns.

SQLite's own waiting is a poll with growing pauses, so that a busy writer starves the others. Here a
writer queues at two locks beside the file: it takes the gate, then the seat, then leaves the gate.
Whoever waits for the seat holds the gate, so that a writer that leaves the seat and wants it again
finds the other before it. The kernel drops the locks of a process that dies; one that is frozen
keeps them, also the gate where it waits for the seat, and `holder` tells its process id.
"""

from __future__ import annotations

import fcntl
import os
from types import TracebackType

NOBODY = b"%-20d" % 0


class Turnstile:
    """The two locks of a database file. One object serves one thread.

    Args:
        path: the database file; the locks are ``<path>-gate`` and ``<path>-seat``.
    """

    def __init__(self, path: str) -> None:
        self._gate = os.open(f"{path}-gate", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._seat = os.open(f"{path}-seat", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._name = b"%-20d" % os.getpid()

    def __enter__(self) -> None:
        fcntl.flock(self._gate, fcntl.LOCK_EX)
        try:
            try:
                fcntl.flock(self._seat, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.pwrite(self._gate, self._name, 0)
                try:
                    fcntl.flock(self._seat, fcntl.LOCK_EX)
                finally:
                    os.pwrite(self._gate, NOBODY, 0)
        finally:
            fcntl.flock(self._gate, fcntl.LOCK_UN)
        os.pwrite(self._seat, self._name, 0)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        fcntl.flock(self._seat, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close both lock files; the locks go with them."""
        os.close(self._gate)
        os.close(self._seat)


def holder(path: str) -> tuple[int, float] | None:
    """The process that keeps the other writers of the file waiting just now: it writes, or is the next that will.

    A process takes a lock before it leaves its name there: who looks in between sees the one before. What two looks say
    alike is so.

    Returns:
        Its id, and since when it does, in seconds of this machine's clock; None if there is none.
    """
    return _kept(f"{path}-seat") or _kept(f"{path}-gate")


def _kept(lock: str) -> tuple[int, float] | None:
    try:
        file = os.open(lock, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = int(os.pread(file, 20, 0) or b"0")
        return (pid, os.fstat(file).st_mtime) if pid else None
    finally:
        os.close(file)
    return None
