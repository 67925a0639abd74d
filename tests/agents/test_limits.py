"""Rates and concurrency of models: over all workers together, and without using up attempts."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

import holdfast as hf
from holdfast.agents.phases import limits
from holdfast.agents.phases.registry import Phases
from holdfast.errors import ModelFailed, RunFailed
from holdfast.store.agent_rows import SpentQuery
from tests.agents.kit import (
    DRAFT,
    OUTPUTS,
    QUICK,
    Draft,
    Model,
    PhaseFolder,
    artifacts_of,
    asked,
    calls_of,
    serving,
    steps_of,
)
from tests.engine.clock import LONG_LEASE, move
from tests.engine.helpers import outcome, until, until_status

FILE = f"""
    name = "orders"
    [defaults]
    model = "main"
    {QUICK}
    [models.main]
    model = "scripted:main"
    LIMIT
    [phases.say]
    prompt = "Say."
"""


@pytest.fixture
def heard_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is one worker, which hears of limits when they are set."""
    monkeypatch.setattr("holdfast.agents.phases.queued.HEARD_SECONDS", 0.05)


def saying(phases: Phases) -> hf.Workflow[[], str]:
    @hf.workflow(name="saying")
    async def run() -> str:
        text: str = await phases.run("say")
        return text

    return run


@asynccontextmanager
async def two_workers(url: str, folder: PhaseFolder, text: str) -> AsyncIterator[hf.Client]:
    """Two workers, each with the file as it loads it."""
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(hf.connect(url))
        for _ in range(2):
            phases = folder.load(text)
            worker = hf.Worker(url, [saying(phases), *phases.workflows], drain=0)
            await stack.enter_async_context(worker)
        yield client


async def test_a_rate_is_kept_over_two_workers(disk_url: str, folder: PhaseFolder, model: Model) -> None:
    called: list[float] = []

    def note(_: Any) -> str:
        called.append(time.monotonic())
        return "Said."

    model.usual = note
    text = FILE.replace("LIMIT", 'rate = "10/1s"\n    burst = 2')
    async with two_workers(disk_url, folder, text) as client:
        began = time.monotonic()
        runs = [await client.start_named("saying", {}) for _ in range(8)]
        assert await asyncio.gather(*(run.result(timeout="60s") for run in runs)) == ["Said."] * 8
    # The first two are there at once; each of the others comes a tenth of a second after the one before it.
    late = [at - began for at in called]
    assert all(at >= 0.1 * (number - 1) - 0.005 for number, at in enumerate(late))


async def test_a_place_that_is_far_away_is_waited_for_durably_and_uses_up_no_attempt(
    disk_url: str, folder: PhaseFolder, model: Model
) -> None:
    phases = folder.load(FILE.replace("LIMIT", 'rate = "1/1h"').replace("attempts = 3", "attempts = 1"))
    async with serving(disk_url, flow := saying(phases), lease=LONG_LEASE) as (client, _):
        assert await outcome(client, flow) == "Done."
        run = await client.start(flow)
        view = await until_status(client, run.id, "waiting")
        assert view.due_at is not None
        assert len(model.scenes) == 1
        await move(client, 3601)
        assert await run.result(timeout="20s") == "Done."
        assert await steps_of(client, run.id) == [("say", "error", 1), ("say", "ok", 1)]
    assert len(model.scenes) == 2


async def test_a_place_that_comes_soon_is_waited_for_within_the_attempt(folder: PhaseFolder, model: Model) -> None:
    # The wait is no part of the time that the model may take.
    phases = folder.load(FILE.replace("LIMIT", 'rate = "5/1s"') + '    timeout = "100ms"\n')
    async with serving("memory://", flow := saying(phases)) as (client, _):
        runs = [await client.start(flow) for _ in range(3)]
        assert [await run.result(timeout="20s") for run in runs] == ["Done."] * 3
        assert [await steps_of(client, run.id) for run in runs] == [[("say", "ok", 1)]] * 3


