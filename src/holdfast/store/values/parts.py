"""The parts of a store that have payloads too: the same around each of them as `SealedStore` is around the store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from holdfast.store.agent_rows import ArtifactRow
from holdfast.store.diversion_rows import DiversionRow
from holdfast.store.intake_rows import ComparedRow, EntryRow, SettleEntry, TakeIn, TakenIn
from holdfast.store.outbox_rows import ChangeMessages, ClaimedMessage, ClaimMessages, MessageRow, Settlement
from holdfast.store.streams import ChunkPage
from holdfast.store.values.sealing import Sealing


class Sealed:
    """A part of a store; verbs that have no payload are its own.

    Args:
        inner: the part.
        sealing: what is done to payloads.
    """

    def __init__(self, inner: Any, sealing: Sealing) -> None:
        self.inner = inner
        self._sealing = sealing

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


class SealedOutbox(Sealed):
    """The outbox: the bodies of messages."""

    async def claim(self, asked: ClaimMessages) -> list[ClaimedMessage]:
        """See `OutboxStore.claim`."""
        return await self._sealing.opened(await self.inner.claim(asked), "body")

    async def settle(self, settlements: Sequence[Settlement]) -> list[bool]:
        """See `OutboxStore.settle`."""
        stored = []
        for one in settlements:
            start = None if one.start is None else (await self._sealing.rows("starts", [one.start]))[0]
            stored.append(one._replace(start=start))
        found: list[bool] = await self.inner.settle(stored)
        return found

    async def message(self, tenant: str, id: str) -> MessageRow | None:
        """See `OutboxStore.message`."""
        row = await self.inner.message(tenant, id)
        return None if row is None else (await self._sealing.opened([row], "body"))[0]

    async def change_messages(self, asked: ChangeMessages) -> list[str]:
        """See `OutboxStore.change_messages`."""
        if asked.body is not None:
            asked = asked._replace(body=await self._sealing.payload(asked.body))
        changed: list[str] = await self.inner.change_messages(asked)
        return changed


class SealedIntake(Sealed):
    """Intake: the inputs of runs, the bodies of messages, and what could not be read."""

    async def take_in(self, asked: TakeIn) -> TakenIn:
        """See `IntakeStore.take_in`."""
        entries = []
        for one in asked.entries:
            start = None if one.start is None else (await self._sealing.rows("starts", [one.start]))[0]
            messages = tuple(await self._sealing.rows("messages", one.messages))
            content = await self._sealing.raw(one.content)
            entries.append(one._replace(start=start, messages=messages, content=content))
        taken: TakenIn = await self.inner.take_in(asked._replace(entries=tuple(entries)))
        return taken

    async def entry(self, tenant: str, uid: bytes) -> EntryRow | None:
        """See `IntakeStore.entry`."""
        row = await self.inner.entry(tenant, uid)
        if row is None:
            return None
        place = f"what the source {row.source!r} gave at {row.place}"
        return EntryRow._make(row)._replace(content=await self._sealing.raw_plain(row.content, place))

    async def settle_entry(self, asked: SettleEntry) -> bool:
        """See `IntakeStore.settle_entry`."""
        start = None if asked.start is None else (await self._sealing.rows("starts", [asked.start]))[0]
        settled: bool = await self.inner.settle_entry(asked._replace(start=start))
        return settled

    async def compared(self, *args: Any, **kwargs: Any) -> list[tuple[bytes, ComparedRow]]:
        """See `IntakeStore.compared`."""
        found = await self.inner.compared(*args, **kwargs)
        opened = await self._sealing.opened([row for _, row in found], "text")
        return [(cursor, row) for (cursor, _), row in zip(found, opened, strict=True)]


class SealedAgents(Sealed):
    """Models and artifacts: the bytes of artifacts that the database keeps, which a batch seals."""

    async def artifact(
        self, tenant: str, run: bytes, position: bytes, generation: int, name: str
    ) -> tuple[ArtifactRow, bytes | None] | None:
        """See `AgentStore.artifact`."""
        found = await self.inner.artifact(tenant, run, position, generation, name)
        if found is None:
            return None
        row, content = found
        return row, await self._sealing.raw_plain(content, f"the artifact {name!r}")


class SealedStreams(Sealed):
    """Streams: their chunks."""

    async def read_chunks(self, tenant: str, run: bytes, stream: str, after: int, limit: int) -> ChunkPage:
        """See `StreamStore.read_chunks`."""
        page: ChunkPage = await self.inner.read_chunks(tenant, run, stream, after, limit)
        return page._replace(chunks=await self._sealing.opened(page.chunks, "data"))


class SealedDiversions(Sealed):
    """Starts that were diverted: their inputs."""

    async def list_diversions(self, *args: Any, **kwargs: Any) -> list[DiversionRow]:
        """See `DiversionStore.list_diversions`."""
        return await self._sealing.opened(await self.inner.list_diversions(*args, **kwargs), "input")

    async def find_diversion(self, tenant: str, uid: bytes) -> DiversionRow | None:
        """See `DiversionStore.find_diversion`."""
        row = await self.inner.find_diversion(tenant, uid)
        return None if row is None else (await self._sealing.opened([row], "input"))[0]
