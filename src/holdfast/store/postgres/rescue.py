"""Takes runs from workers that are gone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from holdfast.model.failure import encode_failure
from holdfast.model.rescue import crash_error, next_rescue
from holdfast.store.base import Rescued
from holdfast.store.postgres.connection import Connection
from holdfast.store.sql import statements

_SQL = statements("holdfast.store.postgres", "tend.sql")


async def rescue(connection: Connection, limit: int) -> Rescued:
    """Make runs of dead workers ready again, or hold them; forget dead workers that have none left."""
    dead = [row[0] for row in await connection.fetch(_SQL["dead_workers"])]
    if not dead:
        return Rescued(0, 0, 0)
    ready, held = await _rescue(connection, await connection.fetch(_SQL["lock_lost_runs"], dead, limit))
    return Rescued(ready, held, await drop_idle_workers(connection))


async def crashed(connection: Connection, run: bytes, epoch: int) -> bool:
    """The same for one run; whether its lease was still there."""
    rows = await connection.fetch(_SQL["lock_lost_run"], run, epoch)
    await _rescue(connection, rows)
    return bool(rows)


async def drop_idle_workers(connection: Connection) -> int:
    """Forget dead workers that hold nothing: first locked, then looked at; how many."""
    dead = [row[0] for row in await connection.fetch(_SQL["lock_dead_workers"])]
    return int(await connection.fetchval(_SQL["drop_idle_workers"], dead)) if dead else 0


async def _rescue(connection: Connection, locked: Sequence[Any]) -> tuple[int, int]:
    """Make lost runs ready or hold them: how many of each."""
    if not locked:
        return 0, 0
    runs, claimed = [row[0] for row in locked], [row[1] for row in locked]
    rows, held = [], 0
    for run, rescues, known_seq, seq, started_at in await connection.fetch(_SQL["read_lost_runs"], runs, claimed):
        count, hold = next_rescue(rescues, known_seq, seq)
        reason = encode_failure(crash_error(count)) if hold else None
        rows.append((run, count, seq, "held" if hold else "open", reason, started_at))
        held += hold
    await connection.execute(_SQL["rescue"], rows)
    return len(rows) - held, held


async def remove_worker(connection: Connection, worker: bytes) -> None:
    """See `Store.remove_worker`."""
    await connection.execute(_SQL["expire_worker"], worker)
    await drop_idle_workers(connection)
