"""The client through which requests look and act: its tenant's only, and quick at starting runs by name."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from holdfast.api.paging import bad_cursor, condition_of
from holdfast.api.problems import input_refused
from holdfast.api.shapes import Page
from holdfast.engine.client import Call, Client, Known, RunHandle
from holdfast.engine.diversion_views import Diverted, diverted
from holdfast.engine.part import PATIENCE_SECONDS
from holdfast.engine.shadow import in_shadow
from holdfast.engine.starting import start_row, under_caller
from holdfast.engine.tracing import caller
from holdfast.engine.views import run_view
from holdfast.engine.workflow import StartOptions
from holdfast.errors import PayloadError, RunExists, StoreUnavailable, UsageError
from holdfast.model.payload import body_of
from holdfast.model.run import RunView, Status, instant
from holdfast.model.schema import input_from, terms_of
from holdfast.model.sealed import is_unopened, refuse
from holdfast.model.shares import queue_of
from holdfast.model.trace import shown
from holdfast.store.operations import Start, Started
from holdfast.store.rows import WorkflowRow

if TYPE_CHECKING:
    from holdfast.api.access import Principal
    from holdfast.api.server import Server

T = TypeVar("T")


class TenantClient(Client):
    """A client for one request.

    Args:
        server: whose request.
        principal: who makes it.
    """

    def __init__(self, server: Server, principal: Principal) -> None:
        core = server.core
        super().__init__(
            core,
            principal.tenant,
            reads=server.reads(principal.tenant),
            actor=principal.actor,
            workspaces=server.workspaces,
        )
        self._server = server

    async def _registered(self, name: str, version: str | None) -> WorkflowRow:
        """As `Client`, from descriptions that are a moment old; one that is not among them is looked up."""
        found = await self._server.workflow(name, version)
        return found if found is not None else await super()._registered(name, version)

    async def check_workflow(self, name: str, version: str | None = None) -> None:
        """Refuse the name of a workflow that no worker has registered.

        Raises:
            UnknownWorkflow: none did.
        """
        await self._registered(name, version)

    async def check_input(self, name: str, value: Mapping[str, Any]) -> None:
        """Refuse what a workflow does not take.

        Raises:
            UnknownWorkflow: no worker has registered it.
            Refused: an argument is missing or unknown, or does not fit.
        """
        _input(await self._registered(name, None), value)

    async def start_by_name(
        self, name: str, value: Mapping[str, Any], version: str | None, options: StartOptions
    ) -> tuple[Start, bool, Diverted | None]:
        """Start a run as ``start_named`` does.

        Returns:
            What was stored, or would have been; whether it was new; and what else a rule made of it.

        Raises:
            UnknownWorkflow: no worker has registered it.
            Refused: an argument is missing or unknown, or does not fit.
            RunExists: the id is taken by another run.
        """
        row = await self._registered(name, version)
        given = _input(row, value)
        start = start_row(
            tenant=self.tenant,
            workflow=name,
            version=row.version,
            terms=terms_of(row.input_schema),
            options=options,
            given=given,
            now_us=self.core.now_us(),
            args=None,
            kwargs={},
        )
        if caller() is not None:
            start = under_caller(start)
        made = await self._any_new([start], [options])
        committer = self.core.committer
        future: asyncio.Future[Started] = committer.submit("starts", start)
        if made:
            assert self.actor is not None
            detail = {"workflow": name, "version": row.version, "queue": queue_of(start.queue)}
            # Written or refused with the run, by whose uid it is named, and given up with it.
            record = committer.submit("audits", self._audit(self.actor, "run.start", start.id, detail, start.uid))
            future.add_done_callback(lambda done: record.cancel() if done.cancelled() else None)
            record.add_done_callback(lambda done: done.cancelled() or done.exception())
        found = await self._in_time(future)
        became = diverted(start, found)
        if became is not None and became.way != "delayed":
            return start, False, became
        if found.uid == start.uid:
            return start, True, became
        if found.workflow == name and is_unopened(found.input):
            refuse(found.input, f"the input of run {start.id!r}, which exists")
        if found.workflow != name or found.input != given:
            what = f"of workflow {found.workflow!r}" if found.workflow != name else "with another input"
            raise RunExists(f"the id {start.id!r} is taken by a run {what}; choose another id", run_id=start.id)
        return start, False, None

    async def _in_time(self, future: asyncio.Future[T]) -> T:
        """As ``_patiently``, for one operation of the committer, and at the cost of a timer only.

        Raises:
            StoreUnavailable: the database did not answer.
            PayloadError: it refuses a value.
        """
        timer = asyncio.get_running_loop().call_later(PATIENCE_SECONDS, future.cancel)
        try:
            return await future
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            trouble = self.core.committer.trouble
            raise trouble or StoreUnavailable(
                f"the database did not answer for {PATIENCE_SECONDS:g} s; trying again is safe"
            ) from None
        finally:
            timer.cancel()

    async def start_many_by_name(
        self,
        name: str,
        inputs: Sequence[tuple[Mapping[str, Any], str | None]],
        version: str | None,
        options: StartOptions,
    ) -> list[RunHandle[Any]]:
        """Start runs of one workflow together; none is stored unless every input fits.

        Args:
            name: as a worker registered it.
            inputs: for each run its arguments by name, and its id.
            version: the highest registered unless given.
            options: of each of them.

        Raises:
            As `start_by_name`.
        """
        row = await self._registered(name, version)
        known = Known(name, row.version, terms_of(row.input_schema))
        calls: list[Call] = [(_input(row, value), None, {}) for value, _ in inputs]
        each = [replace(options, id=id) for _, id in inputs]
        return await self._start(None, known, each, calls) if calls else []

    async def page_of_runs(
        self,
        *,
        where: str | None = None,
        workflow: str | None = None,
        status: str | None = None,
        limit: int = 50,
        sent: str | None = None,
    ) -> Page[RunView]:
        """Runs, newest first.

        Args:
            where: only those that a search finds.
            workflow: only of this workflow.
            status: only in this status.
            limit: at most so many.
            sent: the cursor.

        Raises:
            SearchError: the search cannot be read.
            UsageError: not the name of a workflow.
            Refused: the cursor is none of ours.
        """
        condition = condition_of(where, workflow, status, self.core.now_us())
        try:
            before = None if sent is None else bytes.fromhex(sent)
        except ValueError:
            raise bad_cursor() from None
        if before is not None and len(before) != 16:
            raise bad_cursor()
        search = self.reads.search_runs(self.tenant, condition, limit=limit + 1, before=before)
        rows = await self._patiently(search)
        more = len(rows) > limit
        return Page([run_view(row) for row in rows[:limit]], rows[limit - 1].uid.hex() if more else None)


def _input(row: WorkflowRow, value: Mapping[str, Any]) -> bytes:
    try:
        return input_from(row.name, row.input_schema, value)
    except (UsageError, PayloadError) as error:
        raise input_refused(error) from None


_NEW: dict[str, Any] = dict.fromkeys(RunView.__slots__) | {"attempt": 1, "rescues": 0, "forks": []}


def new_run(start: Start, delayed: Diverted | None = None) -> bytes:
    """A run as it is the moment it was started, as JSON: what `NewRun` would say, without reading it again."""
    view = _NEW | {
        "id": start.id,
        "workflow": start.workflow,
        "version": start.version,
        "status": Status.QUEUED,
        "queue": queue_of(start.queue),
        "priority": start.priority,
        "input": msgspec.Raw(body_of(start.input, "input")),
        "attributes": {} if start.attributes is None else shown(msgspec.json.decode(start.attributes[1:])),
        "created_at": instant(start.created_at),
        "due_at": None if start.due_at is None else instant(start.due_at),
        "deadline_at": None if start.deadline_at is None else instant(start.deadline_at),
        "shadow": in_shadow(start.attributes),
        "lane": None if start.lane_name is None else f"{start.lane_name}={start.lane_key}",
    }
    if delayed is not None:
        view |= {"way": delayed.way, "reason": delayed.reason, "diversion": delayed.diversion}
    return msgspec.json.encode(view)
