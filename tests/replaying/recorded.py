"""Workflows with every kind of call, and what drives a run of each to where it is to be recorded."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import holdfast as hf
from tests.engine.helpers import ONCE, QUICK, until, until_status

Drive = Callable[[hf.Client], Awaitable[str]]
"""Starts a run, takes it to where it is to be recorded, and gives its id."""

CASES: dict[str, tuple[Drive, str]] = {}
"""By name: what drives the run, and what its replay by the same code gives."""

WORKFLOWS: list[hf.Workflow[Any, Any]] = []

executed: list[str] = []
"""The steps that were executed, in order; while it is sealed, none may be."""

sealed: list[bool] = []

gate = asyncio.Event()


class Broken(Exception):
    """A step fails for good."""


class Odd(Exception):
    """An error that takes two arguments."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(code, why)
        self.code = code


def _execute(what: str) -> None:
    executed.append(what)
    assert not sealed, f"{what} is executed in a replay"


@hf.step(retry=ONCE)
async def add(n: int) -> int:
    _execute("add")
    return n + 1


@hf.step(retry=ONCE)
def plain(n: int) -> int:
    _execute("plain")
    return n * 2


@hf.step(retry=ONCE)
async def breaks(n: int) -> int:
    _execute("breaks")
    raise Odd(n, "it is odd")


@hf.step(retry=QUICK)
async def third_time(n: int) -> int:
    _execute("third_time")
    if hf.current().attempt < 3:
        raise Broken(n)
    return n


@hf.step(retry=ONCE)
async def large(n: int) -> str:
    _execute("large")
    return "x" * n


@hf.step(retry=ONCE)
async def waits_at_the_gate() -> int:
    _execute("waits_at_the_gate")
    await gate.wait()
    return 1


mended: list[int] = []


@hf.step(retry=ONCE)
async def mended_later(n: int) -> int:
    _execute("mended_later")
    if not mended:
        raise Broken(n)
    return n


@hf.step(retry=ONCE)
async def publishes(n: int) -> int:
    _execute("publishes")
    hf.publish("nowhere", {"n": n})
    return n


def case(expected: str = "fits", drive: Drive | None = None, *args: Any) -> Any:
    """Record a run of a workflow; unless something drives it, it is waited for."""

    def decorate(fn: Any) -> hf.Workflow[Any, Any]:
        made: hf.Workflow[Any, Any] = hf.workflow(fn)

        async def to_its_end(client: hf.Client) -> str:
            run = await client.start(made.options(id=made.name), *args)
            await asyncio.gather(run.result(timeout="30s"), return_exceptions=True)
            return run.id

        CASES[made.name] = drive or to_its_end, expected
        WORKFLOWS.append(made)
        return made

    return decorate


def driven(then: Callable[[hf.Client, str], Awaitable[Any]], *args: Any, **options: Any) -> Callable[[str], Drive]:
    """Start the run of a name and do something with it."""

    def of(name: str) -> Drive:
        async def drive(client: hf.Client) -> str:
            found = next(one for one in WORKFLOWS if one.name == name)
            run = await client.start(found.options(id=name, **options), *args)
            await then(client, run.id)
            return run.id

        return drive

    return of


async def ended(client: hf.Client, id: str) -> None:
    handle = await client.handle(id)
    await asyncio.gather(handle.result(timeout="30s"), return_exceptions=True)


def waiting(status: str = "waiting") -> Callable[[hf.Client, str], Awaitable[Any]]:
    async def then(client: hf.Client, id: str) -> None:
        await until_status(client, id, status)

    return then


async def _sends(client: hf.Client, id: str) -> None:
    await until_status(client, id, "waiting")
    await client.send_event("go", {"n": 5}, key=id)
    await ended(client, id)


async def _releases(client: hf.Client, id: str) -> None:
    await until_status(client, id, "held")
    await client.release(id, 7)
    await ended(client, id)


async def _rejects(client: hf.Client, id: str) -> None:
    await until_status(client, id, "held")
    await client.reject(id, reason="no")
    await ended(client, id)


async def _cancels(client: hf.Client, id: str) -> None:
    await until_status(client, id, "waiting")
    await client.cancel(id, reason="enough", by="somebody")
    await ended(client, id)


