"""What each definition says of subjects: whom it would make an item for, by its rule and its triggers by time. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from datetime import time as clock
from typing import Any, NamedTuple

import msgspec

from holdfast.model.calendars import date_of, days_until, local_us, next_annual
from holdfast.model.expressions import Expression, Field, signals_used, walk
from holdfast.model.policies import Policy
from holdfast.model.rules import Facts, Rule, matching, rule_from
from holdfast.model.work import DAY_US
from holdfast.model.work_kinds import Annual, Change, Definition, Renewal, decode_definition, span_us
from holdfast.store.work_rows import DefinitionRow, SubjectRow
from holdfast.workqueue.score_columns import Subjects
from holdfast.workqueue.templates import about, thresholds_of

_numbers = msgspec.json.Decoder(dict[str, float]).decode
_object = msgspec.json.Decoder(dict[str, Any]).decode


class Judged(NamedTuple):
    """A definition that is ready to be asked.

    Attributes:
        rule: None: its triggers by time alone say.
    """

    row: DefinitionRow
    definition: Definition
    rule: Rule | None

    @property
    def by_itself(self) -> bool:
        """Whether it ever makes an item without anybody."""
        return self.rule is not None or bool(self.definition.triggers)

    def names(self, root: str) -> set[str]:
        """What its rule and its triggers ask for behind a root."""
        asked = set(() if self.rule is None else self.rule.names(root))
        for trigger in self.definition.triggers:
            asked.update(name for name in (getattr(trigger, _FIELD_OF[root], None),) if name is not None)
        return asked


_FIELD_OF = {"signals": "signal", "properties": "property", "scores": "", "subject": ""}


def judged(row: DefinitionRow) -> Judged:
    """A definition, made ready.

    Raises:
        RuleError: its rule cannot be read.
    """
    definition = decode_definition(row.document)
    rule = None if definition.rule is None else rule_from(definition.rule, f"definition {row.id!r}: rule")
    return Judged(row, definition, rule)


def in_order(definitions: Sequence[Judged]) -> list[Judged]:
    """Definitions in an order in which those that come after others stand behind them."""
    known = {one.row.id: one for one in definitions}
    ordered: dict[str, Judged] = {}

    def place(one: Judged, above: tuple[str, ...]) -> None:
        if one.row.id in ordered or one.row.id in above:
            return
        for before in one.definition.after:
            if before in known:
                place(known[before], (*above, one.row.id))
        ordered[one.row.id] = one

    for one in sorted(definitions, key=lambda one: one.row.id):
        place(one, ())
    return list(ordered.values())


class Day(NamedTuple):
    """For which day subjects are looked at.

    Attributes:
        today: the day.
        zone: whose day it is.
        now: the instant.
    """

    today: date
    zone: str
    now: int


class Wanted(NamedTuple):
    """A subject that a definition would make an item for.

    Attributes:
        place: of the subject, in its portion.
        again_at: before this instant no other is made, whatever becomes of the item.
    """

    place: int
    again_at: int | None


class Score:
    """A score of subjects, and what it is made of.

    Args:
        expression: the score.
    """

    def __init__(self, expression: Expression) -> None:
        self.expression = expression
        self._signals = signals_used(expression)
        self._weak = any(isinstance(node, Field) for node in walk(expression))
        # As `holdfast.model.expressions.inputs` names them.
        self._names = [f"signals.{name}" if name == "weak" and self._weak else name for name in self._signals]

    def inputs(self, signals: Mapping[str, float], weak: int) -> dict[str, Any]:
        """What a subject's score is made from."""
        made_from: dict[str, Any] = dict(zip(self._names, map(signals.get, self._signals), strict=True))
        if self._weak:
            made_from["weak"] = weak
        return made_from


