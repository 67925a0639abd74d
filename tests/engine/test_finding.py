"""Finding runs by search, counting them, and why one does not move."""

import asyncio
import re
from datetime import datetime

import pytest

import holdfast as hf
from tests.engine.helpers import ONCE, serving, until, until_status


@hf.step(retry=ONCE)
async def check(kind: str) -> str:
    if kind == "bad":
        raise ValueError("the card is stolen")
    return kind


@hf.workflow
async def order(kind: str) -> str:
    return await check(kind)


@hf.step(retry=hf.Retry(max_attempts=5, initial=3600, maximum=3600, jitter=0))
async def flaky() -> None:
    raise ConnectionError("the bank is away")


@hf.workflow
async def pays() -> None:
    await flaky()


@hf.workflow
async def waits(key: str, timeout: float | None = None) -> None:
    await hf.wait_for_event("shipped", key=key, timeout=timeout)


@hf.workflow
async def sleeps() -> None:
    await hf.sleep("1h")


@hf.workflow
async def parent() -> None:
    await hf.gather(waits("a"), waits("b"), waits("c"))


@hf.workflow
async def asks() -> None:
    await hf.hold("is the price right?")


@hf.workflow(key="key", lane="order")
async def in_lane(key: str) -> None:
    await hf.wait_for_event("go on", key=key)


@hf.workflow(key="mine", lane="thing")
async def outer(mine: str, other: str) -> None:
    await hf.wait_for_event("begin")
    await inner(other)


@hf.workflow(key="key", lane="thing")
async def inner(key: str) -> None: ...


async def ids(client: hf.Client, where: str | None = None, **filters: object) -> list[str]:
    """The ids of the runs that are found."""
    return [view.id for view in await client.list(where=where, **filters)]  # type: ignore[arg-type]


async def test_runs_are_found_by_search(store_url: str) -> None:
    async with serving(store_url, order) as client:
        for kind, number in (("good", 1), ("bad", 2), ("fine", 3)):
            options = order.options(id=kind, priority=number, attributes={"customer": f"c-{number}", "cents": number})
            run = await client.start(options, kind)
            await until_status(client, kind, "failed" if kind == "bad" else "succeeded")
            assert run.created
        await client.start(sleeps.options(id="unserved", attributes={"customer": "c-1"}))
        assert await ids(client, "attributes.customer = 'c-1'") == ["unserved", "good"]
        assert await ids(client, "attributes.customer = 'c-1'", workflow="order") == ["good"]
        assert await ids(client, "attributes.cents > 1 and priority < 3") == ["bad"]
        assert await ids(client, "attributes.cents > 1", status="succeeded") == ["fine"]
        assert await ids(client, "status in ('failed', 'queued')") == ["unserved", "bad"]
        assert await ids(client, "created_at > 'now-1h'", limit=2) == ["unserved", "fine"]
        assert await ids(client, "created_at < 'now-1h'") == []
        assert await ids(client, "id prefix 'goo'") == ["good"]
        async with hf.connect(store_url, tenant="other") as other:
            assert await ids(other, "priority >= 0") == []


async def test_pages_of_a_search(store_url: str) -> None:
    async with hf.connect(store_url) as client:
        for n in range(7):
            await client.start(order.options(id=f"r-{n}", attributes={"even": n % 2 == 0}), "good")
        pages, last = [], None
        while page := await client.list(where="attributes.even = true", limit=3, before=last):
            pages += [view.id for view in page]
            last = page[-1]
        assert pages == ["r-6", "r-4", "r-2", "r-0"]


async def test_counting(store_url: str) -> None:
    async with hf.connect(store_url) as client:
        assert await client.count() == hf.Count(0, False)
        await client.start_many(order, [("good",)] * 5)
        await client.start_many(sleeps, [()] * 2)
        assert await client.count() == hf.Count(7, False)
        assert await client.count("workflow = 'order'") == hf.Count(5, False)
        assert await client.count(workflow="sleeps", status="queued") == hf.Count(2, False)
        assert await client.count("workflow = 'order'", cap=5) == hf.Count(5, False)
        assert await client.count("workflow = 'order'", cap=4) == hf.Count(4, True)
        for cap in (0, True, 1_000_001, "5"):
            with pytest.raises(hf.UsageError, match="cap is"):
                await client.count(cap=cap)  # type: ignore[arg-type]


