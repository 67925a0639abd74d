"""`hf.Worker`: a process's worker, which is what executes (the dispatcher) and what tends.

Beside the heartbeat and the reaper, which keep runs from being lost with their worker, the scheduler starts the runs of
schedules, the timekeeper tells runs that their time is over, and the pruner deletes those that were kept long enough.
What rooms above the engine have tended is tended too (see `holdfast.engine.tended`).
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import signal
import socket
import threading
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from holdfast.engine import counting
from holdfast.engine.client import Client
from holdfast.engine.core import Core
from holdfast.engine.dispatcher import Dispatcher
from holdfast.engine.isolation import IMPORTING
from holdfast.engine.leases import Heartbeat
from holdfast.engine.tended import INTAKE, duties
from holdfast.engine.workflow import Workflow
from holdfast.errors import StoreError, UsageError
from holdfast.model.duration import Duration, seconds
from holdfast.model.ids import check_owner
from holdfast.model.run import PROTOCOL
from holdfast.services.alerting.rules import read_alerts
from holdfast.services.alerting.watching import Watch
from holdfast.services.blob_pruner import prune_blobs_forever
from holdfast.services.bulk import bulk
from holdfast.services.notifying.listening import WORKFLOWS, listen
from holdfast.services.notifying.rules import read_rules
from holdfast.services.outbox.channel_files import read_channels
from holdfast.services.outbox.measures import look_at_backlog_forever
from holdfast.services.outbox.rescuing import rescue_forever
from holdfast.services.pruner import (
    prune_diversions_forever,
    prune_entries_forever,
    prune_forever,
    prune_messages_forever,
    tidy_forever,
)
from holdfast.services.reaper import reap_forever
from holdfast.services.scheduler import schedule_forever
from holdfast.services.tally import tally_at_last, tally_forever
from holdfast.services.telemetry.otel import observe
from holdfast.services.telemetry.queues import look_at_queues_forever
from holdfast.services.timekeeper import Timekeeper
from holdfast.store.values.values import Values

if TYPE_CHECKING:
    from holdfast.services.outbox.tending import Outbox

log = logging.getLogger("holdfast.worker")

BEGIN_AGAIN_SECONDS = 1.0
FOREVER_US = 100 * 366 * 86_400 * 1_000_000


class _Dispatcher(Dispatcher):
    """A dispatcher by which the timekeeper hears what happens, and the worker that one of them is to be drained."""

    timekeeper: Timekeeper
    heard_drain: asyncio.Event

    def hear(self, kind: str) -> None:
        super().hear(kind)
        self.timekeeper.hear(kind)
        if kind == "drain":
            self.heard_drain.set()


class Worker:
    """Claims runs and executes them, in ``async with`` or by ``await worker.run()``.

    Args:
        database: an address, or a client of the database.
        workflows: what it serves; workflows that their code names are served too.
        concurrency: how many runs may execute at once. Runs that only wait do not count.
        queues: from which queues it claims; those that the workflows name unless given. Bulk jobs (see
            ``client.bulk``) are executed by every worker.
        threads: how many plain steps may execute at once.
        lease: how long the worker may be silent before others take its runs; more than twice ``beat``.
        beat: how often it says that it lives.
        drain: how long steps may go on when the worker is stopped. Each run is handed to others before its
            next step, or when this time is over; a plain step, which cannot be cut off, may go on for the
            length of a lease more.
        keep_audit: how long the record of changes is kept. Every worker deletes what is older: give all the same.
        notifications: a file of rules by which people are told what becomes of the runs that this worker executes.
            Give it to every worker.
        channels: a file of channels, by which messages of the outbox are sent. Give it to every worker that is to send.
        keep_messages: how long messages are kept that were sent, withheld or discarded. Every worker deletes what is
            older: give all the same.
        intake: a file of sources, whose entries become runs. Give it to every worker: of those that have it one reads
            each source.
        keep_entries: how long it is kept what became of entries, and what another path made of them. Every worker
            deletes what is older: give all the same.
        keep_diversions: how long it is kept why a start was delayed, merged or dropped. Every worker deletes what is
            older: give all the same.
        alerts: a file of rules by which people are told that something is wrong, or ``"default"`` for those that are
            shipped. One worker of those that have it looks.
        values: how values are stored, as for ``hf.connect``. Give it to every worker and client.

    Raises:
        UsageError: no workflow, two of one name, or an argument out of range.
    """

    def __init__(
        self,
        database: str | Client,
        workflows: Iterable[Workflow[Any, Any]],
        *,
        concurrency: int = 1000,
        queues: Iterable[str] | None = None,
        threads: int = 32,
        lease: Duration = 15.0,
        beat: Duration = 3.0,
        drain: Duration = 5.0,
        keep_audit: Duration = "400d",
        notifications: str | Path | None = None,
        channels: str | Path | None = None,
        keep_messages: Duration = "90d",
        intake: str | Path | None = None,
        keep_entries: Duration = "400d",
        keep_diversions: Duration = "30d",
        alerts: str | Path | None = None,
        values: Values | None = None,
    ) -> None:
        self._database = database
        if isinstance(workflows, Workflow):
            raise UsageError(f"a worker is given a list of workflows; write [{workflows.name}]")
        self._workflows = list(workflows)
        self._concurrency = concurrency
        if isinstance(queues, str):
            raise UsageError(f"queues is {queues!r}; give a list of names, such as [{queues!r}]")
        self._queues = None if queues is None else tuple(check_owner(queue, "a queue") for queue in queues)
        if self._queues == ():
            raise UsageError(
                "queues is empty: a worker needs a queue to claim from; leave it out for the workflows' own"
            )
        if values is not None and isinstance(database, Client) and values != database.core.sealed.sealing.values:
            raise UsageError("the worker is given a client, and other values=… than it has: give them to hf.connect")
        self._values = values
        self._threads = threads
        self._lease = seconds(lease, what="lease")
        self._beat = seconds(beat, what="beat")
        self._drain = seconds(drain, what="drain")
        self._keep_audit = seconds(keep_audit, what="keep_audit")
        if self._beat <= 0 or self._lease <= 2 * self._beat:
            raise UsageError(
                f"lease is {self._lease:g} s and beat {self._beat:g} s; a beat takes time, and a lease outlasts two"
            )
        if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
            raise UsageError(f"threads is {threads!r}; give a whole number, 1 or more")
        self._channels = None if channels is None else read_channels(channels)
        self._rules = None if notifications is None else read_rules(notifications, self._channels)
        self._alerts = None if alerts is None else read_alerts(alerts, self._channels)
        self._keep_messages = seconds(keep_messages, what="keep_messages")
        self._outbox: Outbox | None = None
        self._intake = intake
        self._keep_entries = seconds(keep_entries, what="keep_entries")
        self._keep_diversions = seconds(keep_diversions, what="keep_diversions")
        self._heartbeat: Heartbeat | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._renewing: asyncio.Task[None] | None = None
        self._lost_again = False
        self._to_stop = asyncio.Event()
        self._ending = False
        self._drained: asyncio.Task[None] | None = None
        self.id = b""

    async def __aenter__(self) -> Worker:
        if os.environ.get(IMPORTING):
            raise UsageError(
                'a worker is started when its module is imported; put it under `if __name__ == "__main__":`'
            )
        self._to_stop.clear()
        self._ending, self._drained = False, None
        database = self._database
        self._core = database.core if isinstance(database, Client) else await Core.open(database, values=self._values)
        try:
            observe()
            timekeeper = Timekeeper(self._core)
            of_outbox: Iterable[Workflow[Any, Any]] = ()
            if self._channels is not None:
                # Only now: it asks people, for which much is loaded.
                from holdfast.services.outbox.tending import WORKFLOWS as of_outbox
                from holdfast.services.outbox.tending import Outbox

                self._outbox = Outbox(self._core, self._channels, self._claims_as)
            self._dispatcher = _Dispatcher(
                self._core,
                self._workflows,
                queues=self._queues,
                concurrency=self._concurrency,
                threads=self._threads,
                may_claim=self._may_claim,
                on_lost=self._lost,
                built_in=[
                    bulk,
                    *(workflow for duty in duties() for workflow in duty.workflows),
                    *(WORKFLOWS if self._rules is not None else ()),
                    *of_outbox,
                ],
            )
            if self._rules is not None:
                listen(self._core, self._rules)
            self._dispatcher.timekeeper, self._dispatcher.heard_drain = timekeeper, asyncio.Event()
            self._core.count_ends()
            await self._register()
            await self._dispatcher.start()
            if self._outbox is not None:
                self._outbox.start()
                names = self._outbox.names
                self._tend("look-out at messages", lambda: look_at_backlog_forever(self._core, names))
            self._tend("scheduler", lambda: schedule_forever(self._core))
            self._tend("timekeeper", timekeeper.forever)
            self._tend("pruner", lambda: prune_forever(self._core.store))
            self._tend("pruner of messages", lambda: prune_messages_forever(self._core.store, self._keep_messages))
            self._tend("pruner of entries", lambda: prune_entries_forever(self._core.store, self._keep_entries))
            self._tend(
                "pruner of diversions", lambda: prune_diversions_forever(self._core.store, self._keep_diversions)
            )
            self._tend("pruner of large values", lambda: prune_blobs_forever(self._core.sealed))
            self._tend("tidier", lambda: tidy_forever(self._core.store, self._keep_audit))
            self._tend("tally", lambda: tally_forever(self._core))
            self._tend("look-out at queues", lambda: look_at_queues_forever(self._core))
            if self._intake is not None:
                self._core.companions[INTAKE] = self._intake
            for duty in duties():
                self._tend(duty.name, duty.make(self._core).forever)
            if self._alerts is not None:
                self._tend("watch", Watch(self._core, self._alerts).forever)
            if self._core.store.name == "memory":
                self._tend("drain", self._hear_of_drain)
            else:
                self._tend("reaper", lambda: reap_forever(self._core.store))
                self._tend("rescue of messages", lambda: rescue_forever(self._core))
        except BaseException:
            await self._leave(sign_off=True)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def busy(self) -> int:
        """How many runs this worker has in memory."""
        return self._dispatcher.busy if hasattr(self, "_dispatcher") else 0

    def _may_claim(self) -> bool:
        """Whether the worker's lease is good; it has none while it registers again."""
        return self._core.store.name == "memory" or (self._heartbeat is not None and self._heartbeat.good)

    def _claims_as(self) -> bytes:
        """The id under which this worker may claim messages now; empty while its lease is not good."""
        return self.id if self._may_claim() else b""

    def _tend(self, duty: str, work: Callable[[], Awaitable[None]]) -> None:
        self._tasks.append(asyncio.create_task(_always(duty, work), name=f"holdfast-{duty}"))

    async def _register(self) -> None:
        in_memory = self._core.store.name == "memory"
        self.id = secrets.token_bytes(16)
        lease_us = FOREVER_US if in_memory else int(self._lease * 1e6)
        await self._core.store.register_worker(
            self.id, socket.gethostname(), os.getpid(), PROTOCOL, lease_us, self._concurrency
        )
        self._dispatcher.worker_id = self.id
        if not in_memory:
            self._heartbeat = Heartbeat(
                self._core.store,
                self.id,
                lease_seconds=self._lease,
                beat_seconds=self._beat,
                on_lost=self._lost,
                on_clock=self._core.compare_clock,
                on_drain=self._drain_now,
            )

    def _lost(self) -> None:
        """The lease is gone: stop every run, and go on under a new identity."""
        log.warning("the worker's lease is gone; its runs stop here and others take them")
        if counting.on is not None:
            counting.on.leases_lost += 1
        self._dispatcher.evict_all()
        self._lost_again = True
        if self._renewing is None or self._renewing.done():
            self._renewing = asyncio.create_task(self._renew())

    async def _renew(self) -> None:
        while self._lost_again:
            try:
                if self._heartbeat is not None:
                    await self._heartbeat.close()
                    self._heartbeat = None
                self._lost_again = False  # from here on it is the next lease that may be lost, before all is registered
                await self._register()
                await self._dispatcher.register()
            except StoreError as error:
                log.warning("the worker cannot register again yet: %s", error)
                await self._register_later()
            except Exception:
                log.exception("registering the worker failed and begins again")
                await self._register_later()
        self._dispatcher.wake()

    async def _register_later(self) -> None:
        self._dispatcher.evict_all()  # what was claimed meanwhile
        self._lost_again = True
        await asyncio.sleep(BEGIN_AGAIN_SECONDS)

    async def _hear_of_drain(self) -> None:
        """A worker on a database in memory has no beat by which it could hear that it is to end."""
        while True:
            await self._dispatcher.heard_drain.wait()
            self._dispatcher.heard_drain.clear()
            if any(row.id == self.id and row.draining for row in await self._core.store.list_workers()):
                self._drain_now()

    def _drain_now(self) -> None:
        """Somebody asks the worker to end: it stops as it does at SIGTERM."""
        if not self._ending:
            log.info("the worker was asked to hand its runs over and to end")
            self._drained = asyncio.create_task(self._stop(), name="holdfast-drain")
            self._drained.add_done_callback(_told)
            self._ending = True
        self._to_stop.set()

    async def stop(self) -> None:
        """Claim nothing new, let short work end, hand the rest to others, and leave."""
        if self._drained is None:
            await self._stop()
        else:
            await asyncio.shield(self._drained)

    async def _stop(self) -> None:
        self._ending = True
        sending = asyncio.create_task(self._stop_sending(self._drain))
        try:
            clean = await self._dispatcher.drain(self._drain, self._lease)
            await sending
        except BaseException:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            await self._leave(sign_off=True)
            raise
        await self._leave(sign_off=clean)

    async def _stop_sending(self, seconds: float) -> None:
        if self._outbox is not None:
            outbox, self._outbox = self._outbox, None
            await outbox.stop(seconds)

    async def _leave(self, *, sign_off: bool) -> None:
        """Stop to tend; with ``sign_off`` false the lease is left to expire, since a thread still works on a run."""
        await self._stop_sending(0)
        tasks = [*self._tasks, *([self._renewing] if self._renewing is not None else [])]
        self._tasks, self._renewing = [], None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._heartbeat is not None:
            await self._heartbeat.close()
            self._heartbeat = None
        if self.id:
            await tally_at_last(self._core)
        if self.id and sign_off:
            try:
                await self._core.committer.drain_for(2.0)
                await self._core.store.remove_worker(self.id)
            except (StoreError, TimeoutError) as error:
                log.warning("the worker could not sign off, its lease will expire: %s", error)
        self.id = b""
        if not isinstance(self._database, Client):
            await self._core.close()

    async def run(self) -> None:
        """Work until SIGTERM or SIGINT, until somebody drains the worker, or until cancelled; then stop as `stop` does.

        Claims nothing new then, lets short work end, and hands the rest to others.
        """
        loop = asyncio.get_running_loop()
        handled = threading.current_thread() is threading.main_thread()
        async with self:
            if handled:
                for number in (signal.SIGTERM, signal.SIGINT):
                    loop.add_signal_handler(number, self._to_stop.set)
            try:
                await self._to_stop.wait()
            finally:
                if handled:
                    for number in (signal.SIGTERM, signal.SIGINT):
                        loop.remove_signal_handler(number)


def _told(task: asyncio.Task[None]) -> None:
    """An error of a worker that stopped in the background is logged; whoever leaves it then gets it too."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("the worker did not stop in order: %r", error)


async def _always(duty: str, work: Callable[[], Awaitable[None]]) -> None:
    """See to a duty until cancelled: a fault in it must not leave the runs untended in silence."""
    while True:
        try:
            await work()
        except Exception:
            log.exception("the %s failed and begins again", duty)
        await asyncio.sleep(BEGIN_AGAIN_SECONDS)
