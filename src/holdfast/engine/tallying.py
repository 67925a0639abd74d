"""What a process counts of the runs that end in it, and how that reaches the database."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING

import msgspec

from holdfast.model.run import AGEING_US
from holdfast.model.tally import Tally, buckets
from holdfast.store.base import Store
from holdfast.store.operations import Settle
from holdfast.store.rows import TallyRow

if TYPE_CHECKING:
    from holdfast.engine.execution import Execution

PUT_AT_ONCE = 1000
"""So many tallies are stored in one transaction."""


class Tallying:
    """Counts the runs that end here, and stores the counts.

    Args:
        store: where they are kept.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._tally = Tally()
        self._process = secrets.token_bytes(16)
        self._putting = asyncio.Lock()

    def turn(self, now_us: int) -> None:
        """Tell the time before something is counted."""
        self._tally.turn(now_us)

    def count(self, execution: Execution, settle: Settle) -> None:
        """Count a run whose end was committed."""
        run, first_at = execution.run, execution.first_at
        due_at = run.rank + run.priority * AGEING_US
        self._tally.count(run.tenant, run.workflow, settle.status, first_at - due_at, settle.finished_at - first_at)

    async def put(self, now_us: int) -> None:
        """Store what was counted and is not stored yet; what fails is stored with the next.

        Raises:
            StoreError: the database cannot be used.
        """
        async with self._putting:
            self._tally.turn(now_us)
            collected = self._tally.collect()
            rows = [
                TallyRow(
                    tenant, stretch.span, stretch.since, workflow, status, self._process, cell.runs, cell.waited_us,
                    cell.took_us, msgspec.json.encode(buckets(cell.waits)), msgspec.json.encode(buckets(cell.tooks)),
                )
                for stretch, (tenant, workflow, status), cell in collected
            ]  # fmt: skip
            for first in range(0, len(rows), PUT_AT_ONCE):
                await self._store.put_tallies(rows[first : first + PUT_AT_ONCE])
            self._tally.stored(collected)
