"""What a conversation hands over to when it is over: runs that it starts, and work items that it completes.

Where the state store is the database of runs and items, both are changed in the commit of the last turn. Elsewhere the
last turn leaves a note, in the same change; what the note says is done afterwards, once by the ids that it names, by
whoever stored it or by the next who looks.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import msgspec

from holdfast.engine.client import Known
from holdfast.engine.completing import completing
from holdfast.engine.core import Core
from holdfast.engine.part import Part
from holdfast.engine.starting import start_row, under_caller
from holdfast.engine.workflow import Configured, StartOptions, Workflow, start_options
from holdfast.errors import HoldfastError, StoreError, UsageError
from holdfast.model.ids import check_id
from holdfast.model.schema import input_from, terms_of
from holdfast.store.base import Rejected
from holdfast.store.operations import Start
from holdfast.store.work_rows import ItemChange

log = logging.getLogger("holdfast.conversations")

TRIES = 20
"""How often an item is completed anew on top of what others made of it."""


class _Run(NamedTuple):
    workflow: Workflow[Any, Any] | str
    options: StartOptions
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class Completion(NamedTuple):
    """An item to be completed, with what is filled in."""

    item: str
    data: Mapping[str, Any] | None


class Note(msgspec.Struct):
    """What is still to be done of a handover."""

    starts: list[Start]
    completions: list[Completion]
    actor: str


class Handover:
    """Says what a conversation that is over hands over to. Given to the engine's ``hand_over``.

    Args:
        item: the work item that the conversation belongs to.
    """

    def __init__(self, item: str | None) -> None:
        self._item = item
        self._runs: list[_Run] = []
        self._completions: list[Completion] = []

    @property
    def is_empty(self) -> bool:
        """Whether it hands over to nothing."""
        return not self._runs and not self._completions

    def start(self, workflow: Workflow[..., Any] | Configured[..., Any] | str, /, *args: Any, **kwargs: Any) -> None:
        """Start a run.

        Args:
            workflow: the workflow, with options if wanted, or the name of one that a worker has registered. Without an
                id among the options the run is named after the conversation and its turn.
            args: its arguments; of one that is named, only by name.
            kwargs: its arguments by name.
        """
        if isinstance(workflow, str) and args:
            raise UsageError(f"give workflow {workflow!r:.100} its arguments by name")
        if not isinstance(workflow, Workflow | Configured | str):
            raise UsageError(f"start was given {workflow!r:.100}; give a workflow, or the name of one")
        options = workflow.options if isinstance(workflow, Configured) else start_options()
        self._runs.append(
            _Run(workflow.workflow if isinstance(workflow, Configured) else workflow, options, args, kwargs)
        )

    def complete(self, item: str | None = None, data: Mapping[str, Any] | None = None) -> None:
        """Complete a work item.

        Args:
            item: its id; that of the item that the conversation belongs to unless given.
            data: what is filled in.

        Raises:
            UsageError: no item is given, and the conversation belongs to none.
        """
        chosen = self._item if item is None else check_id(item, "the item")
        if chosen is None:
            raise UsageError("the conversation belongs to no work item; say which one to complete")
        if data is not None and not isinstance(data, Mapping):
            raise UsageError(f"data is {data!r:.100}; give an object, such as {{'approved': true}}")
        self._completions.append(Completion(chosen, None if data is None else dict(data)))


class Plan(NamedTuple):
    """A handover as it is stored: the runs; the items; who does it."""

    starts: list[Start]
    completions: list[Completion]
    actor: str

    def note(self) -> bytes:
        """As a note, for a store that has no runs."""
        return msgspec.msgpack.encode(Note(self.starts, self.completions, self.actor))


class Handing(Part):
    """Hands conversations of a tenant over."""

    async def plan(self, handover: Handover, conversation_id: str, number: int, actor: str) -> Plan:
        """What is to be stored of a handover.

        Raises:
            UsageError, PayloadError: arguments of a workflow are wrong.
            UnknownWorkflow: no worker has registered one that is named.
        """
        now, starts = self.core.now_us(), []
        for n, run in enumerate(handover._runs):
            name = f"{conversation_id}/{number}" + (f"/{n + 1}" if n else "")
            options = run.options if run.options.id is not None else replace(run.options, id=name)
            starts.append(under_caller(await self._start(run, options, now + n)))
        return Plan(starts, handover._completions, actor)

    async def _start(self, run: _Run, options: StartOptions, now: int) -> Start:
        if isinstance(run.workflow, str):
            row = await self._registered(run.workflow, None)
            known = Known(row.name, row.version, terms_of(row.input_schema))
            given, args = input_from(row.name, row.input_schema, run.kwargs), None
        else:
            known = Known(run.workflow.name, run.workflow.version, run.workflow.terms)
            given, args = run.workflow.signature.encode_input(run.args, run.kwargs), run.args
        return start_row(
            tenant=self.tenant, workflow=known.name, version=known.version, terms=known.terms, options=options,
            given=given, now_us=now, args=args, kwargs={} if args is None else run.kwargs,
        )  # fmt: skip

    async def changes(self, plan: Plan) -> list[ItemChange]:
        """The changes that complete the items of a plan; those that have ended already need none.

        Raises:
            ItemNotFound, IllegalMove, PayloadError: one cannot be completed so.
        """
        found = [
            await completing().completion(self.core, self.tenant, one.item, one.data, plan.actor)
            for one in plan.completions
        ]
        return [change for change in found if change is not None]

    async def tell(self, plan: Plan, changes: Sequence[ItemChange]) -> None:
        """Let others know of a plan that was carried out in the commit of a turn."""
        if plan.starts:
            self.core.tell_started(plan.starts)
        for change in changes:
            try:
                await completing().completed(self.core, change)
            except StoreError as error:
                log.warning("item %s is completed; its run is told later: %s", change.row.id, error)


async def carry_out(core: Core, tenant: str, note: bytes) -> None:
    """Do what a note says. More than once does no harm.

    Raises:
        StoreError: the database does not answer; it is to be tried again.
    """
    plan = msgspec.msgpack.decode(note, type=Note)
    for start in plan.starts:
        found = await core.committer.submit("starts", start)
        if found.way in ("merged", "dropped"):
            log.info("a conversation starts run %r, and the start was %s: %s", start.id, found.way, found.reason)
        elif not found.created and (found.workflow, found.input) != (start.workflow, start.input):
            log.error("a conversation is handed over to run %r, whose id another run has", start.id)
    for completion in plan.completions:
        try:
            await _complete(core, tenant, completion, plan.actor)
        except StoreError:
            raise
        except HoldfastError as error:
            log.error("a conversation is handed over to item %r, which cannot be completed: %s", completion.item, error)


async def _complete(core: Core, tenant: str, completion: Completion, actor: str) -> None:
    for _ in range(TRIES):
        change = await completing().completion(core, tenant, completion.item, completion.data, actor)
        if change is None:
            return
        try:
            [outcome] = await core.store.work.put_items([change])
        except Rejected as error:
            raise UsageError(str(error)) from None
        if outcome == "done":
            await completing().completed(core, change)
            return
    raise StoreError("it is changed by others at the same time")
