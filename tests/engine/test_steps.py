"""Steps: recorded once, tried again as their policy says, the same function everywhere else."""

import asyncio
import contextvars
import functools
import gc
import threading
from collections.abc import Callable

import pytest

import holdfast as hf
from tests.engine.helpers import ONCE, cause, outcome, positions, serving


async def test_async_and_plain_steps_give_their_results(store_url: str) -> None:
    here = threading.get_ident()

    @hf.step
    async def double(x: int) -> int:
        assert threading.get_ident() == here
        return 2 * x

    @hf.step
    def increment(x: int, by: int = 1) -> int:
        assert threading.get_ident() != here
        return x + by

    @hf.workflow
    async def sums(x: int) -> int:
        return await increment(await double(x), by=await increment(1))

    async with serving(store_url, sums) as client:
        run = await client.start(sums, 20)
        assert await run.result() == 42
        history = await client.history(run.id)
        assert positions(history) == [("0", "double", "ok"), ("1", "increment", "ok"), ("2", "increment", "ok")]
        assert [entry.input for entry in history] == [{"x": 20}, {"x": 1, "by": 1}, {"x": 40, "by": 2}]
        assert [entry.output for entry in history] == [40, 2, 42]
        assert [entry.attempts for entry in history] == [1, 1, 1]
        assert [entry.kind for entry in history] == ["step"] * 3


async def test_a_replay_does_not_call_a_recorded_step_again(store_url: str, park_at_once: None) -> None:
    calls: list[str] = []

    @hf.step
    async def note(what: str) -> int:
        calls.append(what)
        return len(calls)

    @hf.step
    def note_in_thread(what: str) -> int:
        calls.append(what)
        return len(calls)

    @hf.workflow
    async def parted() -> list[int]:
        first = [await note("a"), await note_in_thread("b")]
        await hf.sleep(0.01)
        return [*first, await note("c")]

    async with serving(store_url, parted) as client:
        assert await outcome(client, parted) == [1, 2, 3]
    assert calls == ["a", "b", "c"]


async def test_the_name_of_a_step_is_recorded(store_url: str) -> None:
    @hf.step(name="renamed")
    async def original() -> None: ...

    @hf.workflow(name="other-name")
    async def named() -> None:
        await original()

    async with serving(store_url, named) as client:
        run = await client.start(named)
        await run.result()
        assert (await run.view()).workflow == "other-name"
        assert positions(await client.history(run.id)) == [("0", "renamed", "ok")]


async def test_a_step_outside_a_run_is_its_function() -> None:
    calls = 0

    @hf.step(retry=hf.Retry(max_attempts=5))
    async def flaky() -> object:
        nonlocal calls
        calls += 1
        raise ValueError("once")

    @hf.step
    def plain(x: object) -> object:
        return x

    with pytest.raises(ValueError, match="once"):
        await flaky()
    assert calls == 1
    unstorable = object()
    assert await plain(unstorable) is unstorable
    assert plain.fn(unstorable) is unstorable


async def test_a_step_inside_a_step_just_runs(store_url: str) -> None:
    @hf.step
    async def inner(x: int) -> int:
        return x + 1

    @hf.step
    async def outer(x: int) -> int:
        return await inner(x) * 10

    @hf.workflow
    async def nested(x: int) -> int:
        return await outer(x)

    async with serving(store_url, nested) as client:
        run = await client.start(nested, 1)
        assert await run.result() == 20
        assert positions(await client.history(run.id)) == [("0", "outer", "ok")]


