"""Bad input to lanes: keys that are none, limits that are none, limits that do not agree."""

import uuid
from typing import Any

import pytest

import holdfast as hf
from tests.engine.helpers import cause, outcome, serving


@hf.workflow(key="order.id", lane="order")
async def by_path(order: Any) -> str:
    return "done"


@hf.workflow(key="key")
async def by_name(key: Any = None) -> str:
    return "done"


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (None, "is None; it must be a text, a whole number or a UUID"),
        (1.5, "is 1.5; it must be"),
        (True, "is True; it must be"),
        (["a"], "it must be"),
        ({}, "it must be"),
        ("", "key of workflow 'by_name'"),
        ("a\0b", "NUL"),
        ("x" * 100_000, "100000 characters"),
        (10**512, "513 characters"),
        (10**600, "more than 512 digits"),
        (-(10**511), "513 characters"),
    ],
)
async def test_what_is_no_key(key: Any, said: str) -> None:
    async with hf.connect("memory://") as client:
        with pytest.raises(hf.UsageError, match="key of workflow 'by_name'") as refused:
            await client.start(by_name, key)
        assert said in str(refused.value)
        with pytest.raises(hf.UsageError, match="key of workflow 'by_name'"):
            await client.start_many(by_name, [("fine",), (key,)])
        assert await client.list() == []


@pytest.mark.parametrize(
    ("order", "said"),
    [
        ({}, "there is no 'id' in order"),
        ({"id": None}, "is None"),
        ("o-1", "there is no 'id' in order"),
        ([{"id": 1}], "there is no 'id' in order"),
        (None, "there is no 'id' in order"),
    ],
)
async def test_what_is_no_path_to_a_key(order: Any, said: str) -> None:
    async with hf.connect("memory://") as client:
        with pytest.raises(hf.UsageError, match=said):
            await client.start(by_path, order)


async def test_what_are_keys(store_url: str) -> None:
    number = uuid.UUID(int=5)
    async with serving(store_url, by_name, by_path) as client:
        for key, lane in (("é", "é"), (-5, "-5"), (10**30, str(10**30)), (str(number), str(number))):
            run = await client.start(by_name, key)
            assert (await client.get(run.id)).lane == f"by_name={lane}"
            assert await run.result("20s") == "done"
        run = await client.start(by_path, {"id": 7, "more": [1]})
        assert (await client.get(run.id)).lane == "order=7"
        assert await run.result("20s") == "done"


@pytest.mark.parametrize("spec", ["", "nothing", "nothing.id", ".key", 7, ["key"], b"key"])
def test_a_key_that_names_no_argument(spec: Any) -> None:
    with pytest.raises(hf.UsageError, match="key of workflow 'by_name'"):
        hf.workflow(key=spec)(by_name.fn)


async def test_a_key_from_a_function_that_fails(store_url: str) -> None:
    @hf.workflow(key=lambda order: order["id"])
    async def keyed(order: dict[str, Any]) -> None: ...

    async with hf.connect(store_url) as client:
        with pytest.raises(KeyError):
            await client.start(keyed, {})
        with pytest.raises(hf.UsageError, match=r"key of workflow 'keyed' is 1\.5"):
            await client.start(keyed, {"id": 1.5})
        assert await client.list() == []


@pytest.mark.parametrize("limit", [0, -1, True, "2", 1.5])
def test_a_limit_that_is_none(limit: Any) -> None:
    with pytest.raises(hf.UsageError, match=r"limit of workflow 'by_name' is .*; give a whole number from 1 to"):
        hf.workflow(limit=limit)(by_name.fn)


@pytest.mark.parametrize("limit", [0, -1, True, "2", 1.5])
async def test_a_limit_of_a_fan_out_that_is_none(limit: Any) -> None:
    @hf.workflow
    async def parent() -> None:
        await hf.map(by_name, ["a"], limit=limit)

    async with serving("memory://", parent) as client:
        assert isinstance(await cause(client, parent), hf.UsageError)


@pytest.mark.parametrize("lane", ["", "a\0b", 7])
def test_a_lane_that_is_none(lane: Any) -> None:
    with pytest.raises(hf.UsageError, match="the lane of workflow 'by_name'"):
        hf.workflow(lane=lane)(by_name.fn)


async def test_two_limits_for_one_lane_in_one_worker() -> None:
    @hf.workflow(key="key", lane="order", limit=2)
    async def wide(key: str) -> None: ...

    with pytest.raises(hf.UsageError, match=r"lane 'order' has limit \d in workflow '\w+' and limit \d in '\w+'"):
        async with hf.Worker("memory://", [by_path, wide]):
            pass


async def test_a_child_whose_lane_does_not_fit(store_url: str) -> None:
    """The worker has not seen it before: its parent fails, and the worker works on."""

    @hf.workflow(key="key", lane="order", limit=2)
    async def wide(key: str) -> None: ...

    hidden = [wide]

    @hf.workflow
    async def parent() -> None:
        await hidden[0]("a")

    async with serving(store_url, parent, by_path) as client:
        error = await cause(client, parent)
        assert isinstance(error, hf.UsageError)
        assert "lane 'order'" in str(error)
        assert await outcome(client, by_path, {"id": 1}) == "done"
        assert isinstance(await cause(client, parent), hf.UsageError)  # and is no less wrong the second time


@pytest.mark.parametrize("key", [None, 1.5])
async def test_a_child_without_a_key(store_url: str, key: Any) -> None:
    @hf.workflow
    async def parent() -> str:
        return await by_name(key)

    async with serving(store_url, parent, by_name) as client:
        error = await cause(client, parent)
        assert isinstance(error, hf.UsageError)
        assert "key of workflow 'by_name'" in str(error)


async def test_an_item_of_a_fan_out_without_a_key(store_url: str) -> None:
    """Nothing of the fan-out is started."""

    @hf.workflow
    async def parent() -> list[str]:
        return await hf.map(by_name, ["a", "b", None])

    async with serving(store_url, parent, by_name) as client:
        error = await cause(client, parent)
        assert isinstance(error, hf.UsageError)
        assert await client.list(workflow="by_name") == []


async def test_an_item_of_a_fan_out_that_cannot_be_stored(store_url: str) -> None:
    @hf.workflow
    async def item(n: float) -> float:
        return n

    @hf.workflow
    async def parent() -> list[float]:
        return await hf.map(item, [1.0, 2.0, float("nan")])

    async with serving(store_url, parent, item) as client:
        assert isinstance(await cause(client, parent), hf.PayloadError)
        assert await client.list(workflow="item") == []
