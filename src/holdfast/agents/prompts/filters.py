"""The filters of prompts: those of Jinja2 that make texts and lists, bounded; none reads, escapes or draws lots."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sized
from typing import Any

import pydantic_core
from jinja2 import Environment, pass_environment
from jinja2.filters import FILTERS, do_indent, do_round, do_sum, do_wordwrap, make_attrgetter

from holdfast.agents.prompts import bounds

_PLAIN = (
    "abs", "count", "d", "default", "dictsort", "filesizeformat", "first", "float", "groupby", "int", "items", "last",
    "length", "list", "map", "max", "min", "reject", "rejectattr", "reverse", "select", "selectattr", "sort", "unique",
)  # fmt: skip
_OF_TEXTS = (
    "capitalize", "lower", "string", "striptags", "title", "trim", "truncate", "upper", "urlencode", "wordcount"
)  # fmt: skip

MOST_PRECISION = 300
"""Digits behind the point, or before it, to which a number is rounded."""

MOST_WRAPPED = 100_000
"""Characters that are broken into lines: the time for it grows with their square."""


def _to_json(value: object, indent: int | None = None) -> str:
    bounds.check_width(indent)
    bounds.check_spread(value, indent or 0)  # also because what takes all memory there ends the process
    return pydantic_core.to_json(value, indent=indent, inf_nan_mode="constants").decode()


def _format(value: Any, *args: Any, **named: Any) -> str:
    text, values = bounds.text_of(value), named or args
    bounds.check_format(text, values)
    return str(bounds.counted(text % values))


@pass_environment
def _join(environment: Environment, value: Iterable[Any], d: str = "", attribute: str | int | None = None) -> str:
    items = value if attribute is None else map(make_attrgetter(environment, attribute), value)
    parts = [bounds.counted(bounds.text_of(one)) for one in items]
    bounds.work().write(len(d) * len(parts))
    return d.join(parts)


def _replace(value: Any, old: str, new: str, count: int | None = None) -> str:
    text = bounds.text_of(value)
    times = text.count(old) if count is None or count < 0 else min(count, text.count(old))
    bounds.work().write(times * len(new))
    return text.replace(old, new, times)


def _indent(value: Any, width: int | str = 4, first: bool = False, blank: bool = False) -> str:
    bounds.check_width(width)
    text = bounds.text_of(value)
    bounds.work().write((len(text.splitlines()) + 1) * (len(width) if isinstance(width, str) else width))
    return do_indent(text, width, first, blank)


def _round(value: float, precision: int = 0, method: Any = "common") -> float:
    if abs(precision) > MOST_PRECISION:
        raise bounds.TooMuch(f"it rounds to {precision:,} digits; give at most {MOST_PRECISION}")
    return do_round(value, precision, method)


@pass_environment
def _sum(environment: Environment, iterable: Iterable[Any], attribute: str | int | None = None, start: Any = 0) -> Any:
    if isinstance(start, Sized):
        raise bounds.TooMuch("it sums up what is no number; put lists together with +")
    return bounds.counted(do_sum(environment, iterable, attribute, start))


@pass_environment
def _wordwrap(
    environment: Environment,
    value: Any,
    width: int = 79,
    break_long_words: bool = True,
    wrapstring: str | None = None,
    break_on_hyphens: bool = True,
) -> str:
    text = bounds.text_of(value)
    if len(text) > MOST_WRAPPED:
        raise bounds.TooMuch(f"it wraps a text of {len(text):,} characters; give at most {MOST_WRAPPED:,}")
    bounds.check_size(len(text) * len(wrapstring or ""))
    return str(bounds.counted(do_wordwrap(environment, text, width, break_long_words, wrapstring, break_on_hyphens)))


def _counted(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def counted(*args: Any, **named: Any) -> Any:
        return bounds.counted(function(*args, **named))

    return counted


def _of_text(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def of_text(*args: Any, **named: Any) -> Any:
        for one in args:
            bounds.check_spread(one)
        return bounds.counted(function(*args, **named))

    return of_text


def _narrow(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def narrow(value: Any, *args: Any, **named: Any) -> Any:
        for one in (*args, *named.values()):
            bounds.check_width(one)
        return function(value, *args, **named)

    return narrow


KEPT: dict[str, Callable[..., Any]] = {
    **{name: _counted(FILTERS[name]) for name in _PLAIN},
    **{name: _of_text(FILTERS[name]) for name in _OF_TEXTS},
    **{name: _narrow(FILTERS[name]) for name in ("batch", "slice")},
    "format": _format,
    "indent": _indent,
    "join": _join,
    "replace": _replace,
    "round": _round,
    "sum": _sum,
    "tojson": _to_json,
    "wordwrap": _wordwrap,
}
"""By name."""
