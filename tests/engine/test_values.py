"""Values: whatever goes through a run comes back exactly, on replay too, or is refused with its place."""

import asyncio
import dataclasses
import enum
import math
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypedDict
from uuid import UUID

import pydantic
import pytest

import holdfast as hf
from tests.engine.helpers import cause, outcome, serving


class Line(pydantic.BaseModel):
    sku: str
    price: Decimal
    tags: frozenset[str] = frozenset()


class Order(pydantic.BaseModel):
    id: UUID
    lines: list[Line]
    at: datetime
    note: str | None = None


@dataclasses.dataclass
class Point:
    x: int
    y: float
    label: bytes = b""


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1


class Pair(NamedTuple):
    a: int
    b: str


class Options(TypedDict):
    size: int
    colour: Colour


NOW = datetime(2024, 2, 29, 12, 30, 15, 123456, UTC)
UID = UUID("12345678-1234-5678-1234-567812345678")

VALUES: list[tuple[Any, Any]] = [
    (Order, Order(id=UID, lines=[Line(sku="a", price=Decimal("1.10"), tags=frozenset({"x"}))], at=NOW)),
    (Point, Point(1, 2.5, b"\x00\xff")),
    (Colour, Colour.BLUE),
    (Level, Level.LOW),
    (Pair, Pair(1, "b")),
    (Options, {"size": 3, "colour": Colour.RED}),
    (datetime, NOW),
    (datetime, NOW.replace(tzinfo=timezone(timedelta(hours=5, minutes=30)))),
    (datetime, NOW.replace(tzinfo=None)),
    (date, date(1, 1, 1)),
    (time, time(23, 59, 59, 999999)),
    (timedelta, timedelta(days=-1, microseconds=1)),
    (Decimal, Decimal("0.1000")),
    (Decimal, Decimal("1E+400")),
    (UUID, UID),
    (bytes, bytes(range(256))),
    (tuple[int, str], (1, "a")),
    (tuple[int, ...], (1, 2, 3)),
    (set[int], {3, 1, 2}),
    (frozenset[str], frozenset({"a"})),
    (list[datetime], [NOW, NOW]),
    (dict[str, Decimal], {"a": Decimal(1)}),
    (dict[int, str], {1: "a"}),
    (Path, Path("/tmp/x")),
    (Literal["a", "b"], "b"),
    (int | str, "5"),
    (int | None, None),
    (float, 1.5),
    (float, 3),
    (float, -0.0),
    (float, 5e-324),
    (int, 10**300),
    (int, -(2**63)),
    (str, "a\0b"),
    (str, "\U0010ffff é\u2028"),
    (bool, True),
    (Any, {"a": [1, 2.5, None, True, {"b": "c"}], "": []}),
    (list[Any], [1, "a", [None]]),
]


def same(a: object, b: object) -> bool:
    # By its text too, which tells -0.0 from 0.0 and 1 from True inside; of a zone only the offset is kept.
    return type(a) is type(b) and a == b and (repr(a) == repr(b) or "tzinfo" in repr(a))


@pytest.mark.parametrize(("kind", "value"), VALUES, ids=lambda value: repr(value)[:40])
async def test_a_value_comes_back_exactly_everywhere(kind: Any, value: Any, store_url: str, park_at_once: None) -> None:
    seen: list[Any] = []

    async def make(given: kind) -> kind:  # type: ignore[valid-type]
        seen.append(given)
        return given

    def make_in_thread(given: kind) -> kind:  # type: ignore[valid-type]
        seen.append(given)
        return given

    async def inner(given: kind) -> kind:  # type: ignore[valid-type]
        seen.append(given)
        return given

    step, plain, child = hf.step(make), hf.step(make_in_thread), hf.workflow(inner)

    async def whole(given: kind) -> kind:  # type: ignore[valid-type]
        results = [given, await step(given), await plain(given), await child(given)]
        seen.extend(results)
        await hf.sleep(0.001)
        return results[2]

    workflow = hf.workflow(whole)
    async with serving(store_url, workflow) as client:
        run = await client.start(workflow, value)
        result = await run.result(timeout="10s")
        assert await (await client.handle(run.id, workflow)).result() == value
        assert isinstance((await run.view()).input, dict)
        assert len(await client.history(run.id)) == 4
        again = await client.start(workflow.options(id=run.id), value)
        assert not again.created
    assert len(seen) >= 3 + 2 * 4
    assert all(same(one, value) for one in (*seen, result)), (seen, result)


async def test_the_caller_gets_what_a_replay_will_give_it(park_at_once: None) -> None:
    """Not the object itself: a later change of it would be gone on replay."""
    shared: list[int] = [1]

    @hf.step
    async def make() -> list[int]:
        return shared

    @hf.workflow
    async def changes() -> list[bool]:
        mine = await make()
        mine.append(2)
        await hf.sleep(0.001)
        return [mine is shared, mine == [1, 2]]

    assert await hf.execute(changes) == [False, True]
    assert shared == [1]


def deep() -> Any:
    value: Any = 1
    for _ in range(5000):
        value = [value]
    return value


def cyclic() -> Any:
    value: list[Any] = []
    value.append(value)
    return value


BAD: list[tuple[str, Callable[[], Any], str]] = [
    ("object", lambda: {"a": [1, object()]}, r"\.a\[1\]|\['a'\]\[1\]|a"),
    ("function", lambda: len, ""),
    ("nan", lambda: {"x": [math.nan]}, r"x"),
    ("infinity", lambda: math.inf, ""),
    ("tuple", lambda: (1, 2), ""),
    ("set", lambda: {1}, ""),
    ("bytes", lambda: b"a", ""),
    ("key", lambda: {1: 2}, ""),
    ("model", lambda: Line(sku="a", price=Decimal(1)), ""),
    ("enum", lambda: [Level.LOW], ""),
    ("surrogate", lambda: {"k": "a\udc80"}, "k"),
    ("surrogate key", lambda: {"\udc80": 1}, ""),
    ("deep", deep, ""),
    ("cyclic", cyclic, ""),
    ("huge int", lambda: 10**5000, ""),
]


