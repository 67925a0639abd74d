"""The desk takes customers in, and people work from its queues: `holdfast dev examples.customer_success.desk`."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import holdfast as hf

HERE = Path(__file__).parent
PEOPLE = {"ann": "dora", "ben": "dora", "cem": "dora", "dora": None}
"""Who works here, and who is the manager of whom."""

ANSWERS = {"expansion": {"proposal": {"amount": 1200}}, "training": {"people": 12}}
"""What is filled in where a form asks."""


@hf.workflow(key="customer", lane="customer")
async def discount(customer: str, percent: int) -> str:
    """Somebody asks for a discount: a run that waits for its manager, for days if need be."""
    agreed = await hf.ask(f"Give {customer} {percent} % off?", assignee="dora", form=bool, subject=customer, due="1d")
    return f"{customer} gets {percent} % off" if agreed else f"{customer} pays the full price"


async def set_up(client: hf.Client) -> list[str]:
    """Make people, customers and definitions known, and the items of today; again, it changes what changed.

    Returns:
        The ids of the items that were made.
    """
    for id, manager in reversed(PEOPLE.items()):
        await client.put_user(id, role="operator", manager=manager)
    work = hf.work_queue(client)
    await work.use_preset("customer_success")
    await work.import_subjects(HERE / "customers.csv")
    await work.load(HERE / "definitions.toml")
    return await work.interpret()


async def measure(client: hf.Client, rng: random.Random, customers: Sequence[str]) -> None:
    """A day goes by: how much customers use what they have, and how satisfied they are."""
    await hf.work_queue(client).put_signals(
        [
            {"subject": customer, "name": name, "value": rng.randint(*between)}
            for customer in customers
            for name, between in (("usage_score", (25, 95)), ("churn_risk_score", (1, 10)))
        ]
    )


async def work_off(client: hf.Client, rng: random.Random) -> str | None:
    """Somebody takes what is on top of their queue, and does what people do with it; what, or None for no work.

    Args:
        client: with the person as its actor.
    """
    work, who = hf.work_queue(client), client.actor or ""
    items = await work.queue(who, limit=1)
    if not items:
        return None
    [item] = items
    if item.kind == "ask":  # a run waits for the answer
        await work.complete(item.id, {"answer": True})
        return f"{who} says yes: {item.title}"
    match rng.choice(("complete", "complete", "complete", "snooze", "escalate", "skip")):
        case "snooze":
            await work.snooze(item.id, days=rng.randint(1, 20))
            return f"{who} puts {item.title!r} off"
        case "escalate" if PEOPLE[who] is not None and item.escalated_to is None:
            await work.escalate(item.id, "dora", reason="they ask for a discount")
            return f"{who} hands {item.title!r} to dora"
        case "skip":
            await work.skip(item.id, reason="they were called last week")
            return f"{who} skips {item.title!r}"
    if item.status == "not_started":
        await work.start(item.id)
    await work.complete(item.id, ANSWERS.get(item.definition or "", {}))
    return f"{who} completes {item.title!r}"
