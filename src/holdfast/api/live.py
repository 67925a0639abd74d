"""Live updates: one hub for each server looks at everything that somebody follows, and tells whoever does.

It looks when the database hints that something happened, and now and then, since hints may be lost and steps give
none; however many follow the same thing, it is read once. Looking stays a small part of the time.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar, cast

from holdfast.api.access import Principal
from holdfast.api.following import (
    ENTRIES_AT_MOST,
    TOPICS,
    Key,
    RunSubject,
    Subject,
    WholeSubject,
    entries_of,
    keys_of,
)
from holdfast.api.paging import condition_of
from holdfast.api.problems import Refused
from holdfast.api.streams import Follower
from holdfast.codecs.remote import reading
from holdfast.errors import RunNotFound, StoreError
from holdfast.model.ids import check_id
from holdfast.model.run import Status
from holdfast.store.base import Store
from holdfast.store.rows import AttemptRow, JournalRow, RunRow

if TYPE_CHECKING:
    from holdfast.api.server import Server
    from holdfast.engine.dispatcher import Dispatcher

log = logging.getLogger("holdfast.api")

REST_SECONDS = 0.2
"""Between two looks at runs."""

POLL_SECONDS = 0.5
"""When no hint comes."""

LIST_REST_SECONDS = 0.5
LIST_POLL_SECONDS = 1.0

SHARE = 4
"""After a look it rests for so many times as long as the look took."""

LINGER_SECONDS = 60.0
"""So long is kept what nobody follows any more, for those who come back."""

ROWS_AT_ONCE = 500
JOURNALS_AT_ONCE = 100

SMALL = 200
"""Journals with no more entries are read together with others; a longer one alone, and only what changed in full."""

FIRST_PAGE = 50

FOLLOWERS_AT_MOST = 10_000

_ENDED = (Status.SUCCEEDED, Status.FAILED, Status.CANCELLED)

T = TypeVar("T")
S = TypeVar("S", bound=Subject)


class Live:
    """The hub.

    Args:
        server: whose.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._runs: dict[tuple[str, str], RunSubject] = {}
        self._wholes: dict[tuple[str, ...], WholeSubject] = {}
        self._first: dict[tuple[str, ...], asyncio.Future[Any]] = {}
        self._hint = asyncio.Event()
        self._hint_wholes = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._closed = False

    @property
    def followers(self) -> int:
        """How many clients follow something."""
        return sum(len(subject.followers) for subject in (*self._runs.values(), *self._wholes.values()))

    # What the database hints

    def wake(self) -> None:
        """Something became ready."""
        self._hint.set()
        self._hint_wholes.set()

    def expect_due(self, at_us: int) -> None:
        """Something will."""

    def hear(self, kind: str) -> None:
        """Something happened."""
        self.wake()

    # Who follows

    async def follow_run(self, principal: Principal, run_id: str, last: str | None) -> tuple[Follower, Subject]:
        """Follow a run and its journal.

        Args:
            principal: who does.
            run_id: the run.
            last: the id of the last event they had, if they come back.

        Raises:
            RunNotFound: the tenant has no run of this id.
        """
        check_id(run_id, "the id of a run")
        key = (principal.tenant, run_id)
        subject = self._runs.get(key)
        if subject is None:

            async def first() -> RunSubject:
                made = RunSubject(*key, self._server.redactor)
                await self._look_at_runs([made])
                if made.row is None:
                    raise RunNotFound(f"tenant {key[0]!r} has no run {run_id!r}", run_id=run_id)
                self._runs[key] = made
                return made

            subject = await self._once(("run", *key), first)
        return self._joined(subject, principal, last), subject

    async def follow_list(
        self, principal: Principal, last: str | None, *, where: str | None, workflow: str | None, status: str | None
    ) -> tuple[Follower, Subject]:
        """Follow the first page of a list of runs.

        Raises:
            SearchError: the search cannot be read.
        """
        now_us = self._server.core.now_us
        condition_of(where, workflow, status, now_us())
        reads, tenant = self._server.reads(principal.tenant), principal.tenant

        async def read() -> Any:
            condition = condition_of(where, workflow, status, now_us())
            rows = await reads.search_runs(tenant, condition, limit=FIRST_PAGE, before=None)
            # Inputs never change, and may be long.
            return [tuple(row._replace(input=b"")) for row in rows]

        key = ("list", tenant, *(f"{part is None}{part}" for part in (where, workflow, status)))
        return await self._follow_whole(key, principal, last, read, LIST_REST_SECONDS)

    async def follow_topic(self, principal: Principal, last: str | None, topic: str) -> tuple[Follower, Subject]:
        """Follow a topic.

        Raises:
            Refused: there is no such topic.
        """
        if topic not in TOPICS:
            raise Refused("not-found", f"there is no topic {topic!r}; there are: {', '.join(TOPICS)}")
        rest, read = TOPICS[topic]
        # Of nobody's, so that it is shared by all who follow; it is read under the tenant's policy all the same.
        client = self._server.client(Principal("live", "live", principal.tenant, principal.role))
        return await self._follow_whole(("topic", principal.tenant, topic), principal, last, lambda: read(client), rest)

    async def follow_view(
        self,
        principal: Principal,
        last: str | None,
        key: tuple[str, ...],
        read: Callable[[], Awaitable[Any]],
        rest_seconds: float = LIST_REST_SECONDS,
    ) -> tuple[Follower, Subject]:
        """Follow something of a page's.

        Args:
            principal: who does.
            last: the id of the last event they had, if they come back.
            key: what it is, within the tenant.
            read: gives it as it is; the same for everybody who follows it.
            rest_seconds: it is looked at no more often.
        """
        return await self._follow_whole(("view", principal.tenant, *key), principal, last, read, rest_seconds)

    def changes(self, tenant: str, topic: str) -> int:
        """How often a topic was seen to change; 0 where nobody follows it. What is kept of it is too old then."""
        subject = self._wholes.get(("topic", tenant, topic))
        return subject.changes if subject is not None else 0

    async def _follow_whole(
        self,
        key: tuple[str, ...],
        principal: Principal,
        last: str | None,
        read: Callable[[], Awaitable[Any]],
        rest: float,
    ) -> tuple[Follower, Subject]:
        subject = self._wholes.get(key)
        if subject is None:

            async def first() -> WholeSubject:
                made = WholeSubject(read, rest)
                await made.look()
                made.due_at = time.monotonic() + LIST_POLL_SECONDS
                self._wholes[key] = made
                return made

            subject = await self._once(key, first)
        return self._joined(subject, principal, last), subject

    async def _once(self, key: tuple[str, ...], work: Callable[[], Awaitable[S]]) -> S:
        """Begin to look at something; those who come meanwhile wait for the same look."""
        found = self._first.get(key)
        if found is None:
            found = self._first[key] = asyncio.ensure_future(_for_all(work))
            found.add_done_callback(lambda done: (self._first.pop(key, None), done.cancelled() or done.exception()))
        subject: S = await asyncio.shield(found)
        return subject

    def _joined(self, subject: Subject, principal: Principal, last: str | None) -> Follower:
        if self._closed or self.followers_many:
            raise Refused("too-many-requests", "too many clients follow this server", headers={"Retry-After": "5"})
        follower = Follower(hidden=self._server.redactor.active and not principal.sees_all)
        subject.join(follower, last)
        if not self._tasks:
            self._server.core.attend(cast("Dispatcher", self))
            self._tasks = [
                asyncio.create_task(_for_all(self._look_after_runs), name="holdfast-live-runs"),
                asyncio.create_task(_for_all(self._look_after_wholes), name="holdfast-live"),
            ]
        return follower

    @property
    def followers_many(self) -> bool:
        """Whether no more may follow."""
        return self.followers >= FOLLOWERS_AT_MOST

    # Looking

    async def _look_after_runs(self) -> None:
        while True:
            await _hinted(self._hint, POLL_SECONDS)
            began = time.monotonic()
            self._forget(self._runs)
            try:
                await self._look_at_runs([one for one in self._runs.values() if one.followers])
            except StoreError as error:
                log.debug("runs cannot be looked at just now: %s", error)
            except Exception:
                log.exception("runs cannot be looked at")
            await asyncio.sleep(max(REST_SECONDS, SHARE * (time.monotonic() - began)))

    async def _look_after_wholes(self) -> None:
        while True:
            hinted = await _hinted(self._hint_wholes, LIST_POLL_SECONDS / 2)
            began = time.monotonic()
            self._forget(self._wholes)
            for subject in list(self._wholes.values()):
                rested = subject.due_at - LIST_POLL_SECONDS + subject.rest_seconds
                if not subject.followers or (rested if hinted else subject.due_at) > time.monotonic():
                    continue
                before = time.monotonic()
                try:
                    await subject.look()
                except StoreError as error:
                    log.debug("a list cannot be looked at just now: %s", error)
                except Exception:
                    log.exception("a list cannot be looked at")
                took = time.monotonic() - before
                subject.due_at = time.monotonic() + max(LIST_POLL_SECONDS, subject.rest_seconds, SHARE * took)
            await asyncio.sleep(max(REST_SECONDS, SHARE * (time.monotonic() - began)))

    def _forget(self, subjects: dict[Any, S]) -> None:
        """Forget what nobody has followed for a while."""
        long_ago = time.monotonic() - LINGER_SECONDS
        for key in [key for key, one in subjects.items() if one.left_at is not None and one.left_at < long_ago]:
            del subjects[key]

    async def _look_at_runs(self, subjects: list[RunSubject]) -> None:
        tenants: dict[str, list[RunSubject]] = {}
        for subject in subjects:
            tenants.setdefault(subject.tenant, []).append(subject)
        for tenant, theirs in tenants.items():
            reads = self._server.reads(tenant)
            for part in _parts(theirs, ROWS_AT_ONCE):
                rows = {row.id: row for row in await reads.find_runs(tenant, [one.run_id for one in part])}
                await self._look_at_journals(reads, part, rows)

    async def _look_at_journals(self, reads: Store, subjects: list[RunSubject], rows: dict[str, RunRow]) -> None:
        small: list[tuple[RunSubject, RunRow]] = []
        for subject in subjects:
            row = rows.get(subject.run_id)
            if row is None:
                if subject.row is not None:
                    self._runs.pop((subject.tenant, subject.run_id), None)
                    subject.gone()
            elif row.status in _ENDED and not subject.changed_row(row):
                continue  # nothing is recorded of a run that has ended
            elif subject.row is None or subject.size > SMALL:
                await self._look_at_long(reads, subject, row)
            else:
                small.append((subject, row))
        for some in _parts(small, JOURNALS_AT_ONCE):
            entries, attempts = await reads.load_journals([row.uid for _, row in some])
            by_run: dict[bytes, tuple[list[JournalRow], list[AttemptRow]]] = {row.uid: ([], []) for _, row in some}
            for entry in entries:
                by_run[entry.run][0].append(entry)
            for attempt in attempts:
                by_run[attempt.run][1].append(attempt)
            for subject, row in some:
                await self._tell(reads, subject, row, *by_run[row.uid], whole=True)

    async def _look_at_long(self, reads: Store, subject: RunSubject, row: RunRow) -> None:
        entries, attempts = await reads.browse_journal(row.uid, after=b"", limit=ENTRIES_AT_MOST + 1)
        await self._tell(reads, subject, row, entries, attempts, whole=False)

    async def _tell(
        self,
        reads: Store,
        subject: RunSubject,
        row: RunRow,
        entries: list[JournalRow],
        attempts: list[AttemptRow],
        *,
        whole: bool,
    ) -> None:
        """Tell what changed of a run. ``whole``: the entries have their inputs and outputs."""
        if len(entries) > ENTRIES_AT_MOST:
            subject.size = len(entries)
            subject.tell(row, [])
            return
        if subject.row is not None and subject.row.cuts != row.cuts:
            subject.forget_entries()  # a retry: what is in force is another
        keys = subject.changed_keys(entries, attempts)
        if keys is None:
            subject.begin_again()
            keys = keys_of(entries, attempts)
        if keys and not whole:
            entries, attempts = await _in_full(reads, row.uid, keys)
        subject.tell(row, entries_of(row, entries, attempts, keys))

    # The end

    def end_streams(self) -> None:
        """Let every client go, as before the server stops; it takes no more."""
        self._closed = True
        for subject in (*self._runs.values(), *self._wholes.values()):
            for follower in subject.followers:
                follower.end()

    async def close(self) -> None:
        """Let every client go, and stop looking."""
        self.end_streams()
        if self._tasks:
            self._server.core.forsake(cast("Dispatcher", self))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        self._runs.clear()
        self._wholes.clear()


async def _in_full(reads: Store, run: bytes, keys: set[Key]) -> tuple[list[JournalRow], list[AttemptRow]]:
    positions = sorted({position for position, _ in keys})
    rows: list[JournalRow] = []
    attempts: list[AttemptRow] = []
    for part in _parts(positions, ROWS_AT_ONCE):
        some, tries = await reads.read_entries(run, part)
        rows += some
        attempts += tries
    return rows, attempts


async def _for_all(work: Callable[[], Awaitable[T]]) -> T:
    """Do what is shown to several: nothing is opened in the name of one of them."""
    reading.set(None)
    return await work()


async def _hinted(hint: asyncio.Event, seconds: float) -> bool:
    """Whether a hint came within the time."""
    try:
        async with asyncio.timeout(seconds):
            await hint.wait()
    except TimeoutError:
        return False
    hint.clear()
    return True


def _parts(items: list[T], size: int) -> Iterable[list[T]]:
    return (items[first : first + size] for first in range(0, len(items), size))
