"""The writing verbs of the Store protocol on SQLite beside batches: each is one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Sequence
from typing import Literal, TypeVar

from holdfast.store.base import Rescued
from holdfast.store.operations import Continue, Control, Controlled, Fork, Retry, Started
from holdfast.store.rows import (
    QUEUE_SETTINGS,
    KeyRow,
    QueueRow,
    ReplyRow,
    SavedViewRow,
    ScheduleRow,
    SessionRow,
    TallyRow,
    UserRow,
    WorkflowRow,
)
from holdfast.store.sqlite import entry, flow, people, replies, retention, schedules, steer, tallies, tend

T = TypeVar("T")


class Writes:
    """Changes that are not part of a batch."""

    async def _transaction(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Call a function inside a transaction that writes."""
        raise NotImplementedError

    async def _read(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Call a function with a connection that reads."""
        raise NotImplementedError

    # Workers

    async def register_worker(
        self, worker: bytes, host: str, pid: int, protocol: int, lease_us: int, slots: int | None = None
    ) -> None:
        """See `Store.register_worker`."""
        row = worker, host, pid, protocol, lease_us, slots
        await self._transaction(lambda connection: tend.register_worker(connection, row))

    async def drain_worker(self, worker: bytes) -> bool:
        """See `Store.drain_worker`."""
        return await self._transaction(lambda connection: tend.drain_worker(connection, worker))

    async def remove_worker(self, worker: bytes) -> None:
        """See `Store.remove_worker`."""
        await self._transaction(lambda connection: tend.remove_worker(connection, worker))

    async def register_workflows(self, workflows: Sequence[WorkflowRow]) -> None:
        """See `Store.register_workflows`."""
        await self._transaction(lambda connection: tend.register_workflows(connection, workflows))

    async def serve(self, worker: bytes, served: Sequence[tuple[str, str, str, int]]) -> None:
        """See `Store.serve`."""
        await self._transaction(lambda connection: flow.serve(connection, worker, served))

    async def rescue(self, limit: int) -> Rescued:
        """See `Store.rescue`."""
        return await self._transaction(lambda connection: tend.rescue(connection, limit))

    async def crashed(self, run: bytes, epoch: int) -> bool:
        """See `Store.crashed`."""
        return await self._transaction(lambda connection: tend.crashed(connection, run, epoch))

    # Steering

    async def control(self, control: Control) -> Controlled:
        """See `Store.control`."""
        return await self._transaction(lambda connection: steer.control(connection, control))

    async def asked(self, worker: bytes) -> list[tuple[bytes, bytes | None]]:
        """See `Store.asked`."""
        return await self._read(lambda connection: steer.asked(connection, worker))

    async def retry(self, retry: Retry) -> bool:
        """See `Store.retry`."""
        return await self._transaction(lambda connection: steer.retry(connection, retry))

    async def fork(self, fork: Fork) -> Started:
        """See `Store.fork`."""
        return await self._transaction(lambda connection: steer.fork(connection, fork))

    async def continue_as_new(self, again: Continue) -> bool:
        """See `Store.continue_as_new`."""
        return await self._transaction(lambda connection: steer.continue_as_new(connection, again))

    async def due_deadlines(self, limit: int) -> list[tuple[bytes, str]]:
        """See `Store.due_deadlines`. While there are none, nobody has to wait for a turn to write."""
        if not await self._read(steer.is_due):
            return []
        return await self._transaction(lambda connection: steer.due_deadlines(connection, limit))

    async def fired_watches(self, limit: int) -> list[tuple[bytes, str, str]]:
        """See `Store.fired_watches`. While there are none, nobody has to wait for a turn to write."""
        if not await self._read(steer.is_fired):
            return []
        return await self._transaction(lambda connection: steer.fired_watches(connection, limit))

    # Limits, schedules, retention

    async def set_queue(
        self,
        queue: QueueRow,
        only: Collection[str] = QUEUE_SETTINGS,
        weights: Sequence[tuple[str, int | None]] = (),
    ) -> None:
        """See `Store.set_queue`."""
        await self._transaction(lambda connection: flow.set_queue(connection, queue, only, weights))

    async def count_executing(self, queues: Sequence[str]) -> None:
        """See `Store.count_executing`."""
        await self._transaction(lambda connection: flow.count_executing(connection, queues))

    async def pause_workflow(self, name: str, paused: bool) -> None:
        """See `Store.pause_workflow`."""
        await self._transaction(lambda connection: flow.pause_workflow(connection, name, paused))

    async def put_schedule(self, row: ScheduleRow) -> bool:
        """See `Store.put_schedule`."""
        return await self._transaction(lambda connection: schedules.put_schedule(connection, row))

    async def delete_schedule(self, tenant: str, name: str) -> bool:
        """See `Store.delete_schedule`."""
        return await self._transaction(lambda connection: schedules.delete_schedule(connection, tenant, name))

    async def set_retention(self, workflow: str, status: str, seconds: int | None) -> None:
        """See `Store.set_retention`."""
        await self._transaction(lambda connection: retention.set_retention(connection, workflow, status, seconds))

    async def prune(self, keep: Sequence[tuple[str, str, int]], after: bytes, limit: int) -> tuple[int, bytes | None]:
        """See `Store.prune`."""
        return await self._transaction(lambda connection: retention.prune(connection, keep, after, limit))

    # People, and who may come in

    async def put_user(self, row: UserRow) -> Literal["done", "changed", "email"]:
        """See `Store.put_user`."""
        return await self._transaction(lambda connection: people.put_user(connection, row))

    async def delete_user(self, tenant: str, id: str) -> bool:
        """See `Store.delete_user`."""
        return await self._transaction(lambda connection: people.delete_user(connection, tenant, id))

    async def put_view(self, row: SavedViewRow) -> None:
        """See `Store.put_view`."""
        await self._transaction(lambda connection: people.put_view(connection, row))

    async def delete_view(self, tenant: str, owner: str, page: str, name: str) -> bool:
        """See `Store.delete_view`."""
        return await self._transaction(lambda connection: people.delete_view(connection, tenant, owner, page, name))

    async def add_key(self, row: KeyRow) -> bool:
        """See `Store.add_key`."""
        return await self._transaction(lambda connection: entry.add_key(connection, row))

    async def revoke_key(self, tenant: str, prefix: str, at: int) -> bool:
        """See `Store.revoke_key`."""
        return await self._transaction(lambda connection: entry.revoke_key(connection, tenant, prefix, at))

    async def used_keys(self, uses: Sequence[tuple[str, int]]) -> None:
        """See `Store.used_keys`."""
        await self._transaction(lambda connection: entry.used_keys(connection, uses))

    async def add_session(self, row: SessionRow) -> None:
        """See `Store.add_session`."""
        await self._transaction(lambda connection: entry.add_session(connection, row))

    async def end_session(self, digest: bytes) -> None:
        """See `Store.end_session`."""
        await self._transaction(lambda connection: entry.end_session(connection, digest))

    async def count_failure(self, key: bytes, window_us: int) -> int:
        """See `Store.count_failure`."""
        return await self._transaction(lambda connection: entry.count_failure(connection, key, window_us))

    async def clear_failures(self, key: bytes) -> None:
        """See `Store.clear_failures`."""
        await self._transaction(lambda connection: entry.clear_failures(connection, key))

    # Answers and tallies

    async def reserve_reply(self, row: ReplyRow, stale_before: int) -> ReplyRow | None:
        """See `Store.reserve_reply`."""
        return await self._transaction(lambda connection: replies.reserve(connection, row, stale_before))

    async def store_reply(self, tenant: str, key: str, begun_at: int, status: int, headers: bytes, body: bytes) -> None:
        """See `Store.store_reply`."""
        reply = tenant, key, begun_at, status, headers, body
        await self._transaction(lambda connection: replies.store(connection, *reply))

    async def drop_reply(self, tenant: str, key: str, begun_at: int) -> None:
        """See `Store.drop_reply`."""
        await self._transaction(lambda connection: replies.drop(connection, tenant, key, begun_at))

    async def put_tallies(self, rows: Sequence[TallyRow]) -> None:
        """See `Store.put_tallies`."""
        await self._transaction(lambda connection: tallies.put(connection, rows))

    async def tidy(self, keep_audit_us: int, limit: int) -> int:
        """See `Store.tidy`."""
        return await self._transaction(lambda connection: tallies.tidy(connection, keep_audit_us, limit))
