"""A store that fails on demand, a ledger of what was committed, and workers that die without a word."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import asyncpg

import holdfast as hf
from holdfast.engine import asking, committer, core, dispatcher, waiting
from holdfast.engine.client import Client
from holdfast.engine.core import Core
from holdfast.engine.views import run_view
from holdfast.errors import StoreUnavailable
from holdfast.model import rescue
from holdfast.model.generations import decode_cuts
from holdfast.model.position import format_position
from holdfast.services import timekeeper
from holdfast.store.base import Store
from holdfast.store.operations import LOST, Adopted, Batch, Continue, Fork, Results, Retry
from holdfast.store.rows import JournalRow
from holdfast.store.url import make_store

T = TypeVar("T")

Fault = Literal["refuse", "forget", "die before", "die after"]
"""What happens at a call of the store.

``refuse`` fails before doing anything; ``forget`` does it, then fails; ``die before`` and ``die after``
do the same, and the process never hears of the store again.
"""

FAULTS: tuple[Fault, ...] = ("refuse", "forget", "die before", "die after")

STEERING_CALLS = ("control", "retry", "fork", "continue_as_new", "children", "child_outcomes")
RUNNING_CALLS = ("commit", "load_journals", "read_waits", "read_outcomes", *STEERING_CALLS)
"""The calls by which runs make progress, or are made to do something else."""

SOUND = ("open", "close", "listen", "heart")
"""What a store does however ill its process is."""

ENDS = ("succeeded", "failed", "cancelled", "held")

GETS_ITS_OUTCOME_LATER = ("child", "event", "hold", "map")
"""Kinds of entries that are recorded before what they wait for is there."""

LIVE = ("ready", "running", "parked", "lanes", "members", "waits")
"""The tables in which nothing is left of a run that has ended."""


@dataclass
class Ledger:
    """What every process together has committed, as seen from outside; it outlives them."""

    entries: dict[tuple[bytes, bytes, int], tuple[Any, ...]] = field(default_factory=dict)
    """Each recorded journal row by (run, position, generation), as it was sent."""
    keys: set[str] = field(default_factory=set)
    """The idempotency keys of the steps that are recorded."""
    bases: dict[bytes, int] = field(default_factory=dict)
    """The generation in which a run last began with nothing, if that is not the first."""
    violations: list[str] = field(default_factory=list)

    def note(self, batch: Batch, results: Results) -> None:
        """Take down what a commit recorded."""
        outcomes = results.checkpoints or [None] * len(batch.checkpoints)
        for row, outcome in zip(batch.checkpoints, outcomes, strict=True):
            place = (row[0], row[1], row[2])
            if outcome == LOST:
                continue
            if isinstance(outcome, Adopted):
                if place not in self.entries:
                    self.violations.append(f"adopted at {format_position(row[1])} what nobody recorded")
                continue
            known = self.entries.setdefault(place, tuple(row))
            if known != tuple(row):
                self.violations.append(f"recorded twice at {format_position(row[1])}: {known} then {row}")
            if row[4] == "step":
                self.keys.add(self._key(row[0], row[1]))

    def note_retry(self, order: Retry) -> None:
        """Take down that a run does again what it did from some entry on."""
        (_, cut) = decode_cuts(order.cuts)[-1]
        again = [place for place, sent in self.entries.items() if place[0] == order.run and sent[3] >= cut]
        self.keys -= {self._key(run, position) for run, position, _ in again}

    def note_fork(self, order: Fork) -> None:
        """Take down what a run begins with."""
        run, source = order.start.uid, order.start.forked_from
        assert source is not None
        for position, generation in order.kept:
            sent = self.entries[source, position, generation]
            self.entries.setdefault((run, position, 1), (run, position, 1, *sent[3:12], 0))
        for edit in order.edits:
            self.entries.setdefault((run, edit.position, edit.generation), (*edit, 0))
        kept = [place for place, sent in self.entries.items() if place[0] == run and sent[6] != "edited"]
        self.keys |= {self._key(run, position) for _, position, _ in kept}

    def note_continue(self, order: Continue) -> None:
        """Take down that a run begins with nothing again."""
        before = [place for place, sent in self.entries.items() if place[0] == order.run and sent[12] <= order.epoch]
        for place in before:
            del self.entries[place]
        self.bases[order.run], _ = decode_cuts(order.cuts)[-1]

    def _key(self, run: bytes, position: bytes) -> str:
        base = f".{self.bases[run]}" if run in self.bases else ""
        return f"{uuid.UUID(bytes=run).hex}{base}-{format_position(position)}"

    def executes(self) -> None:
        """To be called first by each attempt of a step."""
        key = hf.current().idempotency_key
        if key in self.keys:
            self.violations.append(f"step {key} executes again though it is recorded")

    def check(self, journal: Iterable[JournalRow]) -> None:
        """Compare with what stands in the database at the end.

        Raises:
            AssertionError: an entry was recorded twice, changed, was lost, or was written by a former owner.
        """
        assert self.violations == []
        stored = {(row.run, row.position, row.generation): row for row in journal}
        assert stored.keys() == self.entries.keys(), "the journal has other entries than were recorded"
        for place, row in stored.items():
            sent = self.entries[place]
            assert (row.seq, row.kind, row.name) == (sent[3], sent[4], sent[5])
            if row.kind != "map":  # which counts down those that have not ended
                assert row.attempts == sent[9]
            if row.kind not in GETS_ITS_OUTCOME_LATER:
                assert (row.outcome, row.output) == (sent[6], sent[8]), f"a result changed at {row.position!r}"
        runs: dict[tuple[bytes, int], list[tuple[int, int]]] = {}
        for (run, _, generation), sent in self.entries.items():
            runs.setdefault((run, generation), []).append((sent[3], sent[12]))
        for orders in runs.values():
            orders.sort()
            assert len({seq for seq, _ in orders}) == len(orders), "two entries of a run have one seq"
            epochs = [epoch for _, epoch in orders]
            assert epochs == sorted(epochs), f"an owner wrote after its successor: {orders}"


class FaultyStore:
    """A store that does what a plan says.

    Args:
        inner: a store that works.
        plan: asked before each call of `RUNNING_CALLS`, with its name, for a fault or None.
        ledger: told of each commit.
        shared: the inner store is open already and stays open.
    """

    def __init__(
        self, inner: Store, plan: Callable[[str], Fault | None], ledger: Ledger, *, shared: bool = False
    ) -> None:
        self.inner = inner
        self.name = inner.name
        self.plan = plan
        self.ledger = ledger
        self.shared = shared
        self.died = asyncio.Event()
        self.under_way: set[asyncio.Future[Any]] = set()

    def __getattr__(self, name: str) -> Any:
        call = getattr(self.inner, name)
        if name in SOUND or not asyncio.iscoroutinefunction(call):
            return call

        async def guarded(*args: Any, **kwargs: Any) -> Any:
            fault = self.plan(name) if name in RUNNING_CALLS and not self.died.is_set() else None
            if fault == "die before":
                self.died.set()
            if self.died.is_set():
                await asyncio.Event().wait()
            if fault == "refuse":
                raise StoreUnavailable("this call was refused")
            result = await self._do(name, call, args, kwargs)
            if fault == "die after":
                self.died.set()
            if self.died.is_set():
                await asyncio.Event().wait()
            if fault == "forget":
                raise StoreUnavailable("this call was done, and its answer lost")
            return result

        return guarded

    async def _do(self, name: str, call: Any, args: Any, kwargs: Any) -> Any:
        """Make a call; it is seen to its end, and taken down, even if the process dies meanwhile."""

        async def work() -> Any:
            result = await call(*args, **kwargs)
            match name:
                case "commit":
                    self.ledger.note(args[0], result)
                case "retry" if result:
                    self.ledger.note_retry(args[0])
                case "fork" if result.uid == args[0].start.uid:
                    self.ledger.note_fork(args[0])
                case "continue_as_new" if result:
                    self.ledger.note_continue(args[0])
            return result

        task = asyncio.ensure_future(work())
        self.under_way.add(task)
        task.add_done_callback(self.under_way.discard)
        return await asyncio.shield(task)

    async def open(self, *, migrate: bool = True) -> None:
        if not self.shared:
            await self.inner.open(migrate=migrate)

    async def close(self) -> None:
        if not self.shared:
            await self.inner.close()


class Process:
    """A worker with a client on one store, as in a process of its own; `kill` ends it as SIGKILL would."""

    def __init__(self, url: str, store: Any, workflows: Iterable[hf.Workflow[Any, Any]], **options: Any) -> None:
        self.store = store
        self.core = Core(url, store)
        self.client = Client(self.core, "default")
        self.worker = hf.Worker(self.client, workflows, **{"drain": 0, **options})

    async def start(self) -> "Process":
        self.core.users = 1
        await self.core._open(True)
        await self.worker.__aenter__()
        return self

    async def stop(self) -> None:
        """End in order."""
        await self.worker.stop()
        await self.core.close()

    async def kill(self) -> bytes:
        """End without a word to the store; the worker's id."""
        self.store.died.set()
        worker, runs = self.worker, self.worker._dispatcher
        ending = [*worker._tasks, *self.core._tasks, self.core.committer._task, *runs._tasks]
        ending += [task for task in (runs._claiming, runs._hearing) if task is not None]
        ending += [execution._task for execution in runs._executions if execution._task is not None]
        for execution in list(runs._executions):
            execution.evict()
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        if worker._heartbeat is not None:
            await worker._heartbeat.close()
        runs.threads.close()
        await asyncio.gather(*self.store.under_way, return_exceptions=True)
        await self.store.close()
        return worker.id


