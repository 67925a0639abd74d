"""Programs as data, and the workflows that execute them durably.

A program is a list of operations, plain JSON, so that it can be a run's input. Every operation carries numbers of its
own, and results hold them, so that a result in the wrong place is seen. What a program is to return, and what it is to
do, is known beforehand: see `oracle`. Programs are made by `drawing` from a seed, and by `strategies` for hypothesis.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import holdfast as hf

Program = list[Any]

RETRY = hf.Retry(max_attempts=3, initial=0.0005, factor=2.0, jitter=0.0)

HOUR = 3600.0

on_attempt: list[Callable[[str, int, int], None]] = []
"""Called first by each attempt of each step with the step's name, its number, and how often it is to fail."""

wanted: list[tuple[str, int]] = []
"""Keys and payloads of the events that runs want the program's driver to send."""

inside: set[int] = set()
"""The lanes in which a step executes just now."""
overlaps: list[str] = []

is_mended: list[Callable[[str], bool]] = []
"""Asked by a step that fails until its run is retried, with the id of the program's run."""


class Broken(Exception):
    """A step of a program that fails for good."""


def root() -> str:
    """The id of the program's own run, of which this run is or descends from."""
    return hf.current().run_id.partition("/")[0]


# Steps


def note_attempt(name: str, number: int, failures: int = 0) -> None:
    """Tell that an attempt of a step begins."""
    for watch in on_attempt:
        watch(name, number, failures)


def _behave(name: str, number: int, failures: int) -> int:
    note_attempt(name, number, failures)
    if hf.current().attempt <= failures:
        raise Broken(f"step {number}")
    return number


@hf.step(retry=RETRY)
async def quick(number: int, failures: int) -> int:
    return _behave("quick", number, failures)


@hf.step(retry=RETRY)
async def slow(number: int, failures: int) -> int:
    await asyncio.sleep(0.001)
    return _behave("slow", number, failures)


@hf.step(retry=RETRY)
def plain(number: int, failures: int) -> int:
    return _behave("plain", number, failures)


@hf.step(retry=RETRY)
async def posts(number: int, failures: int) -> int:
    """Publishes before it fails: what an attempt that fails has published is not sent."""
    await hf.publish("paper", {"root": root(), "number": number})
    return _behave("posts", number, failures)


@hf.step(retry=RETRY)
async def tells(number: int, failures: int) -> int:
    """Writes to a stream before it fails: what an attempt that is made again has written is withdrawn."""
    await hf.stream("out").write([number, 0])
    return _behave("tells", number, failures)


@hf.step(retry=RETRY)
async def echo(value: Any) -> Any:
    note_attempt("echo", 0)
    return value


@hf.step(retry=RETRY)
async def want(key: str, number: int) -> None:
    note_attempt("want", number)
    wanted.append((key, number))


@hf.step(retry=RETRY)
async def alone(lane: int, number: int) -> int:
    note_attempt("alone", lane)
    if lane in inside:
        overlaps.append(f"two runs hold lane {lane}")
    inside.add(lane)
    try:
        await asyncio.sleep(0.001)
    finally:
        inside.discard(lane)
    return number


@hf.step(retry=RETRY)
async def mark(number: int) -> int:
    note_attempt("mark", number)
    return number


@hf.step(retry=RETRY)
async def mended(number: int) -> int:
    """Fails until somebody has mended what is wrong."""
    if not all(ask(root()) for ask in is_mended):
        raise Broken(f"step {number}")
    note_attempt("mended", number)
    return number


STEPS = {"quick": quick, "slow": slow, "plain": plain, "posts": posts, "tells": tells}


# Workflows


@hf.workflow
async def program(operations: list[Any]) -> list[Any]:
    return await _run(operations)


@hf.workflow(key="lane")
async def laned(lane: int, number: int) -> int:
    await alone(lane, number)
    await hf.sleep(0.001)
    return await alone(lane, number)


@hf.workflow
async def listens(key: str) -> Any:
    return await hf.wait_for_event("beside", key=key)


