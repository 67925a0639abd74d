"""What rendering a template may cost: steps and characters are counted, so that none goes on for ever."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sized
from contextvars import ContextVar, Token
from typing import Any

from holdfast.agents.template_sections import Marks

MOST_STEPS = 200_000
"""Rounds of loops, calls and includes together."""

MOST_CHARACTERS = 16 * 1024 * 1024
"""Written, or put together on the way, by one rendering."""

MOST_BITS = 4096
"""In a number."""

MOST_WIDTH = 10_000
"""Of what is filled up with blanks."""

_WIDTHS = re.compile(r"[0-9]+")


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
        if self.characters > MOST_CHARACTERS:
            raise TooMuch(f"it writes more than {MOST_CHARACTERS:,} characters")


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
    return value


def joined(parts: Iterable[Any]) -> str:
    """What ``~`` makes of its parts."""
    return "".join([counted(str(part)) for part in parts])


def finalized(value: object) -> str:
    """What ``{{ }}`` writes."""
    text = value if type(value) is str else str(value)
    work().write(len(text))
    return text


def check_product(left: object, right: object) -> None:
    """``left * right`` is not too large."""
    if isinstance(left, int) and isinstance(right, int):
        if left.bit_length() + right.bit_length() > MOST_BITS:
            raise TooMuch(f"it counts with numbers of more than {MOST_BITS:,} bits")
        return
    for several, times in ((left, right), (right, left)):
        if isinstance(several, Sized) and isinstance(times, int) and times > 0:
            work().write(len(several) * times)


def check_power(base: object, exponent: object) -> None:
    """``base ** exponent`` is not too large."""
    if isinstance(base, int) and isinstance(exponent, int) and base.bit_length() * abs(exponent) > MOST_BITS:
        raise TooMuch(f"it counts with numbers of more than {MOST_BITS:,} bits")


def check_format(format: object) -> None:
    """A text with ``%`` signs fills up with no more blanks than it may."""
    if isinstance(format, str) and ("*" in format or any(len(one) > 4 for one in _WIDTHS.findall(format))):
        raise TooMuch("its format has a width of five digits or more, or one that is not written out")


def check_width(width: object) -> None:
    """What is filled up with is not too wide: a number of blanks or entries, or a text."""
    size = len(width) if isinstance(width, str) else width
    if isinstance(size, int) and size > MOST_WIDTH:
        raise TooMuch(f"it fills up to {size:,}; give at most {MOST_WIDTH:,}")
