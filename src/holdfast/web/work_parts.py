"""What the work queue's pages share: people and their names, the viewer's day, words and colours of items."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from starlette.responses import Response

from holdfast.engine.people import UserView
from holdfast.errors import ItemNotFound, UserNotFound
from holdfast.model.access import Role
from holdfast.model.evaluation import explain, values_of
from holdfast.model.expressions import signals_used
from holdfast.model.policies import Policy
from holdfast.model.run import instant, microseconds
from holdfast.model.work import FINAL, ItemStatus
from holdfast.web.kept import kept
from holdfast.web.text import zone_named

if TYPE_CHECKING:
    from holdfast.web.page import Page
    from holdfast.workqueue.views import ItemView

PEOPLE_AT_MOST = 1000
PEOPLE_SECONDS = 3.0

STATUSES: Mapping[str, str] = {
    ItemStatus.NOT_STARTED: "Not started",
    ItemStatus.UNDERWAY: "Underway",
    ItemStatus.SNOOZED: "Snoozed",
    ItemStatus.COMPLETED: "Completed",
    ItemStatus.SKIPPED: "Skipped",
}
"""The statuses of items, in words."""

TYPES = {one: one.capitalize() for one in ("opportunity", "risk", "strategic", "renewal", "custom")}

KINDS = {"work": "Work", "ask": "Asked by a run", "hold": "Hold of a run"}

_ON = ("yes", "true", "1", "on")


def is_on(text: str | None) -> bool:
    """Whether a parameter says yes."""
    return (text or "").lower() in _ON


def is_ended(item: ItemView) -> bool:
    """Whether nothing becomes of an item any more."""
    return item.status in FINAL


# People


async def people_of(page: Page) -> list[UserView]:
    """The tenant's people, by id; at most a thousand."""
    client = page.client
    found: list[UserView] = await kept(page, PEOPLE_SECONDS).get(
        ("people", client.tenant), lambda: client.users(limit=PEOPLE_AT_MOST)
    )
    return found


async def names_of(page: Page) -> dict[str, str]:
    """What people are called, by id."""
    return {person.id: person.name or person.id for person in await people_of(page)}


async def workers_of(page: Page) -> dict[str, str]:
    """Who may be given work: by id what they are called."""
    return {
        person.id: f"{person.name} ({person.id})" if person.name and person.name != person.id else person.id
        for person in await people_of(page)
        if not person.disabled and Role(person.role).includes(Role.ITEMS)
    }


async def person_of(page: Page, id: str) -> UserView | None:
    """A person; None for one that is not known."""
    try:
        return await page.client.get_user(id)
    except UserNotFound:
        return None


async def groups_of(page: Page) -> list[str]:
    """The groups that people are in."""
    return sorted({group for person in await people_of(page) for group in person.groups})


async def zone_of(page: Page) -> ZoneInfo:
    """The time zone of whoever asks, as the work queue reckons their days; else the tenant's."""
    person = await person_of(page, actor_of(page))
    zone = (await page.work.get_settings()).zone if person is None else person.zone
    found = zone_named(zone)
    return found if isinstance(found, ZoneInfo) else ZoneInfo("UTC")


async def today_of(page: Page) -> date:
    """The day of whoever asks."""
    return now_of(page).astimezone(await zone_of(page)).date()


def now_of(page: Page) -> datetime:
    """Now, as the work queue has it: by the database's clock."""
    return instant(page.client.core.now_us())


def actor_of(page: Page) -> str:
    """The id of whoever asks."""
    assert page.principal is not None
    return page.principal.actor


def need(page: Page, role: Role) -> None:
    """Refuse who may not.

    Raises:
        Forbidden: they may not.
    """
    assert page.principal is not None
    page.principal.need(role)


def whose(page: Page) -> str:
    """Whose queue is looked at: one's own, unless another's is asked for."""
    return page.query.get("assignee", "").strip() or actor_of(page)


# Why an item is where it is


async def policy_of(page: Page) -> Policy:
    """The policy by which the tenant's items are ranked."""
    work = page.work
    return work._policy(await work._settings())


def parts_of(item: ItemView, policy: Policy, now: datetime) -> list[tuple[str, float]]:
    """The parts of an item's score, as the queue has it: what each is called, and its points."""
    if is_ended(item):
        return []
    values = values_of(
        weight=item.weight if item.made_of is None else item.made_of.weight,
        type=item.type if item.made_of is None else item.made_of.type,
        status=item.status,
        snooze_until=None if item.snooze_until is None else microseconds(item.snooze_until),
        created_at=microseconds(item.created_at),
        now=microseconds(now),
        weak=0 if item.about is None else item.about.weak,
        signals={} if item.about is None else item.about.signals,
    )
    return [(part.label, part.points) for part in explain(policy.priority, values)]


def telling(signals: Mapping[str, float], policy: Policy) -> list[str]:
    """The names of a subject's signals, those that the policy looks at first."""
    ranks, scores = signals_used(policy.priority), {*signals_used(policy.opportunity), *signals_used(policy.risk)}
    return sorted(signals, key=lambda name: (name not in ranks, name not in scores, name))


# Pages


async def titles_of(page: Page, ids: Iterable[str]) -> dict[str, str]:
    """What some items are called, by id; one that is gone is left out."""
    named: dict[str, str] = {}
    for id in ids:
        with contextlib.suppress(ItemNotFound):
            named[id] = (await page.work.get(id)).title
    return named


async def show(page: Page, template: str, **context: Any) -> Response:
    """A page of the work queue: what every one of them sees, and its own."""
    return page.render(
        template, names=await names_of(page), me=actor_of(page), statuses=STATUSES, now=now_of(page), **context
    )


def chosen_ids(page: Page, sent: Iterable[str] | None = None) -> list[str]:
    """The items that were ticked, each once."""
    given: Sequence[str] = list(sent) if sent is not None else page.request.query_params.getlist("id")
    return list(dict.fromkeys(one for one in given if one))
