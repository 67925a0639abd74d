"""What attempts attach to a batch, as it can be stored on every database."""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.errors import UsageError
from holdfast.store.agent_rows import Artifact, ModelCall, SpentQuery
from holdfast.store.checks import MOST_CHARACTERS, check_keys, check_texts

FIRST_DAY, LAST_DAY = -(1 << 62), 1 << 62

MOST_TOKENS = 10**12
"""In a request; a server that tells of more is wrong."""

MOST_COST = 10**15
"""Nanodollars for a request, a million dollars: sums of very many are whole numbers of 64 bits still."""


def fit_calls(calls: Sequence[ModelCall]) -> list[ModelCall]:
    """The calls, with names and numbers that can be stored: an attempt is not lost over what its provider told.

    Raises:
        Rejected: a text cannot be stored.
    """
    fit = []
    for call in calls:
        check_texts(call.phase, call.model, call.outcome, call.error)
        fit.append(call._replace(
            phase=call.phase[:MOST_CHARACTERS], model=call.model[:MOST_CHARACTERS],
            input_tokens=_between(call.input_tokens, MOST_TOKENS),
            cached_tokens=_between(call.cached_tokens, MOST_TOKENS),
            output_tokens=_between(call.output_tokens, MOST_TOKENS),
            cost=None if call.cost is None else _between(call.cost, MOST_COST),
        ))  # fmt: skip
    return fit


def _between(number: int, most: int) -> int:
    return max(0, min(number, most))


def last_artifacts(artifacts: Sequence[Artifact]) -> list[Artifact]:
    """Of each place, generation and name the last one.

    Raises:
        Rejected: a text cannot be stored, or a name is too long.
    """
    last = {}
    for one in artifacts:
        check_keys(one.name)
        check_texts(one.media_type, one.location)
        last[one.run, one.position, one.generation, one.name] = one
    return list(last.values())


def budget(query: SpentQuery) -> tuple[bytes, str, int]:
    """A budget as it is stored: run, phase and day, each with a value of its own for none."""
    if query.phase is not None and query.run is None:
        raise UsageError(f"a budget of the phase {query.phase!r} needs the run that it is a part of")
    if query.run is not None and query.day is not None:
        raise UsageError("a budget is of a run or of a day, not of both")
    return query.run or b"", query.phase or "", -1 if query.day is None else query.day


def days(query: SpentQuery) -> tuple[int, int]:
    """The first and the last day that count for a budget that is not a run's."""
    return (FIRST_DAY, LAST_DAY) if query.day is None else (query.day, query.day)
