"""Budgets: one that is used up ends in a question to a person, and what they give is counted once."""

import asyncio
import contextlib
from types import SimpleNamespace
from typing import Any

import pytest

import holdfast as hf
from holdfast.agents.phases import granting
from holdfast.agents.phases.registry import Phases
from holdfast.errors import ModelFailed, PhaseFailed, RunFailed, StoreUnavailable
from holdfast.model.phase_terms import NANODOLLARS
from holdfast.model.run import Entry
from holdfast.store.agent_rows import DAY_US, Grant, SpentQuery
from tests.agents.kit import QUICK, Model, PhaseFolder, asked, calls_of, serving
from tests.engine.clock import LONG_LEASE, move
from tests.engine.helpers import ONCE, outcome, until_status

# A prompt of 400 characters is 100 tokens, an answer of 40 is 10: together they cost 0.3 dollars.
FILE = f"""
    name = "orders"
    [defaults]
    model = "main"
    {QUICK}
    [models.main]
    model = "scripted:main"
    price = {{ input = 1000, output = 20000, cached = 0 }}
    [phases.first]
    prompt = "{"a" * 400}"
    [phases.second]
    prompt = "{"b" * 400}"
"""

COST = 300_000_000

PHASE = FILE.replace("[phases.first]", "[phases.first]\n    cost = 0.35")


def budget(scope: str, what: str) -> str:
    return f"{FILE}    [budgets.{scope}]\n    {what}\n"


@pytest.fixture(autouse=True)
def answers(model: Model) -> None:
    model.usual = "x" * 40


def twice(phases: Phases, first: str = "first") -> hf.Workflow[[], list[str]]:
    """A workflow that runs two phases, one after the other."""

    @hf.workflow(name="twice")
    async def run() -> list[str]:
        return [await phases.run("first"), await phases.run(first)]

    return run


@pytest.mark.parametrize(
    ("text", "again", "said"),
    [
        (PHASE, "first", "of the phase in this run"),
        (budget("run", "cost = 0.35"), "second", "of the run"),
        (budget("run", "tokens = 150"), "second", "of the run"),
        (budget("day", "cost = 0.35"), "second", "of the day"),
        (budget("tenant", "tokens = 110"), "second", "of the tenant"),
    ],
)
async def test_a_budget_without_room_for_the_next_prompt_asks_and_goes_on_with_what_is_granted(
    disk_url: str, folder: PhaseFolder, model: Model, park_at_once: None, text: str, again: str, said: str
) -> None:
    async with serving(disk_url, flow := twice(folder.load(text), again)) as (client, queue):
        run = await client.start(flow)
        [item] = await asked(queue)
        assert item.title == f"Spend more on phase {again!r}?"
        assert said in item.text
        assert len(model.scenes) == 1
        await queue.complete(item.id, {"dollars": 0.3, "tokens": 200})
        assert await run.result(timeout="20s") == ["x" * 40] * 2
        assert await asked(queue, 0) == []
    assert len(model.scenes) == 2


async def test_who_stops_a_run_and_retries_it_later_is_asked_again(folder: PhaseFolder, model: Model) -> None:
    async with serving("memory://", flow := twice(folder.load(budget("run", "cost = 0.35")), "second")) as (
        client,
        queue,
    ):
        run = await client.start(flow)
        [item] = await asked(queue)
        await queue.complete(item.id, {"stop": True})
        await until_status(client, run.id, "failed")
        await client.retry(run.id)
        [again] = await asked(queue)
        await queue.complete(again.id, {"dollars": 1})
        assert await run.result(timeout="20s") == ["x" * 40] * 2
    assert len(model.scenes) == 2


