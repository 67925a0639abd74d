"""The order pipeline: reports on houses, written in nine phases by models, each approved by a person."""

from __future__ import annotations

import asyncio
import itertools

from order_pipeline import clerk
from order_pipeline.order import order, phases

import holdfast as hf

from .stage import Face, Stage

ORDERS = 3
"""So many, where it is played once."""

WAITING = 4
"""So many reports at most wait for whoever looks at the demonstration; the surveyor approves the others."""


async def work(stage: Stage) -> str:
    """Take orders, and approve reports."""
    clerk.manner.pace_seconds = 0.05 if stage.once else 0.8
    surveyor = asyncio.create_task(_approve(stage))
    try:
        runs = []
        for number in itertools.count(1):
            runs.append(await stage.client.start(order.options(id=f"house-{number}"), f"house-{number}"))
            if stage.once and number == ORDERS:
                break
            await stage.pause(20)
        reports = [await run.result(timeout="40s") for run in runs]
    finally:
        surveyor.cancel()
        await asyncio.gather(surveyor, return_exceptions=True)
    cost = await stage.client.model_costs()
    return f"{len(reports)} reports on houses, for {cost.total.cost:.4f} dollars of scripted models"


async def _approve(stage: Stage) -> None:
    desk = hf.work_queue(stage.acting("surveyor"))
    while True:
        waiting = [item for item in await desk.list(kind="ask", status=["not_started"]) if item.group == "surveyors"]
        for item in waiting[: None if stage.once else max(0, len(waiting) - WAITING)]:
            await desk.complete(item.id)
        await asyncio.sleep(0.1 if stage.once else 3.0)


FACE = Face(
    name="order pipeline",
    title="Where is my order?",
    text="Nine phases by models, each recorded: see how far house-1 is, what it cost; approve one under My work.",
    path="/runs/house-1",
    workflows=[order, *phases.workflows],
    work=work,
)
