"""Whether a webhook's answer says that it took the message: a rule in CEL about its status and its body.

It is read, checked and told as the rules of the work queue are (see `holdfast.model.rules`): numbers are compared
whatever their type is, and a comparison with what is absent is false.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from holdfast.errors import RuleError
from holdfast.model.nearest import nearest
from holdfast.model.rule_checks import MACROS_AT_MOST, check
from holdfast.model.rule_library import constant_fault
from holdfast.model.rule_nodes import Call, Has, Macro, Member, Name, Node, parts
from holdfast.model.rule_syntax import parse, refusal
from holdfast.model.rule_values import VARIABLES, truth_of

ROOT = "answer"

KINDS = {"status": "number", "body": "any", "headers": "any"}
"""What an answer has: its status, its body (what it says in JSON, else its text), its headers in lower case."""

_BEHIND = [None] * (VARIABLES + MACROS_AT_MOST - 1)


class Accept:
    """A rule about answers; made by `accept_from`.

    Attributes:
        text: as it was written.
    """

    __slots__ = ("_holds", "text")

    def __init__(self, text: str, node: Node) -> None:
        self.text = text
        self._holds = truth_of(node, {ROOT: 0})

    def __repr__(self) -> str:
        return f"Accept({self.text!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Accept) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)

    def holds(self, status: int, body: Any, headers: dict[str, str]) -> bool:
        """Whether the answer says that the message was taken."""
        return self._holds([{"status": status, "body": body, "headers": headers}, *_BEHIND])


def accept_from(text: object, place: str = "accept") -> Accept:
    """A rule about answers, read and checked.

    Args:
        text: such as ``status == 200 && body.ok == true``.
        place: what it is called in messages.

    Raises:
        RuleError: it cannot be read, or a part of it can never be told; says where and why.
        UsageError: it is no text, or needs a library that is not installed.
    """
    read = parse(text, place)
    assert isinstance(text, str)
    known = {*KINDS, *(part.variable for part in parts(read) if isinstance(part, Macro))}
    for part in parts(read):
        if isinstance(part, Name) and part.name not in known:
            near = nearest(part.name, KINDS)
            meant = f"did you mean {near}?" if near else f"there are {', '.join(KINDS)}"
            raise refusal(text, part.at, f"{part.name} is not known here; {meant}", place)
        if isinstance(part, Macro):
            if part.variable in KINDS:
                reason = f"{part.variable} is taken: give the entries of the list another name"
                raise refusal(text, part.at, reason, place)
            if any(isinstance(one, Macro) for body in part.bodies for one in parts(body)):
                raise refusal(text, part.at, "it goes through a list for each entry of a list: one must do", place)
        if isinstance(part, Call) and part.function.startswith("days_"):
            raise refusal(text, part.at, f"{part.function}() counts from today, which no answer knows", place)
    node = _rooted(read)
    try:
        check(node, text, place, {ROOT: KINDS})
    except RuleError as error:
        raise RuleError(str(error).replace(f"{ROOT}.", ""), line=error.line, column=error.column) from None
    for part in parts(node):
        if isinstance(part, Call) and (fault := constant_fault(part)) is not None:
            raise refusal(text, part.at, fault, place)
    return Accept(text, node)


def _rooted(node: Node) -> Node:
    """The same with what an answer has behind one root, as rules ask for things."""
    if isinstance(node, Name):
        return Member(Name(ROOT, node.at), node.name, at=node.at) if node.name in KINDS else node
    if isinstance(node, Has):
        path = _rooted(node.path)
        return Has(path, node.at) if isinstance(path, Member) else node
    changed: dict[str, Any] = {}
    for field in dataclasses.fields(node):
        value = getattr(node, field.name)
        if isinstance(value, Node):
            changed[field.name] = _rooted(value)
        elif isinstance(value, tuple) and value and isinstance(value[0], Node):
            changed[field.name] = tuple(_rooted(one) for one in value)
    return dataclasses.replace(node, **changed) if changed else node
