"""What a process shares for one database: its store, its committer, its clock, and who waits for what.

Waiters are woken three ways: at once when the thing happens in this process; by a hint when it
happens in another; and by a slow poll, because hints may be lost.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Awaitable, Callable, Hashable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

from holdfast.engine import counting
from holdfast.engine.committer import Committer
from holdfast.engine.remote import is_remote
from holdfast.engine.tallying import Tallying
from holdfast.errors import PayloadError, StoreError, UsageError
from holdfast.store.base import Rejected, Store
from holdfast.store.operations import Batch, Control, Controlled, Results, Settle, Start
from holdfast.store.rows import JournalRow, RunOutcome
from holdfast.store.url import hide_password, make_store
from holdfast.store.values.store import SealedStore
from holdfast.store.values.values import Values

if TYPE_CHECKING:
    from holdfast.engine.dispatcher import Dispatcher
    from holdfast.engine.execution import Execution
    from holdfast.engine.notices import Listener
    from holdfast.engine.workflow import Workflow

POLL_SECONDS = 1.0
"""How often waiters are looked after when no hint comes."""

LOOK_AT_MOST = 1000
"""How many waiters are looked up in one query."""

CLOSE_SECONDS = 10.0

K = TypeVar("K")

WaitKey = tuple[bytes, bytes, int]
"""A pending journal entry: run, position, generation."""


class Core:
    """One database as this process uses it. Made by `Core.open`, shared by its users, closed by the last."""

    _shared: ClassVar[dict[tuple[str, int], Core]] = {}

    def __init__(self, url: str, store: Store, values: Values | None = None) -> None:
        self.url = url
        self.values = values
        self.sealed = SealedStore(store, values if values is not None else Values())
        self.most_bytes = self.sealed.sealing.values.most_bytes
        """So large may a value be that runs take or give."""
        self.ahead_over = self.sealed.sealing.ahead_over
        """Payloads that are larger are to go through `set_apart` before they are stored."""
        self.store = cast("Store", self.sealed)
        self.users = 0
        self.closing = False
        self.loop = asyncio.get_running_loop()
        self.offset_us = 0
        self.linger_seconds: float | None = None
        """How long waits stay in memory, if not as long as usual; time that skips wants 0."""
        self.executions: dict[bytes, Execution] = {}
        self._tallying: Tallying | None = None
        self._results: dict[bytes, list[asyncio.Future[RunOutcome]]] = {}
        self._unseen: dict[bytes, None] = {}
        """Runs whose result somebody waits for, and that were not looked at since: they may have ended before."""
        self._waits: dict[WaitKey, Callable[[JournalRow], None]] = {}
        self.companions: dict[Hashable, object] = {}
        """What others keep for the database as long as it is open, by a key of theirs."""
        self.listener: Listener | None = None
        """Who is told of what becomes of the runs that are executed here; see `holdfast.engine.notices`."""
        self._dispatchers: list[Dispatcher] = []
        self._hint_sinks: list[Callable[[str], None]] = []
        self._on_close: list[Callable[[], Awaitable[None]]] = []
        self._look = asyncio.Event()
        self._hinted: set[str] = set()
        self._hint = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._opened: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, url: str, *, migrate: bool = True, values: Values | None = None) -> Core:
        """The core of a database, made at the first call and shared in this event loop.

        ``memory://`` is a new database each time; ``memory://name`` is shared by its name.

        Args:
            url: of the database.
            migrate: whether an older schema may be brought up to date.
            values: how values are stored; as whoever opened it first said, or as is usual, unless given.

        Raises:
            UsageError: it is the address of a server; or it is open in this process with other ``values``.
        """
        if is_remote(url):
            raise UsageError(
                f"{hide_password(url)} is a server: what executes runs works on the database itself; give it the "
                "address of the database that the server uses"
            )
        key = (url, id(asyncio.get_running_loop()))
        core = cls._shared.get(key) if url != "memory://" else None
        if core is None:
            if values is not None:
                values.check_database(url)
            core = cls(url, make_store(url), values)
            cls._shared[key if url != "memory://" else (f"memory://{id(core)}", key[1])] = core
            core._opened = asyncio.create_task(core._open(migrate))
        elif values is not None and values != core.sealed.sealing.values:
            raise UsageError(
                f"{hide_password(url)} is open in this process with other values=…: one database has one hf.Values; "
                "make it once, and give the same to every client and worker"
            )
        core.users += 1
        assert core._opened is not None
        try:
            await asyncio.shield(core._opened)
        except BaseException:
            core.users -= 1
            core._forget()
            raise
        return core

    async def _open(self, migrate: bool) -> None:
        await self.store.open(migrate=migrate)
        try:
            asked = time.time_ns() // 1000
            self.compare_clock(asked, await self.store.now(), time.time_ns() // 1000)
            self.committer = Committer(self.store, self._after_commit)
            await self.store.listen(self._on_hint)
            self._tasks = [asyncio.create_task(self._look_after_waiters()), asyncio.create_task(self._send_hints())]
        except BaseException:
            await self.store.close()
            raise

    def _forget(self) -> None:
        for key in [key for key, core in self._shared.items() if core is self]:
            del self._shared[key]

    async def close(self) -> None:
        """Leave; the last user closes the store."""
        self.users -= 1
        if self.users:
            return
        self.closing = True
        self._forget()
        await self.committer.close(CLOSE_SECONDS)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, *(close() for close in self._on_close), return_exceptions=True)
        await self.store.close()

    def compare_clock(self, asked_us: int, theirs_us: int, told_us: int) -> None:
        """Take the database's clock as it was told.

        When on its way the answer was made is not known. So ours is moved only as far as it must be: else it would jump
        back with each answer that is slow, and what is done later would be older than what was done before.

        Args:
            asked_us: our clock when it was asked.
            theirs_us: what it answered.
            told_us: our clock when the answer was there.
        """
        self.offset_us = min(max(self.offset_us, theirs_us - told_us), theirs_us - asked_us)

    def now_us(self) -> int:
        """The database's clock, as last compared with ours: microseconds since 1970."""
        return time.time_ns() // 1000 + self.offset_us

    async def set_apart(self, data: bytes) -> bytes:
        """What to store in place of a payload: where large ones are kept elsewhere, they go there first.

        No commit waits for that then.

        Raises:
            PayloadError: the codec refuses it.
            StoreUnavailable: where it is to be kept cannot be reached.
        """
        try:
            return await self.sealed.sealing.ahead(data)
        except Rejected as error:
            raise PayloadError("a value is refused by the codec", str(error)) from error.__cause__

    def count_ends(self) -> Tallying:
        """Count the runs that end here, from the first call on; gives what counts them."""
        if self._tallying is None:
            self._tallying = Tallying(self.store)
        return self._tallying

    # Who waits for what

    def attend(self, dispatcher: Dispatcher) -> None:
        """Tell the dispatcher whenever a run may have become ready, and when one will."""
        self._dispatchers.append(dispatcher)

    def forsake(self, dispatcher: Dispatcher) -> None:
        """Tell it no more."""
        if dispatcher in self._dispatchers:
            self._dispatchers.remove(dispatcher)

    def code_of(self, name: str, version: str) -> Workflow[Any, Any] | None:
        """A workflow's code, if a worker of this process serves it."""
        served = (one for dispatcher in self._dispatchers for one in dispatcher.workflows)
        return next((one for one in served if (one.name, one.version) == (name, version)), None)

    def on_hint(self, sink: Callable[[str], None]) -> None:
        """Call the sink on the event loop with each kind that is announced, here or in another process; or "any"."""
        self._hint_sinks.append(sink)

    def off_hint(self, sink: Callable[[str], None]) -> None:
        """Call it no more."""
        if sink in self._hint_sinks:
            self._hint_sinks.remove(sink)

    def on_close(self, close: Callable[[], Awaitable[None]]) -> None:
        """Have this done when the last user leaves."""
        self._on_close.append(close)

    def wait_result(self, uid: bytes) -> asyncio.Future[RunOutcome]:
        """A future that gives a run's outcome, wherever it is executed."""
        future: asyncio.Future[RunOutcome] = asyncio.get_running_loop().create_future()
        self._results.setdefault(uid, []).append(future)
        self._unseen[uid] = None
        future.add_done_callback(lambda _: self._drop_result(uid, future))
        self._look.set()
        return future

    def _drop_result(self, uid: bytes, future: asyncio.Future[RunOutcome]) -> None:
        waiting = self._results.get(uid, [])
        if future in waiting:
            waiting.remove(future)
        if not waiting:
            self._results.pop(uid, None)

    def wait_entry(self, key: WaitKey, sink: Callable[[JournalRow], None]) -> None:
        """Call the sink once with the pending entry when it has its outcome."""
        self._waits[key] = sink

    def look(self) -> None:
        """Look now whether what is waited for is there."""
        self._look.set()

    def look_for(self, uid: bytes) -> None:
        """Look now whether a run has ended, if somebody waits for that."""
        if uid in self._results:
            self._look.set()

    def drop_wait(self, key: WaitKey) -> None:
        """No longer wait for it."""
        self._waits.pop(key, None)

    def announce(self, kind: str) -> None:
        """Something happened that was written past the committer: tell everybody.

        Args:
            kind: ready, done, wake, asked, flow, drain, turn, message or stream.
        """
        self._hinted.add(kind)
        self._hint.set()
        self._on_hint(kind)

    def tell_started(self, starts: Iterable[Start]) -> None:
        """Tell everybody whom it has to do with of runs that were started past the committer."""
        self.announce("ready")
        if any(start.gather is not None and start.gather.mode == "cancel" for start in starts):
            # Others gave way to them: those that execute are told, those that never did have ended.
            for kind in ("asked", "done", "wake"):
                self.announce(kind)

    async def control(self, control: Control) -> Controlled:
        """Ask something of a run, and let whoever has to do with it know."""
        found = await self.store.control(control)
        self._controlled(control, found)
        return found

    def _controlled(self, control: Control, found: Controlled) -> None:
        """Let whoever has to do with a run know what was asked of it."""
        execution = self.executions.get(control.run)
        if found.outcome == "asked":
            if execution is not None:
                execution.heed(control.note)
            self.announce("asked")
        elif found.outcome == "done":
            if control.action == "release":
                if execution is not None:
                    execution.heed(None)
                self.announce("asked")
            for kind in ("done", "wake", *(("ready",) if found.woken else ())):
                self.announce(kind)

    def _after_commit(self, batch: Batch, results: Results) -> None:
        if counting.on is not None:
            counting.on.committed(self, batch, results, self.committer.commit_seconds)
        for met in results.met:
            sink = self._waits.pop((met.run, met.position, met.generation), None)
            if sink is None:
                self._hinted.add("wake")
            else:
                at = met.finished_at
                sink(JournalRow(
                    met.run, met.position, met.generation, 0, "event", "", met.outcome, None, met.output, 1, at, at
                ))  # fmt: skip
        for control, found in results.cancels:
            self._controlled(control, found)
        if results.rationed:
            asyncio.get_running_loop().call_later(results.rationed, self._wake_dispatchers)
        if any(delivered.cancels for delivered in results.events):
            self.announce("fired")
        if batch.messages:
            self.announce("message")
        if batch.chunks:
            self.announce("stream")
        ready = results.woken > 0 or any(promoted.moved for promoted in results.promotes)
        tallying = self._tallying if batch.settles else None
        if tallying is not None:
            tallying.turn(self.now_us())
        for settle, refusal in zip(batch.settles, results.settles, strict=True):
            if refusal is not None or settle.status == "held":
                continue
            if tallying is not None and (execution := self.executions.get(settle.run)) is not None:
                tallying.count(execution, settle)
            self._hinted.add("done")
            for future in self._results.pop(settle.run, ()):
                if not future.done():
                    future.set_result(RunOutcome(settle.run, settle.status, settle.output))
            self._child_ended(settle)
        ready = ready or any(start.due_at is None for start in batch.starts)
        ready = ready or any(park.wake_at == 0 for park in batch.parks)
        dues = [start.due_at for start in batch.starts if start.due_at is not None]
        dues += [found.due_at for found in results.starts if not isinstance(found, str) and found.due_at is not None]
        for dispatcher in self._dispatchers if dues else ():
            dispatcher.expect_due(min(dues))
        if ready:
            self._hinted.add("ready")
            self._wake_dispatchers()
        if self._hinted:
            self._hint.set()

    def _child_ended(self, child: Settle) -> None:
        parent, position, generation = child.parent_uid, child.parent_position, child.parent_generation
        if parent is None or position is None or generation is None:
            return
        if child.group is not None:
            self._look.set()
            self._hinted.add("wake")
            return
        sink = self._waits.pop((parent, position, generation), None)
        if sink is None:
            self._hinted.add("wake")
            return
        outcome, at = "ok" if child.status == "succeeded" else "error", child.finished_at
        sink(JournalRow(parent, position, generation, 0, "child", "", outcome, None, child.output, 1, at, at))

    def _wake_dispatchers(self) -> None:
        for dispatcher in self._dispatchers:
            dispatcher.wake()

    # Hints

    def _on_hint(self, kind: str) -> None:
        if kind in ("ready", "any"):
            self._wake_dispatchers()
        if kind in ("done", "wake", "any"):
            self._look.set()
        for dispatcher in self._dispatchers:
            dispatcher.hear(kind)
        for sink in self._hint_sinks:
            sink(kind)

    async def _send_hints(self) -> None:
        while True:
            await self._hint.wait()
            self._hint.clear()
            kinds, self._hinted = sorted(self._hinted), set()
            try:
                await self.store.hint(kinds)
            except StoreError:
                await asyncio.sleep(POLL_SECONDS)

    async def _look_after_waiters(self) -> None:
        while True:
            try:
                async with asyncio.timeout(POLL_SECONDS * (0.75 + random.random() / 2)):
                    await self._look.wait()
            except TimeoutError:
                pass
            self._look.clear()
            began = time.monotonic()
            try:
                while self._unseen:
                    await self._look_for_unseen()
                    began = time.monotonic()
                await self._look_for_results()
                await self._look_for_entries()
            except StoreError:
                await asyncio.sleep(POLL_SECONDS)
            # Looking must stay a small part of the time, however many wait.
            await asyncio.sleep(4 * (time.monotonic() - began))

    async def _look_for_unseen(self) -> None:
        """Each is looked at once for whoever waits: that needs no limit."""
        uids = list(itertools.islice(self._unseen, LOOK_AT_MOST))
        for uid in uids:
            del self._unseen[uid]
        try:
            await self._look_for_results([uid for uid in uids if uid in self._results and uid not in self.executions])
        except StoreError:
            self._unseen.update(dict.fromkeys(uids))
            raise

    async def _look_for_results(self, uids: list[bytes] | None = None) -> None:
        if uids is None:
            uids = _some([uid for uid in self._results if uid not in self.executions])
        for outcome in await self.store.read_outcomes(uids) if uids else ():
            for future in self._results.pop(outcome.uid, ()):
                if not future.done():
                    future.set_result(outcome)

    async def _look_for_entries(self) -> None:
        keys = list(self._waits)
        for row in await self.store.read_waits(_some(keys)) if keys else ():
            sink = self._waits.pop((row.run, row.position, row.generation), None)
            if sink is not None:
                sink(row)


def _some(keys: list[K]) -> list[K]:
    return keys if len(keys) <= LOOK_AT_MOST else random.sample(keys, LOOK_AT_MOST)
