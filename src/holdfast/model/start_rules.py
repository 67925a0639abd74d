"""Rules of a workflow for its starts: how many runs they make and when, and which starts make none.

Durations are given as elsewhere and kept in seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, fields
from functools import lru_cache
from typing import Any, Literal

from holdfast.errors import UsageError
from holdfast.model.diverting import span_text
from holdfast.model.duration import Duration, seconds
from holdfast.model.keys import KeySpec

MOST = 1_000_000_000
"""No rule counts further."""

BATCH_AT_MOST = 100_000
"""No batch collects more items: they become the input of one run."""

SHORTEST_SECONDS = 0.001


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most so many runs start in any stretch of a length, for each key.

    Attributes:
        most: so many.
        per: the stretch's length, such as ``"1m"``; kept in seconds.
        key: an argument's name, a dotted path in one, or a function of the arguments; one limit for all unless given.
        excess: what becomes of a start over the limit: ``"delay"`` lets its run start later, ``"drop"`` makes none.

    Raises:
        UsageError: a value out of range.
    """

    most: int
    per: Duration
    _: KW_ONLY
    key: KeySpec | None = None
    excess: Literal["delay", "drop"] = "delay"

    def __post_init__(self) -> None:
        _count(self.most, "most of a RateLimit", MOST)
        _length(self, "per", "a RateLimit")
        _one_of(self.excess, ("delay", "drop"), "excess of a RateLimit")
        _spec(self.key, "a RateLimit")

    @property
    def per_us(self) -> int:
        """``per`` in microseconds."""
        return _microseconds(self.per)


@dataclass(frozen=True, slots=True)
class Debounce:
    """Starts that come shortly after each other make one run, for each key.

    Attributes:
        wait: so long it has to be quiet, such as ``"30s"``; kept in seconds.
        longest: the run starts, or the next one may, so long after the first start at the latest.
        key: as in `RateLimit`.
        edge: ``"trailing"``: the run starts when it is quiet, with the newest input; ``"leading"``: it starts with the
            first start, and further ones are merged into it until it is quiet.

    Raises:
        UsageError: a value out of range, or no ``longest``.
    """

    wait: Duration
    _: KW_ONLY
    longest: Duration | None = None
    key: KeySpec | None = None
    edge: Literal["trailing", "leading"] = "trailing"

    def __post_init__(self) -> None:
        _length(self, "wait", "a Debounce")
        if self.longest is None:
            raise UsageError(
                "a Debounce needs longest: starts that never pause would put its run off for ever. Give the longest "
                'time, such as longest="5m"'
            )
        _length(self, "longest", "a Debounce")
        if seconds(self.longest) < seconds(self.wait):
            raise UsageError(
                f"longest of a Debounce is {span_text(self.longest_us)}, shorter than its wait of "
                f"{span_text(self.wait_us)}; give more"
            )
        _one_of(self.edge, ("trailing", "leading"), "edge of a Debounce")
        _spec(self.key, "a Debounce")

    @property
    def wait_us(self) -> int:
        """``wait`` in microseconds."""
        return _microseconds(self.wait)

    @property
    def longest_us(self) -> int:
        """``longest`` in microseconds."""
        return _microseconds(self.longest)


@dataclass(frozen=True, slots=True)
class Batch:
    """The items of several starts are put together to one list, for one run, for each key.

    Attributes:
        most: a run starts as soon as there are so many items.
        within: or so long after the first of them, such as ``"10s"``; kept in seconds.
        key: the name of a field of an item, a dotted path in one, or a function of an item; one batch for all unless
            given.

    Raises:
        UsageError: a value out of range, or no ``within``.
    """

    most: int
    _: KW_ONLY
    within: Duration | None = None
    key: KeySpec | None = None

    def __post_init__(self) -> None:
        _count(self.most, "most of a Batch", BATCH_AT_MOST)
        if self.within is None:
            raise UsageError(
                "a Batch needs within: one that never fills up would wait for ever. Give how long it collects, such as "
                'within="10s"'
            )
        _length(self, "within", "a Batch")
        _spec(self.key, "a Batch")

    @property
    def within_us(self) -> int:
        """``within`` in microseconds."""
        return _microseconds(self.within)


@dataclass(frozen=True, slots=True)
class Singleton:
    """There is one open run at a time, for each key.

    Attributes:
        key: as in `RateLimit`.
        when_taken: what becomes of a start while a run is open: ``"skip"`` makes no run, ``"cancel"`` cancels the open
            one and starts when that has cleaned up.

    Raises:
        UsageError: an unknown value.
    """

    _: KW_ONLY
    key: KeySpec | None = None
    when_taken: Literal["skip", "cancel"] = "skip"

    def __post_init__(self) -> None:
        _one_of(self.when_taken, ("skip", "cancel"), "when_taken of a Singleton")
        _spec(self.key, "a Singleton")


StartRule = RateLimit | Debounce | Batch | Singleton

KINDS: dict[str, type[StartRule]] = {
    "rate_limit": RateLimit, "debounce": Debounce, "batch": Batch, "singleton": Singleton
}  # fmt: skip
"""The rules by the names of the arguments that give them."""


def check_rules(given: Mapping[str, object], of: str) -> None:
    """Refuse rules that are none, or do not go together.

    Args:
        given: rules by name; None for none.
        of: whose, for errors.

    Raises:
        UsageError: one that is none; or two that both gather starts.
    """
    for name, rule in given.items():
        kind = KINDS[name]
        if rule is not None and not isinstance(rule, kind):
            raise UsageError(f"{name} {of} is {rule!r}; give an hf.{kind.__name__}(…)")
    gathering = [name for name in ("debounce", "batch", "singleton") if given.get(name) is not None]
    if len(gathering) > 1:
        raise UsageError(
            f"{' and '.join(gathering)} {of} both say which starts make one run; give one of debounce, batch and "
            "singleton"
        )


def plain_rule(rule: StartRule, key: object) -> dict[str, Any]:
    """A rule as plain JSON, with what stands for its key; what is None is left out."""
    said = {one.name: getattr(rule, one.name) for one in fields(rule) if one.name != "_"} | {"key": key}
    return {name: value for name, value in said.items() if value is not None}


def _count(value: object, what: str, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise UsageError(f"{what} is {value!r:.100}; give a whole number from 1 to {most:,}")


def _length(rule: StartRule, name: str, of: str) -> None:
    value = seconds(getattr(rule, name), what=f"{name} of {of}")
    if value < SHORTEST_SECONDS:
        raise UsageError(f"{name} of {of} is {getattr(rule, name)!r}; give a millisecond or more")
    object.__setattr__(rule, name, value)


@lru_cache(maxsize=1024)
def _microseconds(kept: Any) -> int:
    """Of a duration that is kept in seconds."""
    microseconds: int = round(kept * 1e6)
    return microseconds


def _one_of(value: object, allowed: tuple[str, ...], what: str) -> None:
    if value not in allowed:
        raise UsageError(f"{what} is {value!r:.100}; give {' or '.join(map(repr, allowed))}")


def _spec(key: object, of: str) -> None:
    if key is not None and not callable(key) and not (isinstance(key, str) and all(key.split("."))):
        raise UsageError(f"key of {of} is {key!r:.100}; give a name, a dotted path, or a function")
