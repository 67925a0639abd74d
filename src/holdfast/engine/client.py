"""`hf.connect`: starts runs, waits for them, and looks at them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Generic, Literal, NamedTuple, ParamSpec, TypeVar, overload

from holdfast.engine.alerts import Alerts
from holdfast.engine.artifacts import Artifacts
from holdfast.engine.auditing import Auditing
from holdfast.engine.bulk import (
    BULK,
    BULK_QUEUE,
    BULK_VERSION,
    EXAMPLES,
    BulkAction,
    BulkPreview,
    BulkResult,
    bulk_order,
)
from holdfast.engine.children import ended_badly
from holdfast.engine.core import Core
from holdfast.engine.diversion_views import Diverted, diverted
from holdfast.engine.diversions import Diversions
from holdfast.engine.explaining import Explaining
from holdfast.engine.exporting import Exporting
from holdfast.engine.finding import Finding
from holdfast.engine.fleet import Fleet
from holdfast.engine.intakes import Intakes
from holdfast.engine.keeping import Keeping
from holdfast.engine.levers import Levers
from holdfast.engine.mending import Mending
from holdfast.engine.outboxes import Outboxes
from holdfast.engine.overview import Overviews
from holdfast.engine.part import check_whole
from holdfast.engine.people import People
from holdfast.engine.phasing import Phasing
from holdfast.engine.publish_modes import PublishModes
from holdfast.engine.queues import QueueLevers
from holdfast.engine.scheduling import Schedules
from holdfast.engine.shadowing import Shadowing
from holdfast.engine.spending import Spending
from holdfast.engine.starting import start_row, under_caller
from holdfast.engine.step import Step
from holdfast.engine.stream_reading import StreamReading
from holdfast.engine.tracing import caller
from holdfast.engine.views import journal_view, run_view
from holdfast.engine.workflow import Configured, StartOptions, Workflow, start_options
from holdfast.engine.workspaces import Workspaces
from holdfast.errors import PayloadError, RunExists, StartDropped, UsageError
from holdfast.model.duration import Duration, seconds
from holdfast.model.generations import decode_cuts
from holdfast.model.ids import check_id
from holdfast.model.payload import Codec, codec_of
from holdfast.model.run import JournalEntry, RunView, Status, instant
from holdfast.model.schema import input_from, terms_of
from holdfast.model.sealed import is_unopened, refuse
from holdfast.model.shares import queue_of
from holdfast.model.signature import Signature
from holdfast.model.streams import StreamChunk
from holdfast.model.terms import Terms
from holdfast.store.base import Store
from holdfast.store.operations import Start, Started, Way
from holdfast.store.rows import RunOutcome

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

History = list[JournalEntry]
"""A run's journal, in order of position."""

Handles = list["RunHandle[R]"]
"""Handles of runs, in the order in which they were started."""

CHILDREN_AT_MOST = 1000

START_AT_ONCE = 1000
"""So many starts of a ``start_many`` share a transaction."""


