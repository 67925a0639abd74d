"""Ends code that keeps the event loop busy for too long: an exception is raised in it, wherever it is.

Python lets a thread raise an exception in another one between two instructions. Code that is inside a call of the
operating system, such as `time.sleep`, is met when that returns.
"""

from __future__ import annotations

import ctypes
import threading
import time
from contextlib import suppress

from holdfast.errors import Interruption

LOOK_SECONDS = 0.2

SWALLOWED_SECONDS = 0.2
"""So long an exception may take to arrive that the code itself seems to have caught."""


class TookTooLong(Interruption):
    """The code did not come to an end in time."""


class Watchdog:
    """Watches one thread, from `start` to `close`.

    Args:
        seconds: how long a run may keep the thread.

    Attributes:
        since: when the run began that keeps the thread, as `time.monotonic` says; set when it begins.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._watched = threading.get_ident()
        self._lock = threading.Lock()
        self.since: float | None = None
        self._fired = False
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="holdfast-watchdog", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def close(self) -> None:
        """Watch no more."""
        self._over.set()
        self._thread.join()

    def leave(self, *, met: bool) -> None:
        """No run keeps the thread any more.

        Args:
            met: the exception came out of it.
        """
        with self._lock:
            self.since, fired, self._fired = None, self._fired, False
        if fired and not met:
            # It is still on its way, or the run has caught it: it must not arrive later.
            with suppress(TookTooLong):
                deadline = time.monotonic() + SWALLOWED_SECONDS
                while time.monotonic() < deadline:
                    pass

    def _watch(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            with self._lock:
                if self.since is not None and time.monotonic() - self.since > self._seconds:
                    self.since, self._fired = time.monotonic(), True
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(
                        ctypes.c_ulong(self._watched), ctypes.py_object(TookTooLong)
                    )
