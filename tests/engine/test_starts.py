"""Starting runs: ids, options, arguments; nothing is stored of a start that is refused."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import holdfast as hf
from tests.engine.helpers import outcome, serving, until_status

ORDER: list[int] = []


@hf.workflow
async def order(number: int, cents: int = 0, *, tags: frozenset[str] = frozenset()) -> int:
    ORDER.append(number)
    return number + cents


@hf.workflow
async def other(number: int, cents: int = 0) -> int:
    return 0


@pytest.fixture(autouse=True)
def no_order_yet() -> None:
    ORDER.clear()


async def test_an_id_is_started_once(store_url: str) -> None:
    async with hf.connect(store_url) as client:
        first = await client.start(order.options(id="o-1"), 1, cents=2)
        again = await client.start(order.options(id="o-1"), number=1, cents=2)
        assert (first.id, first.created) == ("o-1", True)
        assert (again.id, again.created) == ("o-1", False)
        assert len(await client.list()) == 1
        async with hf.Worker(client, [order], drain=0):
            assert [await run.result("10s") for run in (first, again)] == [3, 3]
            ended = await client.start(order.options(id="o-1"), 1, 2)
            assert not ended.created
            assert await ended.result() == 3
    assert ORDER == [1]


@pytest.mark.parametrize("what", ["input", "workflow", "default"])
async def test_an_id_of_another_run_is_refused(what: str, store_url: str) -> None:
    async with hf.connect(store_url) as client:
        await client.start(order.options(id="o-1"), 1, cents=2)
        workflow: Any = other if what == "workflow" else order
        options = {"input": {"cents": 3}, "workflow": {"cents": 2}, "default": {}}[what]
        with pytest.raises(hf.RunExists, match="'o-1' is taken by a run") as refused:
            await client.start(workflow.options(id="o-1"), 1, **options)
        assert refused.value.run_id == "o-1"
        assert ("of workflow 'order'" if what == "workflow" else "with another input") in str(refused.value)
        [view] = await client.list()
        assert view.input == {"number": 1, "cents": 2, "tags": []}


async def test_values_without_an_order_are_the_same_input(store_url: str) -> None:
    async with hf.connect(store_url) as client:
        await client.start(order.options(id="o-1"), 1, tags=frozenset(f"tag {n}" for n in range(20)))
        again = await client.start(order.options(id="o-1"), 1, tags=frozenset(f"tag {n}" for n in reversed(range(20))))
        assert not again.created


async def test_the_same_id_twice_at_once(store_url: str) -> None:
    async with hf.connect(store_url) as client:
        runs = await asyncio.gather(*(client.start(order.options(id="o-1"), 1) for _ in range(20)))
        assert [run.created for run in runs].count(True) == 1
        results = await asyncio.gather(
            *(client.start(order.options(id="o-2"), n) for n in range(5)), return_exceptions=True
        )
        assert sum(isinstance(result, hf.RunExists) for result in results) == 4
        assert len(await client.list()) == 2


async def test_the_same_id_from_two_clients_at_once(sqlite_url: str) -> None:
    spelled = sqlite_url.replace("/holdfast.db", "/./holdfast.db")
    async with hf.connect(sqlite_url) as one, hf.connect(spelled) as two:
        assert one.core is not two.core
        runs = await asyncio.gather(
            *(client.start(order.options(id=f"o-{n}"), n) for n in range(50) for client in (one, two))
        )
        assert [run.created for run in runs].count(True) == 50
        assert len(await one.list(limit=1000)) == len(await two.list(limit=1000)) == 50


async def test_made_up_ids_differ(store_url: str) -> None:
    async with hf.connect(store_url) as client:
        runs = await asyncio.gather(*(client.start(order, 1) for _ in range(100)))
        assert len({run.id for run in runs}) == 100
        assert all(run.created for run in runs)


@pytest.mark.slow
async def test_five_thousand_starts(store_url: str) -> None:
    async with hf.connect(store_url) as client:
        runs = await client.start_many(order, [(n,) for n in range(5000)], ids=[f"o-{n}" for n in range(5000)])
        assert [run.id for run in runs] == [f"o-{n}" for n in range(5000)]
        again = await client.start_many(order, ({"number": n} for n in range(5000)), ids=(run.id for run in runs))
        assert not any(run.created for run in again)
        async with hf.Worker(client, [order], drain=0):
            assert await asyncio.gather(*(run.result("60s") for run in runs)) == list(range(5000))


async def test_results_of_many_that_have_ended_are_read_a_thousand_at_a_time(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asks for them late waits for no poll."""
    async with serving(store_url, order) as client:
        handles = await client.start_many(order, [(n,) for n in range(2500)])
        assert len(await asyncio.gather(*(handle.result(timeout="60s") for handle in handles))) == 2500
        store, looks = client.core.store, []
        read = store.read_outcomes

        async def counted(uids: Sequence[bytes]) -> Any:
            looks.append(len(uids))
            return await read(uids)

        monkeypatch.setattr(store, "read_outcomes", counted)
        assert await asyncio.gather(*(handle.result(timeout="60s") for handle in handles)) == list(range(2500))
        assert looks == [1000, 1000, 500]
        assert await handles[0].result(timeout="60s") == 0
        assert looks == [1000, 1000, 500, 1]


