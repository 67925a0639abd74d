"""The tree of a rule: the kinds of its nodes, each with its place in the text."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Literal:
    """A number, text, truth value or null."""

    value: float | str | bool | None
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list."""

    items: tuple[Node, ...]
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Name:
    """What stands by itself: signals, properties, …, or the variable of a macro."""

    name: str
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Member:
    """``of.key``, or ``of["key"]``."""

    of: Node
    key: str
    dotted: bool = field(default=True, compare=False)
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Index:
    """``of[index]``."""

    of: Node
    index: Node
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Call:
    """``function(…)``, or ``target.function(…)``."""

    function: str
    arguments: tuple[Node, ...]
    target: Node | None = None
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Has:
    """``has(path)``: whether it is there."""

    path: Member
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Macro:
    """``over.kind(variable, …)``: goes through a list."""

    kind: str
    over: Node
    variable: str
    bodies: tuple[Node, ...]
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Not:
    """``!operand``."""

    operand: Node
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Minus:
    """``-operand``."""

    operand: Node
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Operation:
    """A comparison, ``in``, or arithmetic. ``at``: the place of the operator."""

    op: str
    left: Node
    right: Node
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Junction:
    """``&&`` or ``||`` of two or more."""

    op: str
    parts: tuple[Node, ...]
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Choice:
    """``condition ? yes : no``."""

    condition: Node
    yes: Node
    no: Node
    at: int = field(default=0, compare=False)


Node = (
    Literal | ListOf | Name | Member | Index | Call | Has | Macro | Not | Minus | Operation | Junction | Choice
)  # fmt: skip


def children(node: Node) -> tuple[Node, ...]:
    """The parts of a node, in the order in which they stand."""
    match node:
        case ListOf(items):
            return items
        case Member(of):
            return (of,)
        case Index(of, index):
            return (of, index)
        case Call(_, arguments, target):
            return arguments if target is None else (target, *arguments)
        case Has(path):
            return (path,)
        case Macro(_, over, _, bodies):
            return (over, *bodies)
        case Not(operand) | Minus(operand):
            return (operand,)
        case Operation(_, left, right):
            return (left, right)
        case Junction(_, parts):
            return parts
        case Choice(condition, yes, no):
            return (condition, yes, no)
        case _:
            return ()


def parts(node: Node, into: tuple[type, ...] | None = None) -> list[Node]:
    """A node and all nodes in it, in no order.

    Args:
        node: the node.
        into: the kinds of nodes that are looked into; None: all.
    """
    found, stack = [], [node]
    while stack:
        part = stack.pop()
        found.append(part)
        if into is None or isinstance(part, into):
            stack += children(part)
    return found
