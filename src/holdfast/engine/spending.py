"""What a client can say of models: each request that a run made, and what they cost together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Annotated

from pydantic import WithJsonSchema

from holdfast.engine.part import Part, check_whole
from holdfast.engine.phase_calls import requests_for
from holdfast.engine.run_costs import costs_of_runs, runs_for
from holdfast.errors import UsageError
from holdfast.model.phase_terms import NANODOLLARS
from holdfast.model.position import format_position
from holdfast.model.run import instant
from holdfast.model.search import parse
from holdfast.store.agent_rows import CostBy, CostRow, ModelCall

CALLS_AT_MOST = 100_000
"""So many requests of a run are shown at most."""

ROWS_AT_MOST = 10_000
"""So many rows a report of costs has at most."""

DAYS = 30
"""A report is of so many days unless told otherwise, or of which runs."""

COST_BY: tuple[CostBy, ...] = ("day", "workflow", "phase", "model")
"""What costs are told apart by, in the order of a report's columns."""

FIRST_DAY = date(1970, 1, 1)

Dollars = Annotated[
    Decimal, WithJsonSchema({"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?(E-?[0-9]+)?$", "examples": ["0.0123"]})
]
"""US dollars, exactly; in JSON a text."""


@dataclass(frozen=True, slots=True)
class ModelCallView:
    """A request to a model, as an attempt of a step made it.

    Attributes:
        position: of the step in the run's journal.
        generation: of the run; a retry or a fork begins another.
        attempt: of the step, 1 for the first.
        number: from 0, among the requests of the attempt.
        phase: what it was for: the name of a phase, of an agent or of the step.
        model: as it was asked for, such as ``openai:gpt-5-mini``.
        outcome: ``ok``, or how it failed: ``rate-limited``, ``timeout``, ``unavailable``, ``refused``, ``malformed``,
            ``cut-off``, ``error``.
        error: what was wrong, in words.
        input_tokens: all of the prompt's, with those from a cache.
        cached_tokens: those of them that came from the provider's cache.
        output_tokens: of the answer.
        cost: in US dollars; None where no price is known.
        began_at: when it was sent.
        ended_at: when it was answered or given up.
    """

    position: str
    generation: int
    attempt: int
    number: int
    phase: str
    model: str
    outcome: str
    error: str | None
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    cost: Dollars | None
    began_at: datetime
    ended_at: datetime


@dataclass(frozen=True, slots=True)
class CostLine:
    """What requests to models cost together. None where the report does not tell by it.

    Attributes:
        day: in UTC, on which the requests ended.
        workflow: of the runs that they were made for.
        phase: what they were for.
        model: as it was asked for.
        calls: how many there were.
        failed: how many of them gave nothing.
        unpriced: how many of them have no known price; what they cost is not in ``cost``.
        input_tokens: of all prompts, with those from a cache.
        cached_tokens: those of them that came from a provider's cache.
        output_tokens: of all answers.
        cost: in US dollars.
    """

    day: date | None
    workflow: str | None
    phase: str | None
    model: str | None
    calls: int
    failed: int
    unpriced: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    cost: Dollars


@dataclass(frozen=True, slots=True)
class CostReport:
    """What models cost in some days.

    Attributes:
        since: the first day, in UTC.
        until: the last day, which is included.
        by: what the rows tell apart.
        rows: by day in order, then the dearest first.
        total: of all rows together.
        runs: of so many runs that a search found; None without one.
        more: whether it found more, or these started more, than are counted.
    """

    since: date
    until: date
    by: list[str]
    rows: list[CostLine]
    total: CostLine
    runs: int | None = None
    more: bool = False