async def test_too_many_requests_put_off_the_others_too(disk_url: str, folder: PhaseFolder, model: Model) -> None:
    model.plan = [ModelFailed("too many", kind="rate-limited", retry_after=3600.0)]
    phases = folder.load(FILE.replace("LIMIT", 'rate = "1000/1s"'))
    async with serving(disk_url, flow := saying(phases), lease=LONG_LEASE) as (client, _):
        first = await client.start(flow)
        await until_status(client, first.id, "waiting")
        second = await client.start(flow)
        await until_status(client, second.id, "waiting")
        assert len(model.scenes) == 1
        await move(client, 3601)
        assert [await run.result(timeout="20s") for run in (first, second)] == ["Done."] * 2
    assert len(model.scenes) == 3


async def test_the_rate_of_a_provider_holds_for_all_its_models(
    folder: PhaseFolder, model: Model, other: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "SHORT_SECONDS", 0.0)
    phases = folder.load(
        FILE.replace("LIMIT", "")
        + """
    [phases.other]
    model = "scripted:other"
    prompt = "Other."
    [providers.scripted]
    rate = "1/1h"
    """
    )

    @hf.workflow
    async def flow() -> str:
        await phases.run("say")
        text: str = await phases.run("other")
        return text

    async with serving("memory://", flow) as (client, _):
        run = await client.start(flow)
        await until_status(client, run.id, "waiting")
    assert (len(model.scenes), len(other.scenes)) == (1, 0)


@pytest.mark.usefixtures("heard_at_once")
async def test_concurrency_is_a_queue_that_people_see(store_url: str, folder: PhaseFolder, model: Model) -> None:
    inside, most, gate = 0, 0, asyncio.Event()

    async def answer(_: Any) -> str:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await asyncio.wait_for(gate.wait(), 60)
        inside -= 1
        return "Said."

    model.usual = answer
    phases = folder.load(FILE.replace("LIMIT", "concurrency = 2"))
    async with serving(store_url, flow := saying(phases), *phases.workflows) as (client, _):
        runs = [await client.start(flow) for _ in range(6)]

        async def two_of_six() -> bool:
            queues = {
                row.name: (row.total, ready, running)
                for row, ready, running, _ in await client.core.store.list_queues()
            }
            return queues.get("model:scripted:main") == (2, 4, 2)

        await until(two_of_six, 30)
        gate.set()
        assert [await run.result(timeout="60s") for run in runs] == ["Said."] * 6
    assert (most, len(model.scenes)) == (2, 6)