class Portion:
    """Some subjects, with what rules know of them.

    Args:
        rows: the subjects.
        scores: their scores, by name.
        policy: from which score on a subject counts.
        definitions: those that are asked, which say what has to be read.
    """

    def __init__(
        self, rows: Sequence[SubjectRow], scores: Mapping[str, Score], policy: Policy, definitions: Sequence[Judged]
    ) -> None:
        self.rows = rows
        self.made = scores
        self.signals = [_numbers(row.signals) for row in rows]
        subjects = Subjects(self.signals, [row.weak for row in rows])
        columns = [subjects.scores(one.expression) for one in scores.values()]
        self.scores: list[dict[str, float]] = (
            [dict(zip(scores, values, strict=True)) for values in zip(*columns, strict=True)]
            if columns
            else [{} for _ in rows]
        )
        asked = set().union(*(one.names("subject") for one in definitions))
        properties = any(one.names("properties") for one in definitions)
        limits = thresholds_of(policy)
        nothing: dict[str, Any] = {}
        self.facts = [
            Facts(
                signals,
                _object(row.properties) if properties else nothing,
                {**limits, **scores},
                about(row, contacts="contacts" in asked) if asked else nothing,
            )
            for row, signals, scores in zip(rows, self.signals, self.scores, strict=True)
        ]

    def inputs(self, name: str, place: int) -> dict[str, Any]:
        """What a score of a subject is made from."""
        return self.made[name].inputs(self.signals[place], self.rows[place].weak)

    def wanted(
        self, definitions: Sequence[Judged], day: Day, before: Mapping[tuple[str, int], Mapping[str, float]]
    ) -> list[list[Wanted]]:
        """For each definition the subjects that it would make an item for.

        Args:
            definitions: those that are asked.
            day: the day.
            before: for changes of signals: by name and instant, what each subject's was then.
        """
        rules = [one.rule for one in definitions if one.rule is not None]
        held = iter(matching(rules, self.facts, day.today))
        everybody = list(range(len(self.rows)))
        return [
            [
                Wanted(place, again)
                for place in (next(held) if one.rule is not None else everybody if one.by_itself else ())
                if (again := self._due(one.definition, place, day, before)) is not _NOT_DUE
            ]
            for one in definitions
        ]

    def _due(
        self, definition: Definition, place: int, day: Day, before: Mapping[tuple[str, int], Mapping[str, float]]
    ) -> int | None:
        """Until when no other item is made; None for no such instant; `_NOT_DUE` where a trigger does not hold."""
        again: int | None = None
        for trigger in definition.triggers:
            until = self._triggered(trigger, place, day, before)
            if until is None:
                return _NOT_DUE
            again = until if again is None else max(again, until)
        return again

    def _triggered(
        self,
        trigger: Renewal | Annual | Change,
        place: int,
        day: Day,
        before: Mapping[tuple[str, int], Mapping[str, float]],
    ) -> int | None:
        """Until when no other item is made; None where the trigger does not hold."""
        if isinstance(trigger, Change):
            since = day.now - (span_us(trigger.over) or 0)
            now, then = self.signals[place].get(trigger.signal), None
            if now is not None:
                then = before.get((trigger.signal, since), {}).get(self.rows[place].id)
            if now is None or then is None:
                return None
            rose = now - then
            enough = rose >= trigger.by if trigger.by > 0 else rose <= trigger.by
            return day.now + (span_us(trigger.over) or 0) if enough else None
        if isinstance(trigger, Renewal) and trigger.signal is not None:
            left = self.signals[place].get(trigger.signal)
            return day.now + round((left + 1) * DAY_US) if left is not None and 0 <= left <= trigger.days else None
        found = date_of(self.facts[place].properties.get(trigger.property or ""))
        if found is None:
            return None
        if isinstance(trigger, Annual):
            found = next_annual(found, day.today)
        if not 0 <= days_until(found, day.today) <= trigger.days:
            return None
        return local_us(found + timedelta(days=1), clock(), day.zone)


_NOT_DUE = -1
"""Instead of an instant: the definition makes no item."""


def changes_asked(definitions: Sequence[Judged], now: int) -> set[tuple[str, int]]:
    """Which signals have to be known as they were, and when."""
    return {
        (one.definition.change.signal, now - (span_us(one.definition.change.over) or 0))
        for one in definitions
        if one.definition.change is not None
    }
