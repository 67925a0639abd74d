"""A first look at runs of steps says of a run that it fits only where the replay in full says so too."""

import asyncio
import gc
import sys
import warnings
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import Context, copy_context
from datetime import date
from typing import Any

import pytest
from pydantic import BaseModel

import holdfast as hf
from holdfast.agents.phases.context import source
from holdfast.engine.replaying import quick
from holdfast.engine.replaying.checking import Checker
from holdfast.engine.replaying.watchdog import Watchdog
from tests.engine.helpers import until_status


@hf.step
async def day(n: int) -> date:
    return date(2026, 1, n)


@hf.step
async def double(n: int) -> int:
    return 2 * n


@hf.step(name="double")
async def double_text(n: int) -> str:
    raise AssertionError("a step is executed in a replay")


@hf.step
async def other(n: int) -> int:
    raise AssertionError("a step is executed in a replay")


@hf.step
async def described(n: int) -> dict[str, Any]:
    return {"n": n, "text": 'a "quoted", \x01 and \x1e; ünïcode'}


@source
async def weather(city: str) -> str:
    raise AssertionError("a source is asked in a replay")


given: list[int] = []
"""What was given to tasks that nobody waits for."""


async def sums(n: int) -> dict[str, Any]:
    first = await day(n)
    rest = [await double(k) for k in range(3)]
    return {"year": first.year, "rest": rest, "more": await described(n)}


async def _rest(n: int) -> dict[str, Any]:
    return {"year": 2026, "rest": [0, 2, 4], "more": {"n": n, "text": 'a "quoted", \x01 and \x1e; ünïcode'}}


async def same_in_another_way(n: int) -> dict[str, Any]:
    first, rest = (await day(n)).year, []
    while len(rest) < 3:
        rest.append(await double(len(rest)))
    return {"year": first, "rest": rest, "more": await described(1)}


async def asks_for_less(n: int) -> dict[str, Any]:
    await day(n)
    return await _rest(n)


async def asks_for_less_than_it_numbers(n: int) -> dict[str, Any]:
    made = [double(k) for k in range(4)]
    await day(n)
    for one in made:
        one.close()
    return await _rest(n)


async def asks_for_more(n: int) -> dict[str, Any]:
    found = await sums(n)
    with suppress(Exception):
        await double(3)
    return found


async def asks_for_another(n: int) -> dict[str, Any]:
    await day(n)
    with suppress(BaseException):
        await other(n)
    return await _rest(n)


async def numbers_in_another_order(n: int) -> dict[str, Any]:
    later = double(0)
    first = await day(n)
    rest = [await later, await double(1), await double(2)]
    return {"year": first.year, "rest": rest, "more": await described(n)}


async def gives_another_type(n: int) -> dict[str, Any]:
    await day(n)
    for k in range(3):
        with suppress(hf.PayloadError):
            await double_text(k)
    await described(n)
    return await _rest(n)


async def gives_another_result(n: int) -> dict[str, Any]:
    return {**await sums(n), "year": 2027}


async def fails(n: int) -> dict[str, Any]:
    await sums(n)
    raise ValueError("no")


async def asks_for_the_time(n: int) -> dict[str, Any]:
    found = await sums(n)
    with suppress(BaseException):
        hf.now()
    return found


async def asks_where_it_is(n: int) -> dict[str, Any]:
    assert hf.current().run_id
    return await sums(n)


async def waits(n: int) -> dict[str, Any]:
    try:
        await asyncio.sleep(0)
    finally:
        found = await sums(n)
    return found


async def gathers(n: int) -> dict[str, Any]:
    await day(n)
    rest = await hf.gather(*(double(k) for k in range(3)))
    return {"year": 2026, "rest": list(rest), "more": await described(n)}


async def takes_the_time_it_may(n: int) -> dict[str, Any]:
    async with asyncio.timeout(5):
        return await sums(n)


async def cancels_itself(n: int) -> dict[str, Any]:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    return await sums(n)


async def cancels_itself_and_waits(n: int) -> dict[str, Any]:
    found = await cancels_itself(n)
    await asyncio.sleep(0)
    return found


