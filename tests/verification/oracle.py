"""Knows what a program returns and does, without executing it."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.verification.programs import RETRY, Broken, Program

RELEASED = 7
"""The value with which the driver releases whatever is held."""

Effect = tuple[str, int, int]
"""A step that is called: its name, its number, and how often it is to fail."""


class ChildFailed(Exception):
    """A child run failed."""


class Stopped(Exception):
    """The program's run is cancelled here."""


@dataclass
class Answer:
    """What is right.

    Attributes:
        output: what is returned, or the message of the error at the bottom.
        attributes: of the program's own run.
        effects: each call of a step, once however often it is attempted.
        messages: the numbers of the messages that are published.
        chunks: what is written to streams, and not withdrawn: numbers and parts.
        own: of these, what the code of the program's own workflow writes, and no step or child run.
    """

    status: Literal["succeeded", "failed", "cancelled"] = "succeeded"
    output: Any = None
    attributes: dict[str, Any] = field(default_factory=dict)
    effects: Counter[Effect] = field(default_factory=Counter)
    messages: Counter[int] = field(default_factory=Counter)
    chunks: Counter[tuple[int, int]] = field(default_factory=Counter)
    own: Counter[tuple[int, int]] = field(default_factory=Counter)


def attempts(effect: Effect) -> int:
    """How many attempts a call of a step takes."""
    return 1 if effect[0] == "amended" else min(effect[2] + 1, RETRY.max_attempts)


def answer(operations: Program) -> Answer:
    """The right answer to a program."""
    found = Answer()
    try:
        found.output = _run(operations, found)
    except (Broken, ChildFailed) as error:
        found.status, found.output = "failed", str(error)
    except Stopped:
        found.status = "cancelled"
    return found


def _run(operations: Program, found: Answer) -> list[Any]:
    return [_right(operation, found) for operation in operations]


def _step(name: str, number: int, failures: int, found: Answer) -> int:
    found.effects[name, number, failures] += 1
    if name == "tells":
        found.chunks[number, 0] += 1
    if failures >= RETRY.max_attempts:
        raise Broken(f"step {number}")
    if name == "posts":
        found.messages[number] += 1
    return number


def _right(operation: list[Any], found: Answer) -> Any:
    match operation:
        case ["step", name, number, failures]:
            return _step(name, number, failures, found)
        case ["mark" | "mended" as name, number]:
            return _step(name, number, 0, found)
        case ["now"] | ["uuid"] | ["random"]:
            _step("echo", 0, 0, found)
            return True
        case ["raise", number]:
            raise Broken(f"program {number}")
        case ["try", operations]:
            try:
                return _run(operations, found)
            except Broken as error:
                return ["caught", str(error)]
            except ChildFailed as error:
                return ["child failed", str(error)]
        case ["loop", times, operations]:
            return [_run(operations, found) for _ in range(times)]
        case ["gather" | "asyncio.gather", branches]:
            return _side_by_side(branches, found)
        case ["map", _, "child", items]:
            return _side_by_side([["child", item] for item in items], found)
        case ["map", _, "branch", items]:
            return _side_by_side([["shield", item] for item in items], found)
        case ["map", _, "step", items]:
            return _side_by_side([step for [step] in items], found)
        case ["child", operations]:
            try:
                return _run(operations, Answer(effects=found.effects, messages=found.messages, chunks=found.chunks))
            except (Broken, ChildFailed) as error:
                raise ChildFailed(str(error)) from error
        case ["shield", operations]:
            return _run(operations, found)
        case ["beside", operations]:
            return [1, _run(operations, found)]
        case ["first", how, number]:
            if how in ("step", "child", "branch", "deep"):
                _step("quick" if how == "child" else "slow", number, 0 if how == "step" else 1, found)
            if how in ("deep", "map"):
                _step("quick", number, 0, found)
            return {
                "step": [1, number],
                "child": [2, [number]],
                "branch": [1, [None, number]],
                "deep": [1, [number, [[None], [number]]]],
                "map": [1, [[number], [None]]],
            }.get(how, number)
        case ["event", how, number]:
            if how == "driver":
                _step("want", number, 0, found)
            return {"to all": [number] * 2, "one each": [number, number + 1], "timeout": "too late"}.get(how, number)
        case ["laned", lane, number]:
            found.effects["alone", lane, 0] += 2
            return number
        case ["attribute", number]:
            found.attributes[f"a{number}"] = number
            return None
        case ["again", times]:
            return sum(_step("quick", left, 0, found) for left in range(times + 1))
        case ["publish", number]:
            found.messages[number] += 1
            return True
        case ["rated", _, number]:
            return _step("quick", number, 0, found)
        case ["large", number]:
            _step("large", number, 0, found)
            return True
        case ["many", _, _]:
            return True
        case ["amended", number]:
            found.effects["amended", 0, number] += 1
            return True
        case ["stream", number]:
            found.chunks.update([(number, 1), (number, 2)])
            found.own.update([(number, 1), (number, 2)])
            return None
        case ["sleep", _] | ["progress", _]:
            return None
        case ["patched", _] | ["limited"]:
            return True
        case ["hold"]:
            return RELEASED
        case ["stopped", number]:
            _step("quick", number, 0, found)
            return "stopped"
        case ["until cancelled", number]:
            _step("want", number, 0, found)
            _step("quick", number, 0, found)
            raise Stopped
    raise AssertionError(operation)


def _side_by_side(branches: list[Any], found: Answer) -> list[Any]:
    """Every branch ends, whatever fails; then the first error in their order is raised."""
    results: list[Any] = []
    errors: list[Exception] = []
    for branch in branches:
        try:
            results.append(_right(branch, found))
        except (Broken, ChildFailed) as error:
            errors.append(error)
    if errors:
        raise errors[0]
    return results
