"""Starting a workflow by its name, where its code is elsewhere."""

from datetime import UTC, datetime
from typing import Any

import pydantic
import pytest

import holdfast as hf
from tests.engine.helpers import serving


class Line(pydantic.BaseModel):
    sku: str
    price: int = 1


@hf.workflow(queue="orders")
async def order(number: int, lines: list[Line], at: datetime | None = None, *, note: str = "none") -> list[Any]:
    return [number, [line.model_dump() for line in lines], at and at.isoformat(), note]


@hf.workflow(name="order", version="2", queue="orders")
async def order_2(number: int) -> int:
    return number * 2


@hf.workflow
async def bag(*numbers: int, **more: str) -> list[Any]:
    return [list(numbers), more]


async def test_a_run_is_started_by_name_with_defaults(store_url: str) -> None:
    async with serving(store_url, order) as client:
        run = await client.start_named("order", {"number": 1, "lines": [{"sku": "a"}]})
        assert await run.result() == [1, [{"sku": "a", "price": 1}], None, "none"]
        view = await run.view()
        assert (view.queue, view.version) == ("orders", "1")
        full = {"number": 1, "lines": [], "at": "2024-02-29T12:00:00Z", "note": "x"}
        run = await client.start_named("order", full, id="o-1", priority=5, attributes={"a": 1})
        assert await run.result() == [1, [], datetime(2024, 2, 29, 12, tzinfo=UTC).isoformat(), "x"]
        view = await client.get("o-1")
        assert (view.priority, view.attributes) == (5, {"a": 1})
        again = await client.start_named("order", full, id="o-1")
        assert not again.created


async def test_the_same_start_by_name_and_by_code(store_url: str) -> None:
    async with serving(store_url, order) as client:
        first = await client.start(order.options(id="o-1"), 1, [Line(sku="a", price=2)])
        again = await client.start_named("order", {"number": 1, "lines": [{"sku": "a", "price": 2}]}, id="o-1")
        assert first.created
        assert not again.created


async def test_versions(store_url: str) -> None:
    async with serving(store_url, order, order_2) as client:
        latest = await client.start_named("order", {"number": 4})
        assert await latest.result() == 8
        first = await client.start_named("order", {"number": 4, "lines": []}, version="1")
        assert (await first.result())[0] == 4
        with pytest.raises(hf.UnknownWorkflow, match="of version '3'"):
            await client.start_named("order", {"number": 4}, version="3")


async def test_variable_arguments(store_url: str) -> None:
    async with serving(store_url, bag) as client:
        run = await client.start_named("bag", {"numbers": [1, 2], "a": "b"})
        assert await run.result() == [[1, 2], {"a": "b"}]
        run = await client.start_named("bag", {})
        assert await run.result() == [[], {}]


async def test_an_unknown_workflow_is_named_with_those_known(store_url: str) -> None:
    async with hf.connect(store_url) as client:
        with pytest.raises(hf.UnknownWorkflow, match="known are: none"):
            await client.start_named("order", {})
        async with hf.Worker(client, [order, bag], drain=0):
            with pytest.raises(hf.UnknownWorkflow, match="known are: bag, order") as unknown:
                await client.start_named("ordr", {})
            assert unknown.value.workflow == "ordr"


WRONG: list[tuple[Any, type[Exception], str]] = [
    ({}, hf.UsageError, "missing 'number', 'lines'"),
    ({"number": 1, "lines": [], "nmbr": 1}, hf.UsageError, "unexpected 'nmbr'"),
    ({"number": "1", "lines": []}, hf.PayloadError, r"order\(\) input.number"),
    ({"number": 1, "lines": [{"sku": "a"}, {"price": 1}]}, hf.PayloadError, r"order\(\) input.lines\[1\]"),
    ({"number": 1, "lines": [], "note": None}, hf.PayloadError, r"order\(\) input.note"),
    ([1, []], hf.UsageError, "give an object"),
    (None, hf.UsageError, "give an object"),
]


@pytest.mark.parametrize(("value", "kind", "said"), WRONG, ids=[wrong[2] for wrong in WRONG])
async def test_arguments_that_do_not_fit_are_refused(
    value: Any, kind: type[Exception], said: str, store_url: str
) -> None:
    async with hf.connect(store_url) as client:
        async with hf.Worker(client, [order], drain=0):
            pass
        with pytest.raises(kind, match=said):
            await client.start_named("order", value)
        assert await client.list() == []


async def test_options_are_checked(store_url: str) -> None:
    async with serving(store_url, bag) as client:
        with pytest.raises(hf.UsageError, match="priority"):
            await client.start_named("bag", {}, priority=5000)
        with pytest.raises((hf.UsageError, TypeError), match="prio"):
            await client.start_named("bag", {}, prio=5)
