"""Signals: measured facts about subjects, sent one at a time or by the million, and how they changed."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping
from datetime import datetime
from typing import Any

from holdfast.engine.part import check_whole
from holdfast.errors import SubjectNotFound, UsageError
from holdfast.model.duration import Duration, seconds
from holdfast.model.expressions import check_signal_name
from holdfast.model.ids import check_id
from holdfast.model.policies import Policy, check_signal
from holdfast.model.run import instant
from holdfast.store.work_rows import SignalRow
from holdfast.workqueue.importing import FAULTS
from holdfast.workqueue.part import PAGE_AT_MOST, PORTION, WorkPart, checked_instant
from holdfast.workqueue.settings import Settling
from holdfast.workqueue.subject_rows import checked_time
from holdfast.workqueue.views import Imported, RowFault, SignalChange, SignalView

FIELDS = ("subject", "name", "value", "at", "source")

Sent = Mapping[str, Any]
"""A signal as it is sent: an object with ``subject``, ``name`` and ``value``, and if known ``at`` and ``source``."""


class Signals(Settling):
    """The part of a work queue that has to do with signals."""

    async def put_signal(
        self, subject: str, name: str, value: float, *, at: datetime | None = None, source: str = ""
    ) -> SignalView:
        """Tell what was measured. One of the same subject, name and time is replaced.

        Args:
            subject: the id of one that is known.
            name: of the signal.
            value: a number, in the range of the policy if that declares the signal.
            at: when it was measured, aware; now unless given. The latest counts, in whatever order they come.
            source: where it is from, at most 200 characters.

        Raises:
            UsageError: a value is out of range, or the time in the future.
            SubjectNotFound: the tenant has no such subject.
        """
        given = {"subject": subject, "name": name, "value": value, "at": at, "source": source}
        row = _row(given, self.tenant, await self._ranges(), self.core.now_us(), "")
        if await self._patiently(self._work.put_signals([row])):
            raise SubjectNotFound(f"tenant {self.tenant!r} has no subject {subject!r}")
        return signal_view(row)

    async def put_signals(self, signals: Iterable[Sent] | AsyncIterable[Sent], *, source: str = "") -> Imported:
        """Tell many measured facts: the good ones are stored, in portions, and the bad ones told.

        Args:
            signals: objects with ``subject``, ``name`` and ``value``, and if known ``at`` (aware, or ISO text) and
                ``source``.
            source: where they are from, if they do not say.

        Returns:
            How many were stored, and what is wrong with the others, by their places from 1.
        """
        policy, number = await self._ranges(), 0
        sending = _Sending(self)
        async for given in _each(signals):
            number += 1
            try:
                row = _row(given, self.tenant, policy, self.core.now_us(), source)
            except UsageError as error:
                sending.refuse(number, str(error))
                continue
            sending.take(number, row)
            if sending.full:
                await sending.store()
        await sending.store()
        return Imported(sending.stored, sending.refused, sorted(sending.faults, key=lambda fault: fault.line))

    async def signals(
        self, subject: str, *, name: str | None = None, since: datetime | None = None, limit: int = 100
    ) -> list[SignalView]:
        """A subject's signals, newest first.

        Args:
            subject: its id.
            name: only those of this name.
            since: only those measured at this instant or after it.
            limit: at most so many, 1 to 1,000.

        Raises:
            UsageError: a limit out of range.
            SubjectNotFound: the tenant has no such subject.
        """
        check_whole(limit, "limit", PAGE_AT_MOST)
        await self._check_subject(subject)
        rows = await self._patiently(
            self._looks.list_signals(
                self.tenant,
                subject,
                name=None if name is None else check_id(name, "the name of a signal"),
                since=0 if since is None else max(0, checked_instant(since, "since")),
                limit=limit,
            )
        )
        return [signal_view(row) for row in rows]

    async def change(self, subject: str, name: str, over: Duration) -> SignalChange:
        """How a signal of a subject changed over a period that ends now.

        Args:
            subject: its id.
            name: of the signal.
            over: the length of the period, such as ``"30d"``.

        Raises:
            UsageError: no such period.
            SubjectNotFound: the tenant has no such subject.
        """
        length = seconds(over, what="over")
        if length <= 0:
            raise UsageError(f"over is {over!r}; give more than no time, such as '30d'")
        check_id(name, "the name of a signal")
        await self._check_subject(subject)
        since = max(0, self.core.now_us() - round(length * 1e6))
        latest = await self._latest(subject, name, None)
        before = None if latest is None else await self._latest(subject, name, since)
        return changed(subject, name, since, before, latest)

    async def signal_names(self) -> list[str]:
        """The names of all signals that were ever sent, in order."""
        return await self._patiently(self._looks.signal_names(self.tenant))

    async def _latest(self, subject: str, name: str, until: int | None) -> float | None:
        rows = await self._patiently(self._looks.list_signals(self.tenant, subject, name=name, until=until, limit=1))
        return rows[0].value if rows else None

    async def _check_subject(self, subject: str) -> None:
        check_id(subject, "the id of a subject")
        if not await self._patiently(self._looks.find_subjects(self.tenant, [subject])):
            raise SubjectNotFound(f"tenant {self.tenant!r} has no subject {subject!r}")


class _Sending:
    """Collects signals, stores them in portions, and counts."""

    def __init__(self, part: WorkPart) -> None:
        self._part = part
        self._portion: dict[tuple[str, str, int], tuple[list[int], SignalRow]] = {}
        self.stored = 0
        self.refused = 0
        self.faults: list[RowFault] = []

    @property
    def full(self) -> bool:
        """Whether a portion is to be stored."""
        return len(self._portion) >= PORTION

    def refuse(self, line: int, reason: str) -> None:
        """A row is bad."""
        self.refused += 1
        if len(self.faults) < FAULTS:
            self.faults.append(RowFault(line, reason))

    def take(self, line: int, row: SignalRow) -> None:
        """Take a row in. Of two of one subject, name and time the later counts."""
        key = row.subject, row.name, row.at
        lines, _ = self._portion.get(key, ([], row))
        self._portion[key] = [*lines, line], row

    async def store(self) -> None:
        """Store what was taken in."""
        taken = list(self._portion.values())
        self._portion.clear()
        if not taken:
            return
        part = self._part
        missing = set(await part._patiently(part._work.put_signals([row for _, row in taken])))
        for place, (lines, row) in enumerate(taken):
            if place not in missing:
                self.stored += len(lines)
                continue
            for line in lines:
                self.refuse(line, f"there is no subject {row.subject!r:.100}")


def changed(subject: str, name: str, since: int, before: float | None, latest: float | None) -> SignalChange:
    """How a signal changed from what it was to what it is."""
    difference = None if before is None or latest is None else latest - before
    percent = None if difference is None or not before else difference / abs(before) * 100
    return SignalChange(subject, name, instant(since), before, latest, difference, percent)


def signal_view(row: SignalRow) -> SignalView:
    """A signal as it is shown."""
    return SignalView(row.subject, row.name, instant(row.at), row.value, row.source)


def _row(given: object, tenant: str, policy: Policy, now: int, source: str) -> SignalRow:
    """A signal that was sent, checked.

    Raises:
        UsageError: a field is missing, unknown or wrong.
    """
    if not isinstance(given, Mapping):
        raise UsageError(f"it is {given!r:.100}; give an object with subject, name and value")
    for field in given:
        if field not in FIELDS:
            raise UsageError(f"{field!r:.100} is no field of a signal; the fields are {', '.join(FIELDS)}")
    for field in FIELDS[:3]:
        if given.get(field) is None:
            raise UsageError(f"it has no {field}; give subject, name and value")
    name = check_signal_name(given["name"])
    at = given.get("at")
    said = given.get("source") or source
    if not isinstance(said, str) or len(said) > 200 or not said.isprintable():
        raise UsageError(f"source is {said!r:.100}; give a text of at most 200 characters on one line")
    return SignalRow(
        tenant,
        check_id(given["subject"], "the id of a subject"),
        name,
        now if at is None else checked_time(at, "at", now),
        check_signal(policy, name, given["value"]),
        said,
    )


async def _each(rows: Iterable[Sent] | AsyncIterable[Sent]) -> AsyncIterator[Sent]:
    if isinstance(rows, AsyncIterable):
        async for row in rows:
            yield row
    else:
        for row in rows:
            yield row
