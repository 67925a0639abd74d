"""Asking something of runs: by a person, by their parent, by a time limit."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from holdfast.errors import RunCancelled, StoreError
from holdfast.model.decision import Open
from holdfast.model.failure import encode_failure
from holdfast.model.notes import Note, encode_note
from holdfast.model.run import Kind
from holdfast.store.operations import Action, ClaimedRun, Control

if TYPE_CHECKING:
    from holdfast.engine.core import Core

log = logging.getLogger("holdfast.run")

T = TypeVar("T")

AT_ONCE = 1000
REST_SECONDS = 1.0
"""How long it rests before the next try."""


def cancellation(core: Core, uid: bytes, tenant: str, run_id: str, note: Note, action: Action = "cancel") -> Control:
    """The request that ends a run."""
    because = (f" by {note.by}" if note.by else "") + (f": {note.reason}" if note.reason else "")
    error = RunCancelled(f"run {run_id!r} was cancelled{because}", run_id=run_id)
    return Control(uid, tenant, action, encode_note(note), encode_failure(error), core.now_us())


async def cancel_calls(core: Core, run: ClaimedRun, calls: Sequence[Open], reason: str) -> None:
    """Cancel the child runs that calls of a run wait for, however long the database is away."""
    children = [one.key for one in calls if one.kind == Kind.CHILD]
    if children:
        await cancel_runs(core, run.tenant, children, reason)
    for one in calls:
        if one.kind == Kind.MAP:
            await cancel_children(core, run, bytes.fromhex(one.position), reason)


async def cancel_children(core: Core, run: ClaimedRun, position: bytes, reason: str) -> None:
    """Cancel the open children of the fan-out at a position, however long the database is away."""
    note = Note("cancel", reason)
    while True:
        outcomes: list[str] = []

        async def tell(outcomes: list[str] = outcomes) -> int:
            children = await core.store.children(run.uid, open_only=True, limit=AT_ONCE)
            for child in children:
                if child.position.startswith(position):
                    found = await core.control(cancellation(core, child.uid, run.tenant, child.id, note))
                    outcomes.append(found.outcome)
            return len(children)

        if await _persistently(core, tell) < AT_ONCE:
            return
        if "done" not in outcomes:
            await asyncio.sleep(REST_SECONDS)  # more of them are seen when some of these have ended


async def cancel_runs(core: Core, tenant: str, ids: Sequence[str], reason: str) -> None:
    """Cancel runs, however long the database is away; those that have ended are left as they are."""
    note = Note("cancel", reason)

    async def tell() -> None:
        for row in await core.store.find_runs(tenant, ids):
            await core.control(cancellation(core, row.uid, tenant, row.id, note))

    await _persistently(core, tell)


async def _persistently(core: Core, work: Callable[[], Awaitable[T]]) -> T:
    while True:
        try:
            return await work()
        except StoreError as error:
            if core.closing:
                raise
            log.warning("runs cannot be cancelled just now, trying again: %s", error)
            await asyncio.sleep(REST_SECONDS)
