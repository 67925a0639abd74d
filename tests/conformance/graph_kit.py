"""Checkpoints, writes and items of LangGraph's, as tests make them."""

import json
from typing import Any

from holdfast.store.graph_rows import (
    CheckpointFilter,
    CheckpointKey,
    CheckpointRow,
    NewCheckpoint,
    NewItem,
    NewValue,
    WriteRow,
)
from holdfast.store.graphs import GraphStore


def key(id: str = "c1", *, tenant: str = "t", thread: str = "th", namespace: str = "") -> CheckpointKey:
    return CheckpointKey(tenant, thread, namespace, id)


async def put(
    graphs: GraphStore,
    at: CheckpointKey,
    *,
    parent: str | None = None,
    run: str | None = None,
    versions: dict[str, str] | None = None,
    new: dict[str, str] | None = None,
    facts: dict[str, Any] | None = None,
    document: bytes = b"document",
) -> None:
    """Keep a checkpoint.

    Args:
        versions: of its channels.
        new: the values of those that changed, by channel.
    """
    versions = versions or {}
    row = NewCheckpoint(*at, parent, run, "coding", document, json.dumps(versions), dumped(facts or {}))
    values = [NewValue(name, versions[name], "coding", content.encode()) for name, content in (new or {}).items()]
    await graphs.put_checkpoint(row, values)


def dumped(facts: dict[str, Any]) -> str:
    return json.dumps(facts, sort_keys=True, separators=(",", ":"))


def write(
    task: str = "task", number: int = 0, content: bytes = b"w", *, path: str = "", channel: str = "ch"
) -> WriteRow:
    return WriteRow(task, number, path, channel, "coding", content)


def values(row: CheckpointRow | None) -> dict[str, str]:
    """What its channels hold."""
    assert row is not None
    return {value.channel: value.content.decode() for value in row.values}


async def ids(graphs: GraphStore, thread: str = "th", namespace: str = "", tenant: str = "t") -> list[str]:
    """A thread's checkpoints, the latest first."""
    rows = await graphs.checkpoints(tenant, CheckpointFilter(thread, namespace), limit=99)
    return [row.key.id for row in rows]


def item(key: str, value: object = 1, *, namespace: str = ".a.", ttl_us: int | None = None) -> NewItem:
    return NewItem(namespace, key, json.dumps({"v": value}).encode(), ttl_us)
