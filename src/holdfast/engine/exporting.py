"""What a client does with recorded runs as a whole: keeps them in files, and replays them against code."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, NamedTuple

from holdfast.engine import isolation
from holdfast.engine.histories import Fan, History
from holdfast.engine.part import Part, check_whole
from holdfast.engine.replaying.checking import TIMEOUT, Checker
from holdfast.engine.replaying.children import Children, code_of
from holdfast.engine.replaying.paging import replay_page
from holdfast.engine.replaying.reading import Reader
from holdfast.engine.replaying.reports import RunReplay
from holdfast.engine.replaying.shell import StoreReads
from holdfast.errors import UsageError
from holdfast.model.duration import Duration, seconds
from holdfast.model.ids import check_id
from holdfast.model.payload import codec_of
from holdfast.model.run import Kind, Outcome, Status

if TYPE_CHECKING:
    from holdfast.engine.workflow import Workflow
    from holdfast.store.rows import AttemptRow, ChildRow, JournalRow, RunRow

PHASES = "phases "
"""How the entry is named that says which version of a file of phases a run goes by."""

LARGE = 50_000
"""From so many runs on, processes are started to replay them: to start one takes as long as to replay ten thousand."""

_TEXT = codec_of(str)


class Choice(NamedTuple):
    """Which runs are meant.

    Attributes:
        ids: these, in this order; or else, by what follows, the newest first.
        workflow: only of this one.
        status: only in this one.
        since: only those made in so long a time before now.
        limit: at most so many.
    """

    ids: Sequence[str] | None
    workflow: str | None
    status: str | None
    since: Duration | None
    limit: int | None


class Exporting(Part):
    """The part of a client that has to do with recorded runs as a whole."""

    async def export_history(self, run_id: str) -> History:
        """All that is recorded of a run, to be kept in a file or replayed.

        Raises:
            RunNotFound: the tenant has no run of this id.
        """
        async for history in self.export_histories(runs=[run_id]):
            return history
        raise AssertionError(run_id)

    async def export_histories(
        self,
        *,
        runs: Sequence[str] | None = None,
        workflow: str | None = None,
        status: str | None = None,
        since: Duration | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[History]:
        """The same of several runs; takes what `replay_runs` takes."""
        choice = checked(runs, workflow, status, since, limit)
        reader = self._reader(built_in=True)
        chosen = reader.some(choice.ids) if choice.ids is not None else reader.all(**self._which(choice))
        async for histories in reader.histories(chosen):
            for one in histories:
                yield await self._completed(one, reader.reads)

    async def replay_runs(
        self,
        workflows: Iterable[Workflow[Any, Any]],
        *,
        runs: Sequence[str] | None = None,
        workflow: str | None = None,
        status: str | None = None,
        since: Duration | None = None,
        limit: int | None = None,
        timeout: Duration = TIMEOUT,
        processes: int | None = None,
    ) -> AsyncIterator[RunReplay]:
        """Replay recorded runs against code, before it is deployed: no step is executed, and nothing is written.

        Args:
            workflows: the code; workflows that it names are taken too.
            runs: the ids of the runs, in this order; all, the newest first, unless given.
            workflow: only runs of this one.
            status: only runs in this status.
            since: only runs that were made in so long a time before now, in seconds or as text such as ``"7d"``.
            limit: at most so many.
            timeout: how long the replay of one run may take.
            processes: how many replay at once, which import the workflows' modules; this one alone unless given, and
                one for each core where there are very many runs.

        Returns:
            For each run what became of it.

        Raises:
            RunNotFound: the tenant has no run of one of the ids.
            UsageError: no workflow, a value out of range, or code or values that other processes do not find.
        """
        choice = checked(runs, workflow, status, since, limit)
        code = list(workflows)
        if processes is not None:
            check_whole(processes, "processes")
        children = None
        if processes != 1 and self._may_spread(code, processes):
            children = Children(code, processes or cores())
        async for report in self.replay_by(code, choice, timeout, children, LARGE if processes is None else 0):
            yield report

    async def replay_by(
        self,
        workflows: Sequence[Workflow[Any, Any]],
        choice: Choice,
        timeout: Duration,
        children: Children | None,
        least: int,
    ) -> AsyncIterator[RunReplay]:
        """As `replay_runs`.

        Args:
            workflows: the code.
            choice: the runs.
            timeout: how long the replay of one run may take.
            children: processes to do it, which are ended.
            least: with fewer runs this process does it.
        """
        checker = Checker(workflows, timeout=timeout)
        built_in = choice.ids is not None or choice.workflow is not None
        reader = self._reader(built_in=built_in)
        pages = _uids(reader.some(choice.ids)) if choice.ids is not None else reader.newest(**self._which(choice))
        first: list[list[bytes]] = []
        async with AsyncExitStack() as stack:
            if children is not None:
                stack.callback(children.close)
                while sum(map(len, first)) < least and (page := await anext(pages, None)) is not None:
                    first.append(page)
            if children is not None and sum(map(len, first)) >= least:
                values = isolation.values if self.core.values is not None else None
                most = seconds(timeout, what="timeout")
                await children.open(self.core.url, self.tenant, most, values, built_in=built_in)
                replayed = children.replay(reader, _chained(first, pages))
            else:
                await stack.enter_async_context(checker)
                replayed = _replayed_here(checker, reader, _chained(first, pages))
            async for reports in replayed:
                for report in reports:
                    yield report

    def _may_spread(self, workflows: Sequence[Workflow[Any, Any]], processes: int | None) -> bool:
        """Whether other processes can replay, which have the database and the code by name.

        Raises:
            UsageError: they cannot, and are asked for.
        """
        why = None
        if self.core.url.startswith("memory:"):
            why = "the database is in the memory of this one"
        elif self.core.values is not None and isolation.values is None:
            why = "values are stored in a way of their own, which only this one knows"
        elif code_of(workflows) is None:
            why = "a workflow is not found by name in its module"
        if why is not None and processes is not None:
            raise UsageError(f"runs cannot be replayed by {processes} processes: {why}; leave out processes")
        return why is None

    def _reader(self, *, built_in: bool) -> Reader:
        return Reader(self.reads, self.tenant, self._patiently, self.core.now_us, built_in=built_in)

    def _which(self, choice: Choice) -> dict[str, Any]:
        """What a reader is asked for."""
        since_us = None
        if choice.since is not None:
            since_us = self.core.now_us() - int(seconds(choice.since, what="since") * 1e6)
        return {"workflow": choice.workflow, "status": choice.status, "since_us": since_us, "limit": choice.limit}

    async def _completed(self, history: History, reads: StoreReads) -> History:
        """With what is kept beside its journal: large values, child runs of fan-outs, files of phases."""
        fetched, patiently = reads.fetched, self._patiently
        entries: list[JournalRow] = await patiently(fetched(history.entries, "input", "output"))
        attempts: list[AttemptRow] = await patiently(fetched(history.attempts, "error"))
        children: dict[Fan, list[ChildRow]] = {}
        phases: dict[tuple[str, str], bytes] = {}
        for entry in entries:
            if entry.kind == Kind.MAP and entry.outcome == Outcome.OK and len(entry.output or b"") > 16:
                parent, generation = (entry.output or b"")[:16], int.from_bytes((entry.output or b"")[16:], "big")
                fan = (parent, generation, entry.position)
                children[fan] = await patiently(fetched(await patiently(self.reads.child_outcomes(*fan)), "output"))
            elif entry.kind == Kind.PATCH and entry.name.startswith(PHASES) and entry.output is not None:
                name, version = entry.name.removeprefix(PHASES), _TEXT.decode(entry.output, "a version")
                row = await self._patiently(self.reads.agents.phases(self.tenant, name, version))
                if row is not None:
                    phases[name, version] = row.content
        return History(history.run, entries, attempts, history.at, children, phases)


def cores() -> int:
    """How many of the machine's cores are for this process."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


