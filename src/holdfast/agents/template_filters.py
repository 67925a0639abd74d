"""The filters of prompts: those of Jinja2 that make texts and lists, bounded; none reads, escapes or draws lots."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

import pydantic_core
from jinja2 import Environment, pass_environment
from jinja2.filters import FILTERS, make_attrgetter

from holdfast.agents import template_bounds as bounds

_PLAIN = (
    "abs", "capitalize", "count", "d", "default", "dictsort", "filesizeformat", "first", "float", "format",
    "groupby", "int", "items", "last", "length", "list", "lower", "map", "max", "min", "reject",
    "rejectattr", "reverse", "round", "select", "selectattr", "sort", "string", "striptags", "sum",
    "title", "trim", "truncate", "unique", "upper", "urlencode", "wordcount", "wordwrap",
)  # fmt: skip


def _to_json(value: object, indent: int | None = None) -> str:
    bounds.check_width(indent)
    return pydantic_core.to_json(value, indent=indent, inf_nan_mode="constants").decode()


def _format(value: Any, *args: Any, **named: Any) -> str:
    bounds.check_format(value)
    return str(value) % (named or args)


@pass_environment
def _join(environment: Environment, value: Iterable[Any], d: str = "", attribute: str | int | None = None) -> str:
    items = value if attribute is None else map(make_attrgetter(environment, attribute), value)
    parts = [bounds.counted(str(one)) for one in items]
    bounds.work().write(len(d) * len(parts))
    return d.join(parts)


def _replace(value: Any, old: str, new: str, count: int | None = None) -> str:
    text = str(value)
    times = text.count(old) if count is None else min(count, text.count(old))
    bounds.work().write(times * len(new))
    return text.replace(old, new, -1 if count is None else count)


def _counted(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def counted(*args: Any, **named: Any) -> Any:
        return bounds.counted(function(*args, **named))

    return counted


def _narrow(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def narrow(value: Any, *args: Any, **named: Any) -> Any:
        for one in (*args, *named.values()):
            bounds.check_width(one)
        return function(value, *args, **named)

    return narrow


KEPT: dict[str, Callable[..., Any]] = {
    **{name: _counted(FILTERS[name]) for name in _PLAIN},
    **{name: _narrow(FILTERS[name]) for name in ("batch", "indent", "slice")},
    "format": _format,
    "join": _join,
    "replace": _replace,
    "tojson": _to_json,
}
"""By name."""
