"""Takes in what one source reads, batch by batch: runs, entries and the new position in one commit.

Only the commit counts. It is refused where the source is at another position by now, so that of two who read the same
one takes it in; and where the path was changed meanwhile, so that it is decided again. A commit whose outcome is not
known is repeated until it is.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from dataclasses import dataclass

from holdfast.engine.core import Core
from holdfast.errors import HoldfastError, StoreError, StoreFull, StoreReadOnly, StoreUnavailable
from holdfast.intake.making import REASON_CHARACTERS, Made, Maker, kept, storable
from holdfast.intake.outcomes import OutcomeMaker
from holdfast.intake.reading import Found, Source, SourceUnavailable
from holdfast.intake.terms import SourceTerms
from holdfast.model.search import And, Compare
from holdfast.store.base import Rejected
from holdfast.store.intake_rows import EntryOutcome, SourceRow, TakeIn, TakenIn

log = logging.getLogger("holdfast.intake")

LEASE_SECONDS = 10.0
"""For so long a process has a source to itself; two who read one source do work for nothing, and no harm."""

NOTE_SECONDS = 1.0
"""How a source is doing is told no more often than so."""

NOTE_AGAIN_SECONDS = 10.0
"""And no less often."""

COUNT_SECONDS = 0.5
"""So old a count of what waits may be, while there is room."""

COUNT_REST = 20.0
"""Or so many times older than it took to count, where that is longer."""

FULL_SECONDS = 0.1
"""So soon it is counted again when there was no room."""

COUNTED_UP_TO = 1_000
"""Up to here the store counts what is ready in every queue."""

FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 5.0

PASSING = (StoreUnavailable, StoreFull, StoreReadOnly)


@dataclass(frozen=True, slots=True)
class Batch:
    """What was read and is to be taken in."""

    found: list[Found]
    made: Made
    position: bytes
    more: bool
    note: str


class Taker:
    """Takes in one source.

    Args:
        core: the database.
        terms: of the source.
        source: what reads it.
        holder: 16 bytes: who takes it in.

    Attributes:
        taken: how many entries ended how.
        state: how the source is doing: ``reading``, ``waiting``, ``full`` or ``failing``.
        note: why, in words.
    """

    def __init__(self, core: Core, terms: SourceTerms, source: Source, holder: bytes) -> None:
        self.terms = terms
        self.taken: Counter[EntryOutcome] = Counter()
        self.state, self.note = "reading", ""
        self._core = core
        self._source = source
        self._holder = holder
        self._duty = f"intake:{terms.tenant}/{terms.name}"
        self._maker = OutcomeMaker(core, terms) if terms.outcomes else Maker(core, terms)
        self._row: SourceRow | None = None
        self._led_until = 0.0
        self._room = 0
        self._under_way = 0
        self._count_at = float("-inf")
        self._noted: tuple[str, str] | None = None
        self._noted_at = float("-inf")
        self._logged = ""

    async def forever(self) -> None:
        """Take in what comes until cancelled; what goes wrong is noted, and it is tried again."""
        pause = FIRST_PAUSE_SECONDS
        try:
            while True:
                if await self.turn():
                    pause = FIRST_PAUSE_SECONDS
                else:
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        finally:
            await self.close()

    async def turn(self, *, wait: bool = True) -> bool:
        """Take in what is there, and wait for more. Whether it went well.

        How the source is doing is in ``state`` and ``note`` then, and told to the store.
        """
        try:
            if await self._leads():
                await self.take()
                await self._tell(at_once=not wait)
                self._logged = ""
            else:
                self.state, self.note = "waiting", "another process reads it"
            if wait:
                await self._wait()
        except SourceUnavailable as error:
            return await self._failed(error.reason)
        except PASSING as error:
            self._row = None
            log.warning("source %s of tenant %s is taken in later: %s", self.terms.name, self.terms.tenant, error)
            return False
        except (HoldfastError, Rejected) as error:
            return await self._failed(str(error))
        except Exception as error:
            log.exception("source %s of tenant %s failed", self.terms.name, self.terms.tenant)
            return await self._failed(f"{type(error).__name__}: {error}")
        return True

    async def take(self) -> None:
        """Take in what is there, as far as there is room; ``state`` says why it ended."""
        if self._row is None:
            self._row = await self._core.store.intake.open_source(
                self.terms.tenant, self.terms.name, self.terms.kind, self.terms.workflow
            )
        await self._maker.look()
        self.state, self.note = "reading", ""
        self._under_way = 0
        batch = await self._read(self._row.position)
        while batch is not None:
            # What comes next is read and made while this is written.
            following = self._read(batch.position) if batch.more else _nothing()
            taken, ahead = await asyncio.gather(self._take(batch), following, return_exceptions=True)
            if isinstance(taken, BaseException):
                self._row = None
                raise taken
            if taken is None:
                self._row = None  # somebody else was first
                return
            await self._source.taken(batch.found)
            if isinstance(ahead, BaseException):
                raise ahead
            if self.state == "reading":
                self.note = batch.note
            await self._tell()
            await self._leads()
            batch = ahead
        if self.state == "reading":
            self.state = "waiting"

    async def _wait(self) -> None:
        if self._led_until == 0.0:
            await asyncio.sleep(LEASE_SECONDS / 4)
        elif self.state == "full":
            await asyncio.sleep(FULL_SECONDS)
        else:
            await self._source.wait(self.terms.poll_seconds)

    async def close(self) -> None:
        """Let others take the source in."""
        await self._source.close()
        if self._led_until > time.monotonic():
            try:
                await self._core.store.alerts.lead(self._duty, self._holder, 0)
            except StoreError as error:
                log.debug("source %s is free when the lease is over: %s", self.terms.name, error)

    async def _leads(self) -> bool:
        began = time.monotonic()
        if began < self._led_until - LEASE_SECONDS * 2 / 3:
            return True
        term = await self._core.store.alerts.lead(self._duty, self._holder, int(LEASE_SECONDS * 1e6))
        if term is None:
            self._led_until, self._row = 0.0, None
            return False
        if began > self._led_until:
            self._row = None  # somebody else may have read it in between
        self._led_until = began + LEASE_SECONDS
        return True

    async def _read(self, position: bytes) -> Batch | None:
        """What is there behind a position; None for nothing, and where there is no room for more."""
        if not self.terms.outcomes and await self._left() <= 0:
            self.state, self.note = "full", f"{self.terms.max_waiting:,} runs wait in queue {self._maker.queue!r}"
            return None
        limit = self.terms.batch if self.terms.outcomes else min(self.terms.batch, self._room)
        reading = await self._source.read(position, limit)
        if not reading.entries and reading.position == position:
            self.note = reading.note
            return None
        self._room -= len(reading.entries)
        self._under_way += len(reading.entries)
        made = self._maker.make(reading.entries)
        return Batch(reading.entries, made, reading.position, reading.more, reading.note)

    async def _left(self) -> int:
        """For how many runs there is room."""
        if self._room > 0 and time.monotonic() < self._count_at:
            return self._room
        store, queue, most = self._core.store, self._maker.queue, self.terms.max_waiting
        # Before it is counted: what is written meanwhile may count twice, and never not at all.
        under_way, began = self._under_way, time.monotonic()
        ready = next((ready for row, ready, _, _ in await store.list_queues() if row.name == queue), 0)
        if ready >= COUNTED_UP_TO and most > COUNTED_UP_TO:
            waiting = And((Compare("queue", "=", queue), Compare("status", "=", "queued")))
            ready = await store.count_runs(self.terms.tenant, waiting, cap=most)
        self._room = most - ready - under_way
        self._count_at = began + max(COUNT_SECONDS, COUNT_REST * (time.monotonic() - began))
        return self._room

    async def _take(self, batch: Batch) -> bool | None:
        """Take in a batch: True; None if somebody else was first."""
        if batch.made.outcomes:
            await self._core.store.intake.put_outcomes(batch.made.outcomes)
        outcomes = await self._commit(batch.made, batch.position)
        self._under_way -= len(batch.found)
        if outcomes is None:
            return None
        if "run" in outcomes:
            self._core.announce("ready")
        return True

    async def _commit(self, made: Made, position: bytes) -> tuple[EntryOutcome, ...] | None:
        """Commit entries with a position, whatever the database refuses of them; None if somebody else was first."""
        assert self._row is not None
        entries = made.entries
        try:
            taken = await self._known(made, position)
        except Rejected as error:
            if len(entries) > 1:
                # Split until the culprit stands alone. The first half leaves the position where it is.
                half = len(entries) // 2
                first = await self._commit(made._replace(entries=entries[:half]), self._row.position)
                rest = None if first is None else await self._commit(made._replace(entries=entries[half:]), position)
                return None if first is None or rest is None else (*first, *rest)
            if not entries or entries[0][1].outcome == "dead":
                raise
            [(found, entry)] = entries
            reason = storable(str(error))[:REASON_CHARACTERS]
            dead = entry._replace(outcome="dead", reason=reason, content=kept(found), start=None, messages=())
            return await self._commit(made._replace(entries=[(found, dead)]), position)
        if taken.refused == "setting":
            await self._maker.decide()
            return await self._commit(self._maker.make([found for found, _ in entries]), position)
        if taken.refused == "moved":
            log.info("source %s of tenant %s was read by another", self.terms.name, self.terms.tenant)
            return None
        self._row = self._row._replace(position=position, revision=taken.revision)
        self.taken.update(taken.outcomes)
        return taken.outcomes

    async def _known(self, made: Made, position: bytes) -> TakenIn:
        """Take in entries, until it is known what became of that."""
        assert self._row is not None
        asked = TakeIn(
            tenant=self.terms.tenant,
            source=self.terms.name,
            revision=self._row.revision,
            position=position,
            entries=tuple(entry for _, entry in made.entries),
            setting=made.setting,
            at=self._core.now_us(),
        )
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                return await self._core.store.intake.take_in(asked)
            except PASSING as error:
                log.warning("source %s of tenant %s waits: %s", self.terms.name, self.terms.tenant, error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    async def _failed(self, reason: str) -> bool:
        self._row = None
        if reason != self._logged:
            self._logged = reason
            log.warning("source %s of tenant %s cannot be read: %s", self.terms.name, self.terms.tenant, reason)
        self.state, self.note = "failing", reason
        try:
            await self._tell(at_once=True)
        except PASSING as error:
            log.debug("how source %s is doing is told later: %s", self.terms.name, error)
        return False

    async def _tell(self, *, at_once: bool = False) -> None:
        """Note how the source is doing, if it was not done just now, or is to be known at once."""
        now, doing = time.monotonic(), (self.state, storable(self.note))
        if doing == self._noted:
            if now < self._noted_at + NOTE_AGAIN_SECONDS:
                return
        elif not at_once and now < self._noted_at + NOTE_SECONDS:
            return
        terms = self.terms
        await self._core.store.intake.note_source(terms.tenant, terms.name, *doing, self._core.now_us())
        self._noted, self._noted_at = doing, now


async def _nothing() -> None:
    return None