@pytest.mark.parametrize("make", [bad[1] for bad in BAD], ids=[bad[0] for bad in BAD])
async def test_what_cannot_be_stored_is_refused_and_harms_nobody_else(make: Callable[[], Any], store_url: str) -> None:
    @hf.step
    async def give(bad: bool) -> Any:
        return make() if bad else 1

    @hf.step
    async def take(value: Any) -> Any:
        return 1

    @hf.workflow
    async def through_output(bad: bool) -> Any:
        return await give(bad)

    @hf.workflow
    async def through_argument(bad: bool) -> Any:
        return await take(make() if bad else 1)

    @hf.workflow
    async def returns(bad: bool) -> Any:
        return make() if bad else 1

    @hf.workflow
    async def takes(value: Any) -> Any:
        return 1

    @hf.workflow
    async def through_child(bad: bool) -> Any:
        return await takes(make() if bad else 1)

    tried = (
        (through_output, "give() result"),
        (through_argument, "take() argument 'value'"),
        (returns, "returns() result"),
        (through_child, "takes() argument 'value'"),
    )
    async with serving(store_url, takes, *(workflow for workflow, _ in tried)) as client:
        for workflow, place in tried:
            runs = await client.start_many(workflow, [(False,), (True,), (False,)])
            first, failed, last = await asyncio.gather(*(run.result("10s") for run in runs), return_exceptions=True)
            assert (first, last) == (1, 1)
            assert isinstance(failed, hf.RunFailed)
            error = failed.__cause__
            assert isinstance(error, hf.PayloadError)
            assert str(error).startswith(place)
        before = len(await client.list(limit=1000))
        with pytest.raises(hf.PayloadError, match=r"^takes\(\) argument 'value'"):
            await client.start(takes, make())
        with pytest.raises(hf.PayloadError, match=r"^takes\(\) argument 'value'"):
            await client.start_many(takes, [(1,), (make(),), (2,)])
        assert len(await client.list(limit=1000)) == before


@pytest.mark.slow
async def test_seventy_megabytes_are_refused_and_harm_nobody_else(store_url: str) -> None:
    huge = "x" * 70_000_000

    @hf.step
    async def give(bad: bool) -> str:
        return huge if bad else ""

    @hf.workflow
    async def through_output(bad: bool) -> str:
        return await give(bad)

    @hf.workflow
    async def returns(bad: bool) -> str:
        return huge if bad else ""

    @hf.workflow
    async def takes(value: str) -> int:
        return len(value)

    async with serving(store_url, through_output, returns, takes) as client:
        for workflow in (through_output, returns):
            runs = await client.start_many(workflow, [(True,), (False,)])
            assert await runs[1].result() == ""
            with pytest.raises(hf.RunFailed, match=r"70,000,002|70,000,003"):
                await runs[0].result()
        with pytest.raises(hf.PayloadError, match="at most 67,108,864 are stored"):
            await client.start(takes, huge)
        assert await outcome(client, takes, "x" * 50_000_000) == 50_000_000


async def test_a_place_names_the_way_into_the_value(store_url: str) -> None:
    @hf.workflow
    async def takes(order: dict[str, Any]) -> None: ...

    async with serving(store_url, takes) as client:
        with pytest.raises(hf.PayloadError) as refused:
            await client.start(takes, {"lines": [{"price": 1.0}, {"price": math.nan}]})
    assert refused.value.place == "takes() argument 'order'.lines[1].price"


async def test_a_result_of_another_type_than_annotated_is_refused(store_url: str) -> None:
    @hf.step
    async def wrong() -> int:
        return "text"  # type: ignore[return-value]

    @hf.workflow
    async def uses() -> int:
        return await wrong()

    @hf.workflow
    async def returns() -> Line:
        return {"sku": "a", "price": "1"}  # type: ignore[return-value]

    async with serving(store_url, uses, returns) as client:
        for workflow, place in ((uses, "wrong() result"), (returns, "returns() result")):
            error = await cause(client, workflow)
            assert isinstance(error, hf.PayloadError)
            assert str(error).startswith(place)


async def test_defaults_stay_those_of_the_start(store_url: str) -> None:
    @hf.workflow(name="order")
    async def old(x: int, size: str = "small", *, at: datetime = NOW) -> list[Any]:
        return []

    @hf.workflow(name="order")
    async def new(x: int, size: str = "large", *, at: datetime = NOW, extra: int = 7) -> list[Any]:
        return [x, size, at == NOW, extra]

    async with hf.connect(store_url) as client:
        run = await client.start(old, 1)
        async with hf.Worker(client, [new], drain=0):
            assert await run.result(timeout="10s") == [1, "small", True, 7]


async def test_an_input_that_the_code_no_longer_takes_fails_the_run(store_url: str) -> None:
    @hf.workflow(name="order")
    async def old(x: int, gone: int = 1) -> None: ...

    @hf.workflow(name="order")
    async def new(x: str) -> None: ...

    async with hf.connect(store_url) as client:
        run = await client.start(old, 1)
        async with hf.Worker(client, [new], drain=0):
            with pytest.raises(hf.RunFailed, match=r"new\(\)|order\(\)"):
                await run.result(timeout="10s")
