"""Rules for starts through real workers: limits, debounces, batches, singletons, and why a start made no run."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

import holdfast as hf
from holdfast.engine.diversion_views import DiversionView
from holdfast.errors import DiversionNotFound, StartDropped
from holdfast.model.start_rules import Batch, Debounce, RateLimit, Singleton
from tests.engine.clock import LONG_LEASE, move
from tests.engine.helpers import serving, until


@hf.workflow(rate_limit=RateLimit(2, per="1h", key="customer", excess="drop"))
async def dropped(customer: str, number: int = 0) -> int:
    return number


@hf.workflow(rate_limit=RateLimit(1, per="1h", key="customer"))
async def delayed(customer: str, number: int = 0) -> int:
    return number


@hf.workflow(debounce=Debounce("1h", longest="150m", key="doc"))
async def quiet(doc: str, number: int = 0) -> int:
    return number


@hf.workflow(debounce=Debounce("1h", longest="150m", key="doc", edge="leading"))
async def leading(doc: str, number: int = 0) -> int:
    return number


@hf.workflow(batch=Batch(3, within="1h", key="customer"))
async def index(docs: list[dict[str, Any]]) -> list[int]:
    return [doc["n"] for doc in docs]


@hf.workflow(singleton=Singleton(key="order"))
async def sync(order: str, number: int = 0) -> object:
    return [number, await hf.wait_for_event("go", key=order)]


CLEANED: list[str] = []


@hf.workflow(singleton=Singleton(key="order", when_taken="cancel"))
async def newest(order: str, number: int = 0) -> object:
    try:
        return [number, await hf.wait_for_event("go", key=order)]
    finally:
        CLEANED.append(f"{order} {number}")


def docs(customer: str, *numbers: int) -> list[dict[str, Any]]:
    return [{"customer": customer, "n": number} for number in numbers]


async def test_what_is_over_a_limit_that_drops_makes_no_run(disk_url: str) -> None:
    async with serving(disk_url, dropped) as client:
        runs = await client.start_many(dropped, [("ada", n) for n in range(4)])
        other = await client.start(dropped.options(id="b-1"), "bob", 7)
        assert [run.way for run in runs] == ["started", "started", "dropped", "dropped"]
        assert [run.created for run in runs] == [True, True, False, False]
        assert [await run.result("20s") for run in (*runs[:2], other)] == [0, 1, 7]
        with pytest.raises(StartDropped) as error:
            await runs[2].result()
        assert (error.value.rule, error.value.key, error.value.run_id) == ("rate_limit", "ada", "")
        assert error.value.reason == runs[2].reason != ""
        assert error.value.diversion == runs[2].diversion
        with pytest.raises(hf.RunNotFound):
            await client.get(runs[2].id)
        assert await client.diversions(workflow="dropped", key="bob") == []
        found = await client.diversions(way="dropped")
        assert [one.id for one in found] == [runs[3].diversion, runs[2].diversion]
        assert [one.input for one in found] == [None, None]
        assert (await client.diversion(found[1].id)).input == {"customer": "ada", "number": 2}
        assert await client.diversions(way="dropped", limit=1, before=found[0].id) == [found[1]]


async def test_a_dropped_start_is_started_after_all_once(disk_url: str) -> None:
    async with serving(disk_url, dropped, sync) as client:
        await client.start_many(dropped, [("ada", n) for n in range(2)])
        run = await client.start(dropped.options(id="late"), "ada", 5)
        assert run.diversion is not None
        assert [await client.start_diverted(run.diversion) for _ in range(2)] == ["late", "late"]
        assert await (await client.handle("late", dropped)).result("20s") == 5
        audits = await client.audit()
        assert [(one.action, one.target) for one in audits] == [("diversion.start", run.diversion)]
        with pytest.raises(DiversionNotFound, match="no diverted start"):
            await client.start_diverted("0" * 32)
        with pytest.raises(hf.UsageError, match="32 hexadecimal"):
            await client.diversion("late")


@hf.workflow(rate_limit=RateLimit(1, per="1h", excess="drop"), key=lambda customer: customer.upper())
async def keyed_by_code(customer: str) -> str:
    return customer


async def test_what_is_started_after_all_has_the_keys_that_its_code_gives(sqlite_url: str) -> None:
    async with serving(sqlite_url, keyed_by_code) as client:
        run = [await client.start(keyed_by_code, "ada") for _ in range(2)][1]
        assert run.diversion is not None
        started = await client.start_diverted(run.diversion)
        assert (await client.get(started)).lane == "keyed_by_code=ADA"
    async with hf.connect(sqlite_url) as client:
        late = await client.start(keyed_by_code, "bob")
        assert late.diversion is not None
        with pytest.raises(hf.UsageError, match="code is needed"):
            await client.start_diverted(late.diversion)


async def test_what_was_not_dropped_is_not_started_again(disk_url: str) -> None:
    async with serving(disk_url, delayed, index) as client:
        await client.start(delayed, "ada")
        late = await client.start(delayed, "ada", 1)
        first, second = [await client.start(index, docs("ada", n)) for n in range(2)]
        assert (late.way, first.way, second.way) == ("delayed", "delayed", "merged")
        for run, why in ((late, "was delayed"), (second, f"was merged into run '{first.id}'")):
            assert run.diversion is not None
            with pytest.raises(hf.NotPossible, match=why):
                await client.start_diverted(run.diversion)


async def test_what_is_over_a_limit_that_delays_starts_when_the_limit_lets_it(disk_url: str) -> None:
    async with serving(disk_url, delayed, lease=LONG_LEASE) as client:
        runs = [await client.start(delayed, "ada", n) for n in range(3)]
        assert [run.way for run in runs] == ["started", "delayed", "delayed"]
        assert [run.created for run in runs] == [True, True, True]
        assert await runs[0].result("20s") == 0
        assert await client.explain(runs[1].id) == (
            f"waits for its rate limit (key ada): it is to start {_at(await _planned(client, runs[1].id))}"
        )
        planned = [await _planned(client, run.id) for run in runs[1:]]
        first = (await client.get(runs[0].id)).created_at
        assert timedelta(minutes=59) < planned[0].due_at - first  # type: ignore[operator]
        assert planned[1].due_at - planned[0].due_at >= timedelta(hours=1)  # type: ignore[operator]
        await move(client, 3700)
        assert await runs[1].result("20s") == 1
        assert (await client.get(runs[2].id)).status == "queued"
        await move(client, 3700)
        assert await runs[2].result("20s") == 2


@hf.workflow(rate_limit=RateLimit(1, per="1h"), timeout="10m")
async def brief(number: int) -> int:
    return number


@hf.workflow(debounce=Debounce("1h", longest="150m", key="doc"), timeout="10m")
async def brief_and_quiet(doc: str, number: int) -> int:
    return number


async def test_a_time_limit_counts_from_when_a_rule_lets_the_run_through(disk_url: str) -> None:
    async with serving(disk_url, brief, brief_and_quiet, lease=LONG_LEASE) as client:
        first, second = await client.start_many(brief, [(1,), (2,)])
        quiet = await client.start(brief_and_quiet, "d", 3)
        assert (await first.result("20s"), second.way) == (1, "delayed")
        await move(client, 1800)
        assert (await client.start(brief_and_quiet, "d", 4)).way == "merged"
        await move(client, 1801)
        assert await second.result("20s") == 2
        await move(client, 1801)
        assert await quiet.result("20s") == 4


async def test_the_newest_of_starts_that_come_shortly_after_each_other_is_run(disk_url: str) -> None:
    async with serving(disk_url, quiet, lease=LONG_LEASE) as client:
        first = await client.start(quiet.options(id="d-1"), "d", 1)
        assert (first.way, first.created) == ("delayed", True)
        assert "1 start so far" in await client.explain("d-1")
        rest = [await client.start(quiet, "d", number) for number in (2, 3)]
        assert [(run.way, run.id, run.created) for run in rest] == [("merged", "d-1", False)] * 2
        said = await client.explain("d-1")
        assert said.startswith("is debounced (key d): 3 starts so far; it starts at ")
        await move(client, 3700)
        assert [await run.result("20s") for run in (first, *rest)] == [3, 3, 3]
        again = await client.start(quiet, "d", 4)
        assert (again.way, again.created) == ("delayed", True)
        replaced = [await client.diversion(one.id) for one in await client.diversions(run_id="d-1")]
        assert [one.way for one in replaced] == ["merged", "merged", "delayed"]
        assert {1, 2} <= {one.input["number"] for one in replaced if one.input is not None}


async def test_a_debounce_ends_at_its_longest(disk_url: str) -> None:
    async with serving(disk_url, quiet, lease=LONG_LEASE) as client:
        first = await client.start(quiet, "d", 1)
        for number in (2, 3, 4):
            await move(client, 2700)
            assert (await client.start(quiet, "d", number)).id == first.id
        await move(client, 1000)  # not quiet for an hour, but two and a half hours are over
        assert await first.result("20s") == 4


async def test_a_leading_debounce_runs_the_first_and_takes_the_others_in(disk_url: str) -> None:
    async with serving(disk_url, leading, lease=LONG_LEASE) as client:
        first = await client.start(leading, "d", 1)
        assert (first.way, await first.result("20s")) == ("started", 1)
        second = await client.start(leading, "d", 2)
        assert (second.way, second.id, await second.result("20s")) == ("merged", first.id, 1)
        await move(client, 3700)
        third = await client.start(leading, "d", 3)
        assert (third.way, await third.result("20s")) == ("started", 3)


async def test_a_batch_is_run_when_it_is_full_with_its_items_in_order(disk_url: str) -> None:
    async with serving(disk_url, index) as client:
        first = await client.start(index.options(id="b-1"), docs("ada", 1))
        assert "collects a batch (key ada): 1 start so far" in await client.explain("b-1")
        other = await client.start(index, docs("bob", 9))
        rest = await client.start(index, docs("ada", 2, 3))
        assert (first.way, rest.way, rest.id) == ("delayed", "merged", "b-1")
        assert await rest.result("20s") == [1, 2, 3]
        assert (await client.get("b-1")).input == {"docs": docs("ada", 1, 2, 3)}
        assert (await client.get(other.id)).status == "queued"
        full = await client.start(index, docs("ada", 4, 5, 6))
        assert await full.result("20s") == [4, 5, 6]


async def test_the_items_of_an_id_are_put_into_a_batch_once(disk_url: str) -> None:
    async with serving(disk_url, index) as client:
        first = await client.start(index.options(id="b-1"), docs("ada", 1))
        for _ in range(2):
            again = await client.start(index.options(id="b-2"), docs("ada", 2))
            assert (again.way, again.id, again.created) == ("merged", "b-1", False)
        both = await client.start_many(index, [(docs("ada", 2),), (docs("ada", 3),)], ids=["b-2", "b-3"])
        assert [run.id for run in both] == ["b-1", "b-1"]
        assert both[0].diversion == again.diversion != both[1].diversion
        assert await first.result("20s") == [1, 2, 3]
        assert (await client.start(index.options(id="b-1"), docs("ada", 1, 2, 3))).created is False


async def test_two_starts_of_one_id_at_once_are_told_the_same(disk_url: str) -> None:
    async with serving(disk_url, dropped, index) as client:
        await client.start_many(dropped, [("ada", n) for n in range(2)])
        twins = await client.start_many(dropped, [("ada", 2)] * 2, ids=["t", "t"])
        assert [run.way for run in twins] == ["dropped", "dropped"]
        for run in twins:
            with pytest.raises(StartDropped):
                await run.result("20s")
        first = await client.start(index, docs("ada", 1))
        runs = await client.start_many(index, [(docs("ada", 2),)] * 2, ids=["b", "b"])
        assert [(run.way, run.id) for run in runs] == [("merged", first.id)] * 2
        await client.start(index, docs("ada", 3))
        assert [await run.result("20s") for run in (first, *runs)] == [[1, 2, 3]] * 3


async def test_a_batch_is_run_when_its_time_is_over(disk_url: str) -> None:
    async with serving(disk_url, index, lease=LONG_LEASE) as client:
        runs = await client.start_many(index, [(docs("ada", 1),), (docs("ada", 2),), (docs("bob", 3),)])
        assert [run.way for run in runs] == ["delayed", "merged", "delayed"]
        await move(client, 3700)
        assert [await run.result("20s") for run in runs] == [[1, 2], [1, 2], [3]]


async def test_a_singleton_skips_while_a_run_is_open(disk_url: str) -> None:
    async with serving(disk_url, sync) as client:
        first = await client.start(sync.options(id="s-1"), "o", 1)
        second = await client.start(sync.options(id="s-2"), "o", 2)
        assert (second.way, second.id, second.created) == ("dropped", "s-1", False)
        with pytest.raises(StartDropped, match="s-1") as error:
            await second.result()
        assert (error.value.rule, error.value.key, error.value.run_id) == ("singleton", "o", "s-1")
        assert (await client.start(sync.options(id="s-1"), "o", 1)).created is False
        with pytest.raises(hf.RunExists):
            await client.start(sync.options(id="s-1"), "o", 3)
        other = await client.start(sync, "p", 3)
        for order in ("o", "p"):
            await client.send_event("go", True, key=order)
        assert [await run.result("20s") for run in (first, other)] == [[1, True], [3, True]]
        third = await client.start(sync.options(id="s-3"), "o", 4)
        assert (third.way, third.id) == ("started", "s-3")
        said = await client.explain("s-2")
        assert "there is no run s-2" in said
        assert f"holdfast diversions start {second.diversion}" in said
        with pytest.raises(hf.RunNotFound):
            await client.explain("never")


async def test_a_singleton_cancels_the_old_run_and_waits_until_it_has_cleaned_up(disk_url: str) -> None:
    CLEANED.clear()
    async with serving(disk_url, newest) as client:
        old = await client.start(newest, "o", 1)

        async def waits() -> bool:
            return bool(await client.history(old.id))

        await until(waits)
        new = await client.start(newest, "o", 2)
        assert (new.way, new.created) == ("started", True)
        with pytest.raises(hf.RunCancelled, match=new.id):
            await old.result("20s")
        assert CLEANED == ["o 1"]
        await client.send_event("go", True, key="o")
        assert await new.result("20s") == [2, True]


async def test_a_start_by_name_obeys_the_rules(disk_url: str) -> None:
    async with serving(disk_url, dropped, index) as client:
        ways = [(await client.start_named("dropped", {"customer": "ada"})).way for _ in range(3)]
        assert ways == ["started", "started", "dropped"]
        runs = [await client.start_named("index", {"docs": docs("ada", n)}) for n in range(3)]
        assert await runs[2].result("20s") == [0, 1, 2]
        with pytest.raises(hf.UsageError, match="item 1"):
            await client.start_named("index", {"docs": docs("ada", 1) + docs("bob", 2)})


async def test_a_schedule_says_that_a_rule_dropped_its_start(disk_url: str) -> None:
    async with serving(disk_url, dropped) as client:
        await client.schedule("often", dropped, input=("ada",), every="30d")
        assert [await client.run_schedule("often") for _ in range(2)]
        with pytest.raises(StartDropped, match="dropped the start"):
            await client.run_schedule("often")


async def test_a_key_by_a_function_is_kept_with_a_schedule(disk_url: str) -> None:
    @hf.workflow(singleton=Singleton(key=lambda order: order.upper()))
    async def by_code(order: str) -> object:
        return await hf.wait_for_event("never")

    async with serving(disk_url, by_code) as client:
        await client.schedule("often", by_code, input=("o",), every="30d")
        run = await client.run_schedule("often")
        assert (await client.start(by_code, "O")).id == run
        with pytest.raises(hf.UsageError, match="code"):
            await client.start_named("by_code", {"order": "o"})


async def test_times_of_a_schedule_that_make_no_run_say_so(disk_url: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "holdfast.scheduler")
    async with serving(disk_url, dropped, lease=LONG_LEASE) as client:
        await client.schedule("often", dropped, input=("ada",), every="1m", overlap="cancel", catch_up="all")
        await move(client, 360)

        async def all_dealt_with() -> bool:
            return len(await client.diversions(way="dropped")) >= 3

        await until(all_dealt_with)
        assert len(await client.list()) == 2
        [last] = await client.diversions(limit=1)
        assert last.asked_id.startswith("often/")
        assert f"there is no run {last.asked_id}" in await client.explain(last.asked_id)

        async def told() -> bool:
            return f"run {last.asked_id} is not made, its start was dropped: {last.reason}" in caplog.text

        await until(told)


@hf.workflow
async def parent(name: str, by_map: bool = False) -> str:
    called: Any = {"sync": sync, "index": index, "dropped": dropped}[name]
    try:
        await (hf.map(called, ["x"]) if by_map else called([] if name == "index" else "x"))
    except hf.UsageError as error:
        return str(error)
    return ""


async def test_a_child_run_that_might_not_come_to_be_is_refused_at_the_call() -> None:
    for name in ("sync", "index", "dropped"):
        for by_map in (False, True):
            assert "start it with a client in a step" in await hf.execute(parent, name, by_map)


@hf.workflow
async def fans(customer: str, by_map: bool) -> list[int]:
    if by_map:
        return await hf.map(delayed, [customer, customer])
    return [await delayed(customer, 1), await delayed(customer, 2)]


async def test_a_child_run_waits_for_a_limit_that_delays(disk_url: str) -> None:
    async with serving(disk_url, fans, delayed, lease=LONG_LEASE) as client:
        runs = [await client.start(fans, "ada", by_map=False), await client.start(fans, "bob", by_map=True)]

        async def seconds_wait() -> bool:
            return len(await client.diversions(way="delayed")) == 2

        await until(seconds_wait)
        await move(client, 3700)
        assert [await run.result("20s") for run in runs] == [[1, 2], [0, 0]]


async def test_what_was_recorded_is_forgotten_when_it_was_kept_long_enough(disk_url: str, monkeypatch: Any) -> None:
    monkeypatch.setattr("holdfast.services.pruner.START_WITHIN_SECONDS", 0.05)
    async with serving(disk_url, dropped, keep_diversions="1d", lease=LONG_LEASE) as client:
        await client.start_many(dropped, [("ada",)] * 3)
        assert len(await client.diversions()) == 1
        await move(client, 2 * 86_400)
    async with serving(disk_url, dropped, keep_diversions="1d", lease=LONG_LEASE) as client:

        async def gone() -> bool:
            return not await client.diversions()

        await until(gone)


async def test_bad_filters_are_refused(sqlite_url: str) -> None:
    async with hf.connect(sqlite_url) as client:
        for given in ({"way": "lost"}, {"rule": "lane"}, {"limit": 0}, {"workflow": ""}, {"before": "x"}):
            with pytest.raises(hf.UsageError):
                await client.diversions(**given)


async def test_many_starts_at_once_make_one_run(disk_url: str) -> None:
    async with serving(disk_url, sync, index) as client:
        runs = await asyncio.gather(*(client.start(sync, "o", n) for n in range(20)))
        assert sorted(run.way for run in runs) == ["dropped"] * 19 + ["started"]
        assert len({run.id for run in runs}) == 1
        full = await asyncio.gather(*(client.start(index, docs("ada", n)) for n in range(30)))
        results = await asyncio.gather(*(run.result("20s") for run in full))
        assert sorted(n for result in {tuple(one) for one in results} for n in result) == list(range(30))
        assert len({run.id for run in full}) == 10


async def _planned(client: hf.Client, run_id: str) -> DiversionView:
    [found] = await client.diversions(run_id=run_id)
    assert found.due_at is not None
    return found


def _at(view: DiversionView) -> str:
    assert view.due_at is not None
    return f"at {view.due_at:%Y-%m-%d %H:%M}" + (f":{view.due_at:%S}" if view.due_at.second else "") + " UTC"
