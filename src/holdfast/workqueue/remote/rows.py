"""Many rows for a server: sent in portions, each of which may be sent again, and what became of all."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from holdfast.engine.remote.refusals import Refusal
from holdfast.engine.remote.transport import Transport
from holdfast.engine.remote.wire import read
from holdfast.model.policies import Policy
from holdfast.model.run import microseconds
from holdfast.workqueue.importing import FAULTS
from holdfast.workqueue.remote.part import BYTES_AT_ONCE, ROWS_AT_ONCE
from holdfast.workqueue.views import Imported, RowFault

ANY_TIME = microseconds(datetime(9000, 1, 1, tzinfo=UTC))
"""A time beyond all that is measured: whether something is in the future, the server says by its own clock."""

ANYTHING = Policy()
"""No ranges of signals: the server knows which there are."""


class Sending:
    """Collects rows, sends them in portions, and counts.

    Args:
        server: who takes them.
        address: where.
        query: parameters of each request.
    """

    def __init__(self, server: Transport, address: str, query: Mapping[str, Any]) -> None:
        self._server = server
        self._address = address
        self._query = query
        self._rows: list[msgspec.Raw] = []
        self._numbers: list[int] = []
        self._bytes = 0
        self._stored = 0
        self._refused = 0
        self._faults: list[RowFault] = []

    def refuse(self, number: int, reason: str) -> None:
        """A row is bad, and is not sent."""
        self._refused += 1
        if len(self._faults) < FAULTS:
            self._faults.append(RowFault(number, reason))

    async def take(self, number: int, row: Any) -> None:
        """Take a row in; it is checked already."""
        encoded = msgspec.json.encode(row)
        self._rows.append(msgspec.Raw(encoded))
        self._numbers.append(number)
        self._bytes += len(encoded)
        if len(self._rows) >= ROWS_AT_ONCE or self._bytes >= BYTES_AT_ONCE:
            await self._send()

    async def end(self) -> Imported:
        """Send the rest; what became of all."""
        await self._send()
        return Imported(self._stored, self._refused, sorted(self._faults, key=lambda one: one.line)[:FAULTS])

    async def _send(self) -> None:
        if not self._rows:
            return
        rows, numbers = self._rows, self._numbers
        self._rows, self._numbers, self._bytes = [], [], 0
        try:
            answer = await self._server.ask("POST", self._address, rows, query=self._query, named=False)
        except Refusal as refusal:
            raise refusal.error() from None
        became = read(answer.body, Imported)
        self._stored += became.stored
        self._refused += became.refused
        self._faults += [RowFault(numbers[one.line - 1], one.reason) for one in became.faults]
