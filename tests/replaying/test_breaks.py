"""Each way in which changed code does not take a recorded run is told, with its reason and its place."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import pytest

import holdfast as hf
from holdfast.engine.bulk import BULK
from holdfast.engine.histories import History
from holdfast.engine.replaying import checking
from tests.engine.helpers import ONCE, serving, until_status


@hf.step(retry=ONCE)
async def price(sku: str) -> int:
    return len(sku)


@hf.step(name="price")
async def price_text(sku: str) -> str:
    raise AssertionError("a step is executed in a replay")


@hf.step(retry=ONCE)
async def total(prices: list[int]) -> int:
    return sum(prices)


@hf.step
async def ship(sku: str) -> None:
    raise AssertionError("a step is executed in a replay")


@hf.workflow(name="part")
async def part(n: int) -> int:
    return await price("x" * n)


@hf.workflow
async def piece(n: int) -> int:
    return await price("x" * n)


@hf.workflow(name="part")
async def part_text(n: int) -> str:
    return str(n)


@hf.workflow(name="piece")
async def piece_text(n: int) -> str:
    return str(n)


def code(fn: Callable[..., Awaitable[Any]], **options: Any) -> hf.Workflow[Any, Any]:
    return hf.workflow(**{"name": "order", **options})(fn)


async def order(skus: list[str]) -> dict[str, Any]:
    first = await price(skus[0])
    both = await hf.gather(price(skus[0]), _chain(skus))
    child = await part(3)
    many = await hf.map(piece, [1, 2])
    return {"first": first, "both": list(both), "child": child, "many": many, "total": await total([first])}


async def _chain(skus: list[str]) -> int:
    await price(skus[0])
    return await price(skus[1])


async def waits(skus: list[str]) -> int:
    first = await price(skus[0])
    await hf.wait_for_event("never")
    return first


async def fails(skus: list[str]) -> int:
    raise ValueError(f"no {skus[0]} after {await price(skus[0])}")


RECORDED = {"order": code(order), "waits": code(waits, name="waits"), "fails": code(fails, name="fails")}


class Change(NamedTuple):
    """Other code for a recorded run, and what is told of that."""

    name: str
    of: str
    code: hf.Workflow[Any, Any]
    told: tuple[str, ...]


CHANGES: list[Change] = []


def change(of: str, *told: str, **options: Any) -> Any:
    def decorate(fn: Any) -> Any:
        CHANGES.append(Change(fn.__name__, of, code(fn, **{"name": of, **options}), told))
        return fn

    return decorate


@change("order", "nondeterminism at position 0: step 'price' is recorded, and the code asks for step 'ship'")
async def another_step(skus: list[str]) -> None:
    await ship(skus[0])


@change("order", "nondeterminism at position 0: step 'price' is recorded, and the code asks for sleep 'hf.sleep'")
async def another_kind(skus: list[str]) -> None:
    await hf.sleep(1)


@change("order", "nondeterminism at position 3: child 'part' is recorded, and the code asks for child 'other'")
async def another_child(skus: list[str]) -> None:
    await price(skus[0])
    await hf.gather(price(skus[0]), _chain(skus))
    await other(3)


@hf.workflow
async def other(n: int) -> int:
    return n


@change("order", "nondeterminism at position 0", "asks for now 'hf.now'")
async def a_clock_in_front(skus: list[str]) -> None:
    hf.now()


@change("order", "never asks for what is recorded: map 'piece' at position 4, step 'total' at position 5")
async def dropped_calls(skus: list[str]) -> None:
    await price(skus[0])
    await hf.gather(price(skus[0]), _chain(skus))
    await part(3)


@change("order", "never asks for what is recorded: step 'price' at position 2.1.1")
async def a_dropped_call_in_a_branch(skus: list[str]) -> dict[str, Any]:
    async def shorter() -> int:
        return await price(skus[0])

    first = await price(skus[0])
    both = await hf.gather(price(skus[0]), shorter())
    child = await part(3)
    many = await hf.map(piece, [1, 2])
    return {"first": first, "both": list(both), "child": child, "many": many, "total": await total([first])}


@change(
    "order", "asks for step 'ship' at position 2.1.2, where nothing is recorded, and never for what is: child 'part'"
)
async def a_new_call_in_a_branch(skus: list[str]) -> None:
    async def longer() -> None:
        await _chain(skus)
        await ship(skus[0])

    await price(skus[0])
    await hf.gather(price(skus[0]), longer())
    await part(3)


@change("order", "the run ended succeeded, and the code asks for step 'ship' at position 6, where nothing is recorded")
async def a_new_call_at_the_end(skus: list[str]) -> None:
    await order(skus)
    await ship(skus[0])


@change("order", "the value recorded at position 0 cannot be read", "price()", "str")
async def another_annotation(skus: list[str]) -> None:
    try:
        await price_text(skus[0])
    except hf.PayloadError:
        await ship(skus[0])


@change("order", "the value recorded at position 3 cannot be read", "str")
async def another_annotation_of_a_child(skus: list[str]) -> None:
    await price(skus[0])
    await hf.gather(price(skus[0]), _chain(skus))
    try:
        await part_text(3)
    except hf.PayloadError:
        await ship(skus[0])


@change("order", "the value recorded at position 4 cannot be read", "str")
async def another_annotation_of_many_children(skus: list[str]) -> None:
    await price(skus[0])
    await hf.gather(price(skus[0]), _chain(skus))
    await part(3)
    try:
        await hf.map(piece_text, [1, 2])
    except hf.PayloadError:
        await ship(skus[0])


@change("order", "the recorded input cannot be taken by the workflow", "'items'")
async def another_input(items: list[str]) -> None:
    """Its argument has another name."""


@change("order", "the recorded input cannot be taken by the workflow", "skus")
async def another_type_of_input(skus: list[int]) -> None:
    """Its argument is of another type."""


@change("order", "there is no version '1' of workflow 'order' any more; there is '2'", version="2")
async def another_version(skus: list[str]) -> dict[str, Any]:
    return await order(skus)


@change("order", "there is no workflow 'order'; there is part, piece, renamed", name="renamed")
async def another_name(skus: list[str]) -> dict[str, Any]:
    return await order(skus)


@change(
    "order", "the run ended succeeded, and now it ends succeeded with another result", '-  "first": 2', '+  "first": 3'
)
async def another_result(skus: list[str]) -> dict[str, Any]:
    return {**await order(skus), "first": 3}


@change("order", "the run ended succeeded, and now it ends failed", "test_breaks.py, line", "+KeyError: 'nothing'")
async def an_error_of_its_own(skus: list[str]) -> Any:
    found = await order(skus)
    return found["nothing"]


@change("order", "the run ended succeeded, and now it begins again as new")
async def it_begins_again(skus: list[str]) -> None:
    await order(skus)
    hf.continue_as_new(skus)


@change(
    "order", "and now it ends failed", "+holdfast.errors.PayloadError: order() result: Input should be a valid array"
)
async def another_type_of_result(skus: list[str]) -> list[int]:
    return await order(skus)  # type: ignore[return-value]


@change("waits", "the open run would fail: ZeroDivisionError: division by zero", "test_breaks.py, line")
async def an_open_run_that_fails(skus: list[str]) -> float:
    await price(skus[0])
    await asyncio.gather(hf.sleep(0), return_exceptions=True) if not skus else None
    return 1 / 0


@change("waits", "never asks for what is recorded: event 'never' at position 1")
async def an_open_run_that_waits_no_more(skus: list[str]) -> int:
    return await price(skus[0])


@change("waits", "the replay did not come to an end within 0.3 s", "test_breaks.py, line")
async def a_loop_that_does_not_end(skus: list[str]) -> None:
    while skus:
        pass


@change("waits", "the replay did not come to an end within 0.3 s")
async def a_loop_of_turns_that_does_not_end(skus: list[str]) -> None:
    while True:
        await asyncio.sleep(0)


@change("waits", "the replay did not come to an end within 0.3 s")
async def a_loop_of_calls_that_does_not_end(skus: list[str]) -> None:
    while True:
        hf.uuid()


@change("waits", "the replay did not come to an end within 0.3 s")
async def a_wait_that_does_not_end(skus: list[str]) -> None:
    await asyncio.get_running_loop().create_future()


@change("waits", "the replay did not come to an end within 0.3 s")
async def a_wait_that_lets_nobody_end_it(skus: list[str]) -> None:
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            if not STUBBORN:
                raise


@change(
    "fails", "the run ended failed, and now it ends failed with another error", "-ValueError: no ab after 2", "+Odd: no"
)
async def another_error(skus: list[str]) -> None:
    await price(skus[0])
    raise Odd("no")


@change("fails", "the run ended failed, and now it ends succeeded", "-ValueError: no ab after 2", "+2")
async def no_error_any_more(skus: list[str]) -> int:
    return await price(skus[0])


class Odd(Exception):
    """Another error."""

    __module__ = "builtins"


STUBBORN: list[bool] = []


@pytest.fixture(autouse=True)
def stubborn(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(checking, "GRACE_SECONDS", 0.1)
    STUBBORN.append(True)
    yield
    STUBBORN.clear()


async def recorded(url: str) -> dict[str, History]:
    """A run of each workflow, recorded by the engine."""
    async with serving(url, *RECORDED.values()) as client:
        for name, workflow in RECORDED.items():
            await client.start(workflow.options(id=name), ["ab", "abcd"])
        await until_status(client, "order", "succeeded")
        await until_status(client, "fails", "failed")
        await until_status(client, "waits", "waiting")
    async with hf.connect(url) as client:
        return {name: await client.export_history(name) for name in RECORDED}


async def test_each_change_that_breaks_a_run_is_told(disk_url: str) -> None:
    await recorded(disk_url)
    wrong = []
    async with hf.connect(disk_url) as client:
        for one in CHANGES:
            [found] = [it async for it in client.replay_runs([one.code], runs=[one.of], timeout=0.3)]
            if found.outcome != "breaks" or not all(told in str(found) for told in one.told):
                wrong.append(f"{one.name}: {found}")
        for name, workflow in RECORDED.items():
            [found] = [it async for it in client.replay_runs([workflow], runs=[name])]
            assert found.outcome == ("goes on" if name == "waits" else "fits"), str(found)
    assert not wrong, "\n".join(wrong)


async def test_a_change_that_breaks_nothing_fits() -> None:
    async def longer(skus: list[str]) -> int:
        first = await waits(skus)
        if hf.patched("shipping"):
            await ship(skus[0])
        return first

    async with hf.connect("memory://") as client, hf.Worker(client, [RECORDED["waits"]], drain=0):
        run = await client.start(RECORDED["waits"], ["ab"])
        await until_status(client, run.id, "waiting")
        [found] = [one async for one in client.replay_runs([code(longer, name="waits")])]
        assert (found.outcome, found.at, found.entries) == ("goes on", "1", 2)


async def test_after_a_run_that_does_not_end_the_others_are_replayed() -> None:
    [stuck] = [one for one in CHANGES if one.name == "a_wait_that_lets_nobody_end_it"]
    [busy] = [one for one in CHANGES if one.name == "a_loop_that_does_not_end"]
    async with hf.connect("memory://") as client, hf.Worker(client, list(RECORDED.values()), drain=0):
        for name in ("fails", "waits", "fails", "waits", "fails"):
            run = await client.start(RECORDED[name], ["ab"])
            await until_status(client, run.id, "failed" if name == "fails" else "waiting")
        for one in (stuck, busy):
            began = time.monotonic()
            found = [it async for it in client.replay_runs([one.code, RECORDED["fails"]], timeout=0.2)]
            assert [it.outcome for it in found] == ["fits", "breaks", "fits", "breaks", "fits"]
            assert time.monotonic() - began < 60


async def test_what_cannot_be_is_refused() -> None:
    async with hf.connect("memory://") as client, hf.Worker(client, [RECORDED["order"]], drain=0):
        for wrong, said in (
            ({"workflows": []}, "at least one workflow"),
            ({"workflows": [order]}, "@hf.workflow"),
            ({"workflows": [RECORDED["order"], code(waits)]}, "two workflows are named 'order'"),
            ({"timeout": 0}, "more than 0"),
            ({"runs": "order"}, "a list of ids"),
            ({"runs": ["order"], "limit": 1}, "or a workflow"),
            ({"status": "fine"}, "give one of"),
            ({"limit": 0}, "limit"),
        ):
            with pytest.raises(hf.UsageError, match=said):
                _ = [one async for one in client.replay_runs(**{"workflows": [RECORDED["order"]], **wrong})]
        with pytest.raises(hf.RunNotFound):
            _ = [one async for one in client.replay_runs([RECORDED["order"]], runs=["none"])]


async def test_runs_are_chosen_and_those_of_holdfast_itself_left_out() -> None:
    async with hf.connect("memory://") as client, hf.Worker(client, list(RECORDED.values()), drain=0):
        for number in range(3):
            await (await client.start(RECORDED["order"].options(id=f"o-{number}"), ["ab", "c"])).result()
        with pytest.raises(hf.RunFailed):
            await (await client.start(RECORDED["fails"].options(id="f"), ["ab"])).result()
        for _ in range(3):
            await (await client.bulk("hold", "status = 'running'")).result("20s")
        [bulk, *_] = [row.id for row in await client.list(where=f"workflow = '{BULK}'")]
        every = list(RECORDED.values())

        async def ids(**choice: Any) -> list[str]:
            return [one.run_id async for one in client.replay_runs(every, **choice) if "/" not in one.run_id]

        assert await ids() == ["f", "o-2", "o-1", "o-0"]
        assert await ids(status="failed") == ["f"]
        newest = [one.run_id async for one in client.replay_runs(every)]
        for limit in (1, 3, len(newest), len(newest) + 1):
            assert [one.run_id async for one in client.replay_runs(every, limit=limit)] == newest[:limit]
        assert len(await ids(workflow=BULK, limit=2)) == 2
        assert await ids(runs=["o-1", bulk]) == ["o-1", bulk]
        assert await ids(workflow="order", limit=2) == ["o-2", "o-1"]
        assert await ids(since="1h", workflow="order") == ["o-2", "o-1", "o-0"]
        assert await ids(since="0s") == []
        assert await ids(runs=["o-1", "f"]) == ["o-1", "f"]
