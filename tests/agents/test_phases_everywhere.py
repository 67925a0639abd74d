"""Wherever the worker crashes, phases end the same: with retries, fallbacks, places far away, people and queues."""

from __future__ import annotations

from typing import Any

import pydantic
import pytest

import holdfast as hf
from holdfast.agents.phases.context import gather_context, source
from holdfast.errors import ModelFailed
from holdfast.testing import Environment
from holdfast.workqueue.queue import work_queue
from tests.agents.kit import DRAFT, QUICK, Draft, Model, PhaseFolder
from tests.agents.test_context import Customer
from tests.engine.helpers import ONCE

FILE = f"""
    name = "orders"
    [defaults]
    model = "scripted:main"
    {QUICK}
    [phases.research]
    prompt = "Research {{{{ context.customer.name }}}}."
    fallbacks = ["scripted:other"]
    [phases.prices]
    prompt = "Prices."
    MORE
    [phases.draft]
    prompt = "{{{{ outputs.research }}}} {{{{ outputs.prices }}}} without {{{{ context.missing }}}}"
    needs = ["research", "prices"]
    output = "Draft"
    approval = true
    [providers.scripted]
    LIMIT
"""


@source
async def customer() -> Customer:
    return Customer(name="Ann")


@source(optional=True, retry=ONCE)
async def archive() -> list[str]:
    raise ConnectionError("away")


class About(pydantic.BaseModel):
    customer: Customer
    archive: list[str] | None
    missing: list[str] = []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("more", "limit"),
    [("", ""), ("", 'rate = "2/2h"\n    burst = 2'), ("tokens = 3", ""), ("tokens = 3", "concurrency = 2")],
    ids=["plain", "rate", "budget", "budget-and-queue"],
)
async def test_the_end_is_the_same(
    folder: PhaseFolder, model: Model, other: Model, monkeypatch: pytest.MonkeyPatch, more: str, limit: str
) -> None:
    monkeypatch.setattr("holdfast.agents.phases.queued.HEARD_SECONDS", 0.0)

    def answer(scene: Any) -> Any:
        if scene.prompt.startswith("Research"):
            raise ModelFailed("does not want to", kind="refused")
        if scene.schema is None:
            return "P"
        assert scene.prompt == "R P without ['archive']"
        return DRAFT

    model.usual, other.usual = answer, "R"
    phases = folder.load(FILE.replace("MORE", more).replace("LIMIT", limit))

    @hf.workflow
    async def flow() -> Draft:
        about = await gather_context(About, customer=customer(), archive=archive())
        if more:
            await phases.run("prices", context=about)
        outputs = await phases.execute(context=about)
        draft: Draft = outputs["draft"]
        return draft

    async def answers() -> None:
        queue = work_queue(env.client)
        for item in await queue.list(kind="ask", status=["not_started"]):
            if item.title.startswith("Spend"):
                await queue.complete(item.id, {"tokens": 100})
            else:
                await queue.complete(item.id, {"title": "Approved"})

    async with Environment([flow, *phases.workflows]) as env:
        for day in range(1, 6):
            env.at(f"{day}d", answers)
        assert await env.crash_everywhere(flow) >= 12
        assert await env.run(flow) == Draft(title="Approved", words=None)
