"""Why a start made no run of its own, in words; and the diverted starts that other pages tell of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from holdfast.engine.diversion_views import DiversionView
from holdfast.engine.intake_views import EntryView
from holdfast.errors import HoldfastError
from holdfast.model.explanation import moment
from holdfast.model.run import microseconds

if TYPE_CHECKING:
    from holdfast.web.page import Page

LABELS = {"dropped": "Dropped", "merged": "Merged", "delayed": "Delayed"}
RULES = {"rate_limit": "Rate limit", "debounce": "Debounce", "batch": "Batch", "singleton": "Singleton"}

COUNTED = 100
"""Starts that went into a run are counted up to here."""

TOGETHER = 20
"""Among so many starts of one moment is looked for that of an entry."""


class Line(NamedTuple):
    """A sentence about a start, and the run that it is about; empty for none."""

    text: str
    run: str = ""


class OfRun(NamedTuple):
    """How many diverted starts a run has to do with.

    Attributes:
        merged: so many went into it.
        dropped: so many were dropped because of it.
        capped: there may be more of each.
    """

    merged: int
    dropped: int
    capped: bool


def told(view: DiversionView, there: Mapping[str, str]) -> list[Line]:
    """What became of a start, and why.

    Args:
        view: the start.
        there: the statuses of the runs of its ids, of those that are kept.
    """
    key = f" (key {view.key})" if view.key else ""
    reason = f": {view.reason}" if view.reason else ""
    lines = [Line(f"The {RULES[view.rule].lower()} of its workflow{key} {view.way} it{reason}.")]
    kept = view.run_id in there
    gone = "" if kept else " It is not kept any more."
    if view.run_id is not None and view.way != "delayed":
        about = "It went into this run:" if view.way == "merged" else "It was dropped because of this run:"
        lines.append(Line(f"{about}{'' if kept else f' {view.run_id}.{gone}'}", view.run_id if kept else ""))
    if view.way == "dropped":
        lines.append(_after_all(view, there))
    elif view.way == "delayed":
        at = "" if view.due_at is None else f" It was to start at {moment(microseconds(view.due_at))}."
        made = view.run_id or view.asked_id
        lines.append(
            Line(f"It is a run of its own.{at}", made) if made in there else Line(f"Its run is not kept any more.{at}")
        )
    return lines


def startable(view: DiversionView, there: Mapping[str, str]) -> bool:
    """Whether a start can be started after all: it was dropped, its input is kept, and no run has its id."""
    return view.way == "dropped" and view.input is not None and view.asked_id not in there


def _after_all(view: DiversionView, there: Mapping[str, str]) -> Line:
    if view.asked_id in there:
        return Line("There is a run of its id now:", view.asked_id)
    if view.input is None:
        return Line("Its input was not kept: start it anew.")
    return Line("Its input is kept: it can be started after all, past the rule.")


async def of_run(page: Page, run_id: str) -> OfRun | None:
    """How many starts went into a run, or were dropped because of it; None where there are none."""
    found = await page.client.diversions(run_id=run_id, limit=COUNTED + 1)
    ways = [one.way for one in found[:COUNTED]]
    merged, dropped = ways.count("merged"), ways.count("dropped")
    return OfRun(merged, dropped, len(found) > COUNTED) if merged or dropped else None


async def of_id(page: Page, run_id: str) -> DiversionView | None:
    """The newest diverted start that asked for an id; None where there is none, or where that cannot be told."""
    try:
        found = await page.client.diversions(id=run_id, limit=1)
    except HoldfastError:  # what went wrong before it is told
        return None
    return page.shown(found[0]) if found else None


async def of_entry(page: Page, view: EntryView) -> DiversionView | None:
    """The start of an entry that made no run of its own; None where that made one, or there was none."""
    if not view.reason or view.outcome not in ("run", "filtered"):
        return None
    if view.settled_by is not None:
        found = await page.client.diversions(id=f"{view.source}/{view.id}", limit=1)
    else:
        # The start of an entry is of the same microsecond: their ids begin alike, but for two random bits.
        moment_of = int(view.id[:16], 16) | 3
        some = await page.client.diversions(before=f"{moment_of:016x}{'f' * 16}", limit=TOGETHER)
        found = [
            one for one in some if int(one.id[:16], 16) | 3 == moment_of and one.asked_id.startswith(f"{view.source}/")
        ]
    diverted = next((one for one in found if one.way != "delayed"), None)
    return None if diverted is None else page.shown(diverted)
