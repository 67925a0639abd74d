"""A lively work queue for pictures of its pages: a month of customers' work, and what is to be done now."""

from __future__ import annotations

import random
from datetime import timedelta

import holdfast as hf
from holdfast.workqueue.queue import WorkQueue
from holdfast.workqueue.subjects import sample_customers

ANN, TEAM = "local", ("ines", "malik", "local", "priya")

REASONS = ("they have just renewed", "no budget this year", "merged into another account", "they have just renewed")

PLAN = {
    "type": "object",
    "required": ["goal", "owner"],
    "properties": {
        "goal": {"type": "string", "title": "What they want to reach", "maxLength": 2000},
        "owner": {"type": "string", "title": "Who decides there"},
        "reach": {"type": "array", "items": {"type": "string"}, "title": "Whom we know"},
        "health": {"enum": ["good", "shaky", "bad"], "title": "How it stands"},
    },
}

STEPS = [
    {"id": "goals", "title": "Ask for their goals", "form": PLAN,
     "text": "What do they want to reach this year, and how will they tell?"},
    {"id": "usage", "title": "Look at how they use it", "text": "Which teams use it most, and which have stopped?"},
    {"id": "plan", "title": "Write the plan", "text": "Half a page that both sides can agree to."},
]  # fmt: skip


async def working(url: str, client: hf.Client) -> None:
    """Fill the work queue of a database."""
    await _people(client)
    async with hf.connect(url) as past:
        await _month(past)
    work = WorkQueue(client.core, "default", actor="ada")
    await work.put_definition(
        "kick-off",
        {"name": "Kick off the new year", "type": "strategic", "steps": STEPS, "group": "onboarding", "due": "7d"},
    )
    await work.daily()
    await _now(work, client)


async def _people(client: hf.Client) -> None:
    for id, name, capacity in (("ines", "Ines Duarte", 8), ("malik", "Malik Osei", 6), ("priya", "Priya Nair", 10)):
        await client.put_user(
            id, name=name, role="worker-of-items", groups=["onboarding"], manager="ada", capacity=capacity
        )
    await client.put_user(ANN, name="Ann Takala", role="operator", groups=["onboarding"], manager="ada", capacity=12)


async def _month(past: hf.Client) -> None:
    """What was done in the last thirty days: made, started, completed, skipped, put off."""
    core, draw = past.core, random.Random(5)
    work = WorkQueue(core, "default", actor="ada")
    begin = core.now_us() - round(timedelta(days=30).total_seconds() * 1e6)

    async def at(hours: float) -> None:
        instant = begin + round(hours * 3.6e9)
        await core.store.stop_clock(instant)
        core.now_us = lambda: instant  # type: ignore[method-assign]

    await at(0)
    await work.use_preset("customer_success")
    await work.import_subjects(sample_customers(), name="customers.csv")
    for one in await work.subjects(limit=20):
        await work.put_subject(one.id, assignee=draw.choice(TEAM))
    unended: list[tuple[str, str]] = []
    customers = [one.id for one in await work.subjects(limit=20)]
    for day in range(30):
        await at(day * 24 + 9)
        for _ in range(draw.randint(1, 5)):
            who = draw.choice(TEAM)
            title = draw.choice(("Call about the last ticket", "Review the usage", "Answer the questionnaire"))
            made = await work.create(title=title, assignee=who, subject=draw.choice(customers), due="5d")
            unended.append((made.id, who))
        for id, who in draw.sample(unended, min(len(unended), draw.randint(1, 4))):
            await at(day * 24 + draw.uniform(10, 17))
            await _some_move(WorkQueue(core, "default", actor=who), id, draw)
            if (await work.get(id)).status in ("completed", "skipped"):
                unended.remove((id, who))
    await at(30 * 24)


async def _some_move(work: WorkQueue, id: str, draw: random.Random) -> None:
    view = await work.get(id)
    chance = draw.random()
    if chance < 0.15:
        await work.skip(id, draw.choice(REASONS))
    elif chance < 0.3:
        await work.snooze(id, days=draw.randint(1, 3))
    elif chance < 0.4:
        await work.escalate(id, "ada", reason="they ask for a discount")
    elif view.status == "snoozed":
        await work.wake(id)
    else:
        if view.status == "not_started":
            await work.start(id)
        await work.complete(id, {"note": "done by phone"})


async def _now(work: WorkQueue, client: hf.Client) -> None:
    """What Ann looks at."""
    for one in await work.list(status=["not_started", "snoozed", "underway"], assignee=ANN, limit=50):
        if one.definition is None:
            await work.assign(one.id, "ines")
    plan = await work.create(
        title="Agree on the plan for next year", id="plan-cinder", assignee=ANN, subject="cinder-works",
        type="strategic",
        text="Their new chief of staff wants to see where the money goes before she signs.", due="2d", form=PLAN,
        data={"owner": "Carmen Ruiz", "next_steps": [
            {"text": "Send the draft to Carmen", "done": True},
            {"text": "Book the review with finance", "due": "2026-12-04"},
            "Ask for a reference"]},
    )  # fmt: skip
    ann = WorkQueue(work.core, "default", actor=ANN)
    await ann.start(plan.id)
    await ann.save(plan.id, {"goal": "Half the time from an order to the kiln", "health": "shaky"})
    await work.escalate(plan.id, "ada", reason="They ask for two years at the old price.")
    await WorkQueue(work.core, "default", actor="model:gpt").save(plan.id, {"summary": "Usage rose in 3 of 4 teams."})
    await ann.save(plan.id, {"health": "good"})
    waits = await work.create(title="Send the contract", assignee=ANN, subject="cinder-works", after=[plan.id])
    await ann.snooze((await work.create(title="Ask how the training went", assignee=ANN)).id, days=2)
    assert waits.blocked
    await work.create("kick-off", subject="alder-foods")
    await ann.demo_initialize("obsidian-black", ANN)
    await client.put_view("work", "Overdue of the team", "overdue=yes&group=onboarding")


PAGES = {
    "my-work": "/work",
    "work-item": "/work/plan-cinder",
    "work-items": "/work/queue?status=open",
    "analytics": "/work/analytics",
}
"""The pages of the work queue, by the names of their pictures."""

MORE = {
    "work-task": "/work/plan-cinder/do?step=1",
    "work-load": "/work/load?plan=yes",
    "definitions": "/work/definitions",
    "subject": "/work/subjects/cinder-works",
    "work-snooze": "/work/plan-cinder?do=snooze",
    "work-complete": "/work/plan-cinder?do=complete",
    "work-bulk": "/work/bulk?action=skip&status=open",
    "work-new": "/work/new",
    "definition": "/work/definitions/save?try=yes",
    "definition-form": "/work/definition/edit?id=save",
    "subjects": "/work/subjects",
    "work-settings": "/work/settings",
    "demo": "/work?demo=yes",
}
"""Pages of which pictures are taken when they are named, or all are asked for."""
