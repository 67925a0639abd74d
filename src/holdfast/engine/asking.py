"""Asking something of runs: by a person, by their parent, by a time limit."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from holdfast.errors import RunCancelled, StoreError
from holdfast.model.failure import encode_failure
from holdfast.model.notes import Note, encode_note
from holdfast.store.base import Action, ClaimedRun, Control

if TYPE_CHECKING:
    from holdfast.engine.core import Core

log = logging.getLogger("holdfast.run")

AT_ONCE = 1000


def cancellation(core: Core, uid: bytes, tenant: str, run_id: str, note: Note, action: Action = "cancel") -> Control:
    """The request that ends a run."""
    because = (f" by {note.by}" if note.by else "") + (f": {note.reason}" if note.reason else "")
    error = RunCancelled(f"run {run_id!r} was cancelled{because}", run_id=run_id)
    return Control(uid, tenant, action, encode_note(note), encode_failure(error), core.now_us())


async def cancel_children(core: Core, run: ClaimedRun, position: bytes) -> None:
    """Cancel every open child of a run, or of the fan-out at a position.

    What cannot be reached now is asked again when the run goes on.
    """
    note = Note("cancel", f"its parent {run.id} cancelled it")
    try:
        while True:
            children = await core.store.children(run.uid, open_only=True, limit=AT_ONCE)
            outcomes = {
                (await core.control(cancellation(core, child.uid, run.tenant, child.id, note))).outcome
                for child in children
                if child.position.startswith(position)
            }
            if len(children) < AT_ONCE or "done" not in outcomes:
                return
    except StoreError as error:
        log.warning("the children of run %s cannot be cancelled just now: %s", run.id, error)


async def cancel_runs(core: Core, tenant: str, ids: Sequence[str], reason: str) -> None:
    """Cancel runs; those that have ended are left as they are."""
    note = Note("cancel", reason)
    try:
        for row in await core.store.find_runs(tenant, ids):
            await core.control(cancellation(core, row.uid, tenant, row.id, note))
    except StoreError as error:
        log.warning("runs %s cannot be cancelled just now: %s", ", ".join(ids), error)
