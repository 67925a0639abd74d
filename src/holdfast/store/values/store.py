"""`SealedStore`: a store whose payloads are sealed and, where they are large, kept apart; whoever uses it sees neither.

What goes in is given as it was made. What comes out is plain. Three things may stand in place of a payload: a reference
to bytes that are kept apart, which `fetched` brings, so that lists and claims stay light; what stands for a value that
cannot be opened here, see `holdfast.model.sealed`; and in an input several that stand one behind the other are joined.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, TypeVar, cast

from holdfast.model.payload import HEADER
from holdfast.model.search import Condition
from holdfast.store.base import Store
from holdfast.store.operations import (
    Adopted,
    Batch,
    Continue,
    Control,
    Controlled,
    Fork,
    Results,
    Started,
)
from holdfast.store.rows import AttemptRow, ChildRow, JournalRow, RecordedRows, RunOutcome, RunRow, ScheduleRow
from holdfast.store.values.forms import MAP, is_special
from holdfast.store.values.parts import (
    SealedAgents,
    SealedDiversions,
    SealedIntake,
    SealedOutbox,
    SealedStreams,
)
from holdfast.store.values.sealing import Sealing
from holdfast.store.values.values import Values

T = TypeVar("T")

Journal = tuple[list[JournalRow], list[AttemptRow]]


class SealedStore:
    """A store around another; verbs that have no payload are the other's own.

    Args:
        inner: the database.
        values: how its values are stored.

    Attributes:
        sealing: what is done to payloads.
    """

    def __init__(self, inner: Store, values: Values) -> None:
        self.inner = inner
        self.sealing = Sealing(inner, values)
        self.outbox = SealedOutbox(inner.outbox, self.sealing)
        self.intake = SealedIntake(inner.intake, self.sealing)
        self.agents = SealedAgents(inner.agents, self.sealing)
        self.streams = SealedStreams(inner.streams, self.sealing)

    @cached_property
    def diversions(self) -> SealedDiversions:
        """See `Store.diversions`."""
        return SealedDiversions(self.inner.diversions, self.sealing)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    # What goes in

    async def commit(self, batch: Batch) -> Results:
        """See `Store.commit`."""
        stored = await self.sealing.batch(batch)
        results = await self.inner.commit(stored)
        if stored is not batch:
            self.sealing.committed()
        return await self._results(batch, results)

    async def control(self, control: Control) -> Controlled:
        """See `Store.control`."""
        if control.output is not None:
            # What a release brings is the run's; a failure of ours is small.
            holders = [control.run] if control.action == "release" else []
            control = control._replace(output=await self.sealing.payload(control.output, *holders))
        return await self.inner.control(control)

    async def fork(self, fork: Fork) -> Started:
        """See `Store.fork`."""
        [start] = await self.sealing.rows("starts", [fork.start])
        edits = []
        for edit in fork.edits:
            stored = [data and await self.sealing.payload(data, start.uid) for data in (edit.input, edit.output)]
            edits.append(edit._replace(input=stored[0], output=stored[1]))
        found = await self.inner.fork(Fork(start, fork.kept, tuple(edits)))
        [opened] = await self.sealing.opened([found], "input")
        return opened

    async def continue_as_new(self, again: Continue) -> bool:
        """See `Store.continue_as_new`."""
        given = await self.sealing.payload(again.input, again.run)
        return await self.inner.continue_as_new(again._replace(input=given))

    async def put_schedule(self, row: ScheduleRow) -> bool:
        """See `Store.put_schedule`."""
        return await self.inner.put_schedule(row._replace(input=await self.sealing.payload(row.input)))

    # What comes out

    async def fetched(self, rows: Sequence[T], *fields: str) -> list[T]:
        """Rows with the bytes of what is kept apart in place of references to it.

        Args:
            fields: the names of their payloads.

        Raises:
            StoreUnavailable: where the bytes are cannot be reached.
        """
        return await self.sealing.opened(rows, *fields, fetch=True)

    async def _results(self, batch: Batch, results: Results) -> Results:
        opened = self.sealing.opened
        if results.checkpoints:
            results.checkpoints = [
                Adopted((await opened([one.entry], "output"))[0]) if isinstance(one, Adopted) else one
                for one in results.checkpoints
            ]
        for number, one in enumerate(results.starts):
            if type(one) is Started and one.input is not (given := batch.starts[number].input):
                results.starts[number] = one._replace(input=given) if one.created else (await opened([one], "input"))[0]
        for number, entry in enumerate(results.resolves):
            if not isinstance(entry, str):
                results.resolves[number] = (await opened([entry], "output"))[0]
        if results.met:
            results.met = await opened(results.met, "output")
        for number, claimed in enumerate(results.claims):
            if not isinstance(claimed, str):
                results.claims[number] = await opened(claimed, "input")
        return results

    async def _journal(self, found: Journal) -> Journal:
        rows, attempts = found
        opened = self.sealing.opened
        return await opened(rows, "input", "output"), await opened(attempts, "error")

    async def load_journals(self, runs: Sequence[bytes]) -> Journal:
        """See `Store.load_journals`."""
        return await self._journal(await self.inner.load_journals(runs))

    async def load_recorded(self, tenant: str, runs: Sequence[bytes], *, without: str | None = None) -> RecordedRows:
        """See `Store.load_recorded`."""
        found, entries, attempts = await self.inner.load_recorded(tenant, runs, without=without)
        opened = self.sealing.opened
        plain = HEADER[0]
        special = [
            n
            for n, (kind, _, _, output, *_) in enumerate(entries)
            if output and output[0] != plain and is_special(output) and kind != MAP
        ]
        if special:
            outputs = await self.sealing.plain([entries[n][3] or b"" for n in special], fetch=False)
            for n, output in zip(special, outputs, strict=True):
                entries[n] = (*entries[n][:3], output, *entries[n][4:])
        return RecordedRows(await opened(found, "input", "output"), entries, await opened(attempts, "error"))

    async def browse_journal(
        self, run: bytes, *, after: bytes, limit: int, since: int | None = None, until: int | None = None
    ) -> Journal:
        """See `Store.browse_journal`."""
        found = await self.inner.browse_journal(run, after=after, limit=limit, since=since, until=until)
        return await self._journal(found)

    async def read_entries(self, run: bytes, positions: Sequence[bytes]) -> Journal:
        """See `Store.read_entries`."""
        return await self._journal(await self.inner.read_entries(run, positions))

    async def read_open(self, run: bytes, limit: int) -> Journal:
        """See `Store.read_open`."""
        return await self._journal(await self.inner.read_open(run, limit))

    async def read_waits(self, waits: Sequence[tuple[bytes, bytes, int]]) -> list[JournalRow]:
        """See `Store.read_waits`."""
        return await self.sealing.opened(await self.inner.read_waits(waits), "input", "output")

    async def read_outcomes(self, runs: Sequence[bytes]) -> list[RunOutcome]:
        """See `Store.read_outcomes`."""
        return await self.sealing.opened(await self.inner.read_outcomes(runs), "output")

    async def find_runs(self, tenant: str, ids: Sequence[str]) -> list[RunRow]:
        """See `Store.find_runs`."""
        return await self._runs(await self.inner.find_runs(tenant, ids))

    async def list_runs(
        self, tenant: str, *, workflow: str | None, status: str | None, limit: int, before: bytes | None
    ) -> list[RunRow]:
        """See `Store.list_runs`."""
        found = await self.inner.list_runs(tenant, workflow=workflow, status=status, limit=limit, before=before)
        return await self._runs(found)

    async def search_runs(
        self, tenant: str, condition: Condition | None, *, limit: int, before: bytes | None
    ) -> list[RunRow]:
        """See `Store.search_runs`."""
        return await self._runs(await self.inner.search_runs(tenant, condition, limit=limit, before=before))

    async def _runs(self, rows: list[RunRow]) -> list[RunRow]:
        return await self.sealing.opened(rows, "input", "output")

    async def children(
        self, parent: bytes, *, open_only: bool, limit: int, after: bytes | None = None
    ) -> list[ChildRow]:
        """See `Store.children`."""
        found = await self.inner.children(parent, open_only=open_only, limit=limit, after=after)
        return await self.sealing.opened(found, "output")

    async def child_outcomes(self, parent: bytes, generation: int, group: bytes) -> list[ChildRow]:
        """See `Store.child_outcomes`."""
        return await self.sealing.opened(await self.inner.child_outcomes(parent, generation, group), "output")

    async def list_schedules(self, tenant: str, name: str | None = None) -> list[ScheduleRow]:
        """See `Store.list_schedules`."""
        return await self.sealing.opened(await self.inner.list_schedules(tenant, name), "input")

    async def due_schedules(self, limit: int) -> list[ScheduleRow]:
        """See `Store.due_schedules`."""
        return await self.sealing.opened(await self.inner.due_schedules(limit), "input")

    def under_policy(self, tenant: str) -> Store:
        """See `Store.under_policy`."""
        return cast("Store", SealedStore(self.inner.under_policy(tenant), self.sealing.values))
