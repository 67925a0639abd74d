"""The customer-success queue: signals change, items are made of them, and three people work them off."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

from customer_success.desk import PEOPLE, discount, measure, set_up, work_off

import holdfast as hf

from .stage import ME, Face, Stage

MOVES = 12
"""So many, where it is played once."""

KEPT = 3
"""So much at least is left in everybody's queue, where it goes on for ever: it is there to be looked at."""

YOURS = Path(__file__).parent / "yours.csv"
"""Customers of whoever looks."""


async def work(stage: Stage) -> str:
    """Let days go by."""
    rng = random.Random(8)
    queue = hf.work_queue(stage.acting("setup"))
    made = len(await set_up(stage.acting("setup")))
    await queue.import_subjects(YOURS)
    made += len(await queue.interpret())
    await queue.demo_initialize("demo-customer", ME)
    subjects = [subject.id for subject in await queue.subjects(limit=100) if not subject.demo]
    await stage.client.start(discount.options(id="discount-alder"), "alder", 10)
    done = 0
    for number in itertools.count(1):
        for who in PEOPLE:
            if stage.once or len(await queue.queue(who, limit=KEPT + 1)) > KEPT:
                done += await work_off(stage.acting(who), rng) is not None
        if stage.once and done >= MOVES:
            return f"{made} items made for {len(subjects)} customers, {done} dealt with"
        if number % 5 == 0:
            await measure(stage.acting("setup"), rng, rng.sample(subjects, 4))
            made += len(await queue.interpret())
        await stage.pause(15)
    raise AssertionError("it goes on for ever")


FACE = Face(
    name="customer success",
    title="What should I do next?",
    text="Signals of customers become a ranked queue for each person, with the reasons. Yours is under My work.",
    path="/work",
    workflows=[discount],
    work=work,
)
