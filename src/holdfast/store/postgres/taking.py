"""Takes entries in on PostgreSQL, inside the caller's transaction. What is locked is said in intake.sql."""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.store.base import Rejected
from holdfast.store.intake_keeping import (
    DivertedEntry,
    counts_of,
    diverted,
    entry_row,
    first_of_keys,
    outcomes_of,
    path_of,
    without_dropped,
)
from holdfast.store.intake_rows import SettleEntry, TakeIn, TakenIn
from holdfast.store.operations import Batch, Start
from holdfast.store.postgres import audit
from holdfast.store.postgres.claim import Heads
from holdfast.store.postgres.connection import Connection
from holdfast.store.postgres.messages import add_messages
from holdfast.store.postgres.write import write
from holdfast.store.sql import statements

_SQL = statements("holdfast.store.postgres", "intake.sql")


async def take_in(connection: Connection, asked: TakeIn) -> TakenIn:
    """See `IntakeStore.take_in`."""
    found = await connection.fetchrow(_SQL["lock_source"], asked.tenant, asked.source)
    if found is None:
        raise Rejected(f"there is no source {asked.source!r}")
    workflow, position, revision = found
    if revision != asked.revision:
        return await _moved(connection, asked, position, revision)
    if asked.setting is not None and not await _stands(connection, asked.tenant, *asked.setting):
        return TakenIn("setting", revision, ())
    rows = [entry_row(asked, workflow, entry) for entry in first_of_keys(asked.entries)]
    new = {row[0] for row in rows}
    if rows and int((await connection.execute(_SQL["insert_entries"], rows))[9:]) < len(rows):  # "INSERT 0 n"
        new = await _stored(connection, asked)
    added = [entry for entry in asked.entries if entry.uid in new]
    starting = [(entry.uid, entry.start) for entry in added if entry.start is not None]
    changed = await _start(connection, asked.tenant, starting)
    await add_messages(connection, [message for entry in added for message in entry.messages])
    outcomes = outcomes_of(without_dropped(asked.entries, changed) if changed else asked.entries, new)
    await connection.execute(_SQL["move"], asked.tenant, asked.source, asked.position, *counts_of(outcomes), asked.at)
    return TakenIn(None, revision + 1, outcomes)


async def _start(connection: Connection, tenant: str, starts: Sequence[tuple[bytes, Start]]) -> list[DivertedEntry]:
    """Start the runs of entries, and store what rules made of them."""
    if not starts:
        return []
    results = await write(connection, Batch(starts=[start for _, start in starts]), Heads())
    changed = diverted(tenant, [uid for uid, _ in starts], results.starts)
    if changed:
        await connection.executemany(_SQL["divert_entries"], changed)
    return changed


async def _stands(connection: Connection, tenant: str, workflow: str, revision: int) -> bool:
    """Whether a publish setting is at a revision, and stays there until the transaction ends."""
    if revision == 0:
        await connection.execute(_SQL["lock_settings"])
    return (await connection.fetchval(_SQL["setting"], tenant, workflow) or 0) == revision


async def _moved(connection: Connection, asked: TakeIn, position: bytes, revision: int) -> TakenIn:
    """What a call is given whose source is at another revision: again what it was given, or that it came too late."""
    uids = await _stored(connection, asked)
    again = bool(uids)
    if not again and (position, revision) == (asked.position, asked.revision + 1):
        keys = list({entry.key for entry in asked.entries})
        again = len(await connection.fetch(_SQL["find_keys"], asked.tenant, asked.source, keys)) == len(keys)
    if not again:
        return TakenIn("moved", revision, ())
    return TakenIn(None, asked.revision + 1, outcomes_of(asked.entries, uids))


async def _stored(connection: Connection, asked: TakeIn) -> set[bytes]:
    """The uids of those of a call's entries that it stored, now or when it was made first."""
    uids = [entry.uid for entry in asked.entries]
    return {row[0] for row in await connection.fetch(_SQL["find_uids"], asked.tenant, uids)}


async def settle_entry(connection: Connection, asked: SettleEntry) -> bool:
    """See `IntakeStore.settle_entry`."""
    start = asked.start
    source = await connection.fetchval(_SQL["lock_source_of"], asked.tenant, asked.uid)
    run = (None, None, None) if start is None else (start.id, path_of(start), start.workflow)
    row = asked.tenant, asked.uid, "discarded" if start is None else "run", asked.reason, *run, asked.by
    if await connection.fetchval(_SQL["settle_entry"], *row) is None:
        return await was_recorded(connection, asked.tenant, asked.audit.uid)
    changed = [] if start is None else await _start(connection, asked.tenant, [(asked.uid, start)])
    runs = start is not None and not any(one.outcome == "filtered" for one in changed)
    await connection.execute(_SQL["settle_source"], asked.tenant, source, int(runs))
    await audit.record(connection, [asked.audit])
    return True


async def was_recorded(connection: Connection, tenant: str, uid: bytes) -> bool:
    """Whether a change was made before, by the same call."""
    return await connection.fetchval(_SQL["recorded"], tenant, uid) is not None
