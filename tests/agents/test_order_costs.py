"""What an order costs: the sum over its runs, also of what was asked by the queue of a model, each call once."""

import asyncio

import pytest

import holdfast as hf
from holdfast.errors import ModelFailed
from tests.agents.kit import Model, PhaseFolder, serving

FILE = """
    name = "orders"
    [defaults]
    model = "scripted:main"
    fallbacks = ["scripted:other"]
    attempts = 2
    backoff = { initial = 0.001, factor = 1, maximum = 0.001 }
    [providers.scripted]
    concurrency = 3
    [phases.draft]
    prompt = "Draft"
    [phases.review]
    prompt = "Review"
    """


async def test_what_was_asked_by_a_queue_counts_once_for_its_order(
    store_url: str, folder: PhaseFolder, model: Model, other: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holdfast.agents.phases.queued.HEARD_SECONDS", 0.0)
    model.plan = [ModelFailed("away", kind="unavailable")]
    phases = folder.load(FILE, {})

    @hf.workflow(key="order_id", lane="order")
    async def quote(order_id: str) -> str:
        return str(await phases.run("draft"))

    @hf.workflow(key="order_id", lane="order")
    async def ship(order_id: str) -> str:
        await phases.run("draft")
        return str(await phases.run("review"))

    async with serving(store_url, quote, ship, *phases.workflows) as (client, _):
        runs = [await client.start(*one) for one in ((quote, "o-1"), (ship, "o-1"), (quote, "o-2"))]
        await asyncio.gather(*(run.result(timeout="60s") for run in runs))
        calls = {run.id: await client.model_calls(run.id) for run in runs}
        assert len(model.scenes) + len(other.scenes) == sum(map(len, calls.values())) == 5
        order = await client.model_costs(where="lane = 'order=o-1'", by=["workflow", "phase"])
        every = await client.model_costs(where="priority = 0", by=["workflow", "phase", "model"])
        whole = await client.model_costs(by=["workflow", "phase", "model"])
        callers = await client.model_costs(where="workflow prefix 'orders: '", by=[])
    assert (order.runs, order.more) == (2, False)
    assert order.total.calls == sum(len(calls[run.id]) for run in runs[:2])
    assert {(row.workflow, row.phase) for row in order.rows} == {
        ("quote", "draft"),
        ("ship", "draft"),
        ("ship", "review"),
    }
    # The child runs are found by the search themselves, too.
    assert (every.runs, every.rows) == (3 + (callers.runs or 0), whole.rows)
    assert callers.total == whole.total