@hf.workflow
async def speaks(key: str, number: int) -> None:
    await hf.send_event("beside", number, key=key)


@hf.workflow
async def sleeps_long() -> None:
    await hf.sleep(HOUR)


@hf.workflow(timeout=0.05)
async def limited() -> None:
    await hf.sleep(HOUR)


@hf.workflow(cancel_on=("stop", "key"))
async def stopped(key: str, number: int) -> None:
    try:
        await hf.send_event("may be stopped", key=key)
        await hf.sleep(HOUR)
    finally:
        async with hf.shield():
            await quick(number, 0)


@hf.workflow
async def counts(left: int, total: int) -> int:
    total += await quick(left, 0)
    if left:
        hf.continue_as_new(left - 1, total)
    return total


WORKFLOWS = (program, laned, listens, speaks, sleeps_long, limited, stopped, counts)


async def _run(operations: Program) -> list[Any]:
    return [await _do(operation) for operation in operations]


async def _do(operation: list[Any]) -> Any:
    match operation:
        case ["step", kind, number, failures]:
            return await STEPS[kind](number, failures)
        case ["sleep", seconds]:
            return await hf.sleep(seconds)
        case ["now"]:
            seen = hf.now().isoformat()
            return await echo(seen) == seen
        case ["uuid"]:
            text = str(hf.uuid())
            return await echo(text) == text
        case ["random"]:
            drawn = hf.random()
            return await echo(drawn) == drawn and 0 <= drawn < 1
        case ["raise", number]:
            raise Broken(f"program {number}")
        case ["try", operations]:
            try:
                return await _run(operations)
            except Broken as error:
                return ["caught", str(error)]
            except hf.RunFailed as error:
                return ["child failed", _bottom(error)]
        case ["loop", times, operations]:
            return [await _run(operations) for _ in range(times)]
        case ["gather", branches]:
            return list(await hf.gather(*(_call(branch) for branch in branches)))
        case ["asyncio.gather", branches]:
            return list(await asyncio.gather(*(_call(branch) for branch in branches), return_exceptions=False))
        case ["map", limit, kind, items]:
            ways: dict[str, Any] = {"step": _one_step, "branch": _run, "child": program}
            return await hf.map(ways[kind], items, limit=limit)
        case ["child", operations]:
            return await program(operations)
        case ["shield", operations]:
            async with hf.shield():
                return await _run(operations)
        case ["beside", operations]:
            return list(await hf.first(hf.sleep(HOUR), _run(operations)))
        case ["first", how, number]:
            return await _first(how, number, str(hf.uuid()))
        case ["event", how, number]:
            return await _event(how, number, str(hf.uuid()))
        case ["laned", lane, number]:
            return await laned(lane, number)
        case ["attribute", number]:
            return await hf.set_attributes(**{f"a{number}": number})
        case ["patched", number]:
            return hf.patched(f"p{number}")
        case ["again", times]:
            return await counts(times, 0)
        case ["publish", number]:
            return bool(await hf.publish("paper", {"root": root(), "number": number}))
        case ["stream", number]:
            out = hf.stream("out")
            for part in (1, 2):
                await out.write([number, part])
            return None
        case ["progress", number]:
            return hf.progress(number, 100, "under way")
        case ["hold"]:
            return await hf.hold("release me", type=int)
        case _:
            return await _meet(operation)


async def _meet(operation: list[Any]) -> Any:
    """Operations in which the run meets its limits, or whoever steers it."""
    match operation:
        case ["limited"]:
            try:
                return await limited()
            except hf.RunFailed as error:
                return _bottom(error).endswith("took longer than its timeout")
        case ["stopped", number]:
            key = str(hf.uuid())
            try:
                await hf.gather(stopped(key, number), _stop(key))
            except hf.RunCancelled:
                return "stopped"
        case ["mark", number]:
            return await mark(number)
        case ["mended", number]:
            return await mended(number)
        case ["until cancelled", number]:
            try:
                await want(f"cancel {root()}", number)
                await hf.sleep(HOUR)
            finally:
                async with hf.shield():
                    await quick(number, 0)
        case ["rated", _, _] | ["large", _] | ["many", _, _] | ["amended", _]:
            from tests.verification import rules  # here: an older build does not know them

            return await rules.do(operation)
    raise AssertionError(operation)