async def asks_in_a_time_limit_and_catches_that(n: int) -> dict[str, Any]:
    found = await sums(n)
    with suppress(Exception):
        async with asyncio.timeout(5):
            await other(n)
    return found


async def asks_in_a_thread(n: int) -> dict[str, Any]:
    found, context = await sums(n), copy_context()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(context.run, lambda: double(n)).result()
    return found


async def asks_a_source(n: int) -> dict[str, Any]:
    found = await sums(n)
    with suppress(Exception):
        await weather("Rome")
    return found


async def asks_in_tasks(n: int) -> dict[str, Any]:
    async def helper(k: int) -> int:
        given.append(await double(k))
        return given[-1]

    await day(n)
    with suppress(hf.NotDurable):
        await asyncio.gather(helper(0), helper(1), other(3))
    return await _rest(n)


async def does_not_let_itself_be_closed(n: int) -> dict[str, Any]:
    for _ in range(3):
        with suppress(BaseException):
            await asyncio.sleep(0)
    return await sums(n)


async def warns(n: int) -> dict[str, Any]:
    warnings.warn("mind this", RuntimeWarning, stacklevel=1)
    return await sums(n)


async def forgets(n: int) -> dict[str, Any]:
    found = await sums(n)
    other(n)  # type: ignore[unused-coroutine]
    return found


CHANGED: list[tuple[Callable[[int], Awaitable[dict[str, Any]]], str]] = [
    (same_in_another_way, "fits"),
    (asks_for_less, "breaks"),
    (asks_for_less_than_it_numbers, "breaks"),
    (asks_for_more, "breaks"),
    (asks_for_another, "breaks"),
    (numbers_in_another_order, "breaks"),
    (gives_another_type, "breaks"),
    (gives_another_result, "breaks"),
    (fails, "breaks"),
    (asks_for_the_time, "breaks"),
    (asks_where_it_is, "fits"),
    (waits, "fits"),
    (gathers, "breaks"),
    (takes_the_time_it_may, "fits"),
    (asks_in_a_time_limit_and_catches_that, "breaks"),
    (asks_in_a_thread, "breaks"),
    (asks_a_source, "breaks"),
    (asks_in_tasks, "breaks"),
    (does_not_let_itself_be_closed, "fits"),
    (cancels_itself, "fits"),
    (cancels_itself_and_waits, "breaks"),
]


if sys.version_info >= (3, 12):

    async def asks_in_a_task_that_begins_at_once(n: int) -> dict[str, Any]:
        task = asyncio.Task(sums(n), loop=asyncio.get_running_loop(), eager_start=True)
        try:
            return await task
        except hf.NotDurable:
            return {}

    CHANGED.append((asks_in_a_task_that_begins_at_once, "breaks"))


def code(fn: Callable[[int], Awaitable[dict[str, Any]]]) -> hf.Workflow[Any, Any]:
    return hf.workflow(name="sums")(fn)


async def recorded(client: hf.Client) -> None:
    """Two runs of which one fits whatever is told of it at a first look, and the other has another input."""
    async with hf.Worker(client, [code(sums)], drain=0):
        for n in (1, 2):
            await (await client.start(code(sums).options(id=f"sums-{n}"), n)).result()


async def nothing(self: quick.Quick, runs: Any) -> dict[bytes, Any]:
    """A look that knows nothing."""
    return {}


async def outcomes(client: hf.Client, workflow: hf.Workflow[Any, Any]) -> list[str]:
    return [one.outcome async for one in client.replay_runs([workflow], runs=["sums-1"])]


