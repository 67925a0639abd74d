"""Checkpoints as they are read: page by page, as many at once as memory is there for, without holding up others."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import CheckpointTuple
from langgraph.checkpoint.serde.base import SerializerProtocol

from holdfast.agents.langgraph.documents import check_config, checkpoint_tuple, facts_of
from holdfast.agents.langgraph.reaching import Reach
from holdfast.store.graph_rows import CheckpointFilter, CheckpointKey, CheckpointRow

MOST_AT_ONCE = 25
"""So many checkpoints are read at once, if they are small."""

GROWTH = 5
"""How many more are read at once than before."""

BYTES_AT_ONCE = 8_000_000
"""About so much is read at once; one checkpoint is read whole, whatever its size."""

LOADED_AT_ONCE_BYTES = 250_000
"""What is larger is made from its bytes in another thread, for the event loop to go on meanwhile."""


class Pages:
    """A listing of checkpoints.

    Args:
        reach: the database.
        serde: how values are stored.
        config: of its thread, and of its namespace if it names one; of all the tenant's threads unless given.
        filter: whose metadata has these values.
        before: that are older than this one.
        limit: at most so many.

    Raises:
        UsageError: a place or a filter is wrong.
    """

    def __init__(
        self,
        reach: Reach,
        serde: SerializerProtocol,
        config: RunnableConfig | None,
        filter: dict[str, Any] | None,
        before: RunnableConfig | None,
        limit: int | None,
    ) -> None:
        which = CheckpointFilter(facts=facts_of(filter or {}, exact=True))
        if config is not None:
            thread, namespace, id = check_config(config)
            everywhere = config["configurable"].get("checkpoint_ns") is None
            which = which._replace(thread=thread, namespace=None if everywhere else namespace, id=id)
        id = None if before is None else check_config(before)[2]
        self._reach = reach
        self._serde = serde
        self._which = which
        self._before = None if id is None else CheckpointKey(reach.tenant, "", "", id)
        self._left = limit
        self._at_once = 1
        self._ended = False

    async def next(self) -> list[CheckpointTuple]:
        """The next checkpoints; none when there are no more."""
        limit = self._at_once if self._left is None else min(self._at_once, self._left)
        if self._ended or limit <= 0:
            return []
        tenant, which, before = self._reach.tenant, self._which, self._before
        rows = await self._reach.read(lambda graphs: graphs.checkpoints(tenant, which, limit=limit, before=before))
        self._ended = len(rows) < limit
        if rows:
            self._before = rows[-1].key
            self._left = None if self._left is None else self._left - len(rows)
            fitting = BYTES_AT_ONCE * len(rows) // (1 + sum(map(_size, rows)))
            self._at_once = max(1, min(fitting, GROWTH * self._at_once, MOST_AT_ONCE))
        return await tuples_of(rows, self._serde)


async def tuples_of(rows: Sequence[CheckpointRow], serde: SerializerProtocol) -> list[CheckpointTuple]:
    """Checkpoints as LangGraph takes them."""

    def make() -> list[CheckpointTuple]:
        return [checkpoint_tuple(row, serde) for row in rows]

    return make() if sum(map(_size, rows)) < LOADED_AT_ONCE_BYTES else await asyncio.to_thread(make)


def _size(row: CheckpointRow) -> int:
    contents = [value.content for value in row.values] + [write.content for write in row.writes]
    return len(row.document) + sum(map(len, contents))
