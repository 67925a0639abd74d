"""Messages as they are published, as they stand in line, and as people change them; inside the caller's transaction.

What is locked, and in which order, is said in messages.sql.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from holdfast.store.operations import LOST, Batch, NewMessage, Results
from holdfast.store.outbox_keeping import Enqueued, Leaving, audits_of, enqueued, may_change, split, stored
from holdfast.store.outbox_rows import ChangeMessages
from holdfast.store.postgres import audit
from holdfast.store.postgres.connection import Connection
from holdfast.store.postgres.entries import columns, hold
from holdfast.store.sql import statements

_SQL = statements("holdfast.store.postgres", "messages.sql")


async def publish(connection: Connection, batch: Batch, results: Results) -> None:
    """Publish the messages of a batch that need no lease, or whose runs are held, and say what becomes of them.

    Args:
        connection: inside the transaction of the batch.
        batch: what is written.
        results: no ``checkpoints`` in them say that all of the batch's were recorded, and so that their runs are held.
    """
    leases = {(row.run, row.epoch) for row in batch.messages if row.run is not None and row.epoch is not None}
    known = set() if results.checkpoints else {(row[0], row[12]) for row in batch.checkpoints}
    held: set[Any] = known | await hold(connection, leases - known)
    results.messages = [None if row.run is None or (row.run, row.epoch) in held else LOST for row in batch.messages]
    rows = [row for row, refusal in zip(batch.messages, results.messages, strict=True) if refusal is None]
    await add_messages(connection, rows)


async def add_messages(connection: Connection, rows: Sequence[NewMessage]) -> None:
    """Publish messages, whoever publishes them; one whose id the tenant has is left as it is."""
    if not rows:
        return
    messages = stored(rows)
    lines = [(row.tenant, row.channel, row.key) for row in messages if row.key is not None and row.status == "pending"]
    await lock_lines(connection, lines)
    in_order = sorted(messages, key=lambda row: (row.tenant, row.id))
    found = {row[0] for row in await connection.fetch(_SQL["insert_messages"], in_order)}
    added, others = split(messages, found)
    await join_lines(connection, enqueued(added, keyed=lambda key: key is not None))
    if others:
        await connection.execute(_SQL["count_repeats"], others)
        if lines:
            await connection.execute(_SQL["drop_lines"], *columns(lines, 3))


async def join_lines(connection: Connection, keyed: Sequence[Enqueued]) -> None:
    """Let messages with keys stand in their lines, which are locked, in order; the head of each can be claimed."""
    if keyed:
        await connection.execute(_SQL["join_lines"], *columns(keyed, 5))


async def lock_lines(connection: Connection, lines: Sequence[Sequence[Any]]) -> None:
    """Lock lines, each a tenant, a channel and a key, in order."""
    if lines:
        await connection.execute(_SQL["lock_lines"], *columns(lines, 3))


async def advance_lines(connection: Connection, leaving: Sequence[Leaving]) -> None:
    """Take heads out of their lines, which are locked; the next ones can be claimed."""
    if leaving:
        await connection.execute(_SQL["advance_lines"], *columns(leaving, 4))


async def drop_lines(connection: Connection, lines: Sequence[Sequence[Any]]) -> None:
    """Drop those of some lines, which are locked, in which nobody stands."""
    if lines:
        await connection.execute(_SQL["drop_lines"], *columns(lines, 3))


async def change_messages(connection: Connection, asked: ChangeMessages) -> list[str]:
    """See `OutboxStore.change_messages`. What this change did before is found by its first record."""
    mark = asked.audits[0].uid if asked.audits else None
    ids = list(dict.fromkeys(asked.ids))
    lines = [tuple(row) for row in await connection.fetch(_SQL["find_lines"], asked.tenant, ids)]
    await lock_lines(connection, lines)
    rows = await connection.fetch(_SQL["lock_to_change"], asked.tenant, ids)
    now = [row for row in rows if mark is None or row["change_uid"] != mark]
    now = [row for row in now if may_change(asked.change, row["status"], row["verdict"])]
    # One that was published after the lines were looked for stands in none that is locked.
    now = [row for row in now if row["key"] is None or (asked.tenant, row["channel"], row["key"]) in lines]
    if now:
        queued = [(row["channel"], row["due_at"], row["uid"]) for row in now]
        await connection.execute(_SQL["drop_queue"], *columns(queued, 3))
        await (_discard if asked.change == "discard" else _send_again)(connection, asked, now, mark)
    await drop_lines(connection, lines)
    done = {row["id"] for row in now} | {row["id"] for row in rows if mark is not None and row["change_uid"] == mark}
    changed = [id for id in ids if id in done]
    audits = audits_of(asked, changed)
    if audits:
        await audit.record(connection, audits)
    return changed


async def _discard(connection: Connection, asked: ChangeMessages, rows: Sequence[Any], mark: bytes | None) -> None:
    uids = [row["uid"] for row in rows]
    await connection.execute(_SQL["discard"], uids, asked.reason, asked.at, mark)
    leaving = [(asked.tenant, row["channel"], row["key"], row["uid"]) for row in rows if row["key"] is not None]
    if leaving:
        await connection.execute(_SQL["drop_places"], [uid for *_, uid in leaving])
        await advance_lines(connection, leaving)


async def _send_again(connection: Connection, asked: ChangeMessages, rows: Sequence[Any], mark: bytes | None) -> None:
    uids = [row["uid"] for row in rows]
    await connection.execute(_SQL["send_again"], uids, asked.at, asked.approved_by, asked.body, mark)
    joining = {row["uid"] for row in rows if row["key"] is not None and row["status"] == "withheld"}
    await join_lines(
        connection,
        [(asked.tenant, row["channel"], row["key"], row["uid"], asked.at) for row in rows if row["uid"] in joining],
    )
    ready = [(row["channel"], asked.at, row["uid"]) for row in rows if row["uid"] not in joining]
    if ready:
        await connection.execute(_SQL["insert_queue"], *columns(ready, 3))
