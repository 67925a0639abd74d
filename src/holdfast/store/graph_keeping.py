"""What the databases have in common in keeping graphs: what may be kept, what may go, what is listed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from holdfast.store.checks import check_keys, check_texts
from holdfast.store.graph_rows import CheckpointFilter, CheckpointKey, NewCheckpoint, NewValue, WriteRow
from holdfast.store.graphs import LAST_TEXT, MOST_NAMESPACE_CHARACTERS


class Kept(NamedTuple):
    """A checkpoint as it is looked at to see what may go."""

    namespace: str
    id: str
    parent: str | None
    versions: str
    facts: str


def within(namespace: str) -> tuple[str, str]:
    """From where on and to before where a namespace and those inside it are."""
    return namespace, f"{namespace[:-1]}/"


def can_go(checkpoints: Iterable[Kept], stored: set[tuple[str, str, str]]) -> list[tuple[str, str]]:
    """Namespace and id of those checkpoints of a thread that neither are the latest nor are needed to rebuild it.

    A channel that keeps differences has a value now and then only. LangGraph counts in the metadata since when; up to
    there the ancestors are needed.

    Args:
        stored: namespace, channel and version of each value.
    """
    spaces: dict[str, dict[str, Kept]] = {}
    for checkpoint in checkpoints:
        spaces.setdefault(checkpoint.namespace, {})[checkpoint.id] = checkpoint
    return [(namespace, id) for namespace, found in spaces.items() for id in found.keys() - _needed(found, stored)]


def _needed(found: Mapping[str, Kept], stored: set[tuple[str, str, str]]) -> set[str]:
    latest: Kept | None = found[max(found)]
    assert latest is not None
    open_channels = set(json.loads(latest.facts).get("counters_since_delta_snapshot") or ())
    needed = set()
    while latest is not None and latest.id not in needed:
        needed.add(latest.id)
        versions = json.loads(latest.versions)
        open_channels -= {name for name in open_channels if (latest.namespace, name, versions.get(name)) in stored}
        latest = found.get(latest.parent or "") if open_channels else None
    return needed


def listing(
    tenant: str, which: CheckpointFilter, limit: int, before: CheckpointKey | None
) -> tuple[str, dict[str, str | int | None]]:
    """The name of the statement that lists checkpoints, and what it is asked with."""
    below = before or CheckpointKey(tenant, LAST_TEXT, LAST_TEXT, LAST_TEXT)
    asked: dict[str, str | int | None] = {"tenant": tenant, "id": which.id, "facts": which.facts, "limit": limit}
    asked["before"] = below.id
    if which.thread is None:
        return "in_tenant", asked | {"before_thread": below.thread, "before_namespace": below.namespace}
    asked["thread"] = which.thread
    if which.namespace is None:
        return "in_thread", asked | {"before_namespace": below.namespace}
    return "in_namespace", asked | {"namespace": which.namespace}


def check_checkpoint(row: NewCheckpoint, values: Sequence[NewValue]) -> None:
    """See that every store can keep it.

    Raises:
        Rejected: a text in it is too long, or no store can hold it.
    """
    check_keys(row.tenant, row.thread, row.id, row.parent, row.run, *(text for value in values for text in value[:2]))
    check_texts(row.namespace, most=MOST_NAMESPACE_CHARACTERS)
    check_texts(row.coding, row.versions, row.facts, *(value.coding for value in values))


def check_writes(key: CheckpointKey, writes: Sequence[WriteRow]) -> None:
    """The same for writes.

    Raises:
        Rejected: as `check_checkpoint`.
    """
    check_keys(key.tenant, key.thread, key.id, *(write.task for write in writes))
    check_texts(key.namespace, most=MOST_NAMESPACE_CHARACTERS)
    check_texts(*(text for write in writes for text in (write.path, write.channel, write.coding)))
