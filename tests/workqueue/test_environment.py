"""Runs that ask, in the time that a test lets pass: answers come, items are overdue, snoozes end, holds are decided."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import holdfast as hf
from holdfast.testing import Environment


@dataclass
class Decision:
    approved: bool


@hf.step
async def pay(order: str) -> str:
    return f"paid {order}"


@hf.workflow
async def refund(order: str) -> str:
    decision = await hf.ask(
        f"Approve {order}", assignee="maria", form=Decision, due="2d", escalate_to=["lead"], acknowledge="1d"
    )
    return await pay(order) if decision.approved else "refused"


@hf.workflow
async def impatient() -> Any:
    return list(await hf.first(hf.ask("Really?", assignee="maria"), hf.sleep("7d")))


@hf.workflow
async def held() -> int:
    return await hf.hold("how many?", type=int, assignee="maria", due="1d")


async def answers(env: Environment, data: Any) -> None:
    """Somebody completes the one item that is open."""
    queue = hf.work_queue(env.client)
    [view] = await queue.list(status=["not_started", "snoozed"])
    await queue.complete(view.id, data)


async def test_weeks_pass_in_no_time() -> None:
    async with Environment([refund]) as env:
        run = await env.start(refund, "o-1")
        env.at("30d", lambda: answers(env, {"approved": True}))
        assert await run.result() == "paid o-1"
        queue = hf.work_queue(env.client)
        [view] = await queue.list()
        assert view.completed_at == view.created_at + timedelta(days=30)
        assert [(one.move, (one.at - view.created_at).days) for one in await queue.history(view.id)] == [
            ("create", 0), ("escalate", 2), ("unseen", 3), ("complete", 30),
        ]  # fmt: skip


async def test_it_ends_the_same_wherever_the_worker_crashes() -> None:
    async with Environment([refund]) as env:
        env.at("3d", lambda: answers(env, {"approved": True}))
        assert await env.crash_everywhere(refund, "o-1") > 2


async def test_a_wait_that_loses_closes_its_item() -> None:
    async with Environment([impatient]) as env:
        assert await env.run(impatient) == [1, None]
        [view] = await hf.work_queue(env.client).list()
        assert view.status == "skipped"


async def test_a_hold_is_decided_by_its_item() -> None:
    async with Environment([held]) as env:
        run = await env.start(held)
        await env.settle()
        [view] = await hf.work_queue(env.client).list(kind="hold")
        assert view.due_at == view.created_at + timedelta(days=1)
        env.at("2d", lambda: answers(env, {"answer": 3}))
        assert await run.result() == 3


async def test_a_snooze_ends_by_an_event() -> None:
    async with Environment([held]) as env:
        queue = hf.work_queue(env.client)
        made = await queue.create(title="It", assignee="maria")
        await queue.snooze(made.id, event="shipped", key="o-1")
        await env.skip("5d")
        assert (await queue.get(made.id)).status == "snoozed"
        await env.client.send_event("shipped", key="o-1")
        await env.settle()
        assert (await queue.get(made.id)).status == "not_started"
