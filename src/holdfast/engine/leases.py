"""A worker's hold on its runs: one lease for the whole worker, kept by a heartbeat.

The heartbeat beats from its own thread over its own connection, so that code which blocks the event
loop does not lose the lease. The trust window counts from when the beat that succeeded was begun:
after that, without another, the worker stops claiming and then executing, before anyone can have
taken its runs. An expired lease is never renewed. A worker whose event loop has not turned for a
long time ends its process: others can then take its runs, and whoever restarts it sees that it ended.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable

from holdfast.engine.memory import memory_bytes
from holdfast.store.base import Heart, Store

log = logging.getLogger("holdfast.lease")

STUCK_SECONDS = 300.0
STUCK_EXIT_CODE = 70


class Heartbeat:
    """Keeps one worker's lease.

    Args:
        store: where the lease is.
        worker: the worker's id, registered just now.
        lease_seconds: how long a lease lasts without a beat.
        beat_seconds: how often to beat.
        on_lost: called on the event loop, once, when the lease is gone.
        on_clock: called on the event loop after each beat with our clock when it began, the database's, and ours when
            it ended, in microseconds.
        on_drain: called on the event loop after each beat that finds that somebody asks the worker to end.
    """

    def __init__(
        self,
        store: Store,
        worker: bytes,
        *,
        lease_seconds: float,
        beat_seconds: float,
        on_lost: Callable[[], None],
        on_clock: Callable[[int, int, int], None],
        on_drain: Callable[[], None],
    ) -> None:
        self._store = store
        self._worker = worker
        self._lease = lease_seconds
        self._beat = beat_seconds
        self._on_lost = on_lost
        self._on_clock = on_clock
        self._on_drain = on_drain
        self._loop = asyncio.get_running_loop()
        self._good_until = time.monotonic() + lease_seconds
        self._turned = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="holdfast-heartbeat", daemon=True)
        self._ticking = self._loop.call_soon(self._tick)
        self._thread.start()

    @property
    def good(self) -> bool:
        """Whether the lease is ours for certain."""
        return time.monotonic() < self._good_until

    def _tick(self) -> None:
        self._turned = time.monotonic()
        self._ticking = self._loop.call_later(1.0, self._tick)

    def _run(self) -> None:
        asyncio.run(self._beat_forever())

    async def _beat_forever(self) -> None:
        heart: Heart | None = None
        try:
            while not self._stop.is_set():
                began = time.monotonic()
                if began >= self._good_until:
                    self._tell(self._on_lost)
                    return
                try:
                    async with asyncio.timeout(max(self._good_until - began, 0.1)):
                        heart = heart or self._store.heart()
                        asked = time.time_ns() // 1000
                        renewed, now, draining = await heart.beat(self._worker, int(self._lease * 1e6), memory_bytes())
                except Exception as error:
                    # Whatever it is: a heart that stops without a word would leave the runs to nobody.
                    log.warning("a heartbeat failed: %s: %s", type(error).__name__, error)
                    self._stop.wait(min(0.5, self._beat))
                    continue
                if not renewed:
                    self._good_until = 0.0
                    self._tell(self._on_lost)
                    return
                self._good_until = began + self._lease
                self._tell(self._on_clock, asked, now, time.time_ns() // 1000)
                if draining:
                    self._tell(self._on_drain)
                if time.monotonic() - self._turned > STUCK_SECONDS:
                    log.critical("the event loop has not turned for %.0f s; ending the process", STUCK_SECONDS)
                    os._exit(STUCK_EXIT_CODE)
                self._stop.wait(self._beat)
        finally:
            if heart is not None:
                await heart.close()

    def _tell(self, function: Callable[..., None], *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:
            self._stop.set()

    async def close(self) -> None:
        """Beat no more. The lease stays until it expires or the worker is removed."""
        self._stop.set()
        self._ticking.cancel()
        await asyncio.to_thread(self._thread.join)