@pytest.mark.filterwarnings("ignore:coroutine")  # as the replay in full of code that does not await what it made
async def test_it_says_what_the_replay_in_full_says(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with hf.connect(store_url) as client:
        await recorded(client)
        before = asyncio.all_tasks()
        gc.collect()
        gc.freeze()  # what is collected here is new: all the rest is not looked at each time
        try:
            for fn, outcome in CHANGED:
                assert await outcomes(client, code(fn)) == [outcome], fn.__name__
                gc.collect()
                await asyncio.sleep(0)
                new = {one for one in asyncio.all_tasks() - before if getattr(one.get_coro(), "__name__", "") != "wait"}
                assert (given, new) == ([], set()), fn.__name__  # but for those in which the client waits
        finally:
            gc.unfreeze()
        monkeypatch.setattr(quick.Quick, "look", nothing)
        for fn, outcome in CHANGED:
            assert await outcomes(client, code(fn)) == [outcome], fn.__name__


async def test_what_the_code_warns_of_is_told_and_nothing_else() -> None:
    async with hf.connect("memory://") as client:
        await recorded(client)
        with pytest.warns(RuntimeWarning, match="mind this"):
            assert await outcomes(client, code(warns)) == ["fits"]
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            assert await outcomes(client, code(forgets)) == ["fits"]
            gc.collect()
        assert [str(one.message) for one in told] == [
            f"coroutine '{name}' was never awaited" for name in ("step", "other")
        ]
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            assert await outcomes(client, code(gathers)) == ["breaks"]
            gc.collect()
        assert [one for one in told if "never awaited" in str(one.message)] == []


async def test_where_loops_may_be_nested_nothing_is_concluded(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where nest_asyncio is applied, another task then runs inside the code's."""

    async def nests(n: int) -> dict[str, Any]:
        loop, me = asyncio.get_running_loop(), asyncio.current_task()
        task = loop.create_task(sums(n))
        asyncio.tasks._leave_task(loop, me)  # type: ignore[attr-defined, arg-type]
        try:
            while not task.done():
                loop._run_once()  # type: ignore[attr-defined]
        finally:
            asyncio.tasks._enter_task(loop, me)  # type: ignore[attr-defined, arg-type]
        try:
            return task.result()
        except hf.NotDurable:
            return {}

    monkeypatch.setattr(asyncio, "_nest_patched", True, raising=False)
    async with hf.connect("memory://") as client:
        await recorded(client)
        assert await outcomes(client, code(nests)) == ["breaks"]
        assert await outcomes(client, code(sums)) == ["fits"]


async def test_tasks_of_others_go_on_beside(store_url: str) -> None:
    ended = 0

    async def others() -> None:
        nonlocal ended
        while True:
            await asyncio.create_task(asyncio.sleep(0))
            ended += 1

    async with hf.connect(store_url) as client:
        await recorded(client)
        beside = asyncio.create_task(others())
        for fn in (sums, waits, asks_in_tasks) * 3:
            await outcomes(client, code(fn))
        assert not beside.done()
        assert ended > 9
        beside.cancel()


async def test_runs_that_fit_are_not_replayed_in_full(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []
    in_full = Checker.check

    async def check(self: Checker, recordings: Any) -> Any:
        looked.append(len(recordings))
        return await in_full(self, recordings)

    monkeypatch.setattr(Checker, "check", check)
    async with hf.connect(store_url) as client:
        await recorded(client)
        both = [one async for one in client.replay_runs([code(sums)])]
        assert [(one.run_id, one.outcome, one.entries) for one in both] == [
            ("sums-2", "fits", 5),
            ("sums-1", "fits", 5),
        ]
        assert looked == []
        assert await outcomes(client, code(gives_another_result)) == ["breaks"]
        assert looked == [1]


async def test_code_that_strays_is_not_looked_at_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quick, "STRAYED_AT_MOST", 3)
    looks: list[int] = []

    async def looked(n: int) -> dict[str, Any]:
        looks.append(n)
        return await asks_where_it_is(n)

    async with hf.connect("memory://") as client:
        async with hf.Worker(client, [code(sums)], drain=0):
            for _ in range(10):
                await (await client.start(code(sums), 1)).result()
        found = [one async for one in client.replay_runs([code(looked)])]
        assert [one.outcome for one in found] == ["fits"] * 10
        assert len(looks) == 10 + 4


@pytest.mark.filterwarnings("ignore:coroutine")  # the replay in full awaits less of it
async def test_what_a_run_left_behind_counts_for_no_other() -> None:
    """A call that was not awaited is kept, and awaited by the code of the next run in the place of its own."""
    kept: list[Any] = []

    async def keeps(n: int) -> dict[str, Any]:
        if not kept:
            kept.append(day(n))
            return {}
        of_another, own = kept.pop(), day(n)
        found = await of_another
        own.close()
        return await described(found.day)

    @hf.workflow(name="sums")
    async def two(n: int) -> dict[str, Any]:
        return await described((await day(n)).day)

    async with hf.connect("memory://") as client:
        async with hf.Worker(client, [two], drain=0):
            for n in (1, 1):
                await (await client.start(two, n)).result()
        assert [one.outcome async for one in client.replay_runs([code(keeps)])] == ["breaks", "breaks"]


async def test_a_context_that_a_run_left_behind_is_none_of_another() -> None:
    kept: list[Context] = []

    @hf.workflow(name="doubles")
    async def doubles(n: int) -> int:
        return await double(n)

    @hf.workflow(name="doubles")
    async def keeps(n: int) -> int:
        if not kept:
            kept.append(copy_context())
        return await kept[0].run(double, n)

    async with hf.connect("memory://") as client:
        async with hf.Worker(client, [doubles], drain=0):
            for n in (1, 2, 3):
                await (await client.start(doubles, n)).result()
        assert [one.outcome async for one in client.replay_runs([keeps])] == ["breaks", "fits", "breaks"]


@pytest.mark.filterwarnings("ignore:coroutine")  # what was asked for outside a run is not awaited in it
async def test_what_is_asked_for_before_the_code_is_called_is_not_the_runs() -> None:
    early: list[int] = []

    class Given(BaseModel):
        n: int
        _call: Any = None

        def model_post_init(self, _: Any) -> None:
            if early:
                self._call = double(self.n)

    @hf.workflow(name="doubles")
    async def doubles(given: Given) -> int:
        return await double(given.n)

    @hf.workflow(name="doubles")
    async def asks_early(given: Given) -> int:
        return await given._call  # type: ignore[no-any-return]

    async with hf.connect("memory://") as client:
        async with hf.Worker(client, [doubles], drain=0):
            for n in (1, 2):
                await (await client.start(doubles, Given(n=n))).result()
        early.append(1)
        assert [one.outcome async for one in client.replay_runs([asks_early])] == ["breaks", "breaks"]


def test_code_that_is_interrupted_is_not_watched_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    @hf.workflow(name="sums")
    async def is_interrupted(n: int) -> dict[str, Any]:
        raise KeyboardInterrupt

    async def both() -> None:
        async with hf.connect("memory://") as client:
            await recorded(client)
            await outcomes(client, is_interrupted)

    monkeypatch.setattr("holdfast.engine.replaying.checking.GRACE_SECONDS", 0.0)
    watchdogs: list[Watchdog] = []
    monkeypatch.setattr(Watchdog, "start", lambda self: watchdogs.append(self))
    monkeypatch.setattr(Watchdog, "close", lambda self: None)
    with asyncio.Runner() as runner:
        with pytest.raises(KeyboardInterrupt):
            runner.run(both())
        assert [one.since for one in watchdogs] == [None]


async def test_code_that_does_not_end_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []

    async def never(n: int) -> dict[str, Any]:
        looks.append(n)
        while True:
            pass

    monkeypatch.setattr("holdfast.engine.replaying.checking.GRACE_SECONDS", 0.05)
    async with hf.connect("memory://") as client:
        await recorded(client)
        found = [one async for one in client.replay_runs([code(never)], timeout="100ms")]
        assert [one.outcome for one in found] == ["breaks"] * 2
        assert len(looks) == 3


async def test_an_open_run_is_none_that_is_looked_at() -> None:
    @hf.workflow(name="sums")
    async def open_still(n: int) -> int:
        await day(n)
        await hf.wait_for_event("never")
        return n

    async with hf.connect("memory://") as client, hf.Worker(client, [open_still], drain=0):
        run = await client.start(open_still, 1)
        await until_status(client, run.id, "waiting")
        [found] = [one async for one in client.replay_runs([open_still])]
        assert found.outcome == "goes on"