class Spending(Part):
    """The part of a client that has to do with what models cost."""

    async def model_calls(self, run_id: str, *, limit: int = 1000) -> list[ModelCallView]:
        """The requests to models that were made for a run, in the order of its journal, then of attempts.

        Those that its phases make by the queue of a model stand at the call of the child run that made them, which has
        them too. They are kept as long as the run is.

        Args:
            run_id: the run.
            limit: at most so many, 1 to 100,000.

        Raises:
            RunNotFound: the tenant has no run of this id.
            UsageError: a limit out of range.
        """
        check_whole(limit, "limit", CALLS_AT_MOST)
        row = await self._find(run_id)
        return [_call(one) for one in await requests_for(self, row, limit)]

    async def model_costs(
        self,
        *,
        since: date | None = None,
        until: date | None = None,
        by: Sequence[CostBy] = ("phase",),
        where: str | None = None,
    ) -> CostReport:
        """What models cost the tenant, by day, workflow, phase or model, or by some of them together.

        The totals are kept for good, also those of runs that are there no more. What a search finds is summed by the
        runs that are kept: the newest 10,000, with their child runs and theirs, each of them once.

        Args:
            since: the first day, or an aware instant of it; 30 days ago unless given, the first of all with ``where``.
            until: the last day, which is included, or an aware instant of it; today unless given.
            by: what is told apart: some of ``"day"``, ``"workflow"``, ``"phase"``, ``"model"``; empty for the total.
            where: only of the runs that a search finds, such as ``"lane = 'order=o-1'"``.

        Raises:
            SearchError: the search cannot be read; the message shows the place.
            UsageError: no such days, nothing to tell by, or more than 10,000 rows.
        """
        now = self.core.now_us()
        first, last, kinds = asked_costs(since, until, by, where, instant(now))
        days = (first - FIRST_DAY).days, (last - FIRST_DAY).days + 1
        found = None
        if where is None:
            rows = await self._patiently(self.reads.agents.costs(self.tenant, *days, kinds, limit=ROWS_AT_MOST + 1))
        else:
            found = await runs_for(self, parse(where, now))
            rows = await costs_of_runs(self, found.uids, *days, kinds, ROWS_AT_MOST + 1)
        if len(rows) > ROWS_AT_MOST:
            raise UsageError(
                f"costs by {', '.join(kinds)} are more than {ROWS_AT_MOST:,} rows; ask for fewer days, or by less"
            )
        lines, total = [_line(row) for row in rows], _line(_total(rows))
        runs, more = (None, False) if found is None else found[1:]
        return CostReport(first, last, list(kinds), lines, total, runs, more)


def dollars(nanodollars: int) -> Decimal:
    """Money in US dollars."""
    whole, rest = divmod(nanodollars, NANODOLLARS)
    return (Decimal(nanodollars) / NANODOLLARS).normalize() if rest else Decimal(whole)


def asked_costs(
    since: object, until: object, by: object, where: str | None, now: datetime
) -> tuple[date, date, tuple[CostBy, ...]]:
    """What a report of costs is asked for, checked: the first and the last day, and what is told apart.

    Raises:
        UsageError: it cannot be.
    """
    last = _day(until, "until") if until is not None else now.date()
    earliest = last - timedelta(days=DAYS) if where is None else FIRST_DAY
    first = _day(since, "since") if since is not None else earliest
    if first > last:
        raise UsageError(f"costs: since {first} is after until {last}")
    wrong = [by] if isinstance(by, str) or not isinstance(by, Sequence) else [one for one in by if one not in COST_BY]
    if wrong:
        raise UsageError(f"by has {wrong[0]!r:.300}; give a list of some of {', '.join(COST_BY)}")
    assert isinstance(by, Sequence)
    return first, last, tuple(kind for kind in COST_BY if kind in by)


def _day(value: object, what: str) -> date:
    if isinstance(value, datetime) and value.tzinfo is not None:
        day = value.astimezone(UTC).date()
    elif isinstance(value, date) and not isinstance(value, datetime):
        day = value
    else:
        raise UsageError(f"{what} is {value!r:.300}; give a day, such as date(2026, 3, 1), or an aware instant")
    if day < FIRST_DAY:
        raise UsageError(f"{what} is {day}; give a day from {FIRST_DAY} on")
    return day


def _call(row: ModelCall) -> ModelCallView:
    return ModelCallView(
        position=format_position(row.position),
        generation=row.generation,
        attempt=row.attempt,
        number=row.number,
        phase=row.phase,
        model=row.model,
        outcome=row.outcome,
        error=row.error,
        input_tokens=row.input_tokens,
        cached_tokens=row.cached_tokens,
        output_tokens=row.output_tokens,
        cost=None if row.cost is None else dollars(row.cost),
        began_at=instant(row.began_at),
        ended_at=instant(row.ended_at),
    )


def _total(rows: Sequence[CostRow]) -> CostRow:
    counted = {name: sum(getattr(row, name) for row in rows) for name in CostRow._fields[len(COST_BY) :]}
    return CostRow(None, None, None, None, **counted)


def _line(row: CostRow) -> CostLine:
    day = None if row.day is None else FIRST_DAY + timedelta(days=row.day)
    return CostLine(day, *row[1:-1], dollars(row.cost))
