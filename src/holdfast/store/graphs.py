"""The verbs of LangGraph's checkpoints and of its store: each is one atomic change, and safe to repeat."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from holdfast.store.graph_rows import (
    AncestorRow,
    CheckpointFilter,
    CheckpointKey,
    CheckpointRow,
    ItemPlace,
    ItemRow,
    NewCheckpoint,
    NewItem,
    NewValue,
    WriteRow,
)

LAST_TEXT = "\U0010ffff" * 8
"""Behind whatever is a key."""

MOST_NAMESPACE_CHARACTERS = 1024
"""Of a checkpoint's namespace, which grows with each graph inside a graph."""

EXPIRED_AT_ONCE = 100
"""So many items that have expired are deleted by whoever writes items."""


class GraphStore(Protocol):
    """What keeps the checkpoints of graphs, and the items of LangGraph's store."""

    async def put_checkpoint(self, row: NewCheckpoint, values: Sequence[NewValue]) -> None:
        """Keep a checkpoint with those values of its channels that are new."""

    async def put_writes(self, key: CheckpointKey, writes: Sequence[WriteRow]) -> None:
        """Keep what tasks wrote; the checkpoint that it belongs to may come later."""

    async def checkpoint(self, tenant: str, thread: str, namespace: str, id: str | None = None) -> CheckpointRow | None:
        """A checkpoint, or the latest of the thread and namespace."""

    async def checkpoints(
        self, tenant: str, which: CheckpointFilter, *, limit: int, before: CheckpointKey | None = None
    ) -> list[CheckpointRow]:
        """The tenant's checkpoints that meet a filter, the greatest id first, then thread and namespace.

        Args:
            before: from behind this one on; it need not be there.
        """

    async def ancestors(self, key: CheckpointKey, channels: Sequence[str], *, limit: int) -> list[AncestorRow]:
        """A checkpoint, its parent, the parent of that and so on, with what they have of some channels."""

    async def copy_thread(self, tenant: str, source: str, target: str) -> None:
        """Copy whatever a thread has to another; what the other has of the same key stays as it is."""

    async def delete_threads(self, tenant: str, threads: Sequence[str]) -> None:
        """Delete whatever threads have."""

    async def delete_runs(self, tenant: str, runs: Sequence[str]) -> None:
        """Delete the checkpoints that runs of LangGraph's made, with what belongs to no other."""

    async def prune_threads(self, tenant: str, threads: Sequence[str]) -> None:
        """Keep of threads the latest checkpoint in each namespace, and those that its channels are rebuilt from."""

    async def put_items(self, tenant: str, items: Sequence[NewItem]) -> None:
        """Keep and delete items, each place once; what has expired is deleted by and by."""

    async def items(self, tenant: str, places: Sequence[ItemPlace]) -> list[ItemRow | None]:
        """The items in these places, in their order."""

    async def find_items(
        self, tenant: str, namespace: str, matches: Callable[[bytes], bool], *, limit: int, offset: int
    ) -> list[ItemRow]:
        """The items in a namespace and those inside it that match, what changed last first.

        Args:
            matches: is asked about one value after the other, in whatever thread, until there are enough.
        """

    async def renew_items(self, tenant: str, places: Sequence[ItemPlace]) -> None:
        """Have items expire later, since they were looked at."""

    async def namespaces(self, tenant: str, first: str, before: str, *, limit: int) -> list[str]:
        """The namespaces that have items, in order: from one on, to before another."""
