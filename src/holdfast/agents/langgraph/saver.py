"""`Saver`: LangGraph's checkpointer on holdfast's databases."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
)
from langgraph.checkpoint.serde.base import SerializerProtocol

from holdfast.agents.langgraph.blocking import BlockingSaver
from holdfast.agents.langgraph.coding import Coding
from holdfast.agents.langgraph.documents import (
    check_config,
    check_thread,
    history_of,
    new_checkpoint,
    new_writes,
)
from holdfast.agents.langgraph.listing import Pages, tuples_of
from holdfast.agents.langgraph.reaching import Reach
from holdfast.engine.client import Client
from holdfast.errors import UsageError
from holdfast.store.graph_rows import AncestorRow, CheckpointKey

ANCESTORS_AT_ONCE = 100


class Saver(BlockingSaver):
    """A checkpointer for LangGraph: ``async with Saver(url) as saver: graph = builder.compile(checkpointer=saver)``.

    In code without an event loop ``with Saver(url) as saver`` does the same. A graph goes on from its thread's last
    checkpoint, in whatever process.

    Args:
        url: the address of a database, as for `hf.connect`; the environment's ``HOLDFAST_URL`` unless given.
        client: a client that is open, instead: its database and its tenant, for as long as it is open.
        tenant: whose threads; nobody else's are seen.
        types: classes of the graph's own that its state holds. Plain Python, messages and LangGraph's own types need
            not be named.
        serde: how values are stored, instead of LangGraph's coding without pickle; such as an `EncryptedSerializer`.

    Raises:
        UsageError: the arguments do not go together.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        client: Client | None = None,
        tenant: str = "default",
        types: Iterable[type] = (),
        serde: SerializerProtocol | None = None,
    ) -> None:
        super().__init__(serde=serde or Coding(types))
        self._reach = Reach(url, client, tenant, "the saver")

    def get_next_version(self, current: str | None, channel: None) -> str:
        """The version behind another one; never one that a fork of the thread gave."""
        number = 0 if current is None else int(str(current).partition(".")[0])
        return f"{number + 1:032}.{random.random():016}"

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """A checkpoint, or the thread's latest.

        Raises:
            UsageError: the config names no thread.
            StoreUnavailable: the database does not answer.
        """
        thread, namespace, id = check_config(config)
        row = await self._reach.read(lambda graphs: graphs.checkpoint(self.tenant, thread, namespace, id))
        return None if row is None else (await tuples_of([row], self.serde))[0]

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """Checkpoints, the latest first.

        Args:
            config: of its thread, and of its namespace if it names one; of all the tenant's threads unless given.
            filter: whose metadata has these values.
            before: that are older than this one.
            limit: at most so many.
        """
        pages = Pages(self._reach, self.serde, config, filter, before, limit)
        while page := await pages.next():
            for one in page:
                yield one

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Keep a checkpoint, with the values of channels that changed.

        Raises:
            UsageError: the config names no thread.
            PayloadError: a value that cannot be stored.
            StoreUnavailable: the database does not answer; whether it was stored is not known, and trying again is
                safe.
        """
        row, values = new_checkpoint(self.tenant, config, checkpoint, metadata, new_versions, self.serde)
        await self._reach.write(lambda graphs: graphs.put_checkpoint(row, values))
        place = {"thread_id": row.thread, "checkpoint_ns": row.namespace, "checkpoint_id": row.id}
        return {"configurable": place}

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Keep what a task wrote, once.

        Raises:
            As `aput`.
        """
        thread, namespace, id = check_config(config)
        if id is None:
            raise UsageError("the config has no checkpoint_id, and writes belong to a checkpoint")
        rows = new_writes(writes, task_id, task_path, self.serde)
        key = CheckpointKey(self.tenant, thread, namespace, id)
        await self._reach.write(lambda graphs: graphs.put_writes(key, rows))

    async def adelete_thread(self, thread_id: str) -> None:
        """Delete whatever a thread has; nothing if there is none."""
        thread = check_thread(thread_id)
        await self._reach.write(lambda graphs: graphs.delete_threads(self.tenant, [thread]))

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Delete the checkpoints that runs of LangGraph's made, by the ``run_id`` in their metadata."""
        runs = [check_thread(run, "a run's id") for run in run_ids]
        await self._reach.write(lambda graphs: graphs.delete_runs(self.tenant, runs))

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy whatever a thread has to another."""
        source, target = check_thread(source_thread_id), check_thread(target_thread_id)
        await self._reach.write(lambda graphs: graphs.copy_thread(self.tenant, source, target))

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Delete what threads need no more to go on.

        Args:
            strategy: ``keep_latest``: all but the latest checkpoint of each namespace, and what its channels are
                rebuilt from; ``delete``: everything.

        Raises:
            UsageError: there is no such strategy.
        """
        threads = [check_thread(thread) for thread in thread_ids]
        if strategy == "keep_latest":
            await self._reach.write(lambda graphs: graphs.prune_threads(self.tenant, threads))
        elif strategy == "delete":
            await self._reach.write(lambda graphs: graphs.delete_threads(self.tenant, threads))
        else:
            raise UsageError(f"strategy is {strategy!r}; give keep_latest or delete")

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """What channels that keep differences are rebuilt from: their writes, back to a value."""
        target = await self.aget_tuple(config) if channels else None
        ancestors: list[AncestorRow] = []
        missing = set(channels)
        parent = target.parent_config["configurable"]["checkpoint_id"] if target and target.parent_config else None
        thread, namespace, _ = check_config(config) if channels else ("", "", None)
        while missing and parent is not None:
            page = await self._ancestors(CheckpointKey(self.tenant, thread, namespace, parent), sorted(missing))
            ancestors += page
            missing -= {value.channel for row in page for value in row.values}
            parent = page[-1].parent if page else None
        return {channel: history_of(channel, ancestors, self.serde) for channel in channels}

    async def _ancestors(self, key: CheckpointKey, channels: Sequence[str]) -> Sequence[AncestorRow]:
        return await self._reach.read(lambda graphs: graphs.ancestors(key, channels, limit=ANCESTORS_AT_ONCE))
