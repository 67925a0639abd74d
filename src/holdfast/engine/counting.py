"""Counts of what a process commits, for whoever exports metrics; nothing is counted until somebody does.

What a step adds is one number to a list, from which histograms are made now and then, many at once; all else is
counted from whole batches after their commit. A histogram has a bucket for each power of two of microseconds, so
that a time's bucket is its bit length.
"""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from holdfast.model.run import AGEING_US
from holdfast.model.shares import queue_of
from holdfast.store.operations import KINDS

if TYPE_CHECKING:
    from holdfast.engine.core import Core
    from holdfast.store.operations import Batch, ClaimedRun, Results

_BITS = 64
_SUM, OKS, RETRIES, FAILURES = range(_BITS, _BITS + 4)
_SLOTS = _BITS + 4

FIRST_BIT, LAST_BIT = 9, 36
"""Times are shown in buckets from 2^9 microseconds (0.5 ms) to 2^36 (19 hours)."""

FOLD_AT = 20_000
"""So many times of attempts are kept before they are put into histograms."""

Numbers = list[int]
"""A histogram: how many by bit length; then the sum; for steps also attempts that did well, retries and failures."""


def new_numbers() -> Numbers:
    """An empty histogram."""
    return [0] * _SLOTS


class Histogram(NamedTuple):
    """A histogram as it is shown.

    Attributes:
        bounds: the upper bounds of its buckets but for the last, which has none.
        counts: how many in each bucket, one more than the bounds.
        sum: of all values.
    """

    bounds: tuple[float, ...]
    counts: list[int]
    sum: float

    @property
    def total(self) -> int:
        """How many values."""
        return sum(self.counts)


