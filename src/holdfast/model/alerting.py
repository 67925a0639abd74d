"""When an alert fires, when it is over, and what people are told of it: what is decided at each look.

An alert is pending from when it is seen first, fires when it was seen so long enough, and is resolved when it is not so
any more. Those of one rule and one tenant are decided together, so that they can be told together.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

AlertState = Literal["pending", "firing", "resolved"]

ALERT_STATES: tuple[AlertState, ...] = ("pending", "firing", "resolved")

Severity = Literal["info", "warning", "critical"]

SEVERITIES: tuple[Severity, ...] = ("info", "warning", "critical")

TellingKind = Literal["firing", "resolved", "repeat"]


@dataclass(frozen=True, slots=True)
class AlertTerms:
    """The times of a rule, in microseconds.

    Attributes:
        for_us: how long it must be so before it fires.
        keep_us: how long it must not be so before it is over.
        group_us: what fires within so long of the first is told with it.
        repeat_us: while it fires it is told again in each such time; None for never.
    """

    for_us: int = 0
    keep_us: int = 0
    group_us: int = 0
    repeat_us: int | None = None


class Standing(NamedTuple):
    """How an alert stands. Instants are microseconds since 1970, UTC.

    Attributes:
        since: when it was seen first.
        fired_at: None for one that has not fired.
        over_at: when it was resolved; of one that fires, since when it is not so any more; None while it is so.
        told_at: when people were told last that it fires.
    """

    state: AlertState
    since: int
    fired_at: int | None = None
    over_at: int | None = None
    told_at: int | None = None


class Telling(NamedTuple):
    """What people are told at once: that some alerts fire, fire still, or are over. ``abouts``: sorted."""

    kind: TellingKind
    abouts: tuple[str, ...]


class Decided(NamedTuple):
    """What came of a look.

    Attributes:
        standings: of all that was open or is so, by what it is about. One that never fired and is resolved is to be
            forgotten.
        tellings: what people are told, in that order.
    """

    standings: dict[str, Standing]
    tellings: list[Telling]


def decide(terms: AlertTerms, open_: Mapping[str, Standing], so: Collection[str], now_us: int) -> Decided:
    """Decide what becomes of the alerts of one rule and one tenant.

    Each alert that fires is told once, and once that it is over, never before it was told that it fires.

    Args:
        terms: of the rule.
        open_: those that are pending or firing, by what they are about.
        so: what is above the rule's threshold now.
        now_us: the database's clock.
    """
    standings = {about: _next(terms, open_.get(about), about in so, now_us) for about in sorted({*open_, *so})}
    fired = {about: one for about, one in standings.items() if one.fired_at is not None}
    untold = {about: one for about, one in fired.items() if one.told_at is None}
    tellings: list[Telling] = []
    if untold and (
        any(one.state == "resolved" for one in untold.values())
        or now_us - min(one.fired_at or 0 for one in untold.values()) >= terms.group_us
    ):
        tellings.append(Telling("firing", tuple(untold)))
    resolved = tuple(about for about, one in fired.items() if one.state == "resolved")
    if resolved:
        tellings.append(Telling("resolved", resolved))
    repeated = tuple(
        about
        for about, one in fired.items()
        if terms.repeat_us is not None
        and one.state == "firing"
        and one.told_at is not None
        and now_us - one.told_at >= terms.repeat_us
    )
    if repeated:
        tellings.append(Telling("repeat", repeated))
    for telling in tellings:
        for about in telling.abouts if telling.kind != "resolved" else ():
            standings[about] = standings[about]._replace(told_at=now_us)
    return Decided(standings, tellings)


def _next(terms: AlertTerms, was: Standing | None, is_so: bool, now_us: int) -> Standing:
    if is_so:
        one = Standing("pending", now_us) if was is None else was._replace(over_at=None)
        if one.state == "pending" and now_us - one.since >= terms.for_us:
            return one._replace(state="firing", fired_at=now_us)
        return one
    assert was is not None
    over_at = now_us if was.over_at is None else was.over_at
    if was.state == "pending" or now_us - over_at >= terms.keep_us:
        return was._replace(state="resolved", over_at=now_us)
    return was._replace(over_at=over_at)