async def _cancels_in_a_step(client: hf.Client, id: str) -> None:
    async def there() -> bool:
        return any(one.name == "add" for one in await client.history(id)) and "waits_at_the_gate" in executed

    await until(there)
    await client.cancel(id)
    await ended(client, id)


async def _cancels_before_it_began(client: hf.Client, id: str) -> None:
    await client.cancel(id)


async def _holds(client: hf.Client, id: str) -> None:
    await until_status(client, id, "waiting")
    await client.hold(id, reason="wait a moment")
    await until_status(client, id, "held")


async def _retries(client: hf.Client, id: str) -> None:
    mended.clear()
    await ended(client, id)
    mended.append(1)
    await client.retry(id)
    await until_status(client, id, "succeeded")


async def _forks(client: hf.Client, id: str, **edits: Any) -> str:
    await ended(client, id)
    return await client.fork(id, from_step="plain", **edits)


# The workflows


@case("fits", None, 1)
async def steps(n: int) -> list[int]:
    return [await add(n), await plain(n), await third_time(n)]


@case("fits", None, 1)
async def fails(n: int) -> int:
    await add(n)
    return await breaks(n)


@case("fits", None, 1)
async def fails_by_itself(n: int) -> int:
    await add(n)
    raise Odd(n, "so it is")


@case("fits", None, 1)
async def catches(n: int) -> int:
    try:
        await breaks(n)
    except Odd as error:
        return await add(error.code)
    return 0


@case("fits")
async def large_values() -> int:
    return len(await large(2_000_000))


@case("fits")
async def times() -> list[Any]:
    began = hf.now()
    await hf.sleep(0.01)
    await hf.sleep_until(datetime(2020, 1, 1, tzinfo=UTC))
    return [began.isoformat(), hf.now().isoformat(), str(hf.uuid()), hf.random(), await add(1)]


@case("fits", None, [1, 2, 3])
async def fans_out(numbers: list[int]) -> list[Any]:
    async def both(n: int) -> list[int]:
        return [await add(n), await plain(n)]

    pairs = await hf.gather(*(both(n) for n in numbers))
    mapped = await hf.map(add, numbers, limit=2)
    mixed = await asyncio.gather(add(7), plain(8))
    return [list(map(list, pairs)), mapped, list(mixed), await hf.map(add, [])]


@hf.workflow
async def small(n: int) -> int:
    return await add(n)


@hf.workflow
async def small_breaks(n: int) -> int:
    return await breaks(n) if n == 2 else await add(n)


@hf.workflow
async def small_waits(key: str) -> int:
    found: int = await hf.wait_for_event("never", key=key)
    return found


@case("fits", None, [1, 2, 3])
async def children(numbers: list[int]) -> list[Any]:
    try:
        await small_breaks(2)
    except hf.RunFailed as error:
        failed = str(error)
    return [await small(1), await hf.map(small, numbers), await hf.map(small, numbers, limit=1), failed]


@case("fits", None, [1, 2, 3])
async def children_fail(numbers: list[int]) -> list[int]:
    return await hf.map(small_breaks, numbers)


@case("fits")
async def races() -> list[Any]:
    async def slow() -> int:
        await hf.sleep("1d")
        return await add(99)

    async def quick() -> int:
        return await plain(await add(3))

    by_step = await hf.first(hf.wait_for_event("never", key="r"), add(1), hf.sleep("1d"))
    by_branch = await hf.first(slow(), quick())
    by_time = await hf.first(small_waits("r"), hf.sleep(0.01))
    return [by_step.index, by_step.value, by_branch.index, by_branch.value, by_time.index]


@case("fits")
async def events() -> list[Any]:
    await hf.send_event("early", 3, key=hf.current().run_id)
    early = await hf.wait_for_event("early", key=hf.current().run_id, type=int)
    try:
        await hf.wait_for_event("never", timeout=0.01)
    except hf.EventTimeout:
        return [early, await add(early)]
    return []


@case("fits")
async def patches() -> list[Any]:
    found = [hf.patched("a"), await add(1), hf.patched("b")]
    hf.progress(1, 2, "half")
    await hf.set_attributes(a=1, b=None)
    return [*found, await hf.publish("nowhere", {"a": 1}), await publishes(2)]