async def test_current_in_a_run_and_in_a_step(store_url: str, park_at_once: None) -> None:
    seen: list[hf.Current] = []

    @hf.step(retry=hf.Retry(max_attempts=2, initial=0.01, jitter=0))
    async def charge() -> str:
        seen.append(hf.current())
        if hf.current().attempt == 1:
            raise ConnectionError
        return hf.current().idempotency_key

    @hf.step
    def ship() -> str:
        return hf.current().idempotency_key

    @hf.workflow
    async def order() -> list[str]:
        return [hf.current().run_id, hf.current().idempotency_key, await charge(), await ship()]

    async with serving(store_url, order) as client:
        run = await client.start(order.options(id="o-1"))
        run_id, of_run, of_charge, of_ship = await run.result()
        others = await outcome(client, order)
    assert run_id == "o-1"
    assert [one.attempt for one in seen[:2]] == [1, 2]
    assert [one.tenant for one in seen[:2]] == ["default", "default"]
    assert {one.idempotency_key for one in seen[:2]} == {of_charge}
    assert len({of_run, of_charge, of_ship, *others[1:]}) == 6


async def test_the_idempotency_key_is_the_same_with_another_worker(disk_url: str) -> None:
    keys: list[str] = []
    left = asyncio.Event()

    @hf.step
    async def charge() -> None:
        keys.append(hf.current().idempotency_key)
        left.set()
        if len(keys) == 1:
            await asyncio.sleep(60)

    @hf.workflow
    async def order() -> None:
        await charge()

    async with hf.connect(disk_url) as client:
        async with hf.Worker(client, [order], drain=0):
            run = await client.start(order)
            await left.wait()
        async with hf.Worker(client, [order], drain=0):
            await run.result(timeout="10s")
    assert len(keys) == 2
    assert keys[0] == keys[1]


def test_current_outside_a_run_is_refused() -> None:
    with pytest.raises(hf.UsageError, match="outside a run"):
        hf.current()


async def test_a_call_that_is_never_awaited_warns() -> None:
    @hf.step
    async def forgotten() -> None: ...

    def forget(call: Callable[[], object]) -> None:
        call()
        gc.collect()

    @hf.workflow
    async def forgets() -> None:
        for call in (forgotten, lambda: hf.sleep(1), lambda: hf.gather(), lambda: child()):
            with pytest.warns(RuntimeWarning, match="never awaited"):
                forget(call)

    @hf.workflow
    async def child() -> None: ...

    with pytest.warns(RuntimeWarning, match="never awaited"):
        forget(forgotten)
    await hf.execute(forgets)


def test_what_cannot_be_a_step_is_refused() -> None:
    class Shop:
        @hf.step
        async def charge(self) -> None: ...

        @staticmethod
        @hf.step
        async def ship() -> None: ...

    with pytest.raises(hf.UsageError, match="called as a method"):
        Shop().charge()  # type: ignore[call-arg,unused-coroutine]
    assert repr(Shop().ship) == "<step ship>"

    def numbers():  # type: ignore[no-untyped-def]
        yield 1

    async def async_numbers():  # type: ignore[no-untyped-def]
        yield 1

    for wrong, why in ((numbers, "generator"), (async_numbers, "generator"), (Shop, "function"), (3, "function")):
        with pytest.raises(hf.UsageError, match=why):
            hf.step(wrong)  # type: ignore[call-overload]
    with pytest.raises(hf.UsageError, match="on_timeout"):
        hf.step(on_timeout="later")(lambda: 1)  # type: ignore[call-overload]
    with pytest.raises(hf.UsageError, match="timeout of step"):
        hf.step(timeout="soon")(Shop.ship.fn)
    with pytest.raises(hf.UsageError, match="surrogate"):
        hf.step(name="\udc80")(Shop.ship.fn)


async def test_what_a_function_brings_along_is_not_what_the_step_has() -> None:
    """As functions do that other tools have decorated."""

    @hf.step
    async def inner(x: int) -> int:
        return x

    with pytest.raises(hf.UsageError, match="<step inner>, which is a step already"):
        hf.step(name="outer")(inner)

    @functools.wraps(inner)
    async def wrapper(x: int) -> int:
        return await inner(x) + 1

    wrapper.fn, wrapper.retry, wrapper.mine = "fn", 7, "mine"  # type: ignore[attr-defined]
    made = hf.step(name="renamed")(wrapper)
    assert (made.name, made.retry, made.mine) == ("renamed", hf.Retry(), "mine")  # type: ignore[attr-defined]
    assert await made(1) == 2