async def _stop(key: str) -> None:
    await hf.wait_for_event("may be stopped", key=key)
    await hf.send_event("stop", key=key)


async def _event(how: str, number: int, key: str) -> Any:
    match how:
        case "early":
            await hf.send_event("beside", number, key=key)
            return await hf.wait_for_event("beside", key=key, type=int)
        case "branch":
            got, _ = await hf.gather(hf.wait_for_event("beside", key=key), hf.send_event("beside", number, key=key))
            return got
        case "child":
            got, _ = await hf.gather(hf.wait_for_event("beside", key=key, timeout=HOUR), speaks(key, number))
            return got
        case "to child":
            got, _ = await hf.gather(listens(key), hf.send_event("beside", number, key=key))
            return got
        case "to all":
            send = hf.send_event("beside", number, key=key, to="all")
            return list(await hf.gather(listens(key), hf.wait_for_event("beside", key=key), send))[:2]
        case "one each":
            sends = [hf.send_event("beside", number + n, key=key) for n in range(2)]
            return sorted((await hf.gather(listens(key), hf.wait_for_event("beside", key=key), *sends))[:2])
        case "driver":
            await want(key, number)
            return await hf.wait_for_event("driver", key=key)
        case "timeout":
            try:
                return await hf.wait_for_event("never", key=key, timeout=0.002)
            except hf.EventTimeout:
                return "too late"
    raise AssertionError(how)


async def _first(how: str, number: int, key: str) -> Any:
    match how:
        case "step":
            return list(await hf.first(hf.wait_for_event("never", key=key), slow(number, 0), sleeps_long()))
        case "child":
            return list(await hf.first(hf.sleep(HOUR), listens(key), program([["step", "quick", number, 1]])))
        case "branch":
            return list(await hf.first(_run([["sleep", HOUR]]), _run([["sleep", 0.001], ["step", "slow", number, 1]])))
        case "deep":
            return list(await hf.first(hf.sleep(HOUR), _deep(number)))
        case "map":
            children = hf.map(program, [[["step", "quick", number, 0]], [["sleep", 0.001]]])
            return list(await hf.first(hf.wait_for_event("never", key=key), children))
        case "event or sleep":
            # Whichever is first, the event is not lost.
            race = hf.first(hf.wait_for_event("beside", key=key), hf.sleep(0.002))
            found, _ = await hf.gather(race, _late(key, number))
            return found.value if found.index == 0 else await hf.wait_for_event("beside", key=key)
        case "event or timeout":
            try:
                wait = hf.wait_for_event("beside", key=key, timeout=0.003)
                return (await hf.gather(wait, _late(key, number)))[0]
            except hf.EventTimeout:
                return await hf.wait_for_event("beside", key=key)
    raise AssertionError(how)


async def _deep(number: int) -> list[Any]:
    inner = hf.map(_run, [[["sleep", 0.001]], [["step", "quick", number, 0]]])
    (one,), others = await hf.gather(hf.gather(slow(number, 1)), inner)
    return [one, others]


async def _late(key: str, number: int) -> None:
    await hf.sleep(0.001)
    await hf.send_event("beside", number, key=key)


def _call(branch: list[Any]) -> Any:
    """A branch of a fan-out: a call of a step or a child made directly, or a coroutine with calls inside."""
    match branch:
        case ["step", kind, number, failures]:
            return STEPS[kind](number, failures)
        case ["child", operations]:
            return program(operations)
    return _do(branch)


def _one_step(operations: Program) -> Any:
    [[_, kind, number, failures]] = operations
    return STEPS[kind](number, failures)


def _bottom(error: BaseException) -> str:
    while isinstance(error, hf.RunFailed) and error.__cause__ is not None:
        error = error.__cause__
    return str(error).rpartition(": ")[2]
