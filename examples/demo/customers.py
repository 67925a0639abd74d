"""The customer-success queue: signals change, items are made of them, and three people work them off."""

from __future__ import annotations

import itertools
import random

from customer_success.desk import PEOPLE, discount, measure, set_up, work_off

import holdfast as hf

from .stage import Face, Stage

MOVES = 12
"""So many, where it is played once."""

ME = "local"
"""Whoever looks at the demonstration; they get the three items of the demo sequence."""


async def work(stage: Stage) -> str:
    """Let days go by."""
    rng = random.Random(8)
    made = len(await set_up(stage.acting("setup")))
    queue = hf.work_queue(stage.acting("setup"))
    await queue.demo_initialize("demo-customer", ME)
    subjects = [subject.id for subject in await queue.subjects(limit=100) if not subject.demo]
    await stage.client.start(discount.options(id="discount-alder"), "alder", 10)
    done = 0
    for number in itertools.count(1):
        for who in PEOPLE:
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
    text="Signals of customers become a ranked queue for each person, with the reasons. Yours has a sequence to try.",
    path="/work",
    workflows=[discount],
    work=work,
)