class Family(NamedTuple):
    """A metric with its values.

    Attributes:
        name: with dots, after the conventions of OpenTelemetry.
        unit: s for seconds, or what is counted, in braces.
        labels: the names of its labels.
        points: for each set of labels its value.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    unit: str
    help: str
    labels: tuple[str, ...]
    points: list[tuple[tuple[str, ...], float | Histogram]]


class QueueDepth(NamedTuple):
    """A queue when it was looked at last.

    Attributes:
        ready: runs that could begin, counted up to a thousand.
        executing: runs that execute, over all workers, counted up to a thousand.
        oldest_at: since when the first of the ready ones is due, in microseconds since 1970.
    """

    ready: int
    executing: int
    oldest_at: int | None


class Counts:
    """What is counted in one process.

    Written on the event loops, and read by any thread: a reader sees each number as it was at some moment.

    Attributes:
        times: by workflow and step, how long attempts took that did well, in microseconds; executions append to them.
        queues: set by whoever looks at them now and then.
        looked_at: when that was last, in microseconds since 1970.
    """

    def __init__(self) -> None:
        self.times: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
        self.steps: dict[str, dict[str, Numbers]] = defaultdict(lambda: defaultdict(new_numbers))
        self.waits: dict[str, Numbers] = defaultdict(new_numbers)
        self.runs: dict[tuple[str, str], Numbers] = defaultdict(new_numbers)
        self.started: dict[str, int] = defaultdict(int)
        self.chunks: dict[str, int] = defaultdict(int)
        self.commits = new_numbers()
        self.batches = new_numbers()
        self.leases_lost = 0
        self.runs_lost = 0
        self.rescued = 0
        self.crashing = 0
        self.queues: dict[str, QueueDepth] = {}
        self.looked_at = 0
        self._folding = threading.Lock()
        self._unfolded = 0

    def committed(self, core: Core, batch: Batch, results: Results, seconds: float) -> None:
        """Count what was committed as one batch, in so many seconds."""
        put(self.batches, sum(len(getattr(batch, kind)) for kind in KINDS))
        put(self.commits, int(seconds * 1e6))
        self._unfolded += len(batch.checkpoints)
        if self._unfolded > FOLD_AT:
            self.fold()
        if batch.starts:
            for start, begun in zip(batch.starts, results.starts, strict=True):
                if not isinstance(begun, str) and begun.created:
                    self.started[start.workflow] += 1
        if batch.chunks:
            for chunk, refusal in zip_longest(batch.chunks, results.chunks):
                if refusal is None and (execution := core.executions.get(chunk.run)) is not None:
                    self.chunks[execution.run.workflow] += 1
        if batch.settles:
            self._settles(core, batch, results)
        for claimed in results.claims:
            if not isinstance(claimed, str) and claimed:
                self._claims(core, claimed)

    def failed(self, workflow: str, step: str, took_us: int, *, for_good: bool) -> None:
        """Count an attempt that failed, for good or to be followed by another."""
        with self._folding:
            numbers = self.steps[workflow][step]
            put(numbers, took_us)
            numbers[FAILURES if for_good else RETRIES] += 1

    def fold(self) -> None:
        """Put the times of attempts that were appended to ``times`` into their histograms."""
        with self._folding:
            self._unfolded = 0
            for workflow, of_workflow in list(self.times.items()):
                for step, times in list(of_workflow.items()):
                    taken = times[:]
                    # What is appended meanwhile, in another thread, stays.
                    del times[: len(taken)]
                    if not taken:
                        continue
                    if min(taken) < 0:  # the clock was set back
                        taken = [max(0, one) for one in taken]
                    numbers = self.steps[workflow][step]
                    numbers[OKS] += len(taken)
                    numbers[_SUM] += sum(taken)
                    for bits, count in Counter(map(int.bit_length, taken)).items():
                        numbers[bits] += count

    def _settles(self, core: Core, batch: Batch, results: Results) -> None:
        for settle, refusal in zip(batch.settles, results.settles, strict=True):
            execution = core.executions.get(settle.run)
            if refusal is None and execution is not None and settle.status != "held":
                numbers = self.runs[execution.run.workflow, settle.status]
                put(numbers, settle.finished_at - due_us(execution.run))

    def _claims(self, core: Core, claimed: list[ClaimedRun]) -> None:
        now = core.now_us()
        for run in claimed:
            if run.fresh:
                put(self.waits[queue_of(run.queue)], now - due_us(run))

    def families(self, *, queues: bool = True) -> Iterator[Family]:
        """Everything that was counted, as metrics; ``queues``: with how deep they are."""
        self.fold()
        if queues:
            yield from self._queue_families()
        yield from self._run_families()
        yield from self._step_families()
        for name, help, value in (
            ("holdfast.lease.losses", "Leases that a worker of this process lost", self.leases_lost),
            ("holdfast.run.losses", "Runs that were taken over by others while they executed here", self.runs_lost),
            ("holdfast.run.rescues", "Runs that this process took back from lost workers", self.rescued),
            ("holdfast.run.crashes", "Runs held by this process since they lost too many workers", self.crashing),
        ):
            yield Family(name, "counter", f"{{{name.split('.')[1]}}}", help, (), [((), value)])
        yield Family(
            "holdfast.commit.duration", "histogram", "s", "How long a commit took", (), [((), shown(self.commits))]
        )
        yield Family(
            "holdfast.commit.size", "histogram", "{operation}", "How many operations a commit had", (),
            [((), shown(self.batches, 1, 16, 1.0))],
        )  # fmt: skip
        for families in _others:
            yield from families()

    def _queue_families(self) -> Iterator[Family]:
        queues, looked = dict(self.queues), self.looked_at
        of_queue = ("queue",)

        def family(name: str, unit: str, help: str, value: Any) -> Family:
            return Family(name, "gauge", unit, help, of_queue, [((key,), value(one)) for key, one in queues.items()])

        yield family(
            "holdfast.queue.ready", "{run}", "Runs that are ready and wait for a worker, counted up to 1000",
            lambda one: one.ready,
        )  # fmt: skip
        yield family(
            "holdfast.queue.executing", "{run}", "Runs that execute, over all workers, counted up to 1000",
            lambda one: one.executing,
        )  # fmt: skip
        yield family(
            "holdfast.queue.oldest", "s", "For how long the first of the ready runs has waited",
            lambda one: 0.0 if one.oldest_at is None else max(0.0, (looked - one.oldest_at) / 1e6),
        )  # fmt: skip

    def _run_families(self) -> Iterator[Family]:
        yield Family(
            "holdfast.queue.wait", "histogram", "s", "From when a run was due to when a worker claimed it first",
            ("queue",), [((queue,), shown(numbers)) for queue, numbers in list(self.waits.items())],
        )  # fmt: skip
        runs, kinds = list(self.runs.items()), ("workflow", "status")
        yield Family(
            "holdfast.run.started", "counter", "{run}", "Runs that were started from this process", ("workflow",),
            [((workflow,), count) for workflow, count in list(self.started.items())],
        )  # fmt: skip
        yield Family(
            "holdfast.stream.chunks", "counter", "{chunk}", "Chunks written to streams of runs", ("workflow",),
            [((workflow,), count) for workflow, count in list(self.chunks.items())],
        )  # fmt: skip
        yield Family(
            "holdfast.run.duration", "histogram", "s", "From when a run was due to its end, waits included", kinds,
            [(key, shown(numbers)) for key, numbers in runs],
        )  # fmt: skip
        yield Family(
            "holdfast.run.failures", "counter", "{run}", "Runs that failed", ("workflow",),
            [((key[0],), sum(numbers[:_BITS])) for key, numbers in runs if key[1] == "failed"],
        )  # fmt: skip
        from holdfast.engine.core import Core

        busy = sum(len(core.executions) for core in set(Core._shared.values()))
        yield Family("holdfast.run.executing", "gauge", "{run}", "Runs in this process's memory", (), [((), busy)])

    def _step_families(self) -> Iterator[Family]:
        steps = [
            ((workflow, step), list(numbers))
            for workflow, of_workflow in list(self.steps.items())
            for step, numbers in list(of_workflow.items())
        ]
        labels = ("workflow", "step")
        yield Family(
            "holdfast.step.duration", "histogram", "s", "How long an attempt of a step took", labels,
            [(key, shown(numbers)) for key, numbers in steps],
        )  # fmt: skip
        outcomes: list[tuple[tuple[str, ...], float | Histogram]] = []
        for key, numbers in steps:
            outcomes += [((*key, "ok"), numbers[OKS]), ((*key, "error"), numbers[RETRIES] + numbers[FAILURES])]
        yield Family(
            "holdfast.step.attempts", "counter", "{attempt}", "Attempts of steps that ended", (*labels, "outcome"),
            outcomes,
        )  # fmt: skip
        yield Family(
            "holdfast.step.retries", "counter", "{attempt}", "Attempts that failed and are followed by another",
            labels, [(key, numbers[RETRIES]) for key, numbers in steps],
        )  # fmt: skip
        yield Family(
            "holdfast.step.failures", "counter", "{step}", "Steps that failed for good", labels,
            [(key, numbers[FAILURES]) for key, numbers in steps],
        )  # fmt: skip


on: Counts | None = None
"""What counts in this process; None while nobody wants to know."""


_others: list[Callable[[], Iterator[Family]]] = []


def also(families: Callable[[], Iterator[Family]]) -> None:
    """Show what a room above the engine counts too."""
    _others.append(families)


def begin() -> Counts:
    """Count from now on."""
    global on
    if on is None:
        on = Counts()
    return on


def shown(numbers: Numbers, first: int = FIRST_BIT, last: int = LAST_BIT, scale: float = 1e6) -> Histogram:
    """A histogram with bounds in seconds, or in ones: a power of two is the bound of what is below it, or equal.

    Whole numbers of a bit length n are below 2^n. What is below the first bound is counted with it.
    """
    counts = [sum(numbers[: first + 1]), *numbers[first + 1 : last + 1], sum(numbers[last + 1 : _BITS])]
    less = 0 if scale > 1 else 1
    bounds = tuple(((1 << bit) - less) / scale for bit in range(first, last + 1))
    return Histogram(bounds, counts, numbers[_SUM] / scale)


def due_us(run: ClaimedRun) -> int:
    """When a run could begin: its rank says it (see `holdfast.model.run.rank`)."""
    return max(run.rank + run.priority * AGEING_US, run.created_at)


def put(numbers: Numbers, value: int) -> None:
    """Count a value, in microseconds or in ones."""
    if value > 0:
        numbers[value.bit_length()] += 1
        numbers[_SUM] += value
    else:
        numbers[0] += 1