async def test_start_many_takes_arguments_in_order_or_by_name(store_url: str) -> None:
    async with serving(store_url, order) as client:
        runs = await client.start_many(order.options(priority=3, attributes={"a": 1}), [(1,), [2, 20], {"number": 3}])
        assert await asyncio.gather(*(run.result() for run in runs)) == [1, 22, 3]
        assert [(await run.view()).priority for run in runs] == [3, 3, 3]
        assert [(await run.view()).attributes for run in runs] == [{"a": 1}] * 3
        assert await client.start_many(order, []) == []
        twice = await client.start_many(order, [(7,), (7,)], ids=["same", "same"])
        assert [run.created for run in twice] == [True, False]


BAD_MANY: list[tuple[Any, dict[str, Any], str]] = [
    ([(1,), (2,)], {"ids": ["a"]}, "2 inputs and 1 ids"),
    ([(1,)], {"ids": ["a", "b"]}, "1 inputs and 2 ids"),
    ([(1,), (2,)], {"ids": ["a", ""]}, "0 characters"),
    ([(1,), "ab"], {}, "an input of start_many is 'ab'"),
    ([(1,), 2], {}, "an input of start_many is 2"),
    ([(1,), ()], {}, "misses 'number'"),
    ([{"number": 1}, {"numbr": 1}], {}, "'numbr'"),
]


@pytest.mark.parametrize(("inputs", "more", "said"), BAD_MANY, ids=[bad[2] for bad in BAD_MANY])
async def test_start_many_stores_nothing_unless_all_is_sound(
    inputs: Any, more: dict[str, Any], said: str, store_url: str
) -> None:
    async with hf.connect(store_url) as client:
        with pytest.raises(hf.UsageError, match=said):
            await client.start_many(order, inputs, **more)
        with pytest.raises(hf.UsageError, match="ids="):
            await client.start_many(order.options(id="o-1"), [(1,)])
        assert await client.list() == []


BAD_CALLS: list[tuple[tuple[Any, ...], dict[str, Any], type[Exception], str]] = [
    ((), {}, hf.UsageError, "misses 'number'"),
    ((1, 2, 3), {}, hf.UsageError, "takes 2 positional arguments and was given 3"),
    ((1,), {"number": 1}, hf.UsageError, "'number' twice"),
    ((1,), {"extra": 1}, hf.UsageError, "does not take 'extra'"),
    (("1",), {}, hf.PayloadError, r"order\(\) argument 'number'"),
    ((True,), {}, hf.PayloadError, r"order\(\) argument 'number'"),
    ((1,), {"cents": None}, hf.PayloadError, r"order\(\) argument 'cents'"),
    ((1,), {"tags": ["list"]}, hf.PayloadError, r"order\(\) argument 'tags'"),
]


@pytest.mark.parametrize(("args", "kwargs", "kind", "said"), BAD_CALLS, ids=[bad[3] for bad in BAD_CALLS])
async def test_arguments_that_do_not_fit_are_refused_before_anything_is_stored(
    args: tuple[Any, ...], kwargs: dict[str, Any], kind: type[Exception], said: str, store_url: str
) -> None:
    async with hf.connect(store_url) as client:
        with pytest.raises(kind, match=said):
            await client.start(order, *args, **kwargs)
        assert await client.list() == []
        assert await client.core.store.counts() == {"ready": 0, "running": 0, "parked": 0}


@pytest.mark.parametrize("wrong", ["", "x" * 513, "a\0b", "\udc80", 3, b"o-1", True])
def test_an_id_that_no_database_can_hold_is_refused(wrong: Any) -> None:
    with pytest.raises(hf.UsageError, match="the id of a run"):
        order.options(id=wrong)


async def test_any_other_text_is_an_id(store_url: str) -> None:
    ids = ["x" * 512, " ", "é\u202e\U0001f600", "'; DROP TABLE runs; --", "a/b.c%d", "\x01\x7f", "..", "O-1", "o-1"]
    async with serving(store_url, order) as client:
        runs = await client.start_many(order, [(n,) for n in range(len(ids))], ids=ids)
        assert await asyncio.gather(*(run.result() for run in runs)) == list(range(len(ids)))
        assert [(await client.get(one)).id for one in ids] == ids


