"""The snooze picker: tomorrow, in a few days, next week, a date, or until something happens."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from holdfast.web.form import Form
from holdfast.web.page import Page
from holdfast.web.work_parts import today_of, zone_of
from holdfast.workqueue.views import ItemView

DAYS_AT_MOST = 366


class Choice(NamedTuple):
    """A day to choose. ``label``: how people call it; ``until``: its date, as it is sent."""

    label: str
    until: date

    @property
    def day(self) -> str:
        """The day in words: Mon 1 Dec."""
        return f"{self.until:%a} {self.until.day} {self.until:%b}"


async def snooze_choices(page: Page) -> list[Choice]:
    """The days that are offered, from the next on; each once."""
    today = await today_of(page)
    monday = today + timedelta(days=7 - today.weekday())
    offered = [
        Choice("Tomorrow", today + timedelta(days=1)),
        Choice("In 3 days", today + timedelta(days=3)),
        Choice("Next week", monday),
        Choice("In 2 weeks", today + timedelta(days=14)),
        Choice("In a month", today + timedelta(days=30)),
    ]
    return sorted({one.until: one for one in reversed(offered)}.values(), key=lambda one: one.until)


def snooze_arguments(form: Form) -> dict[str, Any]:
    """What a form of the picker says, as arguments of `WorkQueue.snooze`."""
    event = form.text("event", needed=False, most=512)
    if "event" in form.values:
        if not event:
            form.refuse("event", "Give the name of an event.")
        days = form.integer("days", least=1, most=90)
        given: dict[str, Any] = {"event": event, "key": form.text("key", needed=False, most=512)}
        return given | ({} if days is None else {"days": days})
    if "days" in form.values:
        days = form.integer("days", least=1, most=90)
        if days is None:
            form.refuse("days", "Give a number of days.")
        return {"days": days}
    value = form.text("until", most=40, what="a date")
    try:
        return {"until": date.fromisoformat(value) if len(value) == 10 else datetime.fromisoformat(value)}
    except ValueError:
        form.refuse("until", "Give a date such as 2026-12-01.")
        return {}


async def snoozed(page: Page, form: Form, snooze: Callable[..., Awaitable[ItemView]]) -> str | None:
    """Snooze as a form says; what is said afterwards."""
    given = snooze_arguments(form)
    if not form.sound:
        return None
    field = "event" if "event" in given else "days" if "days" in given else "until"
    with form.refusals(field):
        item = await snooze(**given)
        return f"{item.title} is snoozed. {await comes_back(page, item)}"
    return None


async def comes_back(page: Page, item: ItemView) -> str:
    """When a snoozed item is in the queue again, in words."""
    if item.returns_at is None:
        return ""
    at = item.returns_at.astimezone(await zone_of(page))
    back = f"{at:%a} {at.day} {at:%b} {at:%H:%M}"
    if item.snooze_event is not None:
        name, key = item.snooze_event
        what = f"{name} ({key})" if key else name
        return f"It comes back when {what} happens, or on {back}."
    return f"It comes back on {back}."