async def test_a_grant_whose_record_is_lost_is_made_again_and_counts_once(
    store_url: str, folder: PhaseFolder, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(store_url, flow := twice(folder.load(budget("run", "cost = 0.35")), "second")) as (
        client,
        queue,
    ):
        agents: Any = client.core.store.agents
        grant, tries = agents.grant, []

        async def granted(one: Grant) -> None:
            await grant(one)
            tries.append(one.id)
            if len(tries) < 3:
                raise StoreUnavailable("the connection broke, and nobody knows what became of it")

        monkeypatch.setattr(agents, "grant", granted)
        run = await client.start(flow)
        [item] = await asked(queue)
        await queue.complete(item.id, {"dollars": 0.3})
        assert await run.result(timeout="30s") == ["x" * 40] * 2
        row = await client._find(run.id)
        [spent] = await agents.spent([SpentQuery("default", run=row.uid)])
    assert spent.granted_cost == COST
    assert len(tries) == 3
    assert len(set(tries)) == 1


async def test_what_is_granted_too_little_is_asked_for_again_and_each_grant_counts_once(
    store_url: str, folder: PhaseFolder, model: Model, park_at_once: None
) -> None:
    async with serving(store_url, flow := twice(folder.load(budget("run", "cost = 0.35")), "second")) as (
        client,
        queue,
    ):
        run = await client.start(flow)
        for _ in range(3):
            [item] = await asked(queue)
            await queue.complete(item.id, {"dollars": 0.02})
        assert await run.result(timeout="20s") == ["x" * 40] * 2
        row = await client._find(run.id)
        [spent] = await client.core.store.agents.spent([SpentQuery("default", run=row.uid)])
        assert (spent.cost, spent.granted_cost) == (2 * COST, NANODOLLARS * 6 // 100)


LONG = """
    name = "orders"
    [budgets.run]
    tokens = 99
    [phases.first]
    model = "scripted:main"
    prompt = "{{ context }}"
"""


def long(phases: Phases) -> hf.Workflow[[], str]:
    """A workflow of one phase whose prompt has more tokens than the budget of the run."""

    @hf.workflow(name="long")
    async def run() -> str:
        text: str = await phases.run("first", context="a" * 400)
        return text

    return run


async def test_a_prompt_that_alone_is_more_than_the_budget_is_not_sent(folder: PhaseFolder, model: Model) -> None:
    async with serving("memory://", flow := long(folder.load(LONG))) as (client, queue):
        run = await client.start(flow)
        [item] = await asked(queue)
        assert "0 of 99 tokens" in item.text
        assert model.scenes == []
        await queue.complete(item.id, {"stop": True})
        with pytest.raises(RunFailed, match="stopped by maria") as failed:
            await run.result(timeout="20s")
        assert isinstance(failed.value.__cause__, PhaseFailed)
        assert failed.value.__cause__.kind == "budget"


async def test_an_answer_that_says_nothing_is_not_taken(folder: PhaseFolder, model: Model) -> None:
    async with serving("memory://", flow := long(folder.load(LONG))) as (client, queue):
        run = await client.start(flow)
        [item] = await asked(queue)
        await queue.complete(item.id, {})
        [again] = await asked(queue)
        assert "give dollars or tokens, or stop" in again.text
        await queue.skip(again.id, "too dear")
        with pytest.raises(RunFailed, match="too dear"):
            await run.result(timeout="20s")


async def test_phases_side_by_side_ask_once_for_what_one_answer_can_give(
    store_url: str, folder: PhaseFolder, model: Model, park_at_once: None
) -> None:
    phases = folder.load(budget("run", "tokens = 110"))

    @hf.workflow
    async def flow() -> int:
        await phases.run("first")
        return len(await hf.gather(*(phases.run(name) for name in ("first", "second", "first", "second"))))

    async with serving(store_url, flow) as (client, queue):
        run = await client.start(flow)
        [item] = await asked(queue)
        await until_status(client, run.id, "waiting")
        await queue.complete(item.id, {"tokens": 1000})
        assert await run.result(timeout="30s") == 4
        assert len(await queue.list(kind="ask", limit=10)) == 1
    assert len(model.scenes) == 5


async def test_failed_attempts_count_too(folder: PhaseFolder, model: Model) -> None:
    model.plan = ["", ""]  # malformed, and paid for
    phases = folder.load(budget("run", "tokens = 250").replace("attempts = 3", "attempts = 3\n    repairs = 0"))
    async with serving("memory://", flow := twice(phases)) as (client, queue):
        run = await client.start(flow)
        await asked(queue)
        assert [call.outcome for call in await calls_of(client, run.id)] == ["malformed", "malformed"]


async def test_what_an_attempt_cost_is_known_to_the_next_one_however_slow_the_database_is(
    folder: PhaseFolder, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    model.plan = ["", ""]
    phases = folder.load(budget("run", "tokens = 250").replace("attempts = 3", "attempts = 3\n    repairs = 0"))
    async with serving("memory://", flow := twice(phases)) as (client, queue):
        store: Any = client.core.store
        commit, spent, looked = store.commit, store.agents.spent, asyncio.Event()

        async def slowly(batch: Any) -> Any:
            if batch.model_calls:
                looked.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(looked.wait(), 0.1)
            return await commit(batch)

        async def look(asked: Any) -> Any:
            found = await spent(asked)
            looked.set()
            return found

        monkeypatch.setattr(store, "commit", slowly)
        monkeypatch.setattr(store.agents, "spent", look)
        await client.start(flow)
        await asked(queue)
        assert len(model.scenes) == 2


async def test_a_day_that_is_over_frees_its_budget(disk_url: str, folder: PhaseFolder, model: Model) -> None:
    phases = folder.load(budget("day", "cost = 0.35"))

    @hf.workflow
    async def flow() -> Any:
        return await phases.run("first")

    async with serving(disk_url, flow, lease=LONG_LEASE) as (client, queue):
        while DAY_US - client.core.now_us() % DAY_US < 60_000_000:
            await asyncio.sleep(1)  # requests count on the day of the real clock, which is not to end meanwhile
        assert await outcome(client, flow) == "x" * 40
        await client.start(flow)
        await asked(queue)
        await move(client, 86_400)
        assert await outcome(client, flow) == "x" * 40


async def test_the_budget_of_a_run_or_tenant_is_its_own(folder: PhaseFolder, model: Model) -> None:
    phases = folder.load(budget("run", "tokens = 115") + "    [budgets.tenant]\n    tokens = 230\n")

    @hf.workflow
    async def flow() -> Any:
        return await phases.run("first")

    async with serving("memory://", flow) as (client, queue):
        for _ in range(2):
            assert await outcome(client, flow) == "x" * 40
        await client.start(flow)
        await asked(queue)
        assert await outcome(hf.Client(client.core, "acme"), flow) == "x" * 40


async def test_a_model_that_fails_is_no_matter_of_budgets(folder: PhaseFolder, model: Model) -> None:
    model.usual = ModelFailed("away", kind="unavailable")
    async with serving("memory://", flow := twice(folder.load(budget("run", "cost = 0.35")))) as (client, queue):
        await client.start(flow)
        [item] = await asked(queue)
        assert item.title == "Phase 'first' failed"


async def test_an_answer_at_the_place_of_an_earlier_one_counts_too(folder: PhaseFolder, model: Model) -> None:
    phases, fails = folder.load(budget("run", "cost = 0.35")), [True]

    @hf.step(retry=ONCE)
    async def other() -> None:
        if fails and fails.pop():
            raise ValueError("not yet")

    async def both() -> None:
        await phases.run("first")
        await phases.run("second")

    @hf.workflow
    async def flow() -> None:
        await hf.gather(other(), both())

    async with serving("memory://", flow) as (client, queue):
        run = await client.start(flow)
        [item] = await asked(queue)
        await queue.complete(item.id, {"dollars": 0.6})
        await until_status(client, run.id, "failed")
        # What came after the failure is executed anew; the question comes at the same place of the code.
        await client.retry(run.id)
        [again] = await asked(queue)
        assert again.id != item.id
        await queue.complete(again.id, {"dollars": 0.6})
        await run.result(timeout="20s")
        assert len(await queue.list(kind="ask", limit=10)) == 2


async def test_budgets_of_two_phases_are_asked_for_at_once(folder: PhaseFolder, model: Model) -> None:
    phases = folder.load(FILE.replace("    prompt", "    tokens = 150\n    prompt"))

    @hf.workflow
    async def flow() -> dict[str, Any]:
        await phases.execute()
        return await phases.execute()

    async with serving("memory://", flow) as (client, queue):
        run = await client.start(flow)
        for item in await asked(queue, 2):
            await queue.complete(item.id, {"tokens": 1000})
        assert await run.result(timeout="20s") == {"first": "x" * 40, "second": "x" * 40}


async def test_a_branch_that_lets_others_come_before_it_keeps_the_run_in_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(granting, "REPLAY_SECONDS", 0.05)
    journal = {b"\x05": Entry("step", granting.LOOK, "ok", None, 1)}
    execution: Any = SimpleNamespace(journal=journal, open=0, was_open=0)

    def enter() -> None:
        execution.open += 1
        asyncio.get_running_loop().call_later(0.02, lambda: setattr(execution, "was_open", execution.open))

    execution.enter, execution.rest = enter, lambda: setattr(execution, "open", execution.open - 1)
    await granting._Askers().come(execution, b"\x07")  # the one that had asked before does not come again
    assert (execution.was_open, execution.open) == (1, 0)
