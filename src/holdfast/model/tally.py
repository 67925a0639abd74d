"""Counts of the runs that end: by minute and hour, with histograms of how long they waited and took.

A histogram has a bucket for each power of two of microseconds: bucket i holds what is at least 2^i and less than
2^(i+1); what is less than a microsecond is in bucket 0. So it has a few dozen numbers, whatever is counted, and
histograms of several processes are added number by number.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import NamedTuple

BUCKETS = 62
"""More than any time within the reach of instants needs."""

MINUTE, HOUR = 60, 3600
SPANS = (MINUTE, HOUR)
"""The lengths of the stretches that are counted by, in seconds."""

Key = tuple[str, str, str]
"""Tenant, workflow, and how the run ended."""


class Cell:
    """What was counted of one kind of run in one stretch of time.

    Attributes:
        runs: how many ended.
        waited_us, took_us: sums.
        waits, tooks: how many lie where, by the bit length of the microseconds.
    """

    __slots__ = ("runs", "took_us", "tooks", "waited_us", "waits")

    def __init__(self) -> None:
        self.runs = self.waited_us = self.took_us = 0
        self.waits = [0] * (BUCKETS + 1)
        self.tooks = [0] * (BUCKETS + 1)

    def add(self, other: Cell) -> None:
        """Count what the other has counted too."""
        self.runs += other.runs
        self.waited_us += other.waited_us
        self.took_us += other.took_us
        self.waits = [one + two for one, two in zip(self.waits, other.waits, strict=True)]
        self.tooks = [one + two for one, two in zip(self.tooks, other.tooks, strict=True)]


class Stretch(NamedTuple):
    """A stretch of time: its length in seconds, and its beginning, in seconds since 1970."""

    span: int
    since: int


class Tally:
    """Counts the runs that end in a process.

    `count` is called for every run, and so does little: all else is done by `collect`, now and then.
    """

    def __init__(self) -> None:
        self._minute = 0
        self._fresh: dict[Key, Cell] = {}
        self._closed: list[tuple[int, dict[Key, Cell]]] = []
        self._kept: dict[Stretch, dict[Key, Cell]] = {}
        self._changed: set[tuple[Stretch, Key]] = set()

    def turn(self, now_us: int) -> None:
        """Tell the time before something is counted. It does not go back, whatever the clock does."""
        minute = now_us // 60_000_000
        if minute > self._minute:
            if self._fresh:
                self._closed.append((self._minute, self._fresh))
                self._fresh = {}
            self._minute = minute

    def count(self, tenant: str, workflow: str, status: str, waited_us: int, took_us: int) -> None:
        """Count a run that ended.

        Args:
            tenant: whose.
            workflow: its name.
            status: how it ended.
            waited_us: from being due to the first claim.
            took_us: from then to the end.
        """
        key = (tenant, workflow, status)
        cell = self._fresh.get(key)
        if cell is None:
            cell = self._fresh[key] = Cell()
        cell.runs += 1
        if waited_us > 0:
            cell.waited_us += waited_us
            cell.waits[waited_us.bit_length()] += 1
        else:
            cell.waits[0] += 1
        if took_us > 0:
            cell.took_us += took_us
            cell.tooks[took_us.bit_length()] += 1
        else:
            cell.tooks[0] += 1

    def collect(self) -> list[tuple[Stretch, Key, Cell]]:
        """What is to be stored: each stretch as a whole, until `stored` says that it was."""
        counted = [*self._closed, *([(self._minute, self._fresh)] if self._fresh else [])]
        self._closed, self._fresh = [], {}
        for minute, cells in counted:
            for stretch in _stretches(minute):
                kept = self._kept.setdefault(stretch, {})
                for key, cell in cells.items():
                    kept.setdefault(key, Cell()).add(cell)
                    self._changed.add((stretch, key))
        return [(stretch, key, self._kept[stretch][key]) for stretch, key in sorted(self._changed)]

    def stored(self, collected: Iterable[tuple[Stretch, Key, Cell]]) -> None:
        """What `collect` gave is stored: nothing is kept of stretches that are over."""
        for stretch, key, _ in collected:
            self._changed.discard((stretch, key))
        now = self._minute * MINUTE
        wanted = {stretch for stretch, _ in self._changed}
        # What was counted meanwhile is to be added to what is there.
        wanted |= {stretch for minute, _ in self._closed for stretch in _stretches(minute)}
        for stretch in [one for one in self._kept if one.since + one.span <= now and one not in wanted]:
            del self._kept[stretch]


def _stretches(minute: int) -> list[Stretch]:
    """What a minute is in."""
    return [Stretch(span, minute * MINUTE // span * span) for span in SPANS]


def buckets(counts: Sequence[int]) -> list[int]:
    """A histogram by bit length as one of powers of two, without the zeros at its end."""
    found = [counts[0] + counts[1], *counts[2:]]
    while found and not found[-1]:
        found.pop()
    return found


def added(one: Sequence[int], other: Sequence[int]) -> list[int]:
    """Two histograms as one."""
    return [left + right for left, right in zip_longest(one, other, fillvalue=0)]


def percentile(histogram: Sequence[int], share: float) -> float | None:
    """The time, in microseconds, that a share of what was counted does not exceed.

    It lies in the bucket of the true one, which is that of rank ceil(share x number) in order; within the bucket
    what was counted is taken to be spread evenly.

    Args:
        histogram: as `buckets` gives.
        share: 0 to 1.

    Returns:
        Microseconds; None when nothing was counted.
    """
    rank = max(1, math.ceil(share * sum(histogram)))
    before = 0
    for bucket, count in enumerate(histogram):
        if count and before + count >= rank:
            low = float(1 << bucket) if bucket else 0.0
            high = float(1 << (bucket + 1))
            return low + (high - low) * (rank - before - 0.5) / count
        before += count
    return None
