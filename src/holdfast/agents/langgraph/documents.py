"""LangGraph's checkpoints to rows and back."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
    get_serializable_checkpoint_metadata,
)
from langgraph.checkpoint.serde.base import SerializerProtocol

from holdfast.errors import PayloadError, UsageError
from holdfast.model.ids import MAX_ID_CHARACTERS, check_id
from holdfast.store.graph_rows import AncestorRow, CheckpointRow, NewCheckpoint, NewValue, ValueRow, WriteRow
from holdfast.store.graphs import MOST_NAMESPACE_CHARACTERS

_SECRET = re.compile(r"(api|access)[_-]?key$|token$|secret$|password$|credentials?$|authorization$", re.IGNORECASE)


def check_thread(value: object, what: str = "thread_id") -> str:
    """An id that a database can hold.

    Raises:
        UsageError: it is no text, is too long, or holds a NUL character.
    """
    if not isinstance(value, str):
        raise UsageError(f"{what} is {value!r}; give text, such as {str(value)!r}")
    return check_id(value, what)


def check_config(config: RunnableConfig) -> tuple[str, str, str | None]:
    """Thread, namespace and checkpoint that a config names.

    Raises:
        UsageError: it names no thread, or one of them is no text that can be stored.
    """
    place = config.get("configurable") or {}
    if "thread_id" not in place:
        raise UsageError('the config names no thread: give {"configurable": {"thread_id": "…"}}')
    thread, id = check_thread(place["thread_id"]), place.get("checkpoint_id") or None
    namespace = place.get("checkpoint_ns") or ""
    if not isinstance(namespace, str) or "\0" in namespace or len(namespace) > MOST_NAMESPACE_CHARACTERS:
        raise UsageError(
            f"checkpoint_ns is {namespace!r}; give text of at most {MOST_NAMESPACE_CHARACTERS} characters without a NUL"
        )
    return thread, namespace, id and check_thread(id, "checkpoint_id")


def facts_of(values: Mapping[str, Any], *, exact: bool = False) -> str:
    """Values as JSON that is compared as text; without those that are none, or that PostgreSQL does not take.

    Args:
        exact: nothing may be left out.

    Raises:
        UsageError: something would be.
    """
    found = []
    for name, value in values.items():
        try:
            pair = json.dumps({name: value}, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))
            fits = "\\u0000" not in pair and pair.encode() != b""
        except (TypeError, ValueError, RecursionError):
            fits = False
        if fits:
            found.append(pair[1:-1])
        elif exact:
            raise UsageError(f"the filter's {name!r} is {value!r}, by which metadata is not searched; give plain JSON")
    return f"{{{','.join(found)}}}"


def new_checkpoint(
    tenant: str,
    config: RunnableConfig,
    checkpoint: Checkpoint,
    metadata: CheckpointMetadata,
    new_versions: ChannelVersions,
    serde: SerializerProtocol,
) -> tuple[NewCheckpoint, list[NewValue]]:
    """The row of a checkpoint, and the values of its channels that are new.

    Raises:
        UsageError: as `check_config`.
        PayloadError: a value cannot be stored; it says of which channel.
    """
    thread, namespace, parent = check_config(config)
    values = checkpoint["channel_values"]
    rows = [
        NewValue(channel, str(version), *_dumped(serde, values[channel], f"channel {channel!r}"))
        for channel, version in new_versions.items()
        if channel in values
    ]
    kept = get_serializable_checkpoint_metadata(_without_secrets(config), metadata)
    document = {"checkpoint": {**checkpoint, "channel_values": {}}, "metadata": kept}
    versions = facts_of({channel: str(version) for channel, version in checkpoint["channel_versions"].items()})
    run = kept.get("run_id")
    return (
        NewCheckpoint(
            tenant,
            thread,
            namespace,
            check_thread(checkpoint["id"], "the checkpoint's id"),
            parent,
            run if isinstance(run, str) and len(run) <= MAX_ID_CHARACTERS else None,
            *_dumped(serde, document, "the checkpoint"),
            versions,
            facts_of(kept),
        ),
        rows,
    )


def _without_secrets(config: RunnableConfig) -> RunnableConfig:
    """A config, of which LangGraph makes metadata, without what is a secret by its name."""
    configurable, metadata = (
        {name: value for name, value in part.items() if not _SECRET.search(name)}
        for part in (config.get("configurable") or {}, config.get("metadata") or {})
    )
    return {**config, "configurable": configurable, "metadata": metadata}


def new_writes(
    writes: Sequence[tuple[str, Any]], task_id: str, task_path: str, serde: SerializerProtocol
) -> list[WriteRow]:
    """The rows of what a task wrote; of those that take each other's place, the last.

    Raises:
        PayloadError: a value cannot be stored; it says of which channel.
    """
    rows = {}
    for place, (channel, value) in enumerate(writes):
        number = WRITES_IDX_MAP.get(channel, place)
        coded = _dumped(serde, value, f"a write to channel {channel!r}")
        rows[number] = WriteRow(task_id, number, task_path, channel, *coded)
    return list(rows.values())


def checkpoint_tuple(row: CheckpointRow, serde: SerializerProtocol) -> CheckpointTuple:
    """A checkpoint as LangGraph takes it."""
    document = serde.loads_typed((row.coding, row.document))
    place = {"thread_id": row.key.thread, "checkpoint_ns": row.key.namespace}
    return CheckpointTuple(
        config={"configurable": {**place, "checkpoint_id": row.key.id}},
        checkpoint=document["checkpoint"]
        | {"channel_values": {value.channel: _loaded(serde, value) for value in row.values}},
        metadata=document["metadata"],
        parent_config=None if row.parent is None else {"configurable": {**place, "checkpoint_id": row.parent}},
        pending_writes=[(write.task, write.channel, _loaded(serde, write)) for write in row.writes],
    )


def history_of(channel: str, ancestors: Sequence[AncestorRow], serde: SerializerProtocol) -> DeltaChannelHistory:
    """What a channel is rebuilt from: its writes in their order, and the value that they came after.

    Args:
        ancestors: of a checkpoint, its parent first. A value is the one before the writes beside it.
    """
    writes: list[WriteRow] = []
    for row in ancestors:
        writes[:0] = [write for write in row.writes if write.channel == channel]
        for value in row.values:
            if value.channel == channel:
                return {"writes": _pending(writes, serde), "seed": _loaded(serde, value)}
    return {"writes": _pending(writes, serde)}


def _pending(writes: Sequence[WriteRow], serde: SerializerProtocol) -> list[tuple[str, str, Any]]:
    return [(write.task, write.channel, _loaded(serde, write)) for write in writes]


def _loaded(serde: SerializerProtocol, row: ValueRow | WriteRow) -> Any:
    return serde.loads_typed((row.coding, row.content))


def _dumped(serde: SerializerProtocol, value: object, what: str) -> tuple[str, bytes]:
    try:
        coding, data = serde.dumps_typed(value)
    except PayloadError as error:
        raise PayloadError(f"{what}: {error.place}", error.reason) from error.__cause__
    return coding, bytes(data)