async def test_a_search_that_cannot_be_read_shows_the_place() -> None:
    async with hf.connect("memory://") as client:
        for find in (client.list(where="status = 'failed' nad id = 'x'"), client.count("status = 'failed' nad")):
            with pytest.raises(hf.SearchError) as refused:
                await find
            assert refused.value.position == 18
            shown, caret = str(refused.value).splitlines()[1:]
            assert shown[caret.index("^") :].startswith("nad")
        with pytest.raises(hf.UsageError, match="the search is 3"):
            await client.list(where=3)  # type: ignore[arg-type]
        with pytest.raises(hf.UsageError, match="workflow"):
            await client.list(workflow="")


async def test_dead_letters_are_the_failed_runs(store_url: str) -> None:
    async with serving(store_url, order) as client:
        for n in range(3):
            await client.start(order.options(id=f"bad-{n}"), "bad")
            await until_status(client, f"bad-{n}", "failed")
        await client.start(order.options(id="good"), "good")
        await until_status(client, "good", "succeeded")
        first = await client.dead_letters(2)
        assert [view.id for view in first] == ["bad-2", "bad-1"]
        assert [view.id for view in await client.dead_letters(before=first[-1])] == ["bad-0"]
        assert first[0].error is not None
        await client.retry("bad-1")
        await until_status(client, "bad-1", "failed")
        assert len(await client.dead_letters()) == 3


# Why a run does not move


async def test_a_run_that_nobody_serves(store_url: str) -> None:
    async with serving(store_url, order) as client:
        await client.start(sleeps.options(id="s"))
        assert await client.explain("s") == "no living worker serves workflow sleeps version 1 in queue default"
        with pytest.raises(hf.RunNotFound):
            await client.explain("nobody")


async def test_a_paused_queue_and_a_paused_workflow(store_url: str) -> None:
    async with hf.connect(store_url) as client:
        await client.pause_queue("default")
        await client.pause_workflow("order")
        async with hf.Worker(client, [order], drain=0):
            await client.start(order.options(id="o"), "good")
            assert await client.explain("o") == "queue default is paused\nworkflow order is paused"


async def test_a_full_queue(store_url: str) -> None:
    go_on = asyncio.Event()

    @hf.step
    async def render() -> None:
        await go_on.wait()

    @hf.workflow(queue="gpu")
    async def picture() -> None:
        await render()

    async with hf.connect(store_url) as client:
        await client.set_queue("gpu", total=1)
        async with hf.Worker(client, [picture], drain=0):
            await client.start(picture.options(id="first"))
            view = await until_status(client, "first", "running")
            await client.start(picture.options(id="second"))
            assert await client.explain("second") == "queue gpu executes 1 of 1"
            said = await client.explain("first")
            beat = r"(less than 1|\d) s"
            assert re.fullmatch(rf"executes on worker {view.worker} since .* UTC, last beat {beat} ago", said)
            go_on.set()


async def test_waits_for_events_and_sleeps(store_url: str) -> None:
    async with serving(store_url, waits, sleeps) as client:
        await client.start(waits.options(id="w"), "o-1")
        await client.start(waits.options(id="t"), "o-2", 3600)
        await client.start(sleeps.options(id="s"))
        for run in ("w", "t", "s"):
            await until_status(client, run, "waiting")
        assert await client.explain("w") == "waits for event shipped (key o-1)"
        due = (await client.get("t")).due_at
        assert due is not None
        assert await client.explain("t") == f"waits for event shipped (key o-2) until {shown(due)}"
        due = (await client.get("s")).due_at
        assert due is not None
        assert await client.explain("s") == f"sleeps until {shown(due)}"


