"""What a client can do with starts that were diverted: see why one made no run of its own, and start it after all."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec

from holdfast.engine.diversion_views import DiversionView, check_diversion_filter, diversion_uid, diversion_view
from holdfast.engine.part import Part, check_whole
from holdfast.engine.starting import start_row, under_caller, with_terms
from holdfast.engine.workflow import StartOptions
from holdfast.errors import DiversionNotFound, NotPossible, RunExists
from holdfast.model.schema import terms_of
from holdfast.model.sealed import is_unopened, refuse
from holdfast.model.terms import Terms, with_code
from holdfast.store.diversion_rows import DiversionRow
from holdfast.store.operations import DivertedWay, Rule, Start, Started

PAGE_AT_MOST = 1000


class Diversions(Part):
    """The part of a client that has to do with starts that were diverted."""

    async def diversions(
        self,
        *,
        workflow: str | None = None,
        key: str | None = None,
        way: DivertedWay | None = None,
        rule: Rule | None = None,
        run_id: str | None = None,
        id: str | None = None,
        limit: int = 50,
        before: str | None = None,
    ) -> list[DiversionView]:
        """Starts that did not make a run of their own at once, the newest first, without their inputs.

        Args:
            workflow: only of this workflow.
            key: only with this key of the rule.
            way: only those that were ``delayed``, ``merged`` or ``dropped``.
            rule: only by this rule.
            run_id: only those that went into this run, or were dropped because of it.
            id: only those that asked for this id.
            limit: at most so many, 1 to 1,000.
            before: only what is older than the one of this id, the last of the page before.

        Raises:
            UsageError: an argument is out of range.
        """
        check_whole(limit, "limit", PAGE_AT_MOST)
        check_diversion_filter(workflow, key, way, rule, run_id, id)
        behind = None if before is None else diversion_uid(before)
        rows = await self._patiently(
            self.reads.diversions.list_diversions(
                self.tenant, limit=limit, before=behind, workflow=workflow, key=key, way=way, rule=rule, run_id=run_id,
                id=id,
            )
        )  # fmt: skip
        return [diversion_view(row._replace(input=None)) for row in rows]

    async def diversion(self, id: str) -> DiversionView:
        """A start that was diverted, with its input where no run has it.

        Raises:
            DiversionNotFound: the tenant has none of this id.
        """
        return diversion_view(await self._diversion(id))

    async def start_diverted(self, id: str) -> str:
        """Start what was dropped after all, past the rules of its workflow. Twice gives the same run.

        Args:
            id: of the diversion.

        Returns:
            The run's id: that which the start asked for.

        Raises:
            DiversionNotFound: the tenant has none of this id.
            NotPossible: it was not dropped, or its input is not kept.
            PayloadError: its input cannot be opened here.
            UnknownWorkflow: no worker has registered its workflow.
            RunExists: the id that it asked for is taken by another run meanwhile.
        """
        row = await self._diversion(id)
        start = await self._start_of(row)
        there = await self._patiently(self.reads.find_runs(self.tenant, [start.id]))
        written: list[asyncio.Future[Any]] = [self.core.committer.submit("starts", start)]
        if not there:
            said = {"run": start.id, "workflow": row.workflow}
            audit = self._audit(self.actor or "local", "diversion.start", id, said, start.uid)
            written.append(self.core.committer.submit("audits", audit))
        found: Started = (await self._patiently(asyncio.gather(*written)))[0]
        if not found.created:
            [found] = await self._with_values([found], "input")
        if (found.workflow, found.input) != (start.workflow, start.input):
            raise RunExists(f"the id {start.id!r} is taken by another run meanwhile", run_id=start.id)
        self.core.announce("ready")
        return start.id

    async def _diversion(self, id: str) -> DiversionRow:
        row = await self._patiently(self.reads.diversions.find_diversion(self.tenant, diversion_uid(id)))
        if row is None:
            raise no_diversion(self.tenant, id)
        return row

    async def _was_put_in(self, start: Start) -> bool:
        """Whether the id of a start went into a batch of its workflow before."""
        if start.gather is None or start.gather.rule != "batch":
            return False
        asked = self.reads.diversions.list_diversions(
            self.tenant, limit=1, id=start.id, workflow=start.workflow, way="merged", rule="batch"
        )
        return bool(await self._patiently(asked))

    async def _start_of(self, row: DiversionRow) -> Start:
        """The start that a dropped one is, without the rules."""
        if row.way != "dropped" or row.input is None:
            raise NotPossible(f"the start {row.uid.hex()} {_why_not(row)}", run_id=row.run_id)
        if is_unopened(row.input):
            refuse(row.input, f"the input of start {row.uid.hex()}")
        registered = await self._registered(row.workflow, row.version)
        terms = terms_of(registered.input_schema)
        kept: dict[str, Any] = {} if row.options is None else msgspec.json.decode(row.options)
        args: tuple[Any, ...] | None = None
        kwargs: Mapping[str, Any] = {}
        code = self.core.code_of(row.workflow, row.version)
        if code is not None:
            terms = with_code(terms, code.terms)
            args, kwargs = code.signature.decode_input(row.input)
        start = start_row(
            tenant=self.tenant,
            workflow=row.workflow,
            version=row.version,
            terms=Terms(queue=terms.queue, timeout_seconds=terms.timeout_seconds),
            options=StartOptions(id=row.id, **kept),
            given=row.input,
            now_us=self.core.now_us(),
            args=args,
            kwargs=dict(kwargs),
        )
        return under_caller(with_terms(start, terms, args, dict(kwargs)))


def no_diversion(tenant: str, id: str) -> DiversionNotFound:
    """What is raised for a diversion that is not there."""
    return DiversionNotFound(f"tenant {tenant!r} has no diverted start {id}")


def _why_not(row: DiversionRow) -> str:
    if row.way == "merged":
        return f"was merged into run {row.run_id!r}, and not dropped: its input is in that run"
    if row.way == "delayed":
        return f"was delayed, and not dropped: it makes run {row.run_id or row.id!r}"
    return "was dropped, and its input was not kept: start it anew"
