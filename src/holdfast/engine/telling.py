"""Tells those that a run waits for, child runs above all, that it is cancelled or waits no more."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from holdfast.engine.asking import cancel_calls
from holdfast.engine.forsaken import is_told, tell
from holdfast.model.decision import Open
from holdfast.model.run import Kind

if TYPE_CHECKING:
    from holdfast.engine.execution import Execution


def child_stored(execution: Execution, position: bytes) -> None:
    """The child run or the fan-out at a position, which is in `pending`, is cancelled if its parent is."""
    execution.children.add(position)
    if execution.cancelling:
        tell_children(execution)


def tell_children(execution: Execution) -> None:
    """Cancel the children that a cancelled run waits for, save what is shielded."""
    untold = [one for one in execution.children if one in execution.pending and not execution.shielded(one)]
    execution.children.difference_update(untold)
    if untold:
        calls = [execution.pending[one][1] for one in untold]
        execution.telling = asyncio.create_task(_tell_children(execution, calls, execution.telling))
        execution.dispatcher.keep(execution.telling)


async def _tell_children(execution: Execution, calls: Sequence[Open], before: asyncio.Task[None] | None) -> None:
    # The run stays here meanwhile: were it parked and this process died, nobody would tell the children.
    execution.open_calls += 1
    try:
        if before is not None:
            await asyncio.wait((before,))
        await cancel_calls(execution.core, execution.run, calls, f"its parent {execution.run.id} cancelled it")
    finally:
        execution.open_calls -= 1
        execution.waits.consider()


async def tell_losers(execution: Execution, losing: Sequence[Open]) -> None:
    """Cancel child runs of branches that lost, and tell of lost waits; again after a crash, which does no harm."""
    if any(one.kind in (Kind.CHILD, Kind.MAP) or is_told(one) for one in losing):
        # Beside: it goes on if this call itself loses against another one.
        telling = asyncio.create_task(_tell_losers(execution, losing))
        execution.dispatcher.keep(telling)
        await asyncio.wait((telling,))


async def _tell_losers(execution: Execution, losing: Sequence[Open]) -> None:
    reason = f"it lost against another call of {execution.run.id}"
    await cancel_calls(execution.core, execution.run, losing, reason)
    await tell(execution.core, execution.run.tenant, losing, reason)