class RunHandle(Generic[R]):
    """A run that was started.

    Attributes:
        id: unique within the tenant. Of a start that was merged, that of the run it went into; of one that was dropped
            because a run is open, that of the open run.
        created: whether this start made it; False when the id existed, and when the start was merged or dropped.
        way: what became of the start: ``started``, ``delayed``, ``merged`` or ``dropped``.
        reason: why, in words, unless it is ``started``.
        diversion: the id under which it is recorded that it was delayed, merged or dropped; None for the others.
    """

    def __init__(
        self,
        client: Client,
        workflow: Workflow[Any, R] | None,
        id: str,
        uid: bytes,
        created: bool,
        diverted: Diverted | None = None,
    ) -> None:
        self._client = client
        self._codec: Codec | None = None
        self._workflow = workflow
        self._uid = uid
        self.id = id
        self.created = created
        self._diverted = diverted
        self.way: Way = "started" if diverted is None else diverted.way
        self.reason = "" if diverted is None else diverted.reason
        self.diversion = None if diverted is None else diverted.diversion

    async def result(self, timeout: Duration | None = None) -> R:
        """Wait for the run to end.

        Args:
            timeout: for at most so long; for ever unless given.

        Returns:
            What the workflow returned; plain JSON when the workflow is known by name only. Of a start that was merged,
            what the run returned that it went into.

        Raises:
            StartDropped: the start was dropped, so that it has no run.
            RunFailed: the run failed; its error is the cause.
            RunCancelled: the run was cancelled.
            TimeoutError: it has not ended yet; it goes on.
        """
        limit = None if timeout is None else seconds(timeout, what="timeout")
        if self._diverted is not None and self.way == "dropped":
            raise _dropped(self._diverted)
        try:
            outcome = await self._client._outcome(self.id, self._uid, limit)
        except TimeoutError:
            raise TimeoutError(f"run {self.id!r} has not ended after {limit:g} s; it goes on") from None
        if outcome.status != Status.SUCCEEDED:
            raise ended_badly(self.id, outcome.status, outcome.output)
        codec = self._codec or (self._workflow.signature.result if self._workflow is not None else codec_of(Any))
        result: R = codec.decode(outcome.output, f"the result of run {self.id!r}")
        return result

    def stream(self, name: str, *, after: int = -1, follow: bool = True) -> AsyncGenerator[StreamChunk, None]:
        """Read a stream of the run: see `Client.read_stream`."""
        return self._client.read_stream(self.id, name, after=after, follow=follow)

    async def view(self) -> RunView:
        """The run as it is now."""
        return await self._client.get(self.id)

    def __repr__(self) -> str:
        return f"<run {self.id}>"


Call = tuple[bytes, tuple[Any, ...] | None, dict[str, Any]]
"""A stored input and the arguments that it was made from; None when they are not known."""


class Known(NamedTuple):
    """What is known of a workflow: its name, version and terms."""

    name: str
    version: str
    terms: Terms


