"""Figures, the demo, and what the daily job does, through a server."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from holdfast.engine.remote.refusals import Refusal
from holdfast.engine.remote.wire import read
from holdfast.errors import UsageError
from holdfast.model.ids import check_id
from holdfast.workqueue.analytics import BY, EVERY, Analytics, Moment, _moment
from holdfast.workqueue.daily import Daily
from holdfast.workqueue.demo import Demo
from holdfast.workqueue.part import checked_flag
from holdfast.workqueue.remote.part import RemoteWork
from holdfast.workqueue.views import DailyView, DemoStarted, DemoStatus, FiguresView

LONG_SECONDS = 600.0
"""So long the server may think about all subjects."""


class _Items(msgspec.Struct):
    items: int


class _Ids(msgspec.Struct):
    items: list[str]


class RemoteFigures(RemoteWork, Demo, Daily, Analytics):
    """The part of a remote work queue that counts, and does what is done each day."""

    async def analytics(
        self,
        since: Moment | None = None,
        until: Moment | None = None,
        *,
        by: str | None = None,
        definition: str | None = None,
        assignee: str | None = None,
        demo: bool = False,
    ) -> FiguresView:
        """See `WorkQueue.analytics`."""
        query = _asked(since, until, by, definition, assignee, demo)
        return await self._get("/items:analytics", FiguresView, **query)

    async def analytics_series(
        self,
        since: Moment | None = None,
        until: Moment | None = None,
        *,
        every: str = "week",
        by: str | None = None,
        definition: str | None = None,
        assignee: str | None = None,
        demo: bool = False,
    ) -> list[FiguresView]:
        """See `WorkQueue.analytics_series`."""
        if every not in EVERY:
            raise UsageError(f"every is {every!r:.100}; give one of {', '.join(EVERY)}")
        query = _asked(since, until, by, definition, assignee, demo)
        answer = await self._call("GET", "/items:series", query={"every": every, **query}, wait_seconds=60)
        return self._items(answer, FiguresView)

    async def recompute(self) -> int:
        """See `WorkQueue.recompute`."""
        return (await self._post("/items:recompute", None, _Items, wait_seconds=LONG_SECONDS)).items

    async def interpret(self) -> list[str]:
        """See `WorkQueue.interpret`."""
        return (await self._post("/items:interpret", None, _Ids, wait_seconds=LONG_SECONDS)).items

    async def daily(self, day: date | None = None) -> DailyView:
        """See `WorkQueue.daily`."""
        if day is not None and (isinstance(day, datetime) or not isinstance(day, date)):
            raise UsageError(f"day is {day!r:.100}; give a date")
        body = {} if day is None else {"day": day.isoformat()}
        return await self._post("/items:daily", body, DailyView, wait_seconds=LONG_SECONDS)

    # The demo

    async def demo_initialize(self, customer_id: str, csm_id: str | None = None) -> DemoStarted:
        """See `WorkQueue.demo_initialize`."""
        body = {"subject": check_id(customer_id, "customer_id"), "assignee": _person(csm_id)}
        return await self._post("/items:demo", body, DemoStarted)

    async def demo_status(self, csm_id: str | None = None) -> DemoStatus:
        """See `WorkQueue.demo_status`."""
        return await self._get("/items:demo", DemoStatus, assignee=_person(csm_id))

    async def demo_reset(self, csm_id: str | None = None) -> int:
        """See `WorkQueue.demo_reset`."""
        try:
            answer = await self.server.ask("DELETE", "/items:demo", query={"assignee": _person(csm_id)})
        except Refusal as refusal:
            raise refusal.error() from None
        return read(answer.body, _Items).items


def _person(csm_id: str | None) -> str | None:
    return None if csm_id is None else check_id(csm_id, "csm_id")


def _asked(
    since: Moment | None,
    until: Moment | None,
    by: str | None,
    definition: str | None,
    assignee: str | None,
    demo: bool,
) -> dict[str, Any]:
    if by is not None and by not in BY:
        raise UsageError(f"by is {by!r:.100}; give one of {', '.join(BY)}, or None")
    return {
        "since": _said(since, "since"),
        "until": _said(until, "until"),
        "by": by,
        "definition": None if definition is None else check_id(definition, "definition"),
        "assignee": None if assignee is None else check_id(assignee, "assignee"),
        "demo": checked_flag(demo, "demo"),
    }


def _said(value: Moment | None, what: str) -> str | None:
    if value is None:
        return None
    _moment(value, what, ZoneInfo("UTC"))
    return value if isinstance(value, str) else value.isoformat()