async def test_a_call_that_makes_its_queue_goes_on_beside_what_waits_long(
    folder: PhaseFolder, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holdfast.agents.phases.queued.HEARD_SECONDS", 0.2)
    model.usual = "Said."
    phases = folder.load(FILE.replace("LIMIT", "concurrency = 2"))

    @hf.workflow
    async def with_a_limit() -> list[Any]:
        found = await hf.first(hf.sleep(3600), phases.run("say"))
        return [found.index, found.value]

    async with serving("memory://", with_a_limit, *phases.workflows) as (client, _):
        assert await outcome(client, with_a_limit) == [1, "Said."]


DRAFTING = f"""
    name = "orders"
    [defaults]
    {QUICK}
    [providers.scripted]
    concurrency = 1
    [phases.draft]
    model = "scripted:main"
    fallbacks = ["scripted:other"]
    prompt = "Write to {{{{ context.name }}}}."
    output = "Draft"
"""


@pytest.mark.usefixtures("heard_at_once")
async def test_a_call_by_a_queue_has_attempts_fallbacks_artifacts_and_a_typed_output(
    store_url: str, folder: PhaseFolder, model: Model, other: Model, park_at_once: None
) -> None:
    model.usual, other.plan = ModelFailed("away", kind="unavailable"), [DRAFT]
    phases = folder.load(DRAFTING, OUTPUTS)

    @hf.workflow
    async def flow() -> Draft:
        draft: Draft = await phases.run("draft", context={"name": "Ann"})
        return draft

    async with serving(store_url, flow, *phases.workflows) as (client, _):
        run = await client.start(flow)
        assert await run.result(timeout="30s") == DRAFT
        made = await artifacts_of(client, run.id)
        assert made["draft/prompt.md"] == b"Write to Ann."
        assert b"An offer" in made["draft/output.json"]
        children = [one.id for one in await client.list(workflow="orders: provider:scripted")]
        calls = [call for child in children for call in await calls_of(client, child)]
        assert sorted((call.phase, call.model, call.outcome) for call in calls) == [
            *[("draft", "scripted:main", "unavailable")] * 3, ("draft", "scripted:other", "ok"),
        ]  # fmt: skip
    assert (len(model.scenes), len(other.scenes)) == (3, 1)


@pytest.mark.usefixtures("heard_at_once")
async def test_a_model_without_a_queue_may_be_the_fallback_of_one_with_it(
    folder: PhaseFolder, model: Model, other: Model
) -> None:
    model.usual = ModelFailed("does not want to", kind="refused")
    phases = folder.load(
        FILE.replace("LIMIT", "concurrency = 1").replace('"main"', '"main"\n    fallbacks = ["scripted:other"]')
    )
    async with serving("memory://", flow := saying(phases), *phases.workflows) as (client, _):
        assert [await outcome(client, flow) for _ in range(2)] == ["Done."] * 2
    assert (len(model.scenes), len(other.scenes)) == (2, 2)


@pytest.mark.usefixtures("heard_at_once")
async def test_a_fallback_may_go_by_a_queue_too(folder: PhaseFolder, model: Model, other: Model) -> None:
    other.plan = [ModelFailed("does not want to", kind="refused")]
    phases = folder.load(
        FILE.replace("LIMIT", "concurrency = 1").replace(
            'model = "main"', 'model = "scripted:other"\n    fallbacks = ["main"]', 1
        )
    )
    async with serving("memory://", flow := saying(phases), *phases.workflows) as (client, _):
        assert [await outcome(client, flow) for _ in range(2)] == ["Done."] * 2
    assert (len(model.scenes), len(other.scenes)) == (1, 2)


@pytest.mark.usefixtures("heard_at_once")
async def test_what_a_call_by_a_queue_costs_counts_in_the_budget_of_its_run(
    store_url: str, folder: PhaseFolder, model: Model, park_at_once: None
) -> None:
    phases = folder.load(FILE.replace("LIMIT", "concurrency = 1") + "    [budgets.run]\n    tokens = 3\n")

    @hf.workflow
    async def flow() -> str:
        await phases.run("say")
        text: str = await phases.run("say")
        return text

    async with serving(store_url, flow, *phases.workflows) as (client, queue):
        run = await client.start(flow)
        [item] = await asked(queue)
        assert "3 of 3 tokens" in item.text
        await queue.complete(item.id, {"tokens": 100})
        assert await run.result(timeout="30s") == "Done."
        [spent] = await client.core.store.agents.spent([SpentQuery("default")])
        assert spent.tokens == 6


@pytest.mark.usefixtures("heard_at_once")
async def test_a_worker_serves_a_queue_that_a_changed_file_brings(
    folder: PhaseFolder, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holdfast.agents.phases.versions.LOOK_SECONDS", 0.0)
    phases = folder.load(FILE.replace("LIMIT", ""))
    assert phases.workflows == []
    async with serving("memory://", flow := saying(phases)) as (client, _):
        folder.write(FILE.replace("LIMIT", "concurrency = 1"))
        run = await client.start(flow)
        assert await run.result(timeout="20s") == "Done."
        assert [one.name for one in await client.history(run.id) if one.kind == "child"] == [
            "orders: model:scripted:main"
        ]


@pytest.mark.usefixtures("heard_at_once")
async def test_a_run_that_is_stopped_says_so_also_by_a_queue(folder: PhaseFolder, model: Model) -> None:
    model.usual = ModelFailed("does not want to", kind="refused")
    phases = folder.load(FILE.replace("LIMIT", "concurrency = 1"))
    async with serving("memory://", flow := saying(phases), *phases.workflows) as (client, queue):
        run = await client.start(flow)
        [item] = await asked(queue)
        assert "does not want to" in item.text
        await queue.complete(item.id, {"action": "stop"})
        with pytest.raises(RunFailed, match="stopped by maria"):
            await run.result(timeout="20s")
    assert len(model.scenes) == 1


@pytest.mark.usefixtures("heard_at_once")
async def test_a_run_that_goes_by_an_older_file_leaves_the_limit_that_is_in_force(
    folder: PhaseFolder, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holdfast.agents.phases.versions.LOOK_SECONDS", 0.0)
    phases = folder.load(FILE.replace("LIMIT", "concurrency = 1"))

    @hf.workflow
    async def flow() -> None:
        await phases.run("say")
        await hf.wait_for_event("go")
        await phases.run("say")

    async def total(client: hf.Client) -> int | None:
        [row] = [row for row, *_ in await client.core.store.list_queues() if row.name == "model:scripted:main"]
        return row.total

    async with serving("memory://", flow, saying(phases), *phases.workflows) as (client, _):
        old = await client.start(flow)
        await until_status(client, old.id, "waiting")
        assert await total(client) == 1
        folder.write(FILE.replace("LIMIT", "concurrency = 3"))
        await (await client.start_named("saying", {})).result(timeout="20s")
        await client.send_event("go")
        await old.result(timeout="20s")
        assert await total(client) == 3


@pytest.mark.usefixtures("heard_at_once")
async def test_a_budget_that_is_used_up_while_a_call_waits_in_a_queue_asks_before_it_is_made(
    store_url: str, folder: PhaseFolder, model: Model
) -> None:
    gate = asyncio.Event()

    async def answer(_: Any) -> str:
        await asyncio.wait_for(gate.wait(), 60)
        return "Said."

    model.usual = answer
    phases = folder.load(FILE.replace("LIMIT", "concurrency = 1") + "    [budgets.tenant]\n    tokens = 3\n")
    async with serving(store_url, flow := saying(phases), *phases.workflows) as (client, queue):
        runs = [await client.start(flow) for _ in range(2)]

        async def one_waits() -> bool:
            return any(
                (ready, running) == (1, 1)
                for row, ready, running, _ in await client.core.store.list_queues()
                if row.name == "model:scripted:main"
            )

        await until(one_waits, 30)
        gate.set()
        [item] = await asked(queue)
        assert "of the tenant" in item.text
        assert len(model.scenes) == 1
        await queue.complete(item.id, {"tokens": 100})
        assert [await run.result(timeout="30s") for run in runs] == ["Said."] * 2
    assert len(model.scenes) == 2


@pytest.mark.usefixtures("heard_at_once")
async def test_what_other_branches_spent_by_a_queue_counts_before_they_are_replayed(
    disk_url: str, folder: PhaseFolder, model: Model
) -> None:
    phases = folder.load(FILE.replace("LIMIT", "concurrency = 1") + "    [budgets.run]\n    tokens = 3\n")

    async def later() -> None:
        await hf.wait_for_event("go")
        await phases.run("say")

    @hf.workflow
    async def flow() -> None:
        await hf.gather(later(), phases.run("say"))

    async with serving(disk_url, flow, *phases.workflows) as (client, _):
        run = await client.start(flow)

        async def has_said() -> bool:
            return any(entry.kind == "child" and entry.outcome == "ok" for entry in await client.history(run.id))

        await until(has_said, 30)
    async with serving(disk_url, flow, *phases.workflows) as (client, queue):
        await client.send_event("go")
        [item] = await asked(queue)
        assert "3 of 3 tokens" in item.text
        await queue.complete(item.id, {"tokens": 100})
        await (await client.handle(run.id)).result(timeout="20s")
    assert len(model.scenes) == 2


@pytest.mark.usefixtures("heard_at_once")
async def test_a_call_that_waits_for_its_place_lets_others_pass_in_its_queue(
    disk_url: str, folder: PhaseFolder, model: Model, other: Model
) -> None:
    phases = folder.load(
        FILE.replace("LIMIT", 'rate = "1/1h"')
        + """
    [phases.other]
    model = "scripted:other"
    prompt = "Other."
    [providers.scripted]
    concurrency = 1
    """
    )

    @hf.workflow
    async def beside() -> str:
        text: str = await phases.run("other")
        return text

    async with serving(disk_url, flow := saying(phases), beside, *phases.workflows) as (client, _):
        assert await outcome(client, flow) == "Done."
        put_off = await client.start(flow)

        async def is_put_off() -> bool:
            return [one.status for one in await client.children(put_off.id)] == ["waiting"]

        await until(is_put_off, 30)
        assert await outcome(client, beside) == "Done."
        await client.cancel(put_off.id)
        await until_status(client, put_off.id, "cancelled")
        await until_status(client, (await client.children(put_off.id))[0].id, "cancelled")
    assert (len(model.scenes), len(other.scenes)) == (1, 1)
