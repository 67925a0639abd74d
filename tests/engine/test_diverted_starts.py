"""Starts that a rule diverted: what is started after all has all that it was given, and shadow keeps to itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import holdfast as hf
from holdfast.engine.shadow import in_shadow
from holdfast.model.start_rules import Batch, Debounce, RateLimit, Singleton
from tests.engine.clock import LONG_LEASE, move
from tests.engine.helpers import serving, until, until_status
from tests.intake.taking_kit import ORDERS, append, once, orders, write


@hf.workflow(rate_limit=RateLimit(1, per="1h", excess="drop"), cancel_on=("gone", "customer"), key="customer")
async def reminds(customer: str, text: str = "") -> int:
    return len(text)


@hf.workflow(
    batch=Batch(2, within="1h", key="customer"),
    rate_limit=RateLimit(1, per="1h", key="customer", excess="drop"),
    key="customer",
    share="customer",
)
async def index(docs: list[dict[str, Any]]) -> list[int]:
    return [doc["n"] for doc in docs]


@hf.workflow(debounce=Debounce("1h", longest="2h", key="doc"))
async def quiet(doc: str, number: int = 0) -> int:
    return number


@hf.workflow(singleton=Singleton(key="order"))
async def sync(order: str) -> object:
    return await hf.wait_for_event("go", key=order)


@hf.workflow(batch=Batch(2, within="1h"))
async def together(numbers: list[int]) -> list[int]:
    return numbers


async def _stored(client: hf.Client, run_id: str) -> Any:
    [row] = await client.core.store.find_runs("default", [run_id])
    return row


async def test_what_is_started_after_all_has_what_it_was_given(disk_url: str) -> None:
    options = {"priority": 7, "queue": "slow", "attributes": {"plan": "gold"}, "timeout": "90s"}
    async with serving(disk_url, reminds) as client:
        for shadow in (False, True):
            await client.start(reminds.options(shadow=shadow), "ada")
        lost = await client.start(reminds.options(id="late", shadow=True, **options), "bob", "hi")
        assert lost.diversion is not None
        assert await client.start_diverted(lost.diversion) == "late"
        view, row = await client.get("late"), await _stored(client, "late")
        assert (view.priority, view.queue, view.attributes, view.lane) == (7, "slow", {"plan": "gold"}, "reminds=bob")
        assert row.deadline_at - row.created_at == 90_000_000
        assert in_shadow(row.attributes)
        plain = await client.start(reminds, "cid")
        assert plain.diversion is not None
        assert not in_shadow((await _stored(client, await client.start_diverted(plain.diversion))).attributes)


async def test_what_was_dropped_of_a_batch_keeps_the_key_of_its_items(disk_url: str) -> None:
    async with serving(disk_url, index) as client:
        given = [{"customer": "ada", "n": n} for n in range(2)]
        first, second = [await client.start(index, given) for _ in range(2)]
        assert (await first.result("20s"), second.way) == ([0, 1], "dropped")
        assert second.diversion is not None
        run = await client.start_diverted(second.diversion)
        assert (await client.get(run)).lane == "index=ada"
        assert await (await client.handle(run, index)).result("20s") == [0, 1]


async def test_a_large_input_is_the_same_when_it_is_started_twice(disk_url: str) -> None:
    values = hf.Values(apart="database", apart_over="1KiB")
    async with hf.connect(disk_url, values=values) as client, hf.Worker(client, [reminds], drain=0, values=values):
        await client.start(reminds, "ada")
        lost = await client.start(reminds.options(id="large"), "ada", "x" * 100_000)
        assert lost.diversion is not None
        assert [await client.start_diverted(lost.diversion) for _ in range(2)] == ["large", "large"]
        assert await (await client.handle("large", reminds)).result("20s") == 100_000


async def test_an_input_that_cannot_be_opened_is_shown_as_such_and_not_started(sqlite_url: str) -> None:
    keys = hf.Values(codec=hf.AesGcm({"k1": bytes(range(32))}))
    async with hf.connect(sqlite_url, values=keys) as client, hf.Worker(client, [reminds], drain=0, values=keys):
        lost = [await client.start(reminds, "ada") for _ in range(2)][1]
    assert lost.diversion is not None
    async with hf.connect(sqlite_url) as client:
        assert (await client.diversion(lost.diversion)).input["sealed_by"] == "k1"
        assert [one.input for one in await client.diversions()] == [None]
        with pytest.raises(hf.PayloadError, match="the input of start"):
            await client.start_diverted(lost.diversion)


async def test_starts_in_shadow_go_into_no_run_that_is_not_and_count_for_themselves(disk_url: str) -> None:
    workflows = (reminds, quiet, sync, together)
    async with serving(disk_url, *workflows, lease=LONG_LEASE) as client:
        for live, dark in (
            (quiet.options(id="q-1"), quiet.options(id="q-2", shadow=True)),
            (sync.options(id="s-1"), sync.options(id="s-2", shadow=True)),
            (reminds.options(id="r-1"), reminds.options(id="r-2", shadow=True)),
        ):
            ways = [(await client.start(one, "x")).way for one in (live, dark)]
            assert ways in (["delayed"] * 2, ["started"] * 2)
            assert (await client.start(dark.workflow.options(shadow=True), "x")).way in ("merged", "dropped")
        runs = [
            await client.start(together.options(shadow=dark), [number]) for number, dark in enumerate((True, False))
        ]
        assert [run.way for run in runs] == ["delayed", "delayed"]
        await client.start(together.options(shadow=True), [2])
        assert await runs[0].result("20s") == [0, 2]
        assert in_shadow((await _stored(client, runs[0].id)).attributes)
        assert not in_shadow((await _stored(client, runs[1].id)).attributes)


@hf.workflow
async def parent(customer: str) -> list[int]:
    return [await kept_apart(customer)]


@hf.workflow(rate_limit=RateLimit(1, per="1h", key="customer"))
async def kept_apart(customer: str) -> int:
    return 1


async def test_a_child_in_shadow_counts_for_itself(sqlite_url: str) -> None:
    async with serving(sqlite_url, parent, kept_apart) as client:
        for shadow in (False, True):
            run = await client.start(parent.options(shadow=shadow), "ada")
            assert await run.result("20s") == [1]


async def test_who_asks_for_a_run_that_is_not_there_is_told_of_its_start(disk_url: str) -> None:
    async with serving(disk_url, reminds) as client:
        await client.start(reminds, "ada")
        await client.start(reminds.options(id="late"), "ada")
        for asked in (client.get, client.history, client.cancel):
            with pytest.raises(hf.RunNotFound, match="was dropped; `holdfast runs explain late` says why"):
                await asked("late")
        with pytest.raises(hf.RunNotFound, match=r"no run 'never'$"):
            await client.get("never")


@hf.workflow(singleton=Singleton(key=lambda failure: failure.input["customer"]))
async def looks_after(failure: hf.RunFailure) -> object:
    return await hf.wait_for_event("go", key=failure.input["customer"])


@hf.workflow(on_failure=looks_after)
async def watched(customer: str) -> None:
    raise ValueError(customer)


async def test_what_is_started_on_failure_obeys_its_rules(disk_url: str) -> None:
    async with serving(disk_url, watched, looks_after) as client:
        for number in (1, 2):
            run = await client.start(watched.options(id=f"w-{number}"), "ada")
            with pytest.raises(hf.RunFailed):
                await run.result("20s")
        [dropped] = await client.diversions()
        assert (dropped.asked_id, dropped.run_id, dropped.rule) == ("w-2/1.failed", "w-1/1.failed", "singleton")


async def test_a_schedule_without_a_run_before_it_goes_on(disk_url: str) -> None:
    async with serving(disk_url, quiet, lease=LONG_LEASE) as client:
        await client.schedule("often", quiet, input=("d",), every="30d")
        first = await client.run_schedule("often")
        assert await client.run_schedule("often") == first  # merged
        await move(client, 3700)
        await until_status(client, first, "succeeded")


@hf.workflow(singleton=Singleton(key="message.data.customer", when_taken="cancel"))
async def newest(message: hf.Incoming) -> object:
    return await hf.wait_for_event("go", key=message.id)


async def test_a_run_that_gives_way_to_an_entry_is_told_at_once(disk_url: str, tmp_path: Path) -> None:
    write(tmp_path, ORDERS.replace('"desk"', '"newest"'))
    async with serving(disk_url, newest, lease=LONG_LEASE) as client:
        told: list[str] = []
        announce = client.core.announce

        def noting(kind: str) -> None:
            told.append(kind)
            announce(kind)

        client.core.announce = noting  # type: ignore[method-assign]
        append(tmp_path, orders(1, customer="ada"))
        await once(client, tmp_path)
        [old] = await client.list()

        async def executes() -> bool:
            return bool(await client.history(old.id))

        await until(executes)
        append(tmp_path, orders(2, customer="ada"))
        await once(client, tmp_path)
        assert {"ready", "asked", "done", "wake"} <= set(told)

        async def gave_way() -> bool:
            return (await client.get(old.id)).status == "cancelled"

        await until(gave_way)
        assert (await client.count(status="cancelled")).runs == 1


async def test_a_schedule_whose_starts_are_dropped_cancels_no_run_of_others(disk_url: str) -> None:
    async with serving(disk_url, sync, lease=LONG_LEASE) as client:
        open_run = await client.start(sync.options(id="mine"), "o")
        await client.schedule("often", sync, input=("o",), every="1m", overlap="cancel", catch_up="all")
        await move(client, 250)

        async def dealt_with() -> bool:
            return len(await client.diversions(run_id="mine")) >= 4

        await until(dealt_with)
        await client.send_event("go", "yes", key="o")
        assert await open_run.result("20s") == "yes"


async def test_a_debounce_decides_when_the_run_of_a_schedule_starts_whatever_its_jitter(disk_url: str) -> None:
    async with serving(disk_url, quiet, lease=LONG_LEASE) as client:
        await client.schedule("often", quiet, input=("d",), every="1m", jitter="30s")
        await move(client, 70)

        async def made() -> bool:
            return bool(await client.diversions(way="delayed", rule="debounce"))

        await until(made)
