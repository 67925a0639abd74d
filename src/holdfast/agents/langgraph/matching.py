"""Whether items and namespaces of LangGraph's store are what somebody looks for."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from langgraph.store.base import MatchCondition

from holdfast.errors import UsageError

_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "$gt": operator.gt,
    "$gte": operator.ge,
    "$lt": operator.lt,
    "$lte": operator.le,
}

_OPERATORS = {"$eq", "$ne", *_COMPARISONS}


def check_filter(filter: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """A filter, looked at before anything is searched.

    Raises:
        UsageError: it is no mapping, or has an operator that there is not.
    """
    if filter is None:
        return {}
    if not isinstance(filter, Mapping):
        raise UsageError(f"filter is {filter!r}; give a mapping from keys of the items to values")
    for key, asked in filter.items():
        _check_operators(key, asked)
    return filter


def _check_operators(key: str, asked: object) -> None:
    if isinstance(asked, Mapping):
        operators = {name for name in asked if isinstance(name, str) and name.startswith("$")}
        if operators and (wrong := asked.keys() - _OPERATORS):
            known = ", ".join(sorted(_OPERATORS))
            raise UsageError(f"the filter for {key!r} has {sorted(map(str, wrong))}; the operators are {known}")
        for name, inside in asked.items():
            _check_operators(f"{key}.{name}", inside)


def meets(value: Mapping[str, Any], filter: Mapping[str, Any]) -> bool:
    """Whether an item's value has for each of the filter's keys what is asked of it."""
    return all(_is(value.get(key), asked) for key, asked in filter.items())


def _is(found: Any, asked: Any) -> bool:
    """As LangGraph's store in memory compares: of a mapping, what is asked for has to be in it."""
    if isinstance(asked, Mapping):
        if any(isinstance(name, str) and name.startswith("$") for name in asked):
            return all(_compares(found, name, with_) for name, with_ in asked.items())
        return isinstance(found, Mapping) and meets(found, asked)
    if isinstance(asked, list | tuple):
        return isinstance(found, list) and len(found) == len(asked) and all(map(_is, found, asked))
    return bool(found == asked)


def _compares(found: Any, name: str, asked: Any) -> bool:
    """Numbers are compared with numbers, and texts, such as dates, with texts; nothing else is more or less."""
    if name == "$eq":
        return bool(found == asked)
    if name == "$ne":
        return bool(found != asked)
    alike = isinstance(found, int | float) and isinstance(asked, int | float)
    return (alike or (isinstance(found, str) and isinstance(asked, str))) and _COMPARISONS[name](found, asked)


def check_conditions(conditions: Iterable[MatchCondition] | None) -> Sequence[MatchCondition]:
    """Conditions for namespaces, looked at before anything is listed.

    Raises:
        UsageError: one is neither about the beginning nor about the end.
    """
    found = list(conditions or ())
    for kind, _ in found:
        if kind not in ("prefix", "suffix"):
            raise UsageError(f"a namespace is matched by prefix or suffix, not by {kind!r}")
    return found


def matches(condition: MatchCondition, namespace: tuple[str, ...]) -> bool:
    """Whether a namespace begins, or ends, with the labels of a condition; ``*`` is any label."""
    kind, path = condition
    if len(namespace) < len(path):
        return False
    part = namespace[: len(path)] if kind == "prefix" else namespace[len(namespace) - len(path) :]
    return all(asked in ("*", label) for asked, label in zip(path, part, strict=True))
