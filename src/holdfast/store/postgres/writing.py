"""What a part of the store writes with: connections of its own, so that it holds up no run, and no run holds it up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from holdfast.errors import StoreUnavailable
from holdfast.store.postgres.address import Address
from holdfast.store.postgres.connection import WRITE, Connection, Link
from holdfast.store.postgres.errors import Again

WRITERS = 2
"""Connections for writing."""

T = TypeVar("T")


class Repeatedly(Protocol):
    """Runs a transaction, again when the server rolled it back for no fault of its own."""

    def __call__(self, link: Link, work: Callable[[Connection], Awaitable[T]], /) -> Awaitable[T]:
        """Give what the work gives."""


class Reading(Protocol):
    """Runs a transaction that reads."""

    def __call__(self, work: Callable[[Connection], Awaitable[T]], /) -> Awaitable[T]:
        """Give what the work gives."""


class Writing:
    """Reads and writes of a part of the store, for all tenants.

    Args:
        address: of the database.
        read: runs what reads.
        repeatedly: runs what writes, on a connection of ours.
    """

    def __init__(self, address: Address, read: Reading, repeatedly: Repeatedly) -> None:
        self._reading = read
        self._repeatedly = repeatedly
        self._writers: asyncio.Queue[Link] = asyncio.Queue()
        for _ in range(WRITERS):
            self._writers.put_nowait(Link(address, WRITE))

    async def close(self) -> None:
        """Close its connections; they are opened again when they are needed."""
        writers = [self._writers.get_nowait() for _ in range(self._writers.qsize())]
        await asyncio.gather(*(link.close() for link in writers))
        for link in writers:
            self._writers.put_nowait(link)

    async def _read(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        return await self._reading(work)

    async def _write(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        link = await self._writers.get()
        try:
            return await self._repeatedly(link, work)
        finally:
            self._writers.put_nowait(link)

    async def _lone(self, work: Callable[[Connection], Awaitable[T]]) -> T | None:
        """Work by one statement that is a transaction by itself; None where that cannot be, or went wrong.

        Whatever was done may be done again.
        """
        link = await self._writers.get()
        try:
            return await link.lone(work)
        except (Again, StoreUnavailable):
            return None
        finally:
            self._writers.put_nowait(link)