@dataclass
class World:
    """One database, the processes that come and go on it, and the ledger of what they committed."""

    url: str
    workflows: tuple[hf.Workflow[Any, Any], ...]
    plan: Callable[[str], Fault | None] = lambda _: None
    options: dict[str, Any] = field(default_factory=dict)
    ledger: Ledger = field(default_factory=Ledger)
    deaths: int = 0
    zombies: "list[Process]" = field(default_factory=list)
    mourning: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def __aenter__(self) -> "World":
        self.beside = make_store(self.url)
        """A sound store, for what is looked at from outside."""
        await self.beside.open()
        self.process = await self.spawn()
        return self

    async def __aexit__(self, *_: object) -> None:
        # No more faults: what follows is not under test, and a worker left behind would take the next one's runs.
        self.plan = lambda _: None
        for process in (self.process, *self.zombies):
            process.store.plan = self.plan
        await self.mourn()
        for process in (self.process, *self.zombies):
            await process.stop()
        await self.beside.close()

    async def spawn(self) -> Process:
        """A new process."""
        memory = self.url == "memory://"
        inner = self.beside if memory else make_store(self.url)
        store = FaultyStore(inner, lambda _: None, self.ledger, shared=memory)
        process = await Process(self.url, store, self.workflows, **self.options).start()
        store.plan = self.plan
        return process

    async def replace(self) -> None:
        """Kill the process; its runs go to a new one at once."""
        await self._bury(self.process)
        self.process = await self.spawn()

    async def _bury(self, process: Process) -> None:
        self.deaths += 1
        worker = await process.kill()
        await self.beside.remove_worker(worker)
        while (await self.beside.rescue(1000)).ready:
            pass

    async def mourn(self) -> None:
        """Clear away the processes that died, and put a new one in the place of the last."""
        async with self.mourning:
            for process in [one for one in self.zombies if one.store.died.is_set()]:
                self.zombies.remove(process)
                await self._bury(process)
            if self.process.store.died.is_set():
                await self.replace()

    async def depose(self) -> None:
        """The process loses its lease without noticing and goes on; its runs go to a new one at once."""
        self.zombies.append(self.process)
        await self.beside.remove_worker(self.process.worker.id)
        await self.beside.rescue(1000)
        self.process = await self.spawn()

    async def outcome(self, run_id: str, within: float = 20.0) -> hf.RunView:
        """The run when it has ended; processes that die are replaced meanwhile."""
        return await self.reaches(run_id, *ENDS, within=within)

    async def reaches(self, run_id: str, *statuses: str, within: float = 10.0) -> hf.RunView:
        """The run when it has one of these statuses; processes that die are replaced meanwhile."""
        try:
            async with asyncio.timeout(within):
                while True:
                    await self.mourn()
                    rows = await self.beside.find_runs("default", [run_id])
                    if rows and rows[0].status in statuses:
                        return run_view(rows[0])
                    await asyncio.sleep(0.001)
        except TimeoutError:
            status = [row.status for row in await self.beside.find_runs("default", [run_id])]
            left = {name: await self.table(name) for name in LIVE}
            raise AssertionError(
                f"run {run_id} is {status} after {within} s and {self.deaths} deaths: {left}"
            ) from None

    async def until(self, condition: Callable[[], Awaitable[object]], within: float = 10.0) -> None:
        """Wait until a condition holds; processes that die are replaced meanwhile."""
        async with asyncio.timeout(within):
            while not await condition():
                await self.mourn()
                await asyncio.sleep(0.001)

    async def ask(self, act: Callable[[Client], Awaitable[T]]) -> T | None:
        """Do something through a client, again until it is known to be done, as a person would.

        Returns:
            What it gave; None if it was refused because an earlier try had done it.
        """
        tries = 0
        while True:
            await self.mourn()
            tries += 1
            died = asyncio.ensure_future(self.process.store.died.wait())
            doing = asyncio.ensure_future(act(self.process.client))
            try:
                await asyncio.wait((doing, died), return_when=asyncio.FIRST_COMPLETED)
                if doing.done():
                    return doing.result()
            except StoreUnavailable:
                pass
            except (hf.NotPossible, hf.RunExists):
                if tries == 1:
                    raise
                return None
            finally:
                for task in (doing, died):
                    task.cancel()
                await asyncio.gather(doing, died, return_exceptions=True)

    async def table(self, name: str) -> list[dict[str, Any]]:
        """The rows of a table of the database."""
        if self.url.startswith("postgres"):
            connection = await asyncpg.connect(self.url)
            try:
                return [dict(row) for row in await connection.fetch(f"SELECT * FROM holdfast.{name}")]
            finally:
                await connection.close()

        def read() -> list[dict[str, Any]]:
            found = self.beside._writer.execute(f"SELECT * FROM {name}")
            names = [column[0] for column in found.description]
            return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

        rows: list[dict[str, Any]] = await self.beside._writing.call(read)
        return rows

    async def check_tables(self) -> None:
        """Look that no slot is leaked or given twice, and that no run is in two places or lost.

        Raises:
            AssertionError: something is.
        """
        members, lanes = await self.table("members"), await self.table("lanes")
        assert {one["lane"] for one in members} == {lane["id"] for lane in lanes}
        for lane in lanes:
            inside = [one["since"] is not None for one in members if one["lane"] == lane["id"]]
            assert lane["held"] == sum(inside) <= lane["slots"]
            assert all(inside) or lane["held"] == lane["slots"], "somebody is in line though a slot is free"
        runs = {row["uid"]: row for row in await self.table("runs")}
        places = [row["run"] for name in ("ready", "running", "parked") for row in await self.table(name)]
        places += [one["run"] for one in members if one["since"] is None]
        assert sorted(places) == sorted(uid for uid, row in runs.items() if row["status"] == "open")
        troubled = sorted((row["run"], row["status"]) for row in await self.table("troubled"))
        badly = [(uid, row["status"]) for uid, row in runs.items() if row["status"] not in ("open", "succeeded")]
        assert troubled == sorted(badly)
        for row in await self.table("waits"):
            assert runs[row["run"]]["status"] in ("open", "held"), "an ended run waits for an event"

    async def nothing_left(self) -> None:
        """Wait until no run is under way, and look that nothing is left of any.

        Raises:
            AssertionError: something is.
        """
        await self.settled()
        await self.check_tables()
        assert {name: rows for name in LIVE if (rows := await self.table(name))} == {}

    async def settled(self, within: float = 5.0) -> None:
        """Wait until no run is left; processes that die are replaced meanwhile."""
        try:
            async with asyncio.timeout(within):
                while any((await self.beside.counts()).values()):
                    await self.mourn()
                    await asyncio.sleep(0.001)
        except TimeoutError:
            left = {name: await self.table(name) for name in LIVE}
            raise AssertionError(f"runs are left after {within} s and {self.deaths} deaths: {left}") from None

    async def journal(self, run_id: str) -> list[JournalRow]:
        """The journals of a run and of all that descend from it."""
        rows = await self.beside.list_runs("default", workflow=None, status=None, limit=1000, before=None)
        tree = [row.uid for row in rows if row.id.partition("/")[0] == run_id]
        return (await self.beside.load_journals(tree))[0]


def in_haste(patch: Any) -> None:
    """Polls come quickly, and a run that was rescued executes like any other, whatever the count."""
    patch.setattr(dispatcher, "POLL_SECONDS", 0.01)
    patch.setattr(core, "POLL_SECONDS", 0.01)
    patch.setattr(committer, "FIRST_PAUSE_SECONDS", 0.001)
    patch.setattr(dispatcher, "RESCUES_ISOLATED", 1000)
    patch.setattr(rescue, "RESCUES_HELD", 1000)
    patch.setattr(waiting, "LINGER_CHILD_SECONDS", 0.004)
    patch.setattr(waiting, "PARK_SECONDS", 0.05)
    patch.setattr(asking, "REST_SECONDS", 0.01)
    patch.setattr("holdfast.engine.execution.READ_AGAIN_SECONDS", 0.01)
    patch.setattr(timekeeper, "LOOK_SECONDS", 0.01)
    patch.setattr(timekeeper, "REST_SECONDS", 0.005)
