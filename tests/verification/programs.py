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


STEPS = {"quick": quick, "slow": slow, "plain": plain}


# The workflow


@hf.workflow
async def program(operations: list[Any]) -> list[Any]:
    return await _run(operations)


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
    raise AssertionError(operation)


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


def right(operations: Program) -> list[Any]:
    """What the program returns.

    Raises:
        Broken: it fails.
        ChildFailed: it fails with a child run.
    """
    return [_right(operation) for operation in operations]


def _right(operation: list[Any]) -> Any:
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
                return right(operations)
            except Broken as error:
                return ["caught", str(error)]
            except ChildFailed as error:
                return ["child failed", str(error)]
        case ["loop", times, operations]:
            return [right(operations) for _ in range(times)]
        case ["gather" | "asyncio.gather", branches]:
            return [_right(branch) for branch in branches]
        case ["map", _, "child", items]:
            return [_right(["child", item]) for item in items]
        case ["map", _, "branch", items]:
            return [right(item) for item in items]
        case ["map", _, "step", items]:
            return [_right(step) for [step] in items]
        case ["child", operations]:
            try:
                return right(operations)
            except (Broken, ChildFailed) as error:
                raise ChildFailed(str(error)) from error
    raise AssertionError(operation)


def outcome(operations: Program) -> tuple[str, Any]:
    """The right status, and the right output or the message of the error at the bottom."""
    try:
        return "succeeded", right(operations)
    except (Broken, ChildFailed) as error:
        return "failed", str(error)


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
    st.sampled_from([["now"], ["uuid"], ["random"]]),
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
