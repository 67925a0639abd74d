"""The clocks of a work item (service levels): they stand still while it waits, and go on from where they were.

A clock that is to run from a later instant, such as the end of a snooze, has that instant as its ``since``: nothing has
to happen then for it to run.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

Timers = dict[str, "Timer"]


class Timer(msgspec.Struct, frozen=True, omit_defaults=True):
    """A clock that runs down.

    Attributes:
        left_us: what was left at ``since``, or where it stands still.
        since: from when it runs; None: it stands still.
        met_at: when what it measures happened; it counts no more.
        missed_at: when it was noticed that it had run out; it is told once.
    """

    left_us: int
    since: int | None = None
    met_at: int | None = None
    missed_at: int | None = None

    @property
    def counts(self) -> bool:
        """Whether it may still run out."""
        return self.met_at is None and self.missed_at is None

    @property
    def runs_out_at(self) -> int | None:
        """When it runs out, if nothing stops it; None: it stands still, or counts no more."""
        return self.since + self.left_us if self.since is not None and self.counts else None


def timers_from(spans: Mapping[str, int | None], at: int | None) -> Timers:
    """New clocks.

    Args:
        spans: how long each runs; None for no such clock.
        at: from when; None: they stand still.
    """
    return {name: Timer(span, at) for name, span in spans.items() if span is not None}


def paused(timers: Mapping[str, Timer], now: int) -> Timers:
    """The clocks, standing still. One that has run out already stays so, since it is to be told."""
    return {name: _paused(timer, now) for name, timer in timers.items()}


def resumed(timers: Mapping[str, Timer], now: int, at: int | None = None) -> Timers:
    """The clocks, running from ``at`` on (now, if None), with what they had left now."""
    start = now if at is None else at
    return {
        name: msgspec.structs.replace(still, since=start) if still.counts and still.since is None else still
        for name, still in paused(timers, now).items()
    }


def _paused(timer: Timer, now: int) -> Timer:
    out_at = timer.runs_out_at
    if out_at is None or timer.since is None or out_at <= now:
        return timer
    return msgspec.structs.replace(timer, left_us=timer.left_us - max(0, now - timer.since), since=None)


def met(timers: Mapping[str, Timer], name: str, now: int) -> Timers:
    """The clocks after what one of them measures has happened: the first time counts, and too late is noted so."""
    timer = timers.get(name)
    if timer is None or timer.met_at is not None:
        return dict(timers)
    out_at = timer.runs_out_at
    late = now if out_at is not None and out_at <= now else timer.missed_at
    return {**timers, name: msgspec.structs.replace(_paused(timer, now), met_at=now, missed_at=late)}


def missed(timers: Mapping[str, Timer], now: int) -> tuple[Timers, list[str]]:
    """The clocks after those that have run out are noted, and the names of these."""
    out = [name for name, timer in timers.items() if timer.runs_out_at is not None and timer.runs_out_at <= now]
    noted = {
        name: msgspec.structs.replace(timer, missed_at=now) if name in out else timer for name, timer in timers.items()
    }
    return noted, out


def runs_out_at(timers: Mapping[str, Timer]) -> int | None:
    """When the first of the clocks runs out; None: none does."""
    return min((at for at in (timer.runs_out_at for timer in timers.values()) if at is not None), default=None)
