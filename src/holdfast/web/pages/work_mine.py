"""My work: what somebody is to do now, the most important first, with why, and with what can be done about it."""

from __future__ import annotations

from starlette.responses import Response

from holdfast.model.access import Role
from holdfast.web.item_moves import ON_CARDS, label_of, possible
from holdfast.web.page import Page
from holdfast.web.pages.work_bulk import undo_of
from holdfast.web.paths import item_path
from holdfast.web.section import Section
from holdfast.web.work_filters import address
from holdfast.web.work_live import QUEUE_SHOWN, follow
from holdfast.web.work_parts import actor_of, is_on, now_of, parts_of, policy_of, show, telling, whose

site = Section("work")

DEMO_SUBJECT = "demo"
"""The subject that the demo is about unless another is named; it is made."""


@site.get("/work")
async def work(page: Page) -> Response:
    """Somebody's queue."""
    who, demo, snoozed = whose(page), is_on(page.query.get("demo")), is_on(page.query.get("snoozed"))
    found = await page.work.queue(who, limit=QUEUE_SHOWN + 1, demo=demo, include_snoozed=snoozed)
    policy = await policy_of(page)
    shown = page.shown(found[:QUEUE_SHOWN])
    return await show(
        page,
        "pages/work.html",
        title="My work" if who == actor_of(page) else "Work",
        who=who,
        demo=demo,
        snoozed=snoozed,
        items=shown,
        more=len(found) > QUEUE_SHOWN,
        why={item.id: parts_of(item, policy, now_of(page)) for item in shown},
        telling={item.id: [] if item.about is None else telling(item.about.signals, policy) for item in shown},
        moves={item.id: possible(page, item, ON_CARDS) for item in shown},
        label_of=label_of,
        batch=undo_of(page, "/work"),
        back=page.with_query(batch=None),
        sequence=page.shown(await page.work.demo_status(who)) if demo else None,
        stream=page.url(
            "/work/live", of="queue", assignee=who, demo="yes" if demo else None, snoozed="yes" if snoozed else None
        ),
    )


@site.get("/work/live")
async def live(page: Page) -> Response:
    """The stream of a part of these pages."""
    return await follow(page)


@site.get("/work/next")
async def next_item(page: Page) -> Response:
    """On to the task of the next item of the queue."""
    address = await next_task(page, page.query.get("after"), demo=is_on(page.query.get("demo")))
    if address is None:
        return page.done("/work", "There is nothing else to do.", demo=page.query.get("demo"))
    return page.done(address, "")


async def next_task(page: Page, after: str | None, *, demo: bool = False) -> str | None:
    """The path of the task that is next for whoever asks, behind the one that they come from; None for none."""
    found = await page.work.queue(actor_of(page), limit=QUEUE_SHOWN, demo=demo)
    mine = [item for item in found if item.assignee is not None]
    here = next((place for place, item in enumerate(mine) if item.id == after), -1)
    others = [*mine[here + 1 :], *mine[: max(here, 0)]]
    return item_path(others[0].id, "do") if others else None


# The demo


@site.post("/work/demo")
async def demo(page: Page) -> Response:
    """Begin the demo, or make it undone."""
    form = await page.form(Role.ADMIN)
    who = form.text("assignee", needed=False, most=512) or actor_of(page)
    subject = form.text("subject", needed=False, most=512) or DEMO_SUBJECT
    what = form.choice("demo", ["begin", "reset"])
    back = address("/work", {"demo": "yes", "assignee": "" if who == actor_of(page) else who})
    with form.refusals():
        if form.sound and what == "reset":
            await page.work.demo_reset(who)
            return page.done(back, "The demo is made undone.")
        if form.sound:
            await page.work.demo_initialize(subject, who)
            return page.done(back, "The demo has begun: three pieces of work, one after the other.")
    return page.done(back, " ".join(form.errors.values()), "failed")
