"""Messages as they are claimed, settled, handed back and rescued; inside the caller's transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from holdfast.store.operations import Batch
from holdfast.store.outbox_keeping import Ending, ending, lost
from holdfast.store.outbox_rows import ClaimedMessage, ClaimMessages, Settlement
from holdfast.store.sql import statements
from holdfast.store.sqlite.messages import leave_lines, queue_again
from holdfast.store.sqlite.rows import execute_many, select_many
from holdfast.store.sqlite.write import write_inside

_SQL = statements("holdfast.store.sqlite", "sending.sql")


def claim(connection: sqlite3.Connection, asked: ClaimMessages) -> list[ClaimedMessage]:
    """See `OutboxStore.claim`. One that finds nothing writes nothing, so that idle workers do not wake each other."""
    now = _now(connection)
    if connection.execute(_SQL["is_leased"], (asked.worker, now)).fetchone() is None:
        return []
    taken: list[tuple[bytes]] = connection.execute(_SQL["of_claim"], (asked.claim_id,)).fetchall()
    if not taken:
        due = connection.execute(_SQL["peek"], (asked.channel, now, asked.limit)).fetchall()
        if not due:
            return []
        taken = [(uid,) for _, uid in due]
        connection.execute(_SQL["drop_taken"], (asked.channel, *due[-1]))
        sends = [(uid, asked.worker, asked.claim_id, asked.channel, asked.resend, now) for (uid,) in taken]
        execute_many(connection, "insert_sends", sends, _SQL)
        execute_many(connection, "mark_sending", taken, _SQL)
    rows = select_many(connection, "read_claimed", taken, _SQL)
    return [ClaimedMessage._make((*row[:7], bool(row[7]), *row[8:])) for row in rows]


def settle(connection: sqlite3.Connection, settlements: Sequence[Settlement]) -> list[bool]:
    """See `OutboxStore.settle`."""
    keys = [(settlement.uid, settlement.claim_id) for settlement in settlements]
    held = {row[:2]: row[2:] for row in select_many(connection, "held", keys, _SQL)}
    sent = {one.uid: key for key, one in zip(keys, settlements, strict=True) if one.outcome == "sent"}
    late = [key for key in sent.values() if key not in held]
    if late:
        held |= {row[:2]: row[2:] for row in select_many(connection, "in_doubt", late, _SQL)}
    first: dict[tuple[bytes, bytes], Settlement] = {}
    for key, settlement in zip(keys, settlements, strict=True):
        if key in held:
            first.setdefault(key, settlement)
    inside = list(first.values())
    if inside:
        starts = [settlement.start for settlement in inside if settlement.start is not None]
        if starts:
            write_inside(connection, Batch(starts=starts))
        _end(connection, [ending(settlement) for settlement in inside])
        over = [one for one in inside if one.outcome in ("sent", "withheld", "review")]
        places = [(*held[one.uid, one.claim_id], one.uid) for one in over]
        leave_lines(connection, [place for place in places if place[2] is not None])
    return [key in held or connection.execute(_SQL["was_settled"], key).fetchone() is not None for key in keys]


def hand_back(connection: sqlite3.Connection, claim_ids: Sequence[bytes]) -> int:
    """See `OutboxStore.hand_back`."""
    ready = select_many(connection, "hand_back", [(claim_id,) for claim_id in claim_ids], _SQL)
    if ready:
        execute_many(connection, "mark_ready", ready, _SQL)
        queue_again(connection, ready)
    return len(ready)


def rescue(connection: sqlite3.Connection, limit: int) -> tuple[int, int]:
    """See `OutboxStore.rescue_messages`."""
    now = _now(connection)
    rows = connection.execute(_SQL["lost"], (now, limit)).fetchall()
    _end(connection, [lost(uid, resend, claimed_at, now) for uid, resend, claimed_at in rows])
    ready = sum(resend for _, resend, _ in rows)
    return ready, len(rows) - ready


def _end(connection: sqlite3.Connection, endings: Sequence[Ending]) -> None:
    """Record what became of messages that were being sent, and queue those again that are to be tried again."""
    if not endings:
        return
    execute_many(connection, "drop_sends", [(one.uid,) for one in endings], _SQL)
    execute_many(connection, "end_messages", endings, _SQL)
    attempts = [
        (one.uid, one.outcome, one.detail, one.doubt, one.began_at, one.ended_at)
        for one in endings
        if one.outcome is not None
    ]
    if attempts:
        execute_many(connection, "insert_attempts", attempts, _SQL)
    again = [(one.uid,) for one in endings if one.status == "failed"]
    if again:
        queue_again(connection, again)


def _now(connection: sqlite3.Connection) -> int:
    return int(connection.execute(_SQL["now"]).fetchone()[0])