async def test_context_variables_are_visible_in_plain_steps() -> None:
    variable = contextvars.ContextVar("variable", default="unset")

    @hf.step
    def read() -> str:
        found = variable.get()
        variable.set("changed in the thread")
        return found

    @hf.workflow
    async def reads() -> list[str]:
        first = await read()
        variable.set("set in the run")
        return [first, await read(), await read()]

    assert await hf.execute(reads) == ["unset", "set in the run", "set in the run"]


async def test_arguments_that_do_not_fit_fail_the_call_alone(store_url: str) -> None:
    @hf.step
    async def charge(order: str, cents: int) -> int:
        return cents

    @hf.workflow
    async def shop() -> list[object]:
        caught: list[object] = []
        for args in (("o-1",), ("o-1", 1, 2), ("o-1", "two"), ("o-1", 2)):
            try:
                caught.append(await charge(*args))  # type: ignore[arg-type]
            except hf.HoldfastError as error:
                caught.append(type(error).__name__)
        return caught

    async with serving(store_url, shop) as client:
        run = await client.start(shop)
        assert await run.result() == ["UsageError", "UsageError", "PayloadError", 2]
        assert [entry.attempts for entry in await client.history(run.id)] == [1, 1, 1, 1]


@pytest.mark.parametrize("error", [SystemExit(3), GeneratorExit(), KeyError("k"), type("Own", (BaseException,), {})()])
@pytest.mark.parametrize("threaded", [False, True])
async def test_whatever_a_step_raises_is_a_failure_and_not_the_end_of_the_worker(
    error: BaseException, threaded: bool
) -> None:
    @hf.step(retry=ONCE)
    async def leaves() -> None:
        raise error

    @hf.step(retry=ONCE)
    def leaves_thread() -> None:
        raise error

    @hf.step
    async def fine() -> int:
        return 1

    @hf.workflow
    async def exits() -> None:
        await (leaves_thread() if threaded else leaves())

    @hf.workflow
    async def stays() -> int:
        return await fine()

    async with serving("memory://", exits, stays) as client:
        run = await client.start(exits)
        with pytest.raises(hf.RunFailed) as failed:
            await run.result(timeout="1s")
        seen = failed.value.__cause__
        kind = seen.type if isinstance(seen, hf.StepError) else type(seen).__qualname__
        # A future cannot carry a GeneratorExit out of a thread: its name is in the message then.
        assert type(error).__qualname__ in f"{kind} {seen}"
        assert await outcome(client, stays) == 1


@pytest.mark.parametrize("error", [SystemExit(3), GeneratorExit(), type("Own", (BaseException,), {})()])
async def test_whatever_a_workflow_raises_is_a_failure_and_not_the_end_of_the_worker(error: BaseException) -> None:
    @hf.workflow
    async def exits() -> None:
        raise error

    @hf.workflow
    async def stays() -> int:
        return 1

    async with serving("memory://", exits, stays) as client:
        run = await client.start(exits)
        with pytest.raises(hf.RunFailed):
            await run.result(timeout="1s")
        assert await outcome(client, stays) == 1


async def test_a_branch_that_raises_system_exit_does_not_end_the_worker() -> None:
    # In a loop of its own: asyncio hands a SystemExit in a task to whoever runs the loop.
    async def helper() -> None:
        raise SystemExit(3)

    @hf.workflow
    async def exits() -> None:
        await hf.gather(helper(), helper())

    def apart() -> BaseException:
        async def main() -> BaseException:
            async with serving("memory://", exits) as client:
                return await cause(client, exits)

        try:
            return asyncio.run(main())
        except BaseException as error:
            return error

    assert isinstance(await asyncio.to_thread(apart), hf.StepError)


async def test_a_step_that_raises_cancelled_error_itself_fails_the_run() -> None:
    @hf.step(retry=ONCE)
    async def gives_up() -> None:
        raise asyncio.CancelledError

    @hf.workflow
    async def shop() -> None:
        await gives_up()

    async with serving("memory://", shop) as client:
        assert isinstance(await cause(client, shop), hf.UsageError)
