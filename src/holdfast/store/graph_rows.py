"""Rows of LangGraph's graphs as a store gives and takes them: checkpoints, values, writes, and items of its store.

Whatever LangGraph coded stays bytes here, with the name of the coding beside it. Instants are microseconds since 1970,
UTC.
"""

from __future__ import annotations

from typing import NamedTuple


class CheckpointKey(NamedTuple):
    """Which checkpoint.

    Attributes:
        namespace: "" for the graph itself, else of a graph inside it.
        id: later checkpoints of a thread have greater ones.
    """

    tenant: str
    thread: str
    namespace: str
    id: str


class NewCheckpoint(NamedTuple):
    """A checkpoint to be kept; in place of one that has the same key.

    Attributes:
        parent: the id of the one that it was made from.
        run: LangGraph's id of the run that made it.
        document: the checkpoint without the channels' values, with its metadata.
        versions: JSON: the version of each channel, as texts.
        facts: JSON: what of the metadata is searched for.
    """

    tenant: str
    thread: str
    namespace: str
    id: str
    parent: str | None
    run: str | None
    coding: str
    document: bytes
    versions: str
    facts: str


class NewValue(NamedTuple):
    """What a channel holds at a version; it never changes."""

    channel: str
    version: str
    coding: str
    content: bytes


class ValueRow(NamedTuple):
    """What a channel holds."""

    channel: str
    coding: str
    content: bytes


class WriteRow(NamedTuple):
    """What a task wrote to a channel.

    Attributes:
        number: among the task's writes. One that is stored stays as it is, but below 0 a later one takes its place.
        path: of the task; writes are in order of path, task and number.
    """

    task: str
    number: int
    path: str
    channel: str
    coding: str
    content: bytes


class CheckpointRow(NamedTuple):
    """A checkpoint as it is found, with the values of its channels and the writes that belong to it."""

    key: CheckpointKey
    parent: str | None
    coding: str
    document: bytes
    values: tuple[ValueRow, ...]
    writes: tuple[WriteRow, ...]


class AncestorRow(NamedTuple):
    """What a checkpoint has of some channels."""

    id: str
    parent: str | None
    values: tuple[ValueRow, ...]
    writes: tuple[WriteRow, ...]


class CheckpointFilter(NamedTuple):
    """Which checkpoints: those that meet all that is given.

    Attributes:
        thread: of this one.
        namespace: of this one; with ``thread`` only.
        id: this one.
        facts: JSON: whose metadata has these values.
    """

    thread: str | None = None
    namespace: str | None = None
    id: str | None = None
    facts: str = "{}"


class ItemPlace(NamedTuple):
    """Where an item is: the namespace has a period before its labels and behind each, as in ``.users.ann.``."""

    namespace: str
    key: str


class NewItem(NamedTuple):
    """An item to be kept, or to be deleted.

    Attributes:
        value: JSON; None to delete it.
        ttl_us: it expires so long after it was last looked at.
    """

    namespace: str
    key: str
    value: bytes | None
    ttl_us: int | None = None


class ItemRow(NamedTuple):
    """An item as it is found."""

    namespace: str
    key: str
    value: bytes
    created_at: int
    updated_at: int
    ttl_us: int | None
