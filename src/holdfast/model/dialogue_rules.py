"""Rules of dialogues: what has been collected tells whether a step is on the way, where it leads, when it is complete.

They are rules as `holdfast.model.rules` has them, with one root: ``collected.NAME``. What is absent may still come, so
beside holding a rule can be certain: it holds whatever comes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping
from typing import Any

from holdfast.model.rule_checks import MACROS_AT_MOST
from holdfast.model.rule_nodes import Call, Choice, Junction, Literal, Member, Name, Node, Not, Operation, parts
from holdfast.model.rule_syntax import parse, refusal
from holdfast.model.rule_values import VARIABLES, Env, Scope, truth_of
from holdfast.model.rules import checked_tree

ROOT = "collected"

_SCOPE: Scope = {ROOT: 0}
_BEHIND = [None] * (VARIABLES + MACROS_AT_MOST - 1)

Told = Callable[[Env, Collection[str]], bool | None]
"""Whether a part of a rule holds, None while what may still come (the names given) can tell otherwise."""


class DialogueRule:
    """A rule about what has been collected; made by `dialogue_rule`.

    Attributes:
        names: the fields that it names.
    """

    __slots__ = ("_holds", "_told", "names")

    def __init__(self, node: Node) -> None:
        self.names = _names(node)
        self._holds = truth_of(node, _SCOPE)
        self._told = _told(node)

    def holds(self, collected: dict[str, Any]) -> bool:
        """Whether it holds with what has been collected, and no more."""
        return self._holds([collected, *_BEHIND])

    def is_certain(self, collected: dict[str, Any], awaited: Collection[str]) -> bool:
        """Whether it holds with what has been collected, whatever comes.

        Args:
            collected: the fields by name.
            awaited: the names of those that may still come.
        """
        return self._told([collected, *_BEHIND], awaited) is True


@functools.lru_cache(maxsize=2000)
def dialogue_rule(text: str) -> DialogueRule:
    """A rule, ready to be asked; `check_dialogue_rule` has checked it.

    Raises:
        RuleError: it cannot be read.
    """
    return DialogueRule(parse(text))


def check_dialogue_rule(text: str, place: str, kinds: Mapping[str, str], earlier: Collection[str]) -> None:
    """Refuse what is no rule of a dialogue.

    Args:
        text: the rule.
        place: what it is called in messages.
        kinds: of every field of the dialogue, its kind by its name.
        earlier: the fields that can be collected before the rule is asked.

    Raises:
        RuleError: it cannot be read, can never be told, counts days from today, or names a field that no step
            collects, or none that is there in time, or none at all; says where.
        UsageError: it needs a library that is not installed.
    """
    node, used = checked_tree(text, place, {ROOT: kinds})
    for part in parts(node):
        if isinstance(part, Call) and part.function.startswith("days_"):
            reason = f"{part.function}() counts from today, and the way of a conversation is the same each day"
            raise refusal(text, part.at, f"{reason}: compare with a date, as in '2026-01-31'", place)
    for one in used:
        if one.name not in earlier:
            reason = f"{one.name} is collected by no step that comes before this is asked"
            raise refusal(text, one.at, f"{reason}; earlier are {', '.join(earlier) or 'none'}", place)
    if not used:
        reason = "this names nothing that is collected, and so is always the same"
        raise refusal(text, node.at, f"{reason}: name a field, as in collected.{next(iter(kinds), 'name')}", place)


def _names(node: Node) -> frozenset[str]:
    found = set()
    for part in parts(node):
        match part:
            case Member(Name(name), key) if name == ROOT:
                found.add(key)
            case Operation("in", Literal(str(key)), Name(name)) if name == ROOT:
                found.add(key)
    return frozenset(found)


def _told(node: Node) -> Told:
    match node:
        case Junction(op, junction):
            return _joined([_told(part) for part in junction], op == "||")
        case Not(operand):
            inner = _told(operand)
            return lambda env, awaited: None if (held := inner(env, awaited)) is None else not held
        case Choice(condition, yes, no):
            return _chosen(*(_told(part) for part in (condition, yes, no)))
    names, holds = _names(node), truth_of(node, _SCOPE)
    return lambda env, awaited: holds(env) if names.isdisjoint(awaited) else None


def _joined(inner: list[Told], decisive: bool) -> Told:
    def told(env: Env, awaited: Collection[str]) -> bool | None:
        values = [one(env, awaited) for one in inner]
        if decisive in values:
            return decisive
        return None if None in values else not decisive

    return told


def _chosen(asked: Told, yes: Told, no: Told) -> Told:
    def told(env: Env, awaited: Collection[str]) -> bool | None:
        match asked(env, awaited):
            case True:
                return yes(env, awaited)
            case False:
                return no(env, awaited)
        held = yes(env, awaited)
        return held if held is no(env, awaited) else None

    return told
