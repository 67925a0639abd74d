"""What rendering a template may cost: steps and characters are counted, so that none goes on for ever."""

from __future__ import annotations

import re
from collections.abc import ItemsView, Iterable, Iterator, Mapping, Sized, ValuesView
from contextvars import ContextVar, Token
from itertools import chain
from typing import Any

from jinja2.utils import Namespace

from holdfast.agents.prompts.sections import Marks

MOST_STEPS = 200_000
"""Rounds of loops, calls and includes together."""

MOST_CHARACTERS = 16 * 1024 * 1024
"""Written, or put together on the way, by one rendering."""

MOST_BITS = 4096
"""In a number."""

MOST_WIDTH = 10_000
"""Of what is filled up with blanks."""

MOST_DEPTH = 500
"""Of lists in lists."""

_WIDTHS = re.compile(r"[0-9]+")
_NAMED = re.compile(r"%\(([^()]*)\)")
_HOLDING = (list, tuple, dict, set, frozenset, ItemsView, ValuesView)


_NUMBERS = f"it counts with numbers of more than {MOST_BITS:,} bits"


class TooMuch(Exception):
    """A template does more than it may."""


class Work:
    """What one rendering has done so far."""

    __slots__ = ("characters", "marks", "steps")

    def __init__(self) -> None:
        self.steps = 0
        self.characters = 0
        self.marks = Marks()

    def step(self) -> None:
        """One more step."""
        self.steps += 1
        if self.steps > MOST_STEPS:
            raise TooMuch(f"it takes more than {MOST_STEPS:,} steps (rounds of loops, calls, includes)")

    def write(self, characters: int) -> None:
        """So many characters more."""
        self.characters += characters
        check_size(self.characters)


_current: ContextVar[Work | None] = ContextVar("holdfast_template_work", default=None)


def begin() -> tuple[Work, Token[Work | None]]:
    """Begin a rendering; what is done from now on counts for it."""
    found = Work()
    return found, _current.set(found)


def end(token: Token[Work | None]) -> None:
    """End what `begin` began."""
    _current.reset(token)


def work() -> Work:
    """Of the rendering under way; one of its own where a template is only compiled."""
    return _current.get() or Work()


def each(items: Iterable[Any], characters: int) -> Iterator[Any]:
    """Items of a loop, each a step that writes so many characters of the template itself."""
    counted = work()
    for item in items:
        counted.step()
        counted.write(characters)
        yield item


def counted(value: Any) -> Any:
    """A value that was made on the way, its size counted."""
    if isinstance(value, str | list | tuple | bytes):
        work().write(len(value))
    elif isinstance(value, int) and value.bit_length() > 4 * MOST_BITS:  # read from a text
        raise TooMuch(_NUMBERS)
    return value


def joined(parts: Iterable[Any]) -> str:
    """What ``~`` makes of its parts."""
    return "".join([counted(text_of(part)) for part in parts])


def finalized(value: object) -> str:
    """What ``{{ }}`` writes."""
    text = text_of(value)
    work().write(len(text))
    return text


def text_of(value: object) -> str:
    """A value as a text, see `check_spread`."""
    if type(value) is str:
        return value
    check_spread(value)
    return str(value)


def check_spread(value: object, indent: int = 0) -> None:
    """What is in lists and tables is not too large when it is written out: one list may stand in others very often.

    Args:
        indent: so much stands before each entry for each list around it.
    """
    if isinstance(value, Namespace):
        raise TooMuch("it writes a namespace; write one of its values")
    if not isinstance(value, _HOLDING):
        return
    size, open_ones = 0, [_entries(value)]
    while open_ones:
        for one in open_ones[-1]:
            size += 1 + indent * len(open_ones)
            if isinstance(one, _HOLDING):
                open_ones.append(_entries(one))
                break
            if isinstance(one, Namespace):
                check_spread(one)
            size += len(one) if isinstance(one, str) else len(repr(one))
            check_size(size)
        else:
            open_ones.pop()
        check_size(size)
        if len(open_ones) > MOST_DEPTH:
            raise TooMuch(f"it writes lists in lists, more than {MOST_DEPTH} deep")


def _entries(value: Iterable[Any]) -> Iterator[Any]:
    return chain.from_iterable(value.items()) if isinstance(value, dict) else iter(value)


def check_size(characters: int) -> None:
    """A text is not too long."""
    if characters > MOST_CHARACTERS:
        raise TooMuch(f"it writes more than {MOST_CHARACTERS:,} characters")


def check_product(left: object, right: object) -> None:
    """``left * right`` is not too large."""
    if isinstance(left, int) and isinstance(right, int):
        if left.bit_length() + right.bit_length() > MOST_BITS:
            raise TooMuch(_NUMBERS)
        return
    for several, times in ((left, right), (right, left)):
        if isinstance(several, Sized) and isinstance(times, int) and times > 0:
            work().write(len(several) * times)


def check_power(base: object, exponent: object) -> None:
    """``base ** exponent`` is not too large."""
    if isinstance(base, int) and isinstance(exponent, int) and base.bit_length() * abs(exponent) > MOST_BITS:
        raise TooMuch(_NUMBERS)


def check_format(format: object, values: object) -> None:
    """A text with ``%`` signs, filled, is not too long."""
    if isinstance(format, bytes | bytearray):
        raise TooMuch("its format is of bytes; decode it")
    if not isinstance(format, str):
        return
    widths = _WIDTHS.findall(format)
    if "*" in format or any(len(one) > 4 for one in widths):
        raise TooMuch("its format has a width of five digits or more, or one that is not written out")
    size = sum(map(int, widths))
    if not isinstance(values, Mapping):
        check_size(size + sum(len(text_of(one)) for one in (values if isinstance(values, tuple) else (values,))))
        return
    check_spread(values)
    names = _NAMED.findall(format)
    if len(names) < format.count("%("):
        raise TooMuch("its format has a name with brackets")
    sizes = {name: len(text_of(values[name])) for name in set(names) if name in values}
    check_size(size + sum(sizes.get(name, 0) for name in names))


def check_width(width: object) -> None:
    """What is filled up with is not too wide: a number of blanks or entries, or a text."""
    size = len(width) if isinstance(width, str) else width
    if isinstance(size, int) and size > MOST_WIDTH:
        raise TooMuch(f"it fills up to {size:,}; give at most {MOST_WIDTH:,}")
