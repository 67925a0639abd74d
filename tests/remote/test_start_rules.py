"""Rules for starts through both clients: the same ways, the same records, the same refusals."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

import holdfast as hf
from holdfast.errors import DiversionNotFound, StartDropped
from holdfast.model.start_rules import Batch, Debounce, RateLimit, Singleton
from tests.remote.conftest import Place
from tests.remote.kit import serving

pytestmark = pytest.mark.asyncio(loop_scope="module")


@hf.workflow(rate_limit=RateLimit(1, per="1h", key=lambda customer: customer.lower(), excess="drop"))
async def reminds(customer: str) -> str:
    return customer


@hf.workflow(batch=Batch(3, within="1h", key=lambda doc: doc["customer"].lower()))
async def index(docs: list[dict[str, str]]) -> int:
    return len(docs)


@hf.workflow(debounce=Debounce("1h", longest="2h", key="doc"), share="doc")
async def quiet(doc: str) -> str:
    return doc


@hf.workflow(singleton=Singleton(key="order"))
async def sync(order: str) -> Any:
    return await hf.wait_for_event("go", key=order)


@hf.workflow(rate_limit=RateLimit(1, per="1h"), singleton=Singleton(key="order", when_taken="cancel"))
async def late(order: str) -> None: ...


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(database: str) -> AsyncIterator[Place]:
    """The database with a worker and a server."""
    workflows: list[hf.Workflow[Any, Any]] = [reminds, index, quiet, sync, late]
    async with serving(database) as address, hf.Worker(database, workflows, drain=0):
        yield Place(database, address)


async def test_handles_say_what_became_of_their_starts(client: hf.Client) -> None:
    runs = [await client.start(reminds.options(id=f"r-{n}"), "Ada" if n else "ada") for n in range(2)]
    assert [(run.way, run.id, run.created) for run in runs] == [("started", "r-0", True), ("dropped", "r-1", False)]
    assert await runs[0].result("20s") == "ada"
    with pytest.raises(StartDropped) as error:
        await runs[1].result()
    assert (error.value.rule, error.value.key, error.value.diversion) == ("rate_limit", "ada", runs[1].diversion)
    first = await client.start(sync.options(id="s-1"), "o")
    second = await client.start(sync, "o")
    assert (first.way, second.way, second.id) == ("started", "dropped", "s-1")
    assert (await client.start(sync.options(id="s-1"), "o")).created is False
    with pytest.raises(hf.RunExists):
        await client.start(sync.options(id="s-1"), "p")
    delayed = [await client.start(late, order) for order in ("a", "b")]
    assert [(run.way, run.created) for run in delayed] == [("started", True), ("delayed", True)]
    assert delayed[1].reason


async def test_many_are_started_with_their_ways_in_order(client: hf.Client) -> None:
    lists = [([{"customer": name}],) for name in ("ada", "bob", "ADA", "ada")]
    runs = await client.start_many(index, lists)
    assert [run.way for run in runs] == ["delayed", "delayed", "merged", "merged"]
    assert [run.id for run in runs] == [runs[0].id, runs[1].id, runs[0].id, runs[0].id]
    assert [run.created for run in runs] == [True, True, False, False]
    assert [await run.result("20s") for run in (runs[0], *runs[2:])] == [3, 3, 3]
    named = [await client.start_named("quiet", {"doc": "d"}) for _ in range(2)]
    assert [(run.way, run.id) for run in named] == [("delayed", named[0].id), ("merged", named[0].id)]
    for given in ([], [{"customer": "a"}] * 4, [{"customer": "a"}, {"customer": "b"}]):
        with pytest.raises(hf.UsageError, match="start of workflow 'index'"):
            await client.start(index, given)


async def test_both_show_the_same_diversions(place: Place) -> None:
    tenant = uuid.uuid4().hex
    async with hf.connect(place.url, tenant=tenant) as local, hf.connect(place.address, tenant=tenant) as remote:
        for client in (local, remote):
            await client.start_many(reminds, [("ada",)] * 2)
            await client.start(quiet, "d")
        [newest] = await local.diversions(limit=1)
        asked: list[dict[str, Any]] = [
            {}, {"workflow": "quiet"}, {"key": "ada"}, {"way": "dropped"}, {"rule": "debounce"}, {"limit": 2},
            {"limit": 2, "before": (await local.diversions(limit=2))[-1].id},
            {"id": newest.asked_id}, {"run_id": newest.run_id},
        ]  # fmt: skip
        for which in asked:
            found = await local.diversions(**which)
            assert found, which
            assert await remote.diversions(**which) == found, which
        for one in await local.diversions():
            assert await remote.diversion(one.id) == await local.diversion(one.id)
            assert replace(await local.diversion(one.id), input=None) == one


async def test_what_was_dropped_is_started_after_all(client: hf.Client) -> None:
    await client.start(reminds, "ada")
    run = await client.start(reminds.options(id="r-2"), "ada")
    assert run.diversion is not None
    assert [await client.start_diverted(run.diversion) for _ in range(2)] == ["r-2", "r-2"]
    assert await (await client.handle("r-2")).result("20s") == "ada"
    with pytest.raises(DiversionNotFound):
        await client.diversion("0" * 32)
    with pytest.raises(DiversionNotFound):
        await client.start_diverted("0" * 32)
    for given in ({"way": "lost"}, {"limit": 0}, {"before": "x"}):
        with pytest.raises(hf.UsageError):
            await client.diversions(**given)
    assert "there is no run never" not in (await client.explain("r-2"))


async def test_a_schedule_whose_start_is_dropped_raises_the_same(client: hf.Client) -> None:
    await client.schedule("often", sync, input=("scheduled",), every="30d")
    run = await client.run_schedule("often")
    with pytest.raises(StartDropped, match="dropped the start") as error:
        await client.run_schedule("often")
    [dropped] = await client.diversions(way="dropped", limit=1)
    said = error.value
    assert (said.run_id, said.rule, said.key) == (run, "singleton", "scheduled")
    assert (said.reason, said.diversion) == (dropped.reason, dropped.id)
    await client.cancel(run)
    await client.delete_schedule("often")