@hf.step(retry=ONCE)
async def says(word: str) -> str:
    _execute("says")
    await hf.stream("said").write(word)
    return word


@case("fits")
async def streams() -> list[str]:
    out = hf.stream("said")
    await out.write({"a": 1})
    words = [await says("b")]
    await out.write("c")
    await out.close()
    return words


@case("fits", None, 2)
async def begins_again(left: int) -> int:
    await add(left)
    if left:
        hf.continue_as_new(left - 1)
    return await plain(left)


@case("fits", driven(_sends)("gets_an_event"))
async def gets_an_event() -> dict[str, int]:
    found: dict[str, int] = await hf.wait_for_event("go", key=hf.current().run_id)
    return found


@case("fits", driven(_releases)("is_released"))
async def is_released() -> int:
    return await add(await hf.hold("look at it", type=int))


@case("fits", driven(_rejects)("is_rejected"))
async def is_rejected() -> int:
    return await add(await hf.hold("look at it", type=int))


@case("fits", driven(_cancels)("is_cancelled"))
async def is_cancelled() -> None:
    try:
        await hf.gather(hf.sleep("1d"), hf.wait_for_event("never"), small_waits("c"))
    finally:
        async with hf.shield("30s"):
            await add(1)


@case("fits", driven(_cancels_in_a_step)("is_cancelled_in_a_step"))
async def is_cancelled_in_a_step() -> int:
    await add(1)
    try:
        return await waits_at_the_gate()
    finally:
        async with hf.shield():
            await plain(1)


@case("fits", driven(_cancels_before_it_began, delay="1h")("is_cancelled_at_once"))
async def is_cancelled_at_once() -> int:
    return await add(1)


@case("fits", driven(ended, timeout=0.3)("takes_too_long"))
async def takes_too_long() -> None:
    await add(1)
    await hf.sleep("1d")


@case("fits", driven(_retries)("is_retried"))
async def is_retried() -> list[int]:
    return [await add(1), await mended_later(2), await plain(3), hf.current().attempt]


@case("goes on", driven(waiting())("waits"))
async def waits() -> int:
    await add(1)
    await hf.gather(hf.sleep("1d"), hf.wait_for_event("never"), small_waits("w"), add(2))
    raise Broken("never")


@case("goes on", driven(waiting())("sleeps"))
async def sleeps() -> int:
    await hf.sleep("1d")
    raise Broken("never")


@case("goes on", driven(waiting())("waits_for_children"))
async def waits_for_children() -> list[int]:
    return await hf.map(small_waits, ["x", "y"])


@case("goes on", driven(waiting("held"))("is_held"))
async def is_held() -> int:
    return await add(await hf.hold("look at it", type=int))


@case("goes on", driven(_holds)("is_held_from_outside"))
async def is_held_from_outside() -> int:
    await hf.wait_for_event("never")
    return await add(1)


@case("goes on", driven(waiting("queued"), delay="1h")("is_delayed"))
async def is_delayed() -> int:
    return await add(1)


async def _nothing(client: hf.Client, id: str) -> None:
    async def there() -> bool:
        return executed.count("waits_at_the_gate") > 1

    await until(there)


@case("goes on", driven(_nothing)("is_executing"))
async def is_executing() -> int:
    await add(1)
    return await waits_at_the_gate()


async def record(client: hf.Client) -> dict[str, str]:
    """Record a run of each case; their ids by name. What executes is left to be dropped."""
    gate.clear()
    executed.clear()
    drives = {name: drive for name, (drive, _) in CASES.items() if name != "is_executing"}
    ids = dict(zip(drives, await asyncio.gather(*(drive(client) for drive in drives.values())), strict=True))
    ids["is_executing"] = await CASES["is_executing"][0](client)
    ids["fork"] = await _forks(client, "steps")
    ids["fork with an edited input"] = await _forks(client, "steps", input={"n": 10})
    ids["fork with an edited output"] = await _forks(client, "steps", output=50)
    for name in list(ids)[-3:]:
        await ended(client, ids[name])
    return ids


def expected(name: str) -> str:
    """What the replay of a case gives."""
    return CASES[name][1] if name in CASES else "fits"
