"""Claims runs for free slots, starts them, and takes them back.

One claim at a time is under way; it travels in the committer's batch like everything else. Slots
count what executes: a run that only waits gives its slot up, and takes it back, before anything new
is claimed, when what it waited for is there.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from holdfast.engine.core import Core
from holdfast.engine.execution import LEAVE_NOW, Execution
from holdfast.engine.isolation import Isolation
from holdfast.engine.recorded import Recorded, by_run, with_values
from holdfast.engine.serving import CLAIM_AT_MOST, Serving, counted
from holdfast.engine.threads import Threads
from holdfast.engine.tracing import Tracing
from holdfast.engine.workflow import Workflow
from holdfast.errors import StoreError, UsageError
from holdfast.model.rescue import RESCUES_ISOLATED
from holdfast.model.shares import queue_of
from holdfast.store.operations import LOST, Cap, Claim, ClaimedRun, Park, Promote, Promoted
from holdfast.store.rows import AttemptRow, JournalRow
from holdfast.store.values.forms import is_special

log = logging.getLogger("holdfast.dispatcher")

PROMOTE_AT_MOST = 1000
POLL_SECONDS = 1.0
"""How often an idle dispatcher looks for work when no hint comes."""

FLOW_SECONDS = 0.05
"""How often it looks for new limits and pauses, at most, where hints do not say what happened."""

ASKED_SECONDS = 0.05
"""So long after a look at what is asked of runs the next one comes at the earliest: on SQLite each commit is a hint."""

CLAIM_SECONDS = 2.0
"""How long a stopping dispatcher waits for the answer to its last claim."""


class Dispatcher:
    """Executes runs of some workflows from some queues.

    Args:
        core: the database.
        workflows: what to serve, with the workflows that their code names.
        queues: from which queues; None for those that the workflows name.
        concurrency: how many runs may execute at once.
        threads: how many threads plain steps may use.
        may_claim: whether the worker's lease is good.
        on_lost: called when the store says that it is not.
        built_in: workflows of holdfast's own, served from their own queues and beside those asked for.
    """

    executes: type[Execution] = Execution
    """What executes a run; tests put one in its place that watches."""

    def __init__(
        self,
        core: Core,
        workflows: Iterable[Workflow[Any, Any]],
        *,
        queues: Iterable[str] | None,
        concurrency: int,
        threads: int,
        may_claim: Callable[[], bool],
        on_lost: Callable[[], None],
        built_in: Iterable[Workflow[Any, Any]] = (),
    ) -> None:
        if isinstance(concurrency, bool) or not isinstance(concurrency, int) or concurrency < 1:
            raise UsageError(f"concurrency is {concurrency!r}; give a whole number, 1 or more")
        self.core = core
        self.tracing = Tracing.find()
        self.threads = Threads(threads)
        self.worker_id = b""
        self._serving = Serving(workflows, queues, built_in)
        self._flow_due = float("-inf")
        self._asked = asyncio.Event()
        self._concurrency = concurrency
        self._may_claim = may_claim
        self._on_lost = on_lost
        self._executions: set[Execution] = set()
        self._isolation = Isolation(core)
        self._using = 0
        self._returning: deque[Execution] = deque()
        self._more = True
        self._claimed_any = False
        self._promoted_at = float("-inf")
        self._term = 0
        self._next_due: int | None = 0  # what came due while nobody looked is promoted first
        self._wake = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._claiming: asyncio.Task[None] | None = None
        self._hearing: asyncio.Task[None] | None = None
        self._stopping = False

    # What is served

    def serve(self, workflow: Workflow[Any, Any]) -> None:
        """Serve a workflow too, and those that its code names."""
        if self._serving.add(workflow) and self._claiming is not None:
            self.spawn(self.register())

    async def register(self) -> None:
        """Make known what is served, for clients without the code and for whoever looks for stranded runs."""
        await self.core.store.register_workflows(self._serving.described())
        await self.core.store.serve(self.worker_id, list(self._serving.kinds()))

    @property
    def workflows(self) -> tuple[Workflow[Any, Any], ...]:
        """What is served."""
        return tuple(self._serving.workflows.values())

    def is_capped(self, queue: str) -> bool:
        """Whether a limit is set to what executes from a queue, or from the queue of a share."""
        return self._serving.is_capped(queue)

    async def _heed_flow(self) -> None:
        began = time.monotonic()
        if began < self._flow_due:
            return
        self._flow_due = began + POLL_SECONDS  # before it is read: what is announced meanwhile is looked up again
        flow, known = await self.core.store.flow(), self._serving.flow
        if flow != known:
            limited = counted(flow) - counted(known)
            if limited and self._claimed_any:
                await self.core.store.count_executing(sorted(limited))  # what was claimed here before it was known
            self._serving.heed(flow)
            self._more = True

    def _caps(self) -> tuple[Cap, ...]:
        if not self._serving.limited:
            return ()
        using = Counter(queue_of(one.run.queue) for one in self._executions if one.has_slot)
        using.update(queue_of(run.queue) for run in self._isolation.suspects)
        return self._serving.caps(using)

    @property
    def busy(self) -> int:
        """Runs in this process."""
        return len(self._executions) + len(self._isolation.suspects)

    # Claiming

    async def start(self) -> None:
        """Begin to claim."""
        await self.register()
        self.core.attend(self)
        self._hearing = asyncio.create_task(self._hear_what_is_asked(), name="holdfast-asked")
        self._claiming = asyncio.create_task(self._claim_forever(), name="holdfast-dispatcher")

    def wake(self) -> None:
        """There may be something to claim."""
        self._more = True
        self._wake.set()

    def expect_due(self, at_us: int) -> None:
        """A parked run is due then."""
        if self._next_due is None or at_us < self._next_due:
            self._next_due = at_us
            self._wake.set()

    def hear(self, kind: str) -> None:
        """Another process, or this one, says that something happened."""
        if kind in ("asked", "any"):
            self._asked.set()
        if kind == "flow":
            self._flow_due = float("-inf")
            self.wake()
        if kind == "any":
            self._flow_due = min(self._flow_due, time.monotonic() + FLOW_SECONDS)

    def look_for_asked(self) -> None:
        """Look now whether something is asked of a run."""
        self._asked.set()

    async def _hear_what_is_asked(self) -> None:
        """Tell the runs here what is asked of them."""
        while not self._stopping:
            try:
                async with asyncio.timeout(POLL_SECONDS * (0.75 + random.random() / 2)):
                    await self._asked.wait()
            except TimeoutError:
                pass
            self._asked.clear()
            began = time.monotonic()
            try:
                for uid, control in await self.core.store.asked(self.worker_id) if self._executions else ():
                    execution = self.core.executions.get(uid)
                    if execution is not None and execution.dispatcher is self:
                        execution.heed(control)
            except StoreError:
                await asyncio.sleep(POLL_SECONDS)
            except Exception:
                log.exception("looking for what is asked of runs failed and begins again")
                await asyncio.sleep(POLL_SECONDS)
            # Looking must stay a small part of the time.
            await asyncio.sleep(max(ASKED_SECONDS, 4 * (time.monotonic() - began)))

    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Let something go on beside, until the dispatcher stops."""
        self.keep(asyncio.create_task(coroutine))

    def keep(self, task: asyncio.Task[Any]) -> None:
        """Let a task go on until the dispatcher stops."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _free(self) -> int:
        return self._concurrency - self._using - len(self._returning)

    async def _claim_forever(self) -> None:
        while True:
            due = self._next_due is not None and self._next_due <= self.core.now_us()
            if not (self._more and self._free() > 0) and not due:
                await self._sleep_until_woken()
            if self._stopping:
                return
            try:
                await self._heed_flow()
                await self._promote()
                if self._free() > 0 and self._may_claim():
                    await self._claim(min(self._free(), CLAIM_AT_MOST))
                elif self._free() > 0:
                    await asyncio.sleep(0.05)
            except StoreError as error:
                log.error("claiming failed, trying again: %s", error)
                await asyncio.sleep(POLL_SECONDS)
            except Exception:
                log.exception("claiming failed and begins again")
                await asyncio.sleep(POLL_SECONDS)

    async def _sleep_until_woken(self) -> None:
        pause = POLL_SECONDS * (0.75 + random.random() / 2)
        if self._next_due is not None:
            pause = min(pause, max(0.0, (self._next_due - self.core.now_us()) / 1e6))
        pause = min(pause, max(0.0, self._flow_due - time.monotonic()))
        self._wake.clear()
        if self._stopping:
            return
        try:
            async with asyncio.timeout(pause):
                await self._wake.wait()
        except TimeoutError:
            self._more = True
            self._next_due = 0  # another process may have parked something that is due before what we know of

    async def _promote(self) -> None:
        began = time.monotonic()
        due = self._next_due is not None and self._next_due <= self.core.now_us()
        if not due and began - self._promoted_at < POLL_SECONDS:
            return
        self._promoted_at = began
        promoted: Promoted = await self.core.committer.submit("promotes", Promote(PROMOTE_AT_MOST))
        self._next_due = promoted.next_at
        self._more = self._more or promoted.moved > 0

    async def _claim(self, limit: int) -> None:
        self._more = False
        self._claimed_any = True
        term = self._term
        serving = self._serving
        claim = Claim(self.worker_id, uuid.uuid4().bytes, limit, serving.claimed, self._caps(), serving.weights)
        claimed = await self.core.committer.submit("claims", claim)
        if term != self._term:
            return  # claimed under a lease that is gone: others take these runs
        if claimed == LOST:
            self._on_lost()
            return
        self._more = self._more or len(claimed) == limit
        known: list[ClaimedRun] = []
        large: list[ClaimedRun] = []
        for run in claimed:
            self._using += 1
            if not run.fresh:
                known.append(run)
            elif is_special(run.input):
                large.append(run)
            else:
                self._begin(run, Recorded())
        if known:
            self.spawn(self._resume(known, term))
        if large:
            self.spawn(self._begin_large(large, term))

    async def _resume(self, runs: list[ClaimedRun], term: int) -> None:
        alone = [run for run in runs if run.rescues >= RESCUES_ISOLATED]
        for run in alone:
            self._isolate(run, term)
        runs = [run for run in runs if run.rescues < RESCUES_ISOLATED]
        if runs:
            await self._begin_known(runs, term)

    async def _begin_large(self, runs: list[ClaimedRun], term: int) -> None:
        """Begin runs that were never executed, and whose inputs are kept apart."""
        try:
            runs = await self._with_inputs(runs)
        except Exception as error:
            self._cannot_begin(runs, error)
            return
        for run in runs:
            if term == self._term:
                self._begin(run, Recorded())
            else:
                self._free_slot()

    def _cannot_begin(self, runs: list[ClaimedRun], error: Exception) -> None:
        log.error("%d runs cannot be begun here, trying again: %r", len(runs), error)
        for run in runs:
            self._free_slot()
            self.doubt(run, self.core.now_us())

    async def _with_inputs(self, runs: list[ClaimedRun]) -> list[ClaimedRun]:
        """Runs with the bytes of inputs that are kept apart, of all of them in one read."""
        while any(is_special(run.input) for run in runs):
            try:
                return await self.core.sealed.fetched(runs, "input")
            except StoreError as error:
                log.warning("large inputs cannot be read, trying again: %s", error)
                await asyncio.sleep(POLL_SECONDS)
        return runs

    async def _begin_known(self, runs: list[ClaimedRun], term: int) -> None:
        """Begin runs that have a journal, unless the lease that they were claimed under is gone meanwhile."""
        try:
            rows, attempts = await self._journals(runs)
            runs = await self._with_inputs(runs)
            journals = by_run(runs, rows, attempts)
        except Exception as error:
            self._cannot_begin(runs, error)
            return
        for run in runs:
            if term == self._term:
                self._begin(run, journals[run.uid])
            else:
                self._free_slot()

    async def _journals(self, runs: list[ClaimedRun]) -> tuple[list[JournalRow], list[AttemptRow]]:
        while True:
            try:
                rows, attempts = await self.core.store.load_journals([run.uid for run in runs])
                return await with_values(self.core, rows), attempts
            except StoreError as error:
                log.warning("journals cannot be read, trying again: %s", error)
                await asyncio.sleep(POLL_SECONDS)

    def _begin(self, run: ClaimedRun, recorded: Recorded) -> Execution:
        workflow = self._serving.workflows[run.workflow, run.version]
        execution = self.executes(self, run, workflow, recorded)
        self._executions.add(execution)
        self.core.executions[run.uid] = execution
        execution.leave_after = LEAVE_NOW if self._stopping else None
        try:
            execution.begin()
        except Exception:
            log.exception("run %s cannot be begun here, trying again", run.id)
            self.ended(execution)
        return execution

    def _isolate(self, run: ClaimedRun, term: int) -> None:
        log.warning("run %s lost its last %d workers; it executes alone in a child process", run.id, run.rescues)
        workflow = self._serving.workflows[run.workflow, run.version]

        async def watch() -> None:
            try:
                if not await self._isolation.execute(run, workflow):
                    self._using += 1
                    await self._begin_known([run], term)
            except Exception:
                log.exception("run %s cannot be executed in a child process, giving it back", run.id)
                self.hand_over(run, self.core.now_us())
            finally:
                self._free_slot()
                self.wake()

        self.spawn(watch())

    async def execute_one(self, run: ClaimedRun, recorded: Recorded) -> None:
        """Execute one run that somebody else claimed, to its next checkpoint or its end; then it is given back."""
        self._using += 1
        execution = self._begin(run, recorded)
        execution.leave_after = execution.seq
        while self._executions:  # noqa: ASYNC110 - a child process has nothing better to do
            await asyncio.sleep(0.01)
        if not execution.let_go:
            self.hand_over(run, execution.started_at)  # should it be ours still, see `doubt`
        self._stopping = True
        self.threads.close()

    # Slots

    def ended(self, execution: Execution) -> None:
        """A run left this process, finished or not."""
        self._executions.discard(execution)
        if self.core.executions.get(execution.run.uid) is execution:
            del self.core.executions[execution.run.uid]
            self.core.look_for(execution.run.uid)
        self.give_up_slot(execution)
        if not execution.let_go:
            self.doubt(execution.run, execution.started_at)

    def give_up_slot(self, execution: Execution) -> None:
        """The run executes no more, or only waits."""
        if not execution.has_slot:
            return
        execution.has_slot = False
        self._free_slot()
        if self.is_capped(execution.run.queue):
            self.core.announce("ready")  # others may have waited for this

    def take_slot(self, execution: Execution) -> None:
        """The run goes on at once, whatever others do: it is cut off where it waited."""
        if not execution.has_slot and not execution.dead:
            execution.has_slot = True
            self._using += 1

    def _free_slot(self) -> None:
        self._using -= 1
        while self._returning and self._using < self._concurrency:
            self._give_slot(self._returning.popleft())
        if self._more:
            self._wake.set()

    def regain_slot(self, execution: Execution) -> None:
        """What the run waited for is there: hand it over when the run has a slot."""
        if execution.has_slot:
            execution.waits.deliver()
        elif execution in self._returning:
            return
        elif self._using < self._concurrency:
            self._give_slot(execution)
        else:
            self._returning.append(execution)

    def _give_slot(self, execution: Execution) -> None:
        if execution.dead:
            return
        self.take_slot(execution)  # it may have one since it was cut off where it waited
        execution.waits.deliver()

    # Stopping

    def evict_all(self) -> None:
        """The worker's lease is gone: drop every run, and write nothing of them."""
        self._term += 1
        for execution in list(self._executions):
            if execution.spans is not None:
                execution.spans.left("lost")
            execution.let_go = True
            execution.evict()
        self._isolation.kill()

    async def drain(self, seconds: float, thread_seconds: float) -> bool:
        """Claim nothing new, let each run end its step, and hand it to others before its next one.

        Args:
            seconds: how long steps may go on; then the rest is cut off and handed over too.
            thread_seconds: how much longer plain steps may, which cannot be cut off; their runs are
                handed over as they end.

        Returns:
            Whether everything was handed over. If not, a thread is still busy with a run of ours.
        """
        self.core.forsake(self)
        self._stopping = True
        for execution in self._executions:
            execution.leave_after = LEAVE_NOW
        self._wake.set()
        if self._claiming is not None:
            # A claim that is under way is seen to its end, so that its runs can be handed over.
            await asyncio.wait((self._claiming,), timeout=seconds + CLAIM_SECONDS)
            self._claiming.cancel()
            await asyncio.gather(self._claiming, return_exceptions=True)
        deadline = asyncio.get_running_loop().time() + seconds
        while (self._using or self._tasks) and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110 - bounded
            await asyncio.sleep(0.01)
        busy = self._release()
        deadline = asyncio.get_running_loop().time() + thread_seconds
        while busy and asyncio.get_running_loop().time() < deadline:
            for execution in [one for one in busy if not self.threads.busy_for(one.run.uid)]:
                busy.remove(execution)
                self.hand_over(execution.run, execution.started_at)
            await asyncio.sleep(0.01)
        left_over = [*self._tasks, *([self._hearing] if self._hearing is not None else [])]
        for task in left_over:
            task.cancel()
        await asyncio.gather(*left_over, return_exceptions=True)
        await self._isolation.ended()
        self.threads.close()
        return not busy

    def _release(self) -> list[Execution]:
        """Hand over what is left, but for runs whose plain steps go on in threads: these are returned."""
        left = list(self._executions)
        busy = [execution for execution in left if self.threads.busy_for(execution.run.uid)]
        for execution in busy:
            execution.let_go = True
            execution.evict()
        for execution in left:
            execution.leave()
        self._isolation.close()
        for run in self._isolation.suspects:
            self.hand_over(run, self.core.now_us())
        if left:
            log.info("%d runs are released for other workers", len(left) - len(busy))
        if busy:
            log.warning("%d runs stay until their plain steps end, which cannot be stopped", len(busy))
        return busy

    def hand_over(self, run: ClaimedRun, started_at: int) -> None:
        """Give a run back, for any worker to claim at once."""

        def given(future: asyncio.Future[Any]) -> None:
            if not future.cancelled() and future.exception() is not None and not self.core.closing:
                log.error("run %s cannot be given back, trying again: %s", run.id, future.exception())
                asyncio.get_running_loop().call_later(POLL_SECONDS, self.hand_over, run, started_at)

        self._give(run, started_at).add_done_callback(given)

    def doubt(self, run: ClaimedRun, started_at: int) -> None:
        """A run was dropped here, since it seems to be another worker's: should it be ours still, it is given back.

        Nobody else would: while this worker lives its runs are not rescued. A little later, so that a run that is
        dropped again and again keeps nobody busy; a store gives back only what is really ours.
        """

        def given(future: asyncio.Future[Any]) -> None:
            if future.cancelled() or self.core.closing:
                return
            if future.exception() is not None:
                self.doubt(run, started_at)
            elif future.result() is None:
                log.error("run %s was dropped here though no other worker had it; it is given back", run.id)

        def look() -> None:
            if self._stopping or self.core.closing:
                return  # the worker signs off, and its runs are rescued
            if self.threads.busy_for(run.uid):
                self.doubt(run, started_at)
            else:
                self._give(run, started_at).add_done_callback(given)

        asyncio.get_running_loop().call_later(POLL_SECONDS, look)

    def _give(self, run: ClaimedRun, started_at: int) -> asyncio.Future[Any]:
        park = Park(
            run.uid, run.epoch, run.queue, run.workflow, run.version, run.protocol, run.rank, started_at, 0, (), 0
        )
        return self.core.committer.submit("parks", park)
