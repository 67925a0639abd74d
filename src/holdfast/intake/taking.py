"""Takes in what one source reads, batch by batch: runs, entries and the new position in one commit.

Only the commit counts. It is refused where the source is at another position by now, so that of two who read the same
one takes it in; and where the path was changed meanwhile, so that it is decided again. A commit whose outcome is not
known is repeated until it is.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from dataclasses import dataclass

from holdfast.engine.core import Core
from holdfast.errors import HoldfastError, StoreFull, StoreReadOnly, StoreUnavailable
from holdfast.intake.making import Made, Maker, given_up
from holdfast.intake.outcomes import OutcomeMaker
from holdfast.intake.reading import Found, Source, SourceUnavailable
from holdfast.intake.room import Room
from holdfast.intake.standing import Lead, Notes
from holdfast.intake.terms import SourceTerms
from holdfast.store.base import Rejected
from holdfast.store.intake_rows import EntryOutcome, SourceRow, TakeIn, TakenIn

log = logging.getLogger("holdfast.intake")

FULL_SECONDS = 0.1
"""So soon it is looked again when there was no room."""

WAITING_SECONDS = 2.5
"""So soon it is looked whether a source is free that another process reads."""

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
        self._maker = OutcomeMaker(core, terms) if terms.outcomes else Maker(core, terms)
        self._lead = Lead(core, terms, holder)
        self._notes = Notes(core, terms)
        self._room = Room(core, terms)
        self._row: SourceRow | None = None
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
            pause = 0.0
            if await self._lead.keep():
                await self.take()
                await self._notes.tell(self.state, self.note, at_once=not wait)
                self._logged = ""
                pause = FULL_SECONDS if self.state == "full" else 0.0
            else:
                self.state, self.note = "waiting", "another process reads it"
                pause = WAITING_SECONDS
            if wait and pause:
                await asyncio.sleep(pause)
            elif wait:
                await self._source.wait(self.terms.poll_seconds)
        except SourceUnavailable as error:
            return await self._failed(error.reason)
        except PASSING as error:
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
        terms, intake = self.terms, self._core.store.intake
        if self._row is not None:
            # Looked at anew each time: a person may have put it back, and another may have read it.
            self._row = await intake.source(terms.tenant, terms.name)
        if self._row is None:
            self._row = await intake.open_source(terms.tenant, terms.name, terms.kind, terms.workflow)
        await self._maker.look()
        self._room.begin()
        self.state, self.note = "reading", ""
        batch = await self._read(self._row.position)
        while batch is not None:
            # What comes next is read and made while this is written.
            following = self._read(batch.position) if batch.more else _nothing()
            taken, ahead = await asyncio.gather(self._take(batch), following, return_exceptions=True)
            if isinstance(taken, BaseException):
                raise taken
            if not taken:
                return
            await self._source.taken(batch.found)
            if isinstance(ahead, BaseException):
                raise ahead
            if self.state == "reading":
                self.note = batch.note
            await self._notes.tell(self.state, self.note)
            if not await self._lead.keep():
                return
            batch = ahead
        if self.state == "reading":
            self.state = "waiting"

    async def close(self) -> None:
        """Let others take the source in."""
        await self._source.close()
        await self._lead.let_go()

    async def _read(self, position: bytes) -> Batch | None:
        """What is there behind a position; None for nothing, and where there is no room for more."""
        limit = self.terms.batch
        if not self.terms.outcomes:
            limit = min(limit, await self._room.left(self._maker.queue))
            if limit <= 0:
                self.state, self.note = "full", f"{self.terms.max_waiting:,} runs wait in queue {self._maker.queue!r}"
                return None
        reading = await self._source.read(position, limit)
        if not reading.entries and reading.position == position:
            self.note = reading.note
            return None
        self._room.take(len(reading.entries))
        made = self._maker.make(reading.entries)
        return Batch(reading.entries, made, reading.position, reading.more, reading.note)

    async def _take(self, batch: Batch) -> bool:
        """Take in a batch; False if somebody else was first."""
        if batch.made.outcomes:
            await self._core.store.intake.put_outcomes(batch.made.outcomes)
        outcomes = await self._commit(batch.made, batch.position)
        self._room.written(len(batch.found))
        if outcomes is not None and "run" in outcomes:
            self._core.tell_started(entry.start for _, entry in batch.made.entries if entry.start is not None)
        return outcomes is not None

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
            if not entries:
                raise
            [(found, entry)] = entries
            if entry.outcome != "dead":
                entry = given_up(self.terms.name, found, entry, str(error))
            elif entry.messages:  # is it what another path is given that is refused?
                entry = entry._replace(messages=())
            else:
                raise
            return await self._commit(made._replace(entries=[(found, entry)]), position)
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
        if reason != self._logged:
            self._logged = reason
            log.warning("source %s of tenant %s cannot be read: %s", self.terms.name, self.terms.tenant, reason)
        self.state, self.note = "failing", reason
        try:
            await self._notes.tell(self.state, self.note, at_once=True)
        except PASSING as error:
            log.debug("how source %s is doing is told later: %s", self.terms.name, error)
        return False


async def _nothing() -> None:
    return None
