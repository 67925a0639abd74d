"""What is followed live, and what is known of it: runs with their journals, lists of runs, and whole topics."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from holdfast.api.redaction import Redactor
from holdfast.api.streams import Follower, event
from holdfast.engine.views import journal_view, run_view
from holdfast.model.generations import decode_cuts
from holdfast.model.run import JournalEntry, RunView
from holdfast.store.rows import AttemptRow, JournalRow, RunRow

if TYPE_CHECKING:
    from holdfast.api.tenants import TenantClient

ENTRIES_AT_MOST = 20_000
"""The journal of a run with more entries is not followed, only the run itself."""

Key = tuple[bytes, int]
"""A journal entry: its position and generation."""


class Subject:
    """What somebody follows.

    Attributes:
        followers: who does.
        left_at: since when nobody does, on the monotonic clock.
        due_at: when it is looked at next.
    """

    def __init__(self) -> None:
        self.followers: set[Follower] = set()
        self.left_at: float | None = None
        self.due_at = 0.0

    def join(self, follower: Follower, last: str | None) -> None:
        """Somebody follows from now on, and had what ``last`` says."""
        self.left_at = None
        self.followers.add(follower)

    def leave(self, follower: Follower) -> None:
        """They do not any more."""
        self.followers.discard(follower)
        if not self.followers:
            self.left_at = time.monotonic()


class Update:
    """One event of a run, encoded when somebody is to see it."""

    __slots__ = ("_seen", "kind", "number", "view")

    def __init__(self, number: int, kind: str, view: Any) -> None:
        self.number = number
        self.kind = kind
        self.view = view
        self._seen: dict[bool, bytes] = {}

    def encoded(self, token: str, hide: Callable[[Any], Any] | None, *, only: bool) -> bytes:
        """The event as it is sent; with ``hide``, to those from whom something is hidden.

        Args:
            token: what the ids of the subject's events begin with.
            hide: takes out of a view what is hidden.
            only: nobody will ask for it otherwise, so that the view itself need not be kept.
        """
        found = self._seen.get(hide is not None)
        if found is None:
            view = self.view if hide is None else hide(self.view)
            found = event(self.kind, f"{token}.{self.number}", msgspec.json.encode(view))
            self._seen[hide is not None] = found
            if only:
                self.view = None
        return found


class RunSubject(Subject):
    """A run and its journal.

    Each change has a number. A client that comes back says the last one it had, and is sent what changed since; it
    is sent everything, with a ``reset`` before, where that cannot be told.
    """

    def __init__(self, tenant: str, run_id: str, redactor: Redactor) -> None:
        super().__init__()
        self.tenant = tenant
        self.run_id = run_id
        self.row: RunRow | None = None
        self.token = secrets.token_hex(4)
        self.size = 0
        self._redactor = redactor
        self._secrets: set[str] = set()
        self._number = 0
        self._reset = 0
        self._run: Update | None = None
        self._entries: dict[Key, Update] = {}
        self._hashes: dict[Key, int] = {}

    def join(self, follower: Follower, last: str | None) -> None:
        """See `Subject`."""
        super().join(follower, last)
        token, _, number = (last or "").partition(".")
        had = int(number) if token == self.token and number.isdecimal() and len(number) < 15 else -1
        updates = sorted(self._updates(), key=lambda update: update.number)
        events = [self._encoded(update, follower.hidden) for update in updates if update.number > had]
        if last is not None and had < self._reset:
            events.insert(0, event("reset", f"{self.token}.{max(had, 0)}", b"{}"))
        follower.offer(events)

    def _updates(self) -> Iterable[Update]:
        return [*([self._run] if self._run is not None else []), *self._entries.values()]

    def _encoded(self, update: Update, hidden: bool) -> bytes:
        return update.encoded(self.token, self._hide if hidden else None, only=not self._redactor.active)

    def _hide(self, view: Any) -> Any:
        return self._redactor.view(view, self._secrets)

    def _next(self, kind: str, view: Any) -> Update:
        self._number += 1
        return Update(self._number, kind, view)

    def changed_row(self, row: RunRow) -> bool:
        """Whether the run is another than when it was looked at last."""
        return row != self.row

    def forget_entries(self) -> None:
        """Take every entry for changed, since how it is shown may be."""
        self._hashes = dict.fromkeys(self._hashes, 0)

    def changed_keys(self, rows: list[JournalRow], attempts: list[AttemptRow]) -> set[Key] | None:
        """Which entries changed; None if some are gone, as when a run begins again.

        Inputs and outputs are not compared, and may be left out: they change only with the outcome.
        """
        hashes: dict[Key, int] = {}
        for row in rows:
            hashes[row.position, row.generation] = hash((row.seq, row.outcome, row.attempts, row.finished_at, row.name))
        for attempt in attempts:
            key = attempt.position, attempt.generation
            hashes[key] = hash((hashes.get(key), attempt))
        self.size = len(hashes)
        known, self._hashes = self._hashes, hashes
        if not known.keys() <= hashes.keys():
            return None
        return {key for key, found in hashes.items() if known.get(key) != found}

    def begin_again(self) -> None:
        """Entries are gone: whoever follows forgets what they have."""
        self._number += 1
        self._reset = self._number
        self._entries.clear()
        self._run = None
        for follower in self.followers:
            follower.offer([event("reset", f"{self.token}.{self._number}", b"{}")])

    def tell(self, row: RunRow, entries: list[tuple[Key, JournalEntry]]) -> None:
        """Tell the followers what changed: entries first, so that the run's end comes after all that led to it.

        Args:
            row: the run as it is.
            entries: those that changed.
        """
        changed = self.changed_row(row) or self._run is None
        view: RunView | None = run_view(row) if changed else None
        if view is not None and self._redactor.active:
            self._redactor.view(view, self._secrets)
        updates: list[Update] = []
        for key, entry in entries:
            update = self._entries[key] = self._next("entry", entry)
            updates.append(update)
        if view is not None:
            self._run = self._next("run", view)
            updates.append(self._run)
        self.row = row
        for hidden in {follower.hidden for follower in self.followers} if updates else ():
            events = [self._encoded(update, hidden) for update in updates]
            for follower in list(self.followers):
                if follower.hidden == hidden:
                    follower.offer(events)

    def gone(self) -> None:
        """The run is no more: its time was over."""
        for follower in list(self.followers):
            follower.offer([event("gone", f"{self.token}.{self._number}", b"{}")])
            follower.end()


def keys_of(rows: list[JournalRow], attempts: list[AttemptRow]) -> set[Key]:
    """The keys of some entries, those that have but failed attempts included."""
    return {(one.position, one.generation) for one in rows} | {(one.position, one.generation) for one in attempts}


def entries_of(
    row: RunRow, rows: list[JournalRow], attempts: list[AttemptRow], keys: set[Key]
) -> list[tuple[Key, JournalEntry]]:
    """Some entries of a run as shown, with their keys, in order of position."""
    rows = [one for one in rows if (one.position, one.generation) in keys]
    attempts = [one for one in attempts if (one.position, one.generation) in keys]
    found = sorted(keys_of(rows, attempts))
    return list(zip(found, journal_view(rows, attempts, decode_cuts(row.cuts)), strict=True))


class WholeSubject(Subject):
    """Something of which only is told that it changed: a list's first page, or a topic.

    Args:
        read: gives it as it is.
        rest_seconds: it is looked at no more often.
    """

    def __init__(self, read: Callable[[], Awaitable[Any]], rest_seconds: float) -> None:
        super().__init__()
        self.rest_seconds = rest_seconds
        self.fingerprint: str | None = None
        self.changes = 0
        self._read = read
        self._told: set[Follower] = set()

    async def look(self) -> None:
        """Look at it, and tell whether it changed."""
        data = msgspec.msgpack.encode(await self._read())
        found = hashlib.blake2b(data, digest_size=8).hexdigest()
        # Who was told since the last look went to see, and may have seen what was there in between and is gone
        # again, as when something was paused and resumed: they are told once more.
        told, self._told = self._told & self.followers, set()
        if found == self.fingerprint:
            for follower in told:
                follower.offer([self._event()])
            return
        known, self.fingerprint = self.fingerprint, found
        self.changes += 1
        for follower in self.followers if known is not None else ():
            follower.offer([self._event()])
            self._told.add(follower)

    def join(self, follower: Follower, last: str | None) -> None:
        """See `Subject`. Whoever had this very state is told nothing until the next look."""
        super().join(follower, last)
        self._told.add(follower)
        if last != self.fingerprint:
            follower.offer([self._event()])

    def _event(self) -> bytes:
        assert self.fingerprint is not None
        return event("changed", self.fingerprint, msgspec.json.encode({"fingerprint": self.fingerprint}))


Read = Callable[["TenantClient"], Awaitable[Any]]

TOPICS: dict[str, tuple[float, Read]] = {}
"""By topic how often it is looked at, in seconds, at most; and what it is."""


def topic(name: str, rest_seconds: float) -> Callable[[Read], Read]:
    """Make a function that reads something a topic."""

    def register(read: Read) -> Read:
        TOPICS[name] = rest_seconds, read
        return read

    return register


@topic("overview", 2.0)
async def _overview(client: TenantClient) -> Any:
    found = await client.overview()
    # Workers tell now and then what ended in them: the figures change after the runs do.
    ended = (await client.stats(since=found.at - timedelta(minutes=1))).total
    wanting = [await _outbox(client), await _intake(client), await _alerts(client)]
    return [found.statuses, found.failures, found.lost_workers, found.stranded, ended, wanting]


@topic("outbox", 1.0)
async def _outbox(client: TenantClient) -> Any:
    return [await client.message_counts(), await client.publish_settings()]


@topic("intake", 1.0)
async def _intake(client: TenantClient) -> Any:
    # It is looked for entries all the time; without any it changes nothing.
    return [
        (one.name, one.workflow, one.revision, one.runs, one.filtered, one.repeated, one.dead, one.state, one.note)
        for one in await client.sources()
    ]


@topic("alerts", 1.0)
async def _alerts(client: TenantClient) -> Any:
    return [(one.rule, one.about, one.state, one.severity, one.text) for one in await client.alerts()]


@topic("queues", 1.0)
async def _queues(client: TenantClient) -> Any:
    return [await client.queues(), await client.workflows()]


@topic("lanes", 1.0)
async def _lanes(client: TenantClient) -> Any:
    return await client.lanes(limit=1000)


@topic("schedules", 1.0)
async def _schedules(client: TenantClient) -> Any:
    return await client.schedules()


@topic("workers", 1.0)
async def _workers(client: TenantClient) -> Any:
    # Beats come all the time, and change nothing.
    return [
        (one.id, one.host, one.pid, one.alive, one.running, one.slots, one.draining, one.serves)
        for one in await client.workers()
    ]
