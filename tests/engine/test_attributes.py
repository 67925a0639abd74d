"""Attributes of a run, at its start and from its code; and how far it says it is."""

import asyncio
import math
from typing import Any

import pytest

import holdfast as hf
from tests.engine.helpers import ONCE, outcome, serving, until, until_status


@hf.step(retry=ONCE)
async def note(text: str) -> str:
    return text


@hf.workflow
async def sets(**attributes: Any) -> None:
    await hf.set_attributes(**attributes)


async def found(client: hf.Client, condition: str) -> list[str]:
    return [view.id for view in await client.list(where=condition)]


async def test_at_the_start(store_url: str) -> None:
    given = {"customer": "c-1", "cents": 500, "rate": 0.5, "vip": True, "tags": ["a", {"b": None}], "none": None}
    async with hf.connect(store_url) as client:
        run = await client.start(sets.options(id="r", attributes=given))
        assert (await client.get("r")).attributes == given
        async with hf.Worker(client, [sets], drain=0):
            await run.result("20s")
        assert (await client.get("r")).attributes == {key: value for key, value in given.items() if value is not None}
        assert await found(client, "attributes.customer = 'c-1' and attributes.cents > 400") == ["r"]
        assert await found(client, "attributes.cents > 500") == []


async def test_from_its_code_others_stay_and_none_takes_away(store_url: str, park_at_once: None) -> None:
    @hf.workflow
    async def works() -> None:
        await hf.set_attributes(stage="one", count=1)
        await hf.sleep(0.005)
        await hf.set_attributes(stage="two", customer=None)
        await hf.sleep(0.005)
        await hf.set_attributes()

    async with serving(store_url, works) as client:
        run = await client.start(works.options(attributes={"customer": "c-1", "kept": [1]}))
        await run.result("20s")
        assert (await client.get(run.id)).attributes == {"kept": [1], "stage": "two", "count": 1}
        assert await found(client, "attributes.stage = 'two'") == [run.id]
        assert await found(client, "attributes.stage = 'one' or attributes.customer = 'c-1'") == []
        entries = [e for e in await client.history(run.id) if e.kind == "attributes"]
        assert [e.input for e in entries] == [
            {"stage": "one", "count": 1}, {"stage": "two", "customer": None}, {},
        ]  # fmt: skip


async def test_in_branches(store_url: str) -> None:
    async def one(n: int) -> None:
        await hf.set_attributes(**{f"a{n}": n, "last": n})

    @hf.workflow
    async def works() -> None:
        await hf.gather(*(one(n) for n in range(5)))

    async with serving(store_url, works) as client:
        run = await client.start(works)
        await run.result("20s")
        attributes = (await client.get(run.id)).attributes
        assert {key: attributes[key] for key in attributes if key != "last"} == {f"a{n}": n for n in range(5)}


async def test_through_a_hold_a_retry_and_a_new_beginning(store_url: str) -> None:
    @hf.workflow
    async def works(n: int = 0) -> None:
        await hf.set_attributes(**{f"n{n}": n})
        await hf.hold()
        if n == 0:
            hf.continue_as_new(1)
        if len(broken) == 1:
            broken.append(1)
            raise ValueError("no")
        await hf.set_attributes(end=True)

    broken = [1]
    async with serving(store_url, works) as client:
        run = await client.start(works)
        for _ in range(2):
            await until_status(client, run.id, "held")
            await client.release(run.id)
        with pytest.raises(hf.RunFailed):
            await run.result("20s")
        await client.retry(run.id)
        await (await client.handle(run.id)).result("20s")
        assert (await client.get(run.id)).attributes == {"n0": 0, "n1": 1, "end": True}


@pytest.mark.parametrize("value", [math.nan, "\ud800", object(), {1: 2}])
async def test_what_cannot_be_stored(value: Any) -> None:
    @hf.workflow
    async def works() -> str:
        try:
            await hf.set_attributes(a=value)
        except hf.PayloadError as error:
            return str(error)
        return "no"

    async with serving("memory://", works) as client:
        assert "attributes" in await outcome(client, works)
        with pytest.raises(hf.PayloadError, match="attributes"):
            await client.start(works.options(attributes={"a": value}))


@pytest.mark.parametrize("given", [["a"], "a", 7])
async def test_what_are_no_attributes(given: Any) -> None:
    with pytest.raises(hf.UsageError, match="attributes is"):
        sets.options(attributes=given)
    with pytest.raises(hf.UsageError, match="outside a run"):
        await hf.set_attributes(a=1)


# Progress


@pytest.mark.parametrize("plain", [False, True])
async def test_progress_from_a_step(store_url: str, plain: bool) -> None:
    go = asyncio.Event()
    loop = asyncio.get_running_loop()

    @hf.step(retry=ONCE)
    async def counts() -> None:
        hf.progress(1, 3, "first")
        hf.progress(2, 3)
        await go.wait()

    @hf.step(retry=ONCE)
    def counts_in_a_thread() -> None:
        hf.progress(1, 3, "first")
        hf.progress(2, 3)
        asyncio.run_coroutine_threadsafe(go.wait(), loop).result(20)

    @hf.workflow
    async def works() -> None:
        await (counts_in_a_thread() if plain else counts())

    async with serving(store_url, works) as client:
        run = await client.start(works)

        async def said() -> bool:
            return (await client.get(run.id)).progress is not None

        await until(said)
        view = await client.get(run.id)
        assert view.progress is not None
        assert {key: view.progress[key] for key in ("current", "total", "note")} == {
            "current": 2, "total": 3, "note": "",
        }  # fmt: skip
        assert view.progress["at"]
        go.set()
        await run.result("20s")


async def test_progress_from_a_workflow_not_from_its_replay(store_url: str, park_at_once: None) -> None:
    @hf.workflow
    async def works() -> None:
        hf.progress(1, note="begun")
        await note("a")
        await hf.sleep(0.005)
        hf.progress(2, note="slept")
        await hf.wait_for_event("go")
        await note("b")

    async with serving(store_url, works) as client:
        run = await client.start(works)
        await until_status(client, run.id, "waiting")

        async def said() -> bool:
            shown = (await client.get(run.id)).progress
            return shown is not None and shown["note"] == "slept" and shown["total"] is None

        await until(said)
        first = (await client.get(run.id)).progress
        await client.send_event("go")
        await run.result("20s")
        assert (await client.get(run.id)).progress == first


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ((True,), "give a number"),
        (("1",), "give a number"),
        ((None,), "give a number"),
        ((math.nan,), "give a number"),
        ((math.inf,), "give a number"),
        ((10**400,), "give a number"),
        ((1, "2"), "give a number"),
        ((1, -math.inf), "give a number"),
        ((1, 2, "x" * 1001), "1000 characters"),
        ((1, 2, "a\0b"), "NUL"),
        ((1, 2, "\ud800"), "note"),
        ((1, 2, None), "note"),
    ],
)
async def test_what_is_no_progress(args: tuple[Any, ...], said: str) -> None:
    @hf.step(retry=ONCE)
    async def tells() -> None:
        hf.progress(*args)

    @hf.workflow
    async def works() -> None:
        await tells()

    async with serving("memory://", works) as client:
        run = await client.start(works)
        with pytest.raises(hf.RunFailed) as failed:
            await run.result("5s")
        assert isinstance(failed.value.__cause__, hf.UsageError)
        assert said in str(failed.value.__cause__)


async def test_progress_outside_a_run_is_refused() -> None:
    with pytest.raises(hf.UsageError, match="outside a run"):
        hf.progress(1)