async def test_higher_priority_goes_first(store_url: str) -> None:
    async with hf.connect(store_url) as client:
        runs = [
            await client.start(order.options(priority=priority), number)
            for number, priority in ((5, 0), (6, 0), (2, 10), (8, -1000), (1, 1000), (7, -10), (3, 1), (4, 1))
        ]
        async with hf.Worker(client, [order], concurrency=1, drain=0):
            await asyncio.gather(*(run.result("10s") for run in runs))
    assert ORDER == [1, 2, 3, 4, 5, 6, 7, 8]


@pytest.mark.slow
async def test_a_delayed_run_waits_for_its_time(store_url: str) -> None:
    async with serving(store_url, order) as client:
        now = datetime.now(UTC)
        later = [
            await client.start(order.options(delay="1h"), 1),
            await client.start(order.options(at=now + timedelta(days=400)), 2),
        ]
        soon = await client.start(order.options(delay=0.2), 3)
        past = await client.start(order.options(at=now - timedelta(days=1)), 4)
        assert await past.result("5s") == 4
        assert await soon.result("5s") == 3
        assert datetime.now(UTC) >= now + timedelta(seconds=0.2)
        views = [await run.view() for run in later]
        assert [view.status for view in views] == ["queued", "queued"]
        assert views[0].due_at is not None
        assert abs(views[0].due_at - now - timedelta(hours=1)) < timedelta(minutes=1)
        assert views[1].due_at == now + timedelta(days=400)
    assert ORDER == [4, 3]


async def test_attributes_are_kept(store_url: str) -> None:
    attributes = {"customer": "c-1", "n": [1, {"a": None}], "": True}
    async with hf.connect(store_url) as client:
        run = await client.start(order.options(attributes=attributes), 1)
        assert (await run.view()).attributes == attributes
        for wrong in ({"a": float("nan")}, {"a": object()}, {1: 2}, {"a": "\ud800"}):
            with pytest.raises(hf.PayloadError, match="attributes"):
                await client.start(order.options(attributes=wrong), 1)  # type: ignore[arg-type]
        assert len(await client.list()) == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"priority": 1001}, "priority"),
        ({"priority": 1.0}, "priority"),
        ({"priority": True}, "priority"),
        ({"delay": -1}, "delay"),
        ({"delay": "soon"}, "delay"),
        ({"at": datetime(2030, 1, 1)}, "aware"),
        ({"at": "2030-01-01T00:00:00Z"}, "at is"),
        ({"at": datetime(2030, 1, 1, tzinfo=UTC), "delay": 1}, "not both"),
        ({"queue": ""}, "queue"),
        ({"attributes": [1]}, "attributes"),
        ({"attributes": "ab"}, "attributes"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(hf.UsageError, match=said):
        order.options(**options)


async def test_what_is_no_workflow_is_refused(store_url: str) -> None:
    @hf.step
    async def step() -> None: ...

    async with hf.connect(store_url) as client:
        for wrong in (step, order.fn, "order", None):
            with pytest.raises(hf.UsageError, match="start_named"):
                await client.start(wrong)  # type: ignore[arg-type]
            with pytest.raises(hf.UsageError, match="start_named"):
                await client.start_many(wrong, [])  # type: ignore[arg-type]


async def test_tenants_have_ids_of_their_own(disk_url: str) -> None:
    async with (
        hf.connect(disk_url, tenant="a") as a,
        hf.connect(disk_url, tenant="b") as b,
        hf.Worker(a, [order], drain=0),
    ):
        of_a = await a.start(order.options(id="o-1"), 1)
        of_b = await b.start(order.options(id="o-1"), 2)
        assert of_b.created
        assert [await of_a.result("10s"), await of_b.result("10s")] == [1, 2]
        assert [view.input["number"] for view in await a.list()] == [1]
        assert [view.input["number"] for view in await b.list()] == [2]
        only_a = await a.start(order.options(id="o-2"), 3)
        for look in (b.get, b.history, b.handle):
            with pytest.raises(hf.RunNotFound, match="tenant 'b' has no run 'o-2'") as missing:
                await look(only_a.id)
            assert missing.value.run_id == "o-2"
        assert await outcome(b, order, 4) == 4


async def test_a_start_that_is_cancelled_leaves_the_client_usable(store_url: str) -> None:
    async with hf.connect(store_url) as client:
        for _ in range(5):
            task = asyncio.create_task(client.start(order, 1))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        run = await client.start(order.options(id="after"), 1)
        assert run.created
        assert (await until_status(client, "after", "queued")).id == "after"
