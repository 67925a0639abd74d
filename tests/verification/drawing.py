"""Makes programs from a seed: what is executed, how it is started, what is done to it, and what is right."""

from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal, get_args

from tests.verification.oracle import Answer, answer
from tests.verification.programs import STEPS, Program

EVENTS = ["early", "branch", "child", "to child", "to all", "one each", "driver", "timeout"]
FIRSTS = ["step", "child", "branch", "deep", "map", "event or sleep", "event or timeout"]
LIMITS = (None, 1, 2)

NEW = {"stream", "step: tells", "rated", "large", "many", "amended", "first: deep", "first: map", "beside"}
"""Kinds of operations that the older build of an upgrade may lack, or had a fault with."""

DEEPEST = 3
"""So deep child runs are nested at most."""

Fate = Literal["let be", "retry", "fork", "cancel", "cancel any time", "hold any time"]
"""What somebody does to the run.

``retry``: it fails once, is mended and retried; ``fork``: when it has ended, from a step in its middle; ``cancel``:
when it is at its end, where it waits for that; ``any time``: at some moment, whatever it does just then.
"""

_FATES: tuple[Fate, ...] = ("let be",) * 11 + get_args(Fate)


@dataclass
class Case:
    """A program, what is done to its run, and what is right.

    Attributes:
        number: of the program, within its seed.
        options: with which its run is started.
        fork: what is right of the run that is forked off, for that fate.
        seconds: after which it is done, if at any time.
    """

    number: int
    operations: Program
    fate: Fate
    options: dict[str, Any]
    right: Answer
    fork: Answer | None = None
    seconds: float = 0.0
    kinds: set[str] = field(default_factory=set)

    name: str = ""

    @property
    def id(self) -> str:
        """Of its run."""
        return self.name or f"p{self.number}"


def draw(seed: int, number: int, most: int = 12, *, older: bool = False) -> Case:
    """The program of a number.

    Args:
        seed: the same programs for the same one.
        number: which of them.
        most: operations in it, at most about so many.
        older: only what an older build knows too.
    """
    random = Random(f"{seed}/{number}")
    if older:
        while _is_beyond_older(found := draw(seed, number, most)):
            number += 1_000_000
        found.number %= 1_000_000
        return found
    fate = random.choice(_FATES)
    options: dict[str, Any] = {"priority": random.choice((0, 0, 0, 1, -1, 10))}
    if random.random() < 0.15:
        options["delay"] = random.choice((0.01, 0.3))
    if random.random() < 0.2:
        options["attributes"] = {"given": number}
    if fate in ("let be", "cancel any time", "hold any time"):
        operations = _list(random, [random.randint(1, most)], 0, 4)
        fork = None
    else:
        left = most // 2
        before, after = _sound(random, left), _sound(random, left)
        while fate == "fork" and kinds(before) & {"uuid", "random"}:
            before = _sound(random, left)  # what is kept was done with those of the run that it is forked from
        middle = {"retry": "mended", "fork": "mark", "cancel": "until cancelled"}[fate]
        operations = [*before, [middle, random.randint(0, 99)]]
        operations += [] if fate == "cancel" else after
        fork = answer(operations) if fate == "fork" else None
        if fork is not None:
            redone = answer(operations[len(before) :])
            fork.effects, fork.messages = redone.effects, redone.messages
            # Its streams are empty at first; the code writes to them again, and the steps that are kept do not.
            fork.chunks = redone.chunks + answer(before).own
    right = answer(operations)
    right.attributes = {**options.get("attributes", {}), **right.attributes}
    if fork is not None:
        fork.attributes = right.attributes
    return Case(number, operations, fate, options, right, fork, random.choice((0.0, 0.05, 0.3, 1.0)), kinds(operations))


def _is_beyond_older(case: Case) -> bool:
    """Whether an older build may execute it wrongly: one had a fault with forks behind a cancelled child."""
    return bool(case.kinds & NEW) or (case.fate == "fork" and "stopped" in case.kinds)


def every_kind(name: str, number: int, queue: str) -> Case:
    """A program with every kind of operation, that one worker executes.

    Args:
        name: the id of its run.
        number: of the program.
        queue: which that worker alone serves.
    """
    random = Random(number)
    operations: Program = [["step", kind, random.randint(0, 99), n % 3] for n, kind in enumerate(sorted(STEPS))]
    operations += [["event", how, random.randint(0, 99)] for how in EVENTS]
    operations += [["first", how, random.randint(0, 99)] for how in FIRSTS]
    operations += [[one] for one in ("now", "uuid", "random", "hold", "limited")]
    operations += [
        [one, number % 100]
        for one in (
            "stopped",
            "attribute",
            "patched",
            "publish",
            "progress",
            "stream",
            "large",
            "amended",
        )
    ]
    operations += [
        ["again", 1],
        ["laned", random.randint(0, 3), 1],
        ["rated", 2, 1],
        ["many", 3, 20],
        ["sleep", 0.001],
        ["try", [["raise", 1]]],
    ]
    operations += [
        ["map", 2, kind, [[["step", "quick", n, 0]] for n in range(3)]] for kind in ("step", "branch", "child")
    ]
    operations += [["gather", [["step", "slow", 1, 0], ["child", [["step", "plain", 2, 1]]]]]]
    return Case(number, operations, "let be", {"queue": queue}, answer(operations), name=name)


