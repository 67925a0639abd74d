"""What models cost: the sum that is shown is the sum of the attempts, to the nanodollar."""

import asyncio
import itertools
from typing import Any

import pytest

import holdfast as hf
from holdfast.errors import ModelFailed
from holdfast.store.agent_rows import DAY_US, SpentQuery
from tests.agents.kit import Model, PhaseFolder, calls_of, serving

PHASES = 6

FILE = """
    name = "orders"
    [defaults]
    model = "main"
    fallbacks = ["other"]
    attempts = 3
    repairs = 1
    backoff = { initial = 0.001, factor = 1, maximum = 0.001 }
    [models.main]
    model = "scripted:main"
    price = { input = 0.333333333, output = 7.000000001, cached = 0.1 }
    [models.other]
    model = "scripted:other"
    price = { input = 0.000000007, output = 1.1, cached = 0 }
    """ + "".join(
    f'[phases.p{n}]\n    prompt = "{"x" * n} {{{{ context }}}}"\n    output = "Count"\n    ' for n in range(PHASES)
)


async def test_the_sums_are_those_of_the_attempts_with_phases_side_by_side_and_retries(
    store_url: str, folder: PhaseFolder, model: Model, other: Model
) -> None:
    count = itertools.count()

    def uneven(scene: hf.Scene) -> Any:
        number = next(count)
        if number % 7 == 3 or scene.prompt.startswith("xxxxx "):  # the last phase's, which always needs the other model
            raise ModelFailed("away", kind="unavailable")
        if number % 7 in (0, 5, 6):
            return "not a number " * (number % 5 + 1)
        return number

    model.usual, other.usual = uneven, lambda _: 1
    phases = folder.load(FILE, {"Count": int})

    @hf.workflow
    async def flow(text: str) -> dict[str, int]:
        return await phases.execute(context=text)

    async with serving(store_url, flow) as (client, _):
        runs = [await client.start(flow, "word " * n) for n in range(8)]
        await asyncio.gather(*(run.result(timeout="60s") for run in runs))
        calls = [call for run in runs for call in await calls_of(client, run.id)]
        agents = client.core.store.agents
        today = await client.core.store.now() // DAY_US
        whole = await agents.costs("default", today - 2, today + 2, [], limit=10)
        by_model = await agents.costs("default", today - 2, today + 2, ["model"], limit=10)
        by_phase = await agents.costs("default", today - 2, today + 2, ["phase", "workflow"], limit=50)
        uids = [(await client._find(run.id)).uid for run in runs]
        by_run = await agents.spent([SpentQuery("default", run=uid) for uid in uids])
        [tenant] = await agents.spent([SpentQuery("default")])
    total = sum(call.cost or 0 for call in calls)
    assert total > 0
    assert len({call.outcome for call in calls}) == 3
    assert {call.model for call in calls} == {"scripted:main", "scripted:other"}
    assert len(calls) == len(model.scenes) + len(other.scenes)
    [row] = whole
    assert (row.cost, row.calls, row.unpriced) == (total, len(calls), 0)
    assert row.failed == sum(call.outcome != "ok" for call in calls)
    assert sum(row.cost for row in by_model) == sum(row.cost for row in by_phase) == total
    assert {row.phase for row in by_phase} == {f"p{n}" for n in range(PHASES)}
    assert (sum(one.cost for one in by_run), tenant.cost) == (total, total)
    assert tenant.tokens == sum(call.input_tokens + call.output_tokens for call in calls)


async def test_what_a_run_and_a_workflow_cost_is_told_also_of_calls_by_a_queue(
    store_url: str, folder: PhaseFolder, model: Model, other: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holdfast.agents.phases.queued.HEARD_SECONDS", 0.0)
    model.plan = [ModelFailed("away", kind="unavailable"), "not a number"]
    model.usual = other.usual = 1
    text = FILE + "[providers.scripted]\n    concurrency = 3\n"
    phases = folder.load(text, {"Count": int})

    @hf.workflow
    async def flow() -> dict[str, int]:
        return await phases.execute(context="word")

    async with serving(store_url, flow, *phases.workflows) as (client, _):
        run = await client.start(flow)
        await run.result(timeout="60s")
        calls = await client.model_calls(run.id)
        report = await client.model_costs(by=["workflow"])
        children = {one.position: one.generation for one in await client.history(run.id) if one.kind == "child"}
        assert await client.model_calls(run.id, limit=3) == calls[:3]
    assert len(calls) == len(model.scenes) + len(other.scenes) == PHASES + 2
    assert {one.position: one.generation for one in calls} == children
    assert [(row.workflow, row.calls, row.cost) for row in report.rows] == [
        ("flow", len(calls), sum(one.cost for one in calls if one.cost is not None))
    ]