def shown(at: datetime) -> str:
    """An instant as an explanation shows it."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC" if at.second else f"{at:%Y-%m-%d %H:%M} UTC"


async def test_a_step_between_two_attempts(store_url: str) -> None:
    async with serving(store_url, pays) as client:
        await client.start(pays.options(id="p"))
        await until_status(client, "p", "waiting")
        assert await client.explain("p") == "step flaky failed once, next attempt in 1 h"


async def test_children(store_url: str) -> None:
    async with serving(store_url, parent) as client:
        await client.start(parent.options(id="p"))
        await until_status(client, "p", "waiting")
        assert await client.explain("p") == "waits for 3 child runs: p/1.0, p/1.1, p/1.2"


async def test_a_delayed_start(store_url: str) -> None:
    async with serving(store_url, order) as client:
        await client.start(order.options(id="later", delay="1h"), "good")
        assert (await client.explain("later")).startswith("is to start at ")


async def test_held_runs(store_url: str) -> None:
    async with serving(store_url, asks) as client:
        await client.start(asks.options(id="asks"))
        await client.start(sleeps.options(id="s"))
        await client.hold("s", reason="wrong price", by="maria")
        await until_status(client, "asks", "held")
        assert re.fullmatch(
            r"held since [-0-9]+ [:0-9]+ UTC: is the price right\?; release it with `holdfast runs release asks`",
            await client.explain("asks"),
        )
        assert await client.explain("s") == ("held by maria: wrong price; release it with `holdfast runs release s`")


async def test_runs_that_ended(store_url: str) -> None:
    async with serving(store_url, order) as client:
        await client.start(order.options(id="good"), "good")
        await client.start(order.options(id="bad"), "bad")
        await until_status(client, "good", "succeeded")
        await until_status(client, "bad", "failed")
        await client.start(sleeps.options(id="s"))
        await client.cancel("s", by="maria")
        assert re.fullmatch(r"succeeded at .* UTC", await client.explain("good"))
        assert re.fullmatch(
            r"failed at .* UTC: ValueError: the card is stolen; let it go on with `holdfast runs retry bad`",
            await client.explain("bad"),
        )
        assert re.match(r"cancelled at .* UTC: run 's' was cancelled by maria; ", await client.explain("s"))


async def test_a_run_that_is_to_be_cancelled(store_url: str) -> None:
    stop = asyncio.Event()

    @hf.workflow
    async def stubborn() -> None:
        try:
            await hf.sleep("1h")
        finally:
            async with hf.shield():
                await cleans()

    @hf.step
    async def cleans() -> None:
        await stop.wait()

    async with serving(store_url, stubborn) as client:
        await client.start(stubborn.options(id="s"))
        await until_status(client, "s", "waiting")
        await client.cancel("s", by="maria", reason="too late")

        async def cleaning() -> bool:
            return (await client.get("s")).status == "running"

        await until(cleaning)
        first, second = (await client.explain("s")).splitlines()
        assert first == "is to be cancelled by maria (too late): its worker has been told"
        assert second.startswith("executes on worker ")
        stop.set()
        await until_status(client, "s", "cancelled")


async def test_a_run_in_line(store_url: str) -> None:
    async with serving(store_url, in_lane) as client:
        for run in ("a", "b", "c"):
            await client.start(in_lane.options(id=run), "o-1")
        await until_status(client, "a", "waiting")
        for run, place in (("b", "first"), ("c", "second")):
            assert re.fullmatch(
                rf"{place} in lane order=o-1 \(1 slot\), held by run a for (less than 1|\d) s",
                await client.explain(run),
            )
        assert await client.explain("a") == "waits for event go on (key o-1)"


async def test_a_cycle_of_lanes(store_url: str) -> None:
    async with serving(store_url, outer) as client:
        await client.start(outer.options(id="a"), "x", "y")
        await client.start(outer.options(id="b"), "y", "x")
        await client.start(in_lane.options(id="no part of it"), "o-1")
        for run in ("a", "b"):
            await until_status(client, run, "waiting")
        await client.send_event("begin", to="all")

        async def locked() -> bool:
            lanes = await client.lanes()
            return sum(lane.waiting for lane in lanes) == 2

        await until(locked)
        links = [
            "a waits for its child a/1.1", "a/1.1 waits for lane thing=y held by b",
            "b waits for its child b/1.1", "b/1.1 waits for lane thing=x held by a",
        ]  # fmt: skip
        for run, first in (("a", 0), ("a/1.1", 1), ("b", 2), ("b/1.1", 3)):
            said = (await client.explain(run)).splitlines()
            cycle = ", ".join(links[first:] + links[:first])
            assert said[-1] == f"a cycle: {cycle}; cancel one of them"
        assert "cycle" not in await client.explain("no part of it")
        await client.cancel("b")
        await until_status(client, "b", "cancelled")
        await until_status(client, "a", "succeeded")


@hf.workflow(key="key", limit=1)
async def one_by_one(key: str) -> str:
    return key


async def test_queued_runs_are_counted_wherever_they_wait(store_url: str) -> None:
    async with hf.connect(store_url) as client:
        await client.start_many(one_by_one, [("a",), ("a",), ("a",), ("b",)])  # two are ready, two in line
        await client.start(one_by_one.options(delay="1h"), "c")
        await client.hold((await client.start(one_by_one, "d")).id)
        other = hf.Client(client.core, "other")
        await other.start(one_by_one, "e")
        assert [await one.count(status="queued") for one in (client, other)] == [hf.Count(5, False), hf.Count(1, False)]
        assert await client.count(status="queued", cap=3) == hf.Count(3, True)
        assert await client.count("workflow = 'one_by_one' and not version = '1'", status="queued") == hf.Count(
            0, False
        )
        assert len(await client.list(status="queued")) == 5