def _sound(random: Random, most: int) -> Program:
    """Operations that do not fail."""
    while True:
        found = _list(random, [random.randint(1, most)], 0, 3)
        if answer(found).status == "succeeded":
            return found


def _list(random: Random, left: list[int], deep: int, most: int = 3) -> Program:
    """One operation or more; `left` holds how many there may still be."""
    found = [_operation(random, left, deep)]
    while len(found) < most and left[0] > 0 and random.random() < 0.7:
        found.append(_operation(random, left, deep))
    return found


def _operation(random: Random, left: list[int], deep: int) -> list[Any]:
    left[0] -= 1
    if left[0] > 0 and random.random() < 0.4:
        return _compound(random, left, deep)
    number = random.randint(0, 99)
    match random.choice(_SIMPLE):
        case "step":
            return _step(random, (0, 0, 0, 0, 0, 1, 2, 3))
        case "sleep":
            return ["sleep", random.choice((0.0, 0.001, 0.003, 0.05))]
        case "event":
            return ["event", random.choice(EVENTS), number]
        case "first":
            return ["first", random.choice(FIRSTS), number]
        case "laned":
            return ["laned", random.randint(0, 3), number]
        case "rated":
            return ["rated", random.randint(0, 1), number]
        case "many":
            limit, count = random.choice((0, 0, 1, 7)), random.choice((10, 10, 20, 20, 150))
            return ["many", 7 if limit and count > 20 else limit, count]
        case "again":
            return ["again", random.randint(0, 2)]
        case "now" | "uuid" | "random" | "hold" | "limited" as name:
            return [name]
        case name:
            return [name, number]


_SIMPLE = (
    "step", "step", "step", "step", "sleep", "event", "event", "first", "laned", "again", "now", "uuid", "random",
    "hold", "limited", "stopped", "attribute", "patched", "publish", "progress", "stream",
    "rated", "large", "amended", "many",
)  # fmt: skip


def _step(random: Random, failures: tuple[int, ...]) -> list[Any]:
    return ["step", random.choice(sorted(STEPS)), random.randint(0, 99), random.choice(failures)]


def _compound(random: Random, left: list[int], deep: int) -> list[Any]:
    child = ["child", "child", "map"] if deep < DEEPEST else []
    match random.choice(
        ["try", "raise", "loop", "gather", "asyncio.gather", "map steps", "branches", "shield", "beside", *child]
    ):
        case "raise":
            return ["try", [*_list(random, left, deep), ["raise", random.randint(0, 99)]]]
        case "loop":
            return ["loop", random.randint(0, 3), _list(random, left, deep, 2)]
        case "gather":
            return ["gather", _list(random, left, deep, 4)]
        case "asyncio.gather":
            return ["asyncio.gather", [_step(random, (0, 0, 1, 2)) for _ in range(random.randint(0, 4))]]
        case "map steps":
            steps = [[_step(random, (0, 0, 0, 1, 2, 3))] for _ in range(random.randint(0, 5))]
            return ["map", random.choice(LIMITS), "step", steps]
        case "branches":
            lists = [_list(random, left, deep, 2) for _ in range(random.randint(0, 3))]
            return ["map", random.choice(LIMITS), "branch", lists]
        case "map":
            lists = [_list(random, left, deep + 1, 2) for _ in range(random.randint(0, 3))]
            return ["map", random.choice(LIMITS), "child", lists]
        case "child":
            return ["child", _list(random, left, deep + 1)]
        case name:
            return [name, _list(random, left, deep)]


def depth(operations: Any) -> int:
    """How deep child runs are nested."""
    if not isinstance(operations, list):
        return 0
    nested = max((depth(one) for one in operations), default=0)
    is_child = operations[:1] == ["child"] or (operations[:1] == ["map"] and operations[2] == "child")
    return nested + is_child


def kinds(operations: Any) -> set[str]:
    """The kinds of operations in a program."""
    if not isinstance(operations, list):
        return set()
    found = {operations[0]} if operations and isinstance(operations[0], str) else set()
    if found & {"event", "first", "step"}:
        found = {f"{operations[0]}: {operations[1]}"}
    elif found == {"map"}:
        found = {f"map: {operations[2]}"}
    return found.union(*(kinds(one) for one in operations))
