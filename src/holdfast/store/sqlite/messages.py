"""Messages as they are published, as they stand in line, and as people change them; inside the caller's transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from holdfast.store.operations import NewMessage
from holdfast.store.outbox_keeping import Enqueued, Leaving, audits_of, enqueued, may_change, split, stored
from holdfast.store.outbox_rows import ChangeMessages
from holdfast.store.sql import statements
from holdfast.store.sqlite import audit
from holdfast.store.sqlite.rows import execute_many, select_many

_SQL = statements("holdfast.store.sqlite", "messages.sql")


def add_messages(connection: sqlite3.Connection, rows: Sequence[NewMessage]) -> None:
    """Publish messages, whoever publishes them; one whose id the tenant has is left as it is."""
    if not rows:
        return
    messages = stored(rows)
    added, others = split(messages, {uid for (uid,) in select_many(connection, "insert_messages", messages, _SQL)})
    plain = enqueued(added, keyed=lambda key: key is None)
    if plain:
        execute_many(connection, "insert_queue", [(channel, due_at, uid) for _, channel, _, uid, due_at in plain], _SQL)
    join_lines(connection, enqueued(added, keyed=lambda key: key is not None))
    connection.executemany(_SQL["count_repeat"], [row._asdict() for row in sorted(others)])


def join_lines(connection: sqlite3.Connection, keyed: Sequence[Enqueued]) -> None:
    """Let messages with keys stand in their lines, in their order; the head of each can be claimed."""
    if not keyed:
        return
    heads = {head for (head,) in select_many(connection, "insert_lines", [one[:4] for one in keyed], _SQL)}
    first = [(channel, due_at, uid) for _, channel, _, uid, due_at in keyed if uid in heads]
    if first:
        execute_many(connection, "insert_queue", first, _SQL)
    connection.executemany(_SQL["insert_place"], [one[:4] for one in keyed if one[3] not in heads])


def leave_lines(connection: sqlite3.Connection, leaving: Sequence[Leaving]) -> None:
    """Take messages out of their lines; behind a head, the next one can be claimed."""
    if not leaving:
        return
    execute_many(connection, "drop_places", [one[3:] for one in leaving], _SQL)
    gone = {head for (head,) in select_many(connection, "drop_lines", leaving, _SQL)}
    for tenant, channel, key, uid in leaving:
        line = tenant, channel, key
        following = None if uid in gone else connection.execute(_SQL["next_of_line"], (*line, uid)).fetchone()
        if following is None:
            continue
        place, head = following
        connection.execute(_SQL["set_head"], (*line, head))
        connection.execute(_SQL["drop_place"], (*line, place))
        queue_again(connection, [(head,)])


def queue_again(connection: sqlite3.Connection, uids: Sequence[tuple[bytes]]) -> None:
    """Let messages be claimed when they are due."""
    execute_many(connection, "queue_again", uids, _SQL)


def change_messages(connection: sqlite3.Connection, asked: ChangeMessages) -> list[str]:
    """See `OutboxStore.change_messages`. What this change did before is found by its first record."""
    mark = asked.audits[0].uid if asked.audits else None
    ids = list(dict.fromkeys(asked.ids))
    rows = [connection.execute(_SQL["find_to_change"], (asked.tenant, id)).fetchone() for id in ids]
    done: set[str] = set()
    for uid, id, channel, key, status, verdict, due_at, change_uid in sorted(row for row in rows if row is not None):
        if mark is not None and change_uid == mark:
            done.add(id)
        elif may_change(asked.change, status, verdict):
            done.add(id)
            connection.execute(_SQL["drop_queue"], (channel, due_at, uid))
            if asked.change == "discard":
                connection.execute(_SQL["discard"], (uid, asked.reason, asked.at, mark))
                if key is not None:
                    leave_lines(connection, [(asked.tenant, channel, key, uid)])
                continue
            connection.execute(_SQL["send_again"], (uid, asked.at, asked.approved_by, asked.body, mark))
            if key is not None and status == "withheld":
                join_lines(connection, [(asked.tenant, channel, key, uid, asked.at)])
            else:
                execute_many(connection, "insert_queue", [(channel, asked.at, uid)], _SQL)
    changed = [id for id in ids if id in done]
    audits = audits_of(asked, changed)
    if audits:
        audit.record(connection, audits)
    return changed
