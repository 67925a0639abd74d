"""Takes in what is handed in by requests: those that come while a transaction is written share the next one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from holdfast.engine.core import Core
from holdfast.engine.part import PATIENCE_SECONDS
from holdfast.engine.starting import ruled
from holdfast.errors import PayloadError, SourceNotFound, StoreUnavailable
from holdfast.intake.making import Maker
from holdfast.intake.reading import BATCH_BYTES, Found
from holdfast.intake.requests import found_in_request
from holdfast.intake.terms import SourceTerms
from holdfast.store.base import Rejected
from holdfast.store.intake_rows import EntryOutcome, NewEntry, SourceRow, TakeIn, TakenIn

LOOK_SECONDS = 1.0
"""So old may be what is known of the workflow."""

AGAIN_SECONDS = 0.1
"""After so long a store that did not answer is asked again."""


@dataclass(frozen=True, slots=True)
class HandedEntry:
    """What became of an entry that was handed in.

    Attributes:
        outcome: ``run``; ``repeated``, as it was known; or ``filtered``.
        run_id: the run that it became, now or when it came first; None for none.
        reason: why it is filtered.
    """

    outcome: EntryOutcome
    run_id: str | None
    reason: str


Coming = tuple[Found, asyncio.Future[HandedEntry]]
"""An entry, and who waits for what becomes of it."""


class _Requested:
    """One source that takes requests."""

    def __init__(self, core: Core, terms: SourceTerms) -> None:
        self._terms = terms
        self._core = core
        self._maker = Maker(core, terms)
        self._row: SourceRow | None = None
        self._looked_at = float("-inf")
        self._coming: list[Coming] = []
        self._taking: asyncio.Task[None] | None = None

    async def take(self, body: bytes, headers: Mapping[str, str]) -> HandedEntry:
        """Take one in."""
        found = found_in_request(self._terms, body, headers)
        future: asyncio.Future[HandedEntry] = asyncio.get_running_loop().create_future()
        self._coming.append((found, future))
        if self._taking is None:
            self._taking = asyncio.create_task(self._take_all(), name=f"holdfast-intake-{self._terms.name}")
        return await future

    async def close(self) -> None:
        """Take no more in."""
        if self._taking is not None:
            self._taking.cancel()
            await asyncio.gather(self._taking, return_exceptions=True)

    async def _take_all(self) -> None:
        part: list[Coming] = []
        try:
            while self._coming:
                count = _together(self._coming, self._terms.batch)
                part, self._coming = self._coming[:count], self._coming[count:]
                try:
                    await self._take(part)
                except Exception as error:
                    for _, future in part:
                        _refuse(future, error)
        finally:
            for _, future in (*part, *self._coming):
                future.cancel()  # nothing, but where this is cancelled
            self._coming, self._taking = [], None

    async def _take(self, part: Sequence[Coming]) -> None:
        if time.monotonic() > self._looked_at + LOOK_SECONDS:
            await self._maker.look()
            self._looked_at = time.monotonic()
        terms, intake = self._terms, self._core.store.intake
        while True:
            if self._row is None:
                self._row = await intake.open_source(terms.tenant, terms.name, terms.kind, terms.workflow)
            made = self._maker.make([found for found, _ in part])
            entries, waiting = [], []
            for coming, (_, entry) in zip(part, made.entries, strict=True):
                if entry.outcome == "dead":
                    # Whoever hands it in has it still, and is told.
                    _refuse(coming[1], self._refusal(entry.reason))
                else:
                    entries.append(entry)
                    waiting.append(coming)
            if not entries:
                return
            row = self._row
            try:
                taken = await self._known(
                    TakeIn(
                        tenant=terms.tenant,
                        source=terms.name,
                        revision=row.revision,
                        position=row.position,
                        entries=tuple(entries),
                        setting=made.setting,
                        at=self._core.now_us(),
                    )
                )
            except Rejected as error:
                if len(waiting) == 1:
                    _refuse(waiting[0][1], self._refusal(str(error)))
                for coming in waiting if len(waiting) > 1 else ():
                    await self._take([coming])
                return
            if taken.refused == "moved":
                self._row = None
            elif taken.refused == "setting":
                await self._maker.decide()
            else:
                break
        self._row = row._replace(revision=taken.revision)
        if "run" in taken.outcomes:
            self._core.tell_started(entry.start for entry in entries if entry.start is not None)
        for (_, future), entry, outcome in zip(waiting, entries, taken.outcomes, strict=True):
            handed = HandedEntry(outcome, None if entry.start is None else entry.start.id, entry.reason)
            if entry.start is not None and ruled(entry.start):
                handed = await self._as_it_stands(entry, handed)
            if not future.done():
                future.set_result(handed)

    async def _as_it_stands(self, entry: NewEntry, handed: HandedEntry) -> HandedEntry:
        """What is told of an entry whose start a rule may have merged or dropped."""
        assert entry.start is not None
        store, tenant = self._core.store, self._terms.tenant
        if handed.outcome == "repeated":
            there = await store.find_runs(tenant, [entry.start.id])
            return handed if there else replace(handed, run_id=None)
        row = await store.intake.entry(tenant, entry.uid)
        return handed if row is None else HandedEntry(row.outcome, row.run_id, row.reason)

    async def _known(self, asked: TakeIn) -> TakenIn:
        """Take in entries; while it is not known what became of that, it is asked again, for as long as clients do."""
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return await self._core.store.intake.take_in(asked)
            except StoreUnavailable:
                if time.monotonic() > until:
                    raise
            await asyncio.sleep(AGAIN_SECONDS)

    def _refusal(self, reason: str) -> PayloadError:
        return PayloadError(f"an entry of source {self._terms.name!r}", reason)


def _together(coming: Sequence[Coming], most: int) -> int:
    """How many entries are taken in at once: they are bounded by their bytes as well, as those that are read."""
    total = 0
    for number, (found, _) in enumerate(coming[:most], 1):
        total += len(found.content)
        if total >= BATCH_BYTES:
            return number
    return min(len(coming), most)


def _refuse(future: asyncio.Future[HandedEntry], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)


class Requests:
    """Takes in requests to the sources of a file that take them.

    Args:
        core: the database.
        sources: of the file.
    """

    def __init__(self, core: Core, sources: Sequence[SourceTerms]) -> None:
        requested = [terms for terms in sources if terms.kind == "http"]
        self._sources = {(terms.tenant, terms.name): _Requested(core, terms) for terms in requested}

    async def take(self, tenant: str, name: str, body: bytes, headers: Mapping[str, str]) -> HandedEntry:
        """Take in what a request brings.

        Args:
            tenant: whose source.
            name: of the source.
            body: what it brings.
            headers: of the request.

        Raises:
            SourceNotFound: there is no such source that takes requests.
            PayloadError: it cannot be read, is too large, or the workflow does not take it; nothing was recorded.
            UnknownWorkflow: no worker has registered the source's workflow.
            StoreUnavailable: the outcome is not known; the request is to be repeated.
        """
        source = self._sources.get((tenant, name))
        if source is None:
            raise SourceNotFound(f"tenant {tenant!r} has no source {name!r} that takes requests")
        return await source.take(body, headers)

    async def close(self) -> None:
        """Take no more in."""
        await asyncio.gather(*(source.close() for source in self._sources.values()))
