"""What stands in for a worker, its database and its committer while runs are replayed: it lets nothing out.

What is queued without waiting for it is dropped. What is waited for ends the replay of the calling branch, but for
waits that have lost already, which are told again that they have.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from holdfast.engine.replaying.execution import Ended
from holdfast.errors import UsageError
from holdfast.model.run import Entry, Kind, Outcome
from holdfast.store.rows import ChildRow, Flow
from holdfast.store.values.forms import is_special

if TYPE_CHECKING:
    from holdfast.engine.histories import History
    from holdfast.engine.workflow import Workflow
    from holdfast.store.base import Store
    from holdfast.store.values.store import SealedStore

T = TypeVar("T")

EVENT, CANCELLED = str(Kind.EVENT), str(Outcome.CANCELLED)


class Reads(Protocol):
    """What the code of a run may read past its journal."""

    agents: Any
    streams: Any

    async def fetched(self, rows: Sequence[T], *fields: str) -> list[T]:
        """Rows with payloads that are kept apart."""

    async def child_outcomes(self, parent: bytes, generation: int, position: bytes) -> list[ChildRow]:
        """How the child runs of a fan-out ended."""

    async def flow(self) -> Flow:
        """The limits of queues."""

    async def set_queue(self, row: Any, only: Any = ()) -> None:
        """Nothing is set."""


class _NoStreams:
    """The streams of a run, in which nothing is found."""

    async def tail(self, run: bytes, name: str) -> list[Any]:
        """None."""
        return []

    async def list_streams(self, tenant: str, run: bytes, limit: int) -> list[Any]:
        """None."""
        return []


class _Phases:
    """Files of phases, from where they are kept; none is kept."""

    def __init__(self, find: Any) -> None:
        self.phases = find

    async def keep_phases(self, row: Any) -> None:
        """A file would be kept for a run that comes to its phases for the first time: so far is recorded."""
        raise Ended("no phases are recorded")


class StoreReads:
    """Reads from a database.

    Args:
        store: the database.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.streams: Any = _NoStreams()
        self.agents: Any = _Phases(lambda *which: store.agents.phases(*which))

    async def fetched(self, rows: Sequence[T], *fields: str) -> list[T]:
        """See `Reads.fetched`."""
        if not any(is_special(getattr(row, field)) for row in rows for field in fields):
            return list(rows)
        return await cast("SealedStore", self._store).fetched(rows, *fields)

    async def child_outcomes(self, parent: bytes, generation: int, position: bytes) -> list[ChildRow]:
        """See `Reads.child_outcomes`."""
        return await self._store.child_outcomes(parent, generation, position)

    async def flow(self) -> Flow:
        """See `Reads.flow`: none, since a replay queues for nothing."""
        return Flow((), ())

    async def set_queue(self, row: Any, only: Sequence[str] = ()) -> None:
        """See `Reads.set_queue`."""


class HistoryReads:
    """Reads from a history.

    Args:
        history: what was kept with the run.
    """

    def __init__(self, history: History) -> None:
        self._history = history
        self.streams: Any = _NoStreams()
        self.agents: Any = _Phases(self._phases)

    async def fetched(self, rows: Sequence[T], *fields: str) -> list[T]:
        """See `Reads.fetched`: they were exported whole."""
        return list(rows)

    async def child_outcomes(self, parent: bytes, generation: int, position: bytes) -> list[ChildRow]:
        """See `Reads.child_outcomes`."""
        found = self._history.children.get((parent, generation, position))
        if found is None:
            raise UsageError(f"the history of run {self._history.run_id!r} has no child runs of its fan-out")
        return list(found)

    async def flow(self) -> Flow:
        """See `Reads.flow`."""
        return Flow((), ())

    async def set_queue(self, row: Any, only: Sequence[str] = ()) -> None:
        """See `Reads.set_queue`."""

    async def _phases(self, tenant: str, name: str, version: str) -> Any:
        from holdfast.store.agent_rows import PhaseFileRow

        content = self._history.phases.get((name, version))
        return None if content is None else PhaseFileRow(tenant, name, version, content, 0)


class _Committer:
    """Commits nothing."""

    trouble = None

    def note(self, row: Any) -> None:
        """Drop it."""

    def post(self, kind: str, row: Any) -> None:
        """Drop it."""

    def submit(self, kind: str, row: Any) -> asyncio.Future[Any]:
        """End the replay of the calling branch, but for a wait that has lost, and for what is written to a stream."""
        if kind not in ("resolves", "chunks"):
            raise Ended("nothing is committed in a replay")
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        lost = Entry(EVENT, row.topic.name, CANCELLED, None, 0, row.generation) if kind == "resolves" else None
        future.set_result(lost)
        return future

    def checkpoint(self, row: Any) -> asyncio.Future[Any]:
        """End the replay of the calling branch."""
        raise Ended("nothing is committed in a replay")

    def written(self) -> asyncio.Future[None]:
        """End the replay of the calling branch."""
        raise Ended("nothing is committed in a replay")


class _NoItems:
    """The work queue, in which nothing is found, so that nothing is closed."""

    async def find_items(self, tenant: str, ids: Sequence[str]) -> list[Any]:
        """None."""
        return []


class _NoStore:
    """The database as code reaches it past its execution."""

    work = _NoItems()

    def __getattr__(self, name: str) -> Any:
        raise Ended("a replay asks nothing of a database")


class _Core:
    """What code reaches of a core."""

    def __init__(self) -> None:
        self.committer = _Committer()
        self.store = _NoStore()
        self.listener = None
        self.sealed: Reads | None = None
        self.most_bytes = sys.maxsize
        self.ahead_over = sys.maxsize
        self.linger_seconds = None
        self.loop = asyncio.get_running_loop()
        self.companions: dict[Hashable, object] = {}
        self.executions: dict[bytes, object] = {}

    def now_us(self) -> int:
        """The time: no answer of a replay depends on it."""
        return time.time_ns() // 1000

    def look(self) -> None:
        """Nobody waits."""

    def announce(self, kind: str) -> None:
        """Nobody is told."""


class Shell:
    """In the place of a dispatcher."""

    tracing = None
    worker_id = b""

    def __init__(self) -> None:
        self.core = _Core()
        self._called: dict[str, Workflow[Any, Any]] = {}

    def serve(self, workflow: Workflow[Any, Any]) -> None:
        """A run's code calls a workflow."""
        self._called[workflow.name] = workflow

    def workflow_called(self, name: str) -> Workflow[Any, Any]:
        """The one of this name that was called last."""
        return self._called[name]
