"""Random workflow programs, a workflow that executes them durably, and an oracle that knows the right result.

A program is plain data, a list of operations, so that it can be a run's input. Every operation
carries numbers of its own, and results hold them, so that a result in the wrong place is seen.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

import holdfast as hf

Program = list[Any]

RETRY = hf.Retry(max_attempts=3, initial=0.0005, factor=2.0, jitter=0.0)

on_attempt: list[Callable[[], None]] = []
"""Called first by each attempt of each step."""

wanted: list[tuple[str, int]] = []
"""Keys and payloads of the events that runs want the program's driver to send."""

RELEASED = 7
"""The value with which the driver releases whatever is held."""

HOUR = 3600.0


class Broken(Exception):
    """A step of a program that fails for good."""


# Steps


def _behave(number: int, failures: int) -> int:
    for watch in on_attempt:
        watch()
    if hf.current().attempt <= failures:
        raise Broken(f"step {number}")
    return number


@hf.step(retry=RETRY)
async def quick(number: int, failures: int) -> int:
    return _behave(number, failures)


@hf.step(retry=RETRY)
async def slow(number: int, failures: int) -> int:
    await asyncio.sleep(0.001)
    return _behave(number, failures)


@hf.step(retry=RETRY)
def plain(number: int, failures: int) -> int:
    return _behave(number, failures)


@hf.step(retry=RETRY)
async def echo(value: Any) -> Any:
    for watch in on_attempt:
        watch()
    return value


@hf.step(retry=RETRY)
async def want(key: str, number: int) -> None:
    for watch in on_attempt:
        watch()
    wanted.append((key, number))


inside: set[int] = set()
"""The lanes in which a step executes just now."""
overlaps: list[str] = []


@hf.step(retry=RETRY)
async def alone(lane: int, number: int) -> int:
    for watch in on_attempt:
        watch()
    if lane in inside:
        overlaps.append(f"two runs hold lane {lane}")
    inside.add(lane)
    try:
        await asyncio.sleep(0.001)
    finally:
        inside.discard(lane)
    return number


STEPS = {"quick": quick, "slow": slow, "plain": plain}


# The workflow


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


@hf.workflow
async def counts(left: int, total: int) -> int:
    total += await quick(left, 0)
    if left:
        hf.continue_as_new(left - 1, total)
    return total


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
                return ["child failed", _root(error)]
        case ["loop", times, operations]:
            return [await _run(operations) for _ in range(times)]
        case ["gather", branches]:
            return list(await hf.gather(*(_call(branch) for branch in branches)))
        case ["asyncio.gather", branches]:
            return list(await asyncio.gather(*(_call(branch) for branch in branches), return_exceptions=False))
        case ["map", limit, kind, items]:
            return await hf.map({"step": _one_step, "branch": _run, "child": program}[kind], items, limit=limit)
        case ["child", operations]:
            return await program(operations)
        case ["event", how, number]:
            return await _event(how, number, str(hf.uuid()))
        case ["first", how, number]:
            return await _first(how, number, str(hf.uuid()))
        case ["laned", lane, number]:
            return await laned(lane, number)
        case ["shield", operations]:
            async with hf.shield():
                return await _run(operations)
        case ["attribute", number]:
            return await hf.set_attributes(**{f"a{number}": number})
        case ["patched", number]:
            return hf.patched(f"p{number}")
        case ["hold"]:
            return await hf.hold("release me", type=int)
        case ["again", times]:
            return await counts(times, 0)
    raise AssertionError(operation)


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


def _root(error: BaseException) -> str:
    while isinstance(error, hf.RunFailed) and error.__cause__ is not None:
        error = error.__cause__
    return str(error).rpartition(": ")[2]


# The oracle


class ChildFailed(Exception):
    """In the oracle: a child run failed."""


Facts = dict[str, Any]


def right(operations: Program, facts: Facts) -> list[Any]:
    """What the program returns.

    Args:
        facts: is given the attributes that the run sets.

    Raises:
        Broken: it fails.
        ChildFailed: it fails with a child run.
    """
    return [_right(operation, facts) for operation in operations]


