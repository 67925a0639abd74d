"""What is wrong with a file of phases: all of it at once, each fault with its file and line."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypeVar

from holdfast.model.phase_terms import Place, Wrong

T = TypeVar("T")


class Fault(NamedTuple):
    """One of them.

    Attributes:
        file: as it is named.
        line: from 1; None where it is not known.
        reason: what is wrong, where in the file, and what to do.
    """

    file: str
    line: int | None
    reason: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.reason}" if self.line else f"{self.file}: {self.reason}"


class Faults:
    """Those that were found so far.

    Args:
        file: the file of phases, as it is named.
        lines: tells the line of a place in it.
    """

    def __init__(self, file: str, lines: Callable[[Place], int | None]) -> None:
        self.file = file
        self.lines = lines
        self._found: dict[Fault, None] = {}
        self._places: set[Place] = set()

    def add(self, place: Place, reason: str) -> None:
        """Something is wrong at a place of the file of phases."""
        self._places.add(place)
        self.at(self.file, self.lines(place), f"{shown_place(place)} {reason}" if place else reason)

    def is_at(self, *places: Place) -> bool:
        """Whether something is wrong at one of some places."""
        return not self._places.isdisjoint(places)

    def at(self, file: str, line: int | None, reason: str) -> None:
        """Something is wrong in a file, which need not be the file of phases. What is said twice is kept once."""
        self._found[Fault(file, line, reason)] = None

    def read(self, term: Callable[[Any], T], value: object, place: Place) -> T | None:
        """A checked value; None, and a fault, where it is wrong."""
        try:
            return term(value)
        except Wrong as wrong:
            self.add((*place, *wrong.place), wrong.reason)
            return None

    def sorted(self) -> list[Fault]:
        """All of them: the file of phases first, by lines."""
        return sorted(self._found, key=lambda one: (one.file != self.file, one.file, one.line or 0))

    def __bool__(self) -> bool:
        return bool(self._found)


def told(faults: Iterable[Fault]) -> str:
    """Faults as a text, one on each line."""
    return "\n".join(map(str, faults))


def shown_place(place: Place) -> str:
    """A place as it is written in a TOML file."""
    parts = [f"[{key}]" if isinstance(key, int) else f".{_key(key)}" for key in place]
    return "".join(parts).lstrip(".")


def _key(key: str) -> str:
    short = key[:100]
    return short if short.replace("-", "_").isidentifier() else repr(short)
