"""What the tests of the work queue's pages begin with: people, subjects, items, and a clock that is moved."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import holdfast as hf
from holdfast.api import sessions
from holdfast.workqueue.queue import WorkQueue
from tests.web.browsing import Browser, Dashboard, Seen

MARKUP = "<script>alert('w')</script>"

REFUND = {
    "type": "object",
    "required": ["approved", "amount"],
    "properties": {
        "approved": {"enum": ["yes", "no"], "title": "Approved"},
        "amount": {"type": "integer", "minimum": 1, "maximum": 500, "title": "Amount in EUR"},
        "note": {"type": "string", "title": "Note", "maxLength": 2000},
    },
}

STEPS = [
    {
        "id": "usage",
        "title": "Look at the usage",
        "text": "Which teams use it most?",
        "form": {
            "type": "object",
            "required": ["teams"],
            "properties": {"teams": {"type": "array", "items": {"type": "string"}, "title": "Teams"}},
        },
    },
    {"id": "call", "title": "Call them"},
]


def work_of(shown: Dashboard, actor: str = "local", tenant: str = "default") -> WorkQueue:
    """The work queue as somebody's program has it."""
    return WorkQueue(shown.client.core, tenant, actor=actor)


async def people(shown: Dashboard) -> None:
    """Ada, who leads, with Grace and Linus; and Vera, who looks."""
    await shown.client.put_user("ada", name="Ada Lovelace", role="operator", groups=["leads"])
    await shown.client.put_user(
        "grace", name="Grace Hopper", role="worker-of-items", groups=["onboarding"], manager="ada"
    )
    await shown.client.put_user(
        "linus", name="Linus <b>T</b>", role="worker-of-items", groups=["onboarding"], manager="ada"
    )
    await shown.client.put_user("vera", name="Vera", role="viewer")


async def obsidian(work: WorkQueue) -> None:
    """A customer at risk, with what is measured of it."""
    await work.put_subject(
        "obsidian",
        name="Obsidian Black",
        assignee="local",
        properties={"plan": "gold", "renews_on": "2027-03-01"},
        contacts=[{"name": "Marcus", "relationship_strength": "weak"}],
        signals={"churn_risk_score": 8, "revenue_impact_tier": 5, "usage_score": 40},
    )


async def item(work: WorkQueue, title: str = "Call them", **given: Any) -> str:
    """An item of its own; gives its id."""
    made = await work.create(title=title, **{"assignee": "local", **given})
    return made.id


async def move_clock(shown: Dashboard, *, days: float) -> None:
    """Let so many days pass for this process, and for a database whose clock can be stopped."""
    core = shown.client.core
    now = core.now_us() + round(timedelta(days=days).total_seconds() * 1e6)
    if hasattr(core.store, "stop_clock"):
        await core.store.stop_clock(now)
    core.now_us = lambda: now  # type: ignore[method-assign]


async def as_person(shown: Dashboard, id: str) -> Browser:
    """A browser of a known person, signed in: without their password, whose check takes its time."""
    session = await sessions.begin(shown.server, "default", id, {"by": "a test"}, "127.0.0.1")
    browser = Browser(shown.app)
    browser.http.cookies.set(sessions.COOKIE, session.token, domain="127.0.0.1")
    return browser


async def sent(browser: Browser, path: str, values: dict[str, str]) -> Seen:
    """Send a form that no page has given, with the token of the session."""
    token = next(value for form in (await browser.get("/keys")).forms for name, value in form.values if name == "csrf")
    return await browser.post(path, {"csrf": token, **values})


def titles(seen: Seen, known: list[str]) -> list[str]:
    """Those of some titles that a page has as links, in their order."""
    texts = [" ".join(one.text.split()) for one in seen.links]
    return list(dict.fromkeys(text for text in texts if text in known))


@hf.workflow
async def refunding(order: str, assignee: str = "local") -> Any:
    """Asks a person."""
    return await hf.ask(f"approve the refund of {order}", assignee=assignee, form=REFUND)
