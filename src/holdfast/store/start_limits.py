"""Limits to how many runs of a key start in a stretch of time, as stores keep them; and runs that wait for theirs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from holdfast.model import rates
from holdfast.model.rates import Mark

OVERDUE_US = 60_000_000
"""A run that comes so much later than its limit planned, or a stretch of the limit, is planned behind all others."""


class RateState(msgspec.Struct, gc=False):
    """A key's limit, what started, and what is planned.

    Attributes:
        started: the log as it is stored, unless it was taken apart.
        planned: the plan, likewise.
        over_at: then both are of no use any more, at the earliest.
        changed: it is to be stored.
    """

    id: bytes
    most: int
    period: int
    started: bytes = b""
    planned: bytes = b""
    over_at: int = 0
    changed: bool = False
    _log: list[Mark] | None = None
    _plan: list[Mark] | None = None

    @property
    def log(self) -> list[Mark]:
        """What started; to be changed in place."""
        if self._log is None:
            self._log = rates.decode(self.started)
        return self._log

    @property
    def plan(self) -> list[Mark]:
        """What is planned; to be changed in place."""
        if self._plan is None:
            self._plan = rates.decode(self.planned)
        return self._plan

    def row(self) -> tuple[bytes, int, int, bytes, bytes, int]:
        """The columns that are stored, from which it is made again; the last one says when the row is over."""
        started = self.started if self._log is None else rates.encode(self._log)
        planned = self.planned if self._plan is None else rates.encode(self._plan)
        over_at = self.over_at
        for marks in (started, planned):
            if marks:
                over_at = max(over_at, rates.last(marks) + self.period)
        return self.id, self.most, self.period, started, planned, over_at

    def take(self, now: int) -> bool:
        """Let one through now, if the log admits it, whatever is planned."""
        if self._log is None and (one := rates.only(self.started)) is not None:
            # As nearly all are: not worth to be taken apart.
            at, count = one
            if count >= self.most and at > now - self.period:
                return False
        if self.log and not rates.admits(self.log, now, self.most, self.period):
            return False
        rates.charge(self.log, now, self.period)
        self.changed = True
        return True

    def book(self, now: int) -> int:
        """Let one through now, or plan it behind those that are planned: at which instant."""
        self.changed = True
        if self._log is None and self._plan is None and not self.planned:
            if not self.started:
                self.started = rates.encode_one(now)
                return now
            if (one := rates.only(self.started)) is not None:
                at, count = one
                planned = at + self.period if count >= self.most else at
                if planned > now:
                    self.planned = rates.encode_one(planned)
                    return planned
        at = rates.next_at(self.log, now, self.most, self.period, self.plan)
        if at <= now:
            rates.charge(self.log, now, self.period)
        else:
            rates.add(self.plan, at, now, self.most, self.period)
        return at

    def give_back(self, at: int) -> None:
        """One that was planned for this instant does not come."""
        self.changed = rates.take_back(self.plan, at, self.period) or self.changed


class Due(NamedTuple):
    """A run whose time has come, and the limit that it waits for."""

    run: bytes
    wake_at: int
    rate: bytes


def plan_promotions(due: Sequence[Due], limits: Mapping[bytes, RateState], now: int) -> dict[bytes, int]:
    """Let runs through that their limits admit.

    Args:
        due: in order of time.
        limits: of all of them; they are changed.
        now: the database's clock.

    Returns:
        When each of the others is tried again.
    """
    again: dict[bytes, int] = {}
    waiting: dict[bytes, list[Mark]] = {}
    for run, wake_at, id in due:
        limit = limits[id]
        limit.give_back(wake_at)
        if id not in waiting and limit.take(now):
            continue
        if id not in waiting:
            waiting[id] = list(limit.log)
        if now - wake_at > max(limit.period, OVERDUE_US):
            # After an outage: behind those that are planned, so that each of many is moved once.
            at = rates.next_at(limit.log, now, limit.most, limit.period, limit.plan)
        else:
            at = rates.next_at(waiting[id], now, limit.most, limit.period)
        waiting[id].append((at, 1))
        waiting[id].sort()
        rates.add(limit.plan, at, now, limit.most, limit.period)
        limit.changed = True
        again[run] = at
    return again


class Held(msgspec.Struct, frozen=True):
    """The limit of a run that was held before it was counted against it; kept in the note of the hold."""

    id: str
    most: int
    period_us: int


class _HoldNote(msgspec.Struct):
    limit: Held | None = None


def with_limit(note: bytes, held: Held | None) -> bytes:
    """The note of a hold, with the limit that the run is still to be counted against."""
    return note if held is None else msgspec.json.encode({**msgspec.json.decode(note), "limit": held})


def limit_in(note: bytes | None) -> Held | None:
    """What `with_limit` put there."""
    return None if note is None else msgspec.json.decode(note, type=_HoldNote).limit