def _right(operation: list[Any], facts: Facts) -> Any:
    match operation:
        case ["step", _, number, failures]:
            if failures >= RETRY.max_attempts:
                raise Broken(f"step {number}")
            return number
        case ["sleep", _]:
            return None
        case ["now"] | ["uuid"] | ["random"]:
            return True
        case ["raise", number]:
            raise Broken(f"program {number}")
        case ["try", operations]:
            try:
                return right(operations, facts)
            except Broken as error:
                return ["caught", str(error)]
            except ChildFailed as error:
                return ["child failed", str(error)]
        case ["loop", times, operations]:
            return [right(operations, facts) for _ in range(times)]
        case ["gather" | "asyncio.gather", branches]:
            return _side_by_side(branches, facts)
        case ["map", _, "child", items]:
            return _side_by_side([["child", item] for item in items], facts)
        case ["map", _, "branch", items]:
            return _side_by_side([["shield", item] for item in items], facts)
        case ["map", _, "step", items]:
            return _side_by_side([step for [step] in items], facts)
        case ["child", operations]:
            try:
                return right(operations, {})
            except (Broken, ChildFailed) as error:
                raise ChildFailed(str(error)) from error
        case ["event", how, number]:
            return {"to all": [number] * 2, "one each": [number, number + 1], "timeout": "too late"}.get(how, number)
        case ["first", how, number]:
            return {"step": [1, number], "child": [2, [number]], "branch": [1, [None, number]]}.get(how, number)
        case ["laned", _, number]:
            return number
        case ["shield", operations]:
            return right(operations, facts)
        case ["attribute", number]:
            facts[f"a{number}"] = number
            return None
        case ["patched", _]:
            return True
        case ["hold"]:
            return RELEASED
        case ["again", times]:
            return sum(range(times + 1))
    raise AssertionError(operation)


def _side_by_side(branches: list[Any], facts: Facts) -> list[Any]:
    """Every branch ends, whatever fails; then the first error in their order is raised."""
    found: list[Any] = []
    errors: list[Exception] = []
    for branch in branches:
        try:
            found.append(_right(branch, facts))
        except (Broken, ChildFailed) as error:
            errors.append(error)
    if errors:
        raise errors[0]
    return found


def outcome(operations: Program) -> tuple[str, Any, Facts]:
    """The right status; the right output, or the message of the error at the bottom; the right attributes."""
    facts: Facts = {}
    try:
        return "succeeded", right(operations, facts), facts
    except (Broken, ChildFailed) as error:
        return "failed", str(error), facts


# The generator

_numbers = st.integers(0, 99)


def _steps(failures: st.SearchStrategy[int]) -> st.SearchStrategy[list[Any]]:
    return st.tuples(st.just("step"), st.sampled_from(sorted(STEPS)), _numbers, failures).map(list)


_sound = _steps(st.sampled_from([0, 0, 0, 0, 1, 2]))
_any_step = _steps(st.sampled_from([0, 0, 0, 1, 2, 3]))
_simple = st.one_of(
    _sound,
    _sound,
    _any_step,
    st.sampled_from([0.0, 0.001, 0.003]).map(lambda seconds: ["sleep", seconds]),
    st.sampled_from([["now"], ["uuid"], ["random"], ["hold"]]),
    st.tuples(
        st.just("event"),
        st.sampled_from(["early", "branch", "child", "to child", "to all", "one each", "driver", "timeout"]),
        _numbers,
    ).map(list),
    st.tuples(
        st.just("first"),
        st.sampled_from(["step", "child", "branch", "event or sleep", "event or timeout"]),
        _numbers,
    ).map(list),
    st.tuples(st.just("laned"), st.integers(0, 1), _numbers).map(list),
    st.tuples(st.sampled_from(["attribute", "patched"]), _numbers).map(list),
    st.integers(0, 2).map(lambda times: ["again", times]),
)


def _lists(operations: st.SearchStrategy[Any], most: int = 3) -> st.SearchStrategy[Program]:
    return st.lists(operations, min_size=1, max_size=most)


def _compound(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    limits = st.sampled_from([None, 1, 2])
    return st.one_of(
        _lists(inner).map(lambda x: ["try", x]),
        _lists(st.one_of(inner, _numbers.map(lambda n: ["raise", n]))).map(lambda x: ["try", x]),
        st.tuples(st.integers(0, 3), _lists(inner, 2)).map(lambda x: ["loop", *x]),
        _lists(inner, 4).map(lambda x: ["gather", x]),
        st.lists(_sound, max_size=4).map(lambda x: ["asyncio.gather", x]),
        st.tuples(limits, st.just("step"), st.lists(_any_step.map(lambda x: [x]), max_size=5)).map(
            lambda x: ["map", *x]
        ),
        st.tuples(limits, st.sampled_from(["branch", "child"]), st.lists(_lists(inner, 2), max_size=3)).map(
            lambda x: ["map", *x]
        ),
        _lists(inner).map(lambda x: ["child", x]),
        _lists(inner).map(lambda x: ["shield", x]),
    )


def programs(leaves: int = 12) -> st.SearchStrategy[Program]:
    """Random programs; child runs go three deep at most."""
    return _lists(st.recursive(_simple, _compound, max_leaves=leaves), 4).filter(lambda p: depth(p) <= 3)


def depth(operations: Any) -> int:
    """How deep child runs are nested."""
    if not isinstance(operations, list):
        return 0
    nested = max((depth(one) for one in operations), default=0)
    is_child = operations[:1] == ["child"] or (operations[:1] == ["map"] and operations[2] == "child")
    return nested + is_child
