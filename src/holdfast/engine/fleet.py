"""What a client can do with workers: look at them, and ask one to end."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from holdfast.engine.part import Part
from holdfast.errors import UsageError
from holdfast.model.run import instant


@dataclass(frozen=True, slots=True)
class WorkerView:
    """A worker that is registered.

    Attributes:
        id: in hexadecimal.
        host: its machine.
        pid: its process.
        started_at: when it registered.
        beat_at: its last beat.
        expires_at: when its lease ends, unless it beats again.
        alive: whether its lease is good.
        running: how many runs it holds.
        slots: how many may execute on it at once; None where it did not say.
        memory_bytes: what its process took at the last beat; None where it did not say.
        draining: somebody asked it to hand its runs over and to end.
        serves: what it serves: a workflow and its version each, as ``"checkout 1"``, sorted.
    """

    id: str
    host: str
    pid: int
    started_at: datetime
    beat_at: datetime
    expires_at: datetime
    alive: bool
    running: int
    slots: int | None = None
    memory_bytes: int | None = None
    draining: bool = False
    serves: list[str] = field(default_factory=list)


class Fleet(Part):
    """The part of a client that has to do with workers."""

    async def workers(self) -> list[WorkerView]:
        """Every worker that is registered, alive or not, the first one first."""
        now = self.core.now_us()
        rows = await self._patiently(self.reads.list_workers())
        serves: dict[bytes, set[str]] = {}
        for worker, _, workflow, version in await self._patiently(self.reads.list_served()) if rows else ():
            serves.setdefault(worker, set()).add(f"{workflow} {version}")
        return [
            WorkerView(
                id=row.id.hex(),
                host=row.host,
                pid=row.pid,
                started_at=instant(row.started_at),
                beat_at=instant(row.beat_at),
                expires_at=instant(row.expires_at),
                alive=row.expires_at > now,
                running=row.running,
                slots=row.slots,
                memory_bytes=row.memory_bytes,
                draining=row.draining,
                serves=sorted(serves.get(row.id, ())),
            )
            for row in sorted(rows, key=lambda row: (row.started_at, row.id))
        ]

    async def drain_worker(self, worker_id: str) -> bool:
        """Ask a worker to hand its runs over and to end, as SIGTERM does. It hears of it with its next beat.

        Args:
            worker_id: in hexadecimal, as ``client.workers()`` shows.

        Returns:
            Whether such a worker is registered.

        Raises:
            UsageError: not the id of a worker.
        """
        try:
            worker = bytes.fromhex(worker_id)
        except (TypeError, ValueError):
            worker = b""
        if len(worker) != 16:
            raise UsageError(f"worker_id is {worker_id!r:.300}; give the id of a worker, 32 hexadecimal digits")
        asked = await self._patiently(self.core.store.drain_worker(worker))
        if asked:
            self.core.announce("drain")
            await self._record("worker.drain", worker.hex())
        return asked