class Client(
    Finding, Explaining, QueueLevers, Levers, Mending, Schedules, Keeping, People, Auditing, Overviews, Fleet, Spending,
    Artifacts, Phasing, Outboxes, PublishModes, Alerts, Intakes, Shadowing, Diversions, Exporting, StreamReading,
):  # fmt: skip
    """A connection to a database of runs, for one tenant. Made by `connect`.

    Args:
        core: the database, as this process uses it.
        tenant: whose runs.
        reads: where everything is read; the database's own store unless given.
        actor: who is recorded with each change; without one, changes are not recorded.
        workspaces: folders below which artifacts' files may be read; none unless given.
    """

    def __init__(
        self,
        core: Core,
        tenant: str,
        *,
        reads: Store | None = None,
        actor: str | None = None,
        workspaces: Workspaces | None = None,
    ) -> None:
        self.core = core
        self.tenant = tenant
        self.actor = None if actor is None else check_id(actor, "the actor")
        self._reads = reads
        if workspaces is not None:
            self.workspaces = workspaces

    async def close(self) -> None:
        """Leave the database."""
        await self.core.close()

    # Starting

    async def start(
        self, workflow: Workflow[P, R] | Configured[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> RunHandle[R]:
        """Start a run.

        Args:
            workflow: the workflow, or ``workflow.options(id=…, priority=…, delay=…)``.
            args: its arguments.
            kwargs: its arguments by name.

        Returns:
            A handle. If a run of this id, workflow and input exists, a handle to that one. Where a rule of the workflow
            merged or dropped the start, its ``way`` says so.

        Raises:
            UsageError: missing or unexpected arguments.
            PayloadError: an argument that cannot be stored exactly.
            RunExists: the id is taken by another workflow or with another input.
            StoreUnavailable: the database cannot be reached.
        """
        configured = workflow if isinstance(workflow, Configured) else Configured(_checked(workflow), StartOptions())
        target = configured.workflow
        call = target.signature.encode_input(args, kwargs, self.core.most_bytes), args, kwargs
        [handle] = await self._start(target, _known(target), [configured.options], [call])
        return handle

    async def start_many(
        self,
        workflow: Workflow[P, R] | Configured[P, R],
        inputs: Iterable[Sequence[Any] | Mapping[str, Any]],
        *,
        ids: Iterable[str] | None = None,
    ) -> Handles[R]:
        """Start many runs of one workflow, a thousand to a transaction.

        Args:
            workflow: the workflow, or with options, which then hold for each.
            inputs: for each run its arguments: a tuple or list in order, or a mapping by name.
            ids: for each run its id; made up unless given.

        Returns:
            Handles, in the order of the inputs.

        Raises:
            As `start`; a run is stored only if every input is sound.
        """
        configured = workflow if isinstance(workflow, Configured) else Configured(_checked(workflow), StartOptions())
        target, options = configured.workflow, configured.options
        calls = [_encode(target.signature, arguments, self.core.most_bytes) for arguments in inputs]
        if options.id is not None:
            raise UsageError("start_many starts many runs: give ids=…, one for each, instead of options(id=…)")
        each = [options] * len(calls)
        if ids is not None:
            named = [check_id(one, "the id of a run") for one in ids]
            if len(named) != len(calls):
                raise UsageError(f"start_many was given {len(calls)} inputs and {len(named)} ids")
            each = [replace(options, id=one) for one in named]
        handles: list[RunHandle[R]] = []
        for first in range(0, len(calls), START_AT_ONCE):
            part = slice(first, first + START_AT_ONCE)
            handles += await self._start(target, _known(target), each[part], calls[part])
        return handles

    async def start_named(
        self, name: str, value: Mapping[str, Any], *, version: str | None = None, **options: Any
    ) -> RunHandle[Any]:
        """Start a run of a workflow whose code is elsewhere, by its name.

        Args:
            name: as a worker registered it.
            value: its arguments by name, plain JSON; checked against the workflow's JSON Schema.
            version: the highest registered unless given.
            options: as for ``workflow.options``.

        Raises:
            UnknownWorkflow: no worker has registered it.
            PayloadError: an argument does not fit.
        """
        row = await self._registered(name, version)
        given = input_from(name, row.input_schema, value, most=self.core.most_bytes)
        known = Known(name, row.version, terms_of(row.input_schema))
        handle: RunHandle[Any]
        [handle] = await self._start(None, known, [start_options(**options)], [(given, None, {})])
        return handle

    async def _start(
        self,
        workflow: Workflow[Any, R] | None,
        known: Known,
        options: Sequence[StartOptions],
        calls: Sequence[Call],
        *,
        terms: Sequence[Terms] | None = None,
        action: str = "run.start",
        detail: Mapping[str, Any] | None = None,
    ) -> list[RunHandle[R]]:
        """Start runs in one commit.

        Args:
            terms: of each, where they have keys of their own.
            action: what is recorded that the client's actor did.
            detail: with this; unless given, with what the runs were started with.
        """
        now = self.core.now_us()
        starts = [
            start_row(
                tenant=self.tenant,
                workflow=known.name,
                version=known.version,
                terms=known.terms if terms is None else terms[number],
                options=option,
                given=given,
                # A microsecond apart, so that they are served in the order in which they are given.
                now_us=now + number,
                args=args,
                kwargs=kwargs,
            )
            for number, (option, (given, args, kwargs)) in enumerate(zip(options, calls, strict=True))
        ]
        if caller() is not None:
            starts = [under_caller(start) for start in starts]
        made = True
        said: dict[str, Any] = {}
        if self.actor is not None:
            made = await self._any_new(starts, options)
            said = dict(detail) if detail is not None else _said(starts, options[0])
        target = starts[0].id if len(starts) == 1 else known.name
        stored = [await self._set_apart(start) for start in starts]
        results = await self._submitted(stored, action, target, said, made=made)
        return [self._handle(workflow, start, found) for start, found in zip(starts, results, strict=True)]

    async def _set_apart(self, start: Start) -> Start:
        """The start with its input where large ones are kept, unless others may be put together with it."""
        if len(start.input) <= self.core.ahead_over or start.gather is not None or start.rate is not None:
            return start
        return start._replace(input=await self.core.set_apart(start.input))

    async def _any_new(self, starts: Sequence[Start], options: Sequence[StartOptions]) -> bool:
        """Whether a start is to be recorded: one whose id exists, or went into a batch before, changes nothing."""
        ids = [option.id for option in options if option.id is not None]
        if len(ids) < len(options):
            return True
        known = {row.id for row in await self._patiently(self.reads.find_runs(self.tenant, ids))}
        for start in starts:
            if start.id not in known and not await self._was_put_in(start):
                return True
        return False

    def _handle(self, workflow: Workflow[Any, R] | None, start: Start, found: Started) -> RunHandle[R]:
        what_became = diverted(start, found)
        if what_became is not None and what_became.way != "delayed":
            return RunHandle(self, workflow, found.run_id or start.id, found.uid, False, what_became)
        if not found.created and not _same(workflow, start, found):
            what = f"of workflow {found.workflow!r}" if found.workflow != start.workflow else "with another input"
            raise RunExists(f"the id {start.id!r} is taken by a run {what}; choose another id", run_id=start.id)
        return RunHandle(self, workflow, start.id, found.uid, found.uid == start.uid, what_became)

    # Many at once

    @overload
    async def bulk(
        self,
        action: BulkAction,
        where: str,
        *,
        dry_run: Literal[False] = False,
        reason: str = "",
        by: str = "",
        from_step: str | Step[..., Any] | None = None,
        id: str | None = None,
    ) -> RunHandle[BulkResult]: ...
    @overload
    async def bulk(
        self,
        action: BulkAction,
        where: str,
        *,
        dry_run: bool,
        reason: str = "",
        by: str = "",
        from_step: str | Step[..., Any] | None = None,
        id: str | None = None,
    ) -> RunHandle[BulkResult] | BulkPreview: ...
    async def bulk(
        self,
        action: BulkAction,
        where: str,
        *,
        dry_run: bool = False,
        reason: str = "",
        by: str = "",
        from_step: str | Step[..., Any] | None = None,
        id: str | None = None,
    ) -> RunHandle[BulkResult] | BulkPreview:
        """Do something to every run that a search finds, as a job that survives crashes.

        The job is a run of its own, executed by any worker: it can be looked at and cancelled like one. It acts on
        runs that were created before it, 200 between two checkpoints. A run that refuses what is asked, as one that
        has ended cannot be cancelled, is left as it is and told in the result.

        Args:
            action: cancel, hold, release, retry or fork.
            where: which runs, in the search language.
            dry_run: start nothing; only say which runs there are.
            reason: shown to people; for cancel and hold.
            by: who asks; for cancel, hold and release.
            from_step: for fork: the step to begin with, as for `fork`.
            id: of the job, to start it once however often this is called; made up unless given.

        Returns:
            A handle, whose result is a `BulkResult`; for a dry run a `BulkPreview`.

        Raises:
            SearchError: the search cannot be read; the message shows the place.
            UsageError: no such action, or an argument that does not go with it.
            RunExists: the id is taken.
        """
        order = bulk_order(action, where, reason, by, from_step, self.core.now_us())
        if dry_run:
            found, examples = await self.count(where), await self.list(where=where, limit=EXAMPLES)
            return BulkPreview(found.runs, found.capped, [view.id for view in examples])
        known = Known(BULK, BULK_VERSION, Terms(queue=BULK_QUEUE))
        given = codec_of(dict[str, Any]).encode(order, "the input of a bulk job")
        job: RunHandle[BulkResult]
        [job] = await self._start(
            None, known, [start_options(id=id)], [(given, None, {})], action="runs.bulk", detail=order
        )
        job._codec = codec_of(BulkResult)
        return job

    async def _outcome(self, run_id: str, run: bytes, limit: float | None) -> RunOutcome:
        async with asyncio.timeout(limit):
            outcome = await self.core.wait_result(run)
        return (await self._with_values([outcome], "output"))[0]

    # Looking

    async def get(self, run_id: str) -> RunView:
        """A run as it is now.

        Raises:
            RunNotFound: the tenant has no run of this id.
        """
        return run_view((await self._with_values([await self._find(run_id)], "input", "output"))[0])

    async def handle(self, run_id: str, workflow: Workflow[Any, R] | None = None) -> RunHandle[R]:
        """A handle to a run that exists, to wait for its result.

        Raises:
            RunNotFound: the tenant has no run of this id.
        """
        row = await self._find(run_id)
        return RunHandle(self, workflow, row.id, row.uid, created=False)

    async def history(self, run_id: str) -> History:
        """A run's journal: steps with attempts, times, inputs, outputs and errors, in order of position.

        Raises:
            RunNotFound: the tenant has no run of this id.
        """
        row = await self._find(run_id)
        rows, attempts = await self._patiently(self.reads.load_journals([row.uid]))
        return journal_view(rows, attempts, decode_cuts(row.cuts))

    async def children(self, run_id: str, *, limit: int = 50, after: str | None = None) -> list[RunView]:
        """A run's child runs, in the order in which its code calls them.

        Args:
            run_id: the parent.
            limit: at most so many, 1 to 1,000.
            after: only those behind this one, the id of the last of the page before.

        Raises:
            RunNotFound: the tenant has no run of this id, or none of the id ``after``.
            UsageError: a limit out of range, or ``after`` is no child of it.
        """
        check_whole(limit, "limit", CHILDREN_AT_MOST)
        row = await self._find(run_id)
        behind: bytes | None = None
        if after is not None:
            last = await self._find(after)
            if last.parent_id != row.id or last.parent_position is None:
                raise UsageError(f"run {after!r} is no child of run {run_id!r}")
            behind = last.parent_position
        found = await self._patiently(self.reads.children(row.uid, open_only=False, limit=limit, after=behind))
        rows = await self._patiently(self.reads.find_runs(self.tenant, [child.id for child in found])) if found else []
        views = {one.id: run_view(one) for one in rows}
        return [views[child.id] for child in found if child.id in views]


def _same(workflow: Workflow[Any, Any] | None, start: Start, found: Started) -> bool:
    """Whether a run that exists is of the same workflow and input: sets, for one, have no order in their bytes."""
    if found.workflow != start.workflow or found.input == start.input:
        return found.workflow == start.workflow
    if is_unopened(found.input):
        refuse(found.input, f"the input of run {start.id!r}, which exists")
    if workflow is None:
        return False
    decode = workflow.signature.decode_input
    try:
        return decode(found.input) == decode(start.input)
    except PayloadError:
        return False


def _dropped(diverted: Diverted) -> StartDropped:
    id = diverted.run_id
    wait = f"; await client.handle({id!r}), or `holdfast runs show {id}`, gives the open run" if id else ""
    return StartDropped(
        f"the start was dropped, so that it has no result: {diverted.reason}{wait}", run_id=diverted.run_id,
        reason=diverted.reason, rule=diverted.rule or "", key=diverted.key, diversion=diverted.diversion,
    )  # fmt: skip


def _checked(workflow: Any) -> Workflow[Any, Any]:
    if isinstance(workflow, Workflow):
        return workflow
    raise UsageError(
        f"start was given {workflow!r}; give a function decorated with @hf.workflow. "
        "For a workflow whose code is elsewhere use client.start_named(name, {…})"
    )


def _said(starts: Sequence[Start], options: StartOptions) -> dict[str, Any]:
    """What is recorded of the start of runs of one workflow: how, and not with what input."""
    first = starts[0]
    said = {
        "workflow": first.workflow,
        "version": first.version,
        "queue": queue_of(first.queue),
        "priority": first.priority or None,
        "due_at": None if first.due_at is None else instant(first.due_at).isoformat(),
        "timeout_seconds": options.timeout_seconds,
    }
    if len(starts) > 1:
        said |= {"runs": len(starts), "first_run": first.id, "last_run": starts[-1].id}
    return said


def _known(workflow: Workflow[Any, Any]) -> Known:
    return Known(workflow.name, workflow.version, workflow.terms)


def _encode(signature: Signature, arguments: Any, most: int) -> Call:
    if isinstance(arguments, Mapping):
        return signature.encode_input((), arguments, most), (), dict(arguments)
    if isinstance(arguments, Sequence) and not isinstance(arguments, str | bytes):
        return signature.encode_input(tuple(arguments), {}, most), tuple(arguments), {}
    raise UsageError(f"an input of start_many is {arguments!r}; give a tuple of arguments, or a mapping by name")