async def _uids(pages: AsyncIterator[list[RunRow]]) -> AsyncIterator[list[bytes]]:
    async for page in pages:
        yield [run.uid for run in page]


async def _chained(first: Sequence[list[bytes]], rest: AsyncIterator[list[bytes]]) -> AsyncIterator[list[bytes]]:
    for page in first:
        yield page
    async for page in rest:
        yield page


async def _replayed_here(
    checker: Checker, reader: Reader, pages: AsyncIterator[list[bytes]]
) -> AsyncIterator[list[RunReplay]]:
    async for runs in pages:
        yield await replay_page(checker, reader, runs)


def checked(
    runs: Sequence[str] | None, workflow: str | None, status: str | None, since: Duration | None, limit: int | None
) -> Choice:
    """Which runs are meant, checked.

    Raises:
        UsageError: a value out of range, or two ways to choose.
    """
    if isinstance(runs, str):
        raise UsageError(f"runs is {runs!r}; give a list of ids, such as [{runs!r}]")
    if runs is not None and any(one is not None for one in (workflow, status, since, limit)):
        raise UsageError("give the ids of runs, or a workflow, a status, since and limit to choose among all")
    if limit is not None:
        check_whole(limit, "limit")
    if since is not None:
        seconds(since, what="since")
    return Choice(
        None if runs is None else [check_id(one, "the id of a run") for one in runs],
        None if workflow is None else check_id(workflow, "the name of a workflow"),
        None if status is None else _status(status),
        since,
        limit,
    )


def _status(status: str) -> str:
    try:
        return str(Status(status))
    except ValueError:
        raise UsageError(f"status is {status!r}; give one of {', '.join(Status)}") from None
