"""What the databases have in common in keeping graphs: what may be kept, what may go, what is listed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from holdfast.store.checks import check_keys, check_texts
from holdfast.store.graph_rows import CheckpointFilter, CheckpointKey, NewCheckpoint, NewValue, WriteRow
from holdfast.store.graphs import LAST_TEXT, MOST_NAMESPACE_CHARACTERS


def within(namespace: str) -> tuple[str, str]:
    """From where on and to before where a namespace and those inside it are."""
    return namespace, f"{namespace[:-1]}/"


def kept(needed: Iterable[tuple[str, str]]) -> list[tuple[str, str, list[str]]]:
    """Of each namespace of a thread its latest checkpoint, below which others may go, and all that are needed.

    Args:
        needed: namespace and id of those that are.
    """
    spaces: dict[str, list[str]] = {}
    for namespace, id in needed:
        spaces.setdefault(namespace, []).append(id)
    return [(namespace, max(found), found) for namespace, found in spaces.items()]


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
