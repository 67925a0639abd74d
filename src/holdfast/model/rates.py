"""Limits to how many starts there are in any stretch of a length: a key's log of them, and the plan of later ones.

A log is a list of marks, oldest first: so many starts at an instant. It is exact up to 256 marks. Beyond, neighbours
are put together and counted at the later instant, so that the limit is never exceeded, and reached up to a 128th of
the stretch later. A stretch has its beginning and not its end: starts a whole stretch apart are not in one.

A plan has the same form: starts that have an instant and were not let through yet. It says where the next one is
planned; whether one is let through at its instant is asked of the log alone.
"""

from __future__ import annotations

import struct
from functools import cache

MOST = 1_000_000_000
"""No limit is higher."""

EXACT = 256
"""So many marks stand for themselves."""

PARTS = 128
"""Beyond, so many parts of a stretch are told apart."""

Mark = tuple[int, int]
"""An instant in microseconds, and how many starts."""

_NONE: list[Mark] = []


_ONE = struct.Struct("<qI")


@cache
def _form(marks: int) -> struct.Struct:
    return struct.Struct("<" + "qI" * marks)


def only(data: bytes) -> Mark | None:
    """The mark of stored bytes, if there is a single one."""
    return _ONE.unpack(data) if len(data) == _ONE.size else None


def last(data: bytes) -> int:
    """The instant of the last mark of stored bytes, of which there is one at least."""
    at: int = _ONE.unpack_from(data, len(data) - _ONE.size)[0]
    return at


def encode_one(at: int) -> bytes:
    """The stored bytes of a single start."""
    return _ONE.pack(at, 1)


def decode(data: bytes) -> list[Mark]:
    """The marks of stored bytes."""
    flat = _form(len(data) // 12).unpack(data)
    return list(zip(flat[::2], flat[1::2], strict=True))


def encode(marks: list[Mark]) -> bytes:
    """The bytes that are stored: twelve for each mark."""
    return _form(len(marks)).pack(*(number for mark in marks for number in mark))


def admits(log: list[Mark], now: int, most: int, period: int) -> bool:
    """Whether one more may start now.

    Args:
        log: what started.
        now: in microseconds, as the instants of the log.
        most: so many in any stretch.
        period: the length of a stretch, in microseconds.
    """
    left, since = most, now - period
    for at, count in reversed(log):
        if at <= since:
            break
        left -= count
        if left <= 0:
            return False
    return True


def next_at(log: list[Mark], now: int, most: int, period: int, plan: list[Mark] = _NONE) -> int:
    """The earliest instant, from now on and behind all that is in the log and the plan, that admits one more."""
    marks = sorted(log + plan) if plan else log
    if not marks:
        return now
    left = most
    for at, count in reversed(marks):
        left -= count
        if left <= 0:
            return max(now, marks[-1][0], at + period)
    return max(now, marks[-1][0])


def charge(log: list[Mark], now: int, period: int) -> int:
    """Note a start; where the clock went back, at the last instant of the log.

    Returns:
        The instant at which it is noted.
    """
    if not log:
        log.append((now, 1))
        return now
    at, count = log[-1]
    if at >= now:
        log[-1] = at, count + 1
        return at
    log.append((now, 1))
    _drop(log, now - period)
    _condense(log, period)
    return now


def add(plan: list[Mark], at: int, now: int, most: int, period: int) -> None:
    """Plan a start. What is older than a stretch, or has ``most`` others behind it, says nothing about the next one."""
    if not plan:
        plan.append((at, 1))
        return
    place = len(plan)
    while place and plan[place - 1][0] > at:
        place -= 1
    if place and plan[place - 1][0] == at:
        plan[place - 1] = at, plan[place - 1][1] + 1
    else:
        plan.insert(place, (at, 1))
    _drop(plan, now - period)
    if len(plan) > 1:
        behind = 0
        for index in range(len(plan) - 1, -1, -1):
            if behind >= most:
                del plan[: index + 1]
                break
            behind += plan[index][1]
    _condense(plan, period)


def take_back(plan: list[Mark], at: int, period: int) -> bool:
    """Forget that a start was planned at an instant; whether that was known."""
    for index, (instant, count) in enumerate(plan):
        if instant < at:
            continue
        if instant != at and _part(instant, period) != _part(at, period):
            return False
        if count > 1:
            plan[index] = instant, count - 1
        else:
            del plan[index]
        return True
    return False


def _part(at: int, period: int) -> int:
    return at // max(1, period // PARTS)


def _drop(marks: list[Mark], until: int) -> None:
    old = 0
    while marks[old][0] <= until:
        old += 1
    if old:
        del marks[:old]


def _condense(marks: list[Mark], period: int) -> None:
    """Put together what is in the same part of a stretch, if there are too many."""
    if len(marks) <= EXACT:
        return
    together: list[Mark] = []
    for at, count in marks:
        if together and _part(together[-1][0], period) == _part(at, period):
            together[-1] = at, together[-1][1] + count
        else:
            together.append((at, count))
    marks[:] = together[-EXACT:] if len(together) > EXACT else together
