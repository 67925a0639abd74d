"""How far a dialogue is: which steps are on the way, which is next, and how much of it is done.

What decides a way may still be to come. A rule is decided once each field that it names is collected, or can no longer
be asked for: its step is complete, passed over, or not on the way. Until then a step counts as part of the way, and of
several ways the one on which most is left to do counts. So what is left to do never grows, and what is done never
shrinks, as long as nothing is collected that a rule has been decided without.

A step that is complete although it is not yet known whether the way leads there is counted once that is known.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from holdfast.model.dialogue_kinds import Dialogue, DialogueStep
from holdfast.model.dialogue_rules import dialogue_rule
from holdfast.model.dialogue_ways import Place, Ways

REMEMBERED = 1000
"""So many standings of a dialogue are kept."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a dialogue is.

    Attributes:
        way: the ids of the steps from the first to the last, as far as is known.
        completed: those of them that are complete or passed over.
        current: the first that is not; None: all are.
        awaited: the names of the fields that may still be asked for, in the order of the definition.
        is_final: whether the way ends with a final step.
    """

    way: tuple[str, ...]
    completed: tuple[str, ...]
    current: str | None
    awaited: tuple[str, ...]
    is_final: bool

    @property
    def total(self) -> int:
        """How many steps the way has."""
        return len(self.way)

    @property
    def percent(self) -> int:
        """How much of the way is done, 0 to 100, rounded down: 100 only when all of it is."""
        return 100 * len(self.completed) // self.total if self.way else 100

    @property
    def is_complete(self) -> bool:
        """Whether all steps of the way are complete or passed over."""
        return self.current is None

    @property
    def is_over(self) -> bool:
        """Whether the conversation ends: all is complete, and the last step is final."""
        return self.is_complete and self.is_final


def progress_of(dialogue: Dialogue, collected: Mapping[str, Any], passed: Collection[str] = ()) -> Progress:
    """How far a dialogue is.

    Args:
        dialogue: its definition, checked.
        collected: the values of fields, as `check_value` gives them. A null is as good as absent, and what no step
            collects does not matter.
        passed: the ids of the steps that were passed over, or that needed nothing and were said.
    """
    # Which fields are known decides, and of the values only those that rules name: many conversations stand alike.
    known = frozenset([name for name in dialogue.fields if collected.get(name) is not None])
    decisive = [collected.get(name) for name in _decisive(dialogue)]
    key = known, msgspec.json.encode(decisive), frozenset(passed)
    found = dialogue.remembered.get(key)
    if not isinstance(found, Progress):
        if len(dialogue.remembered) >= REMEMBERED:
            dialogue.remembered.clear()
        found = dialogue.remembered[key] = _Standing(dialogue, collected, passed).progress()
    return found


def _decisive(dialogue: Dialogue) -> list[str]:
    """The fields that rules name."""
    found = dialogue.remembered.get(_decisive)
    if not isinstance(found, list):
        rules = [rule for step in dialogue.steps for rule in (step.when, step.complete_when)]
        rules += [branch.when for step in dialogue.steps for branch in step.next]
        names = {name for rule in rules if rule is not None for name in dialogue_rule(rule).names}
        found = dialogue.remembered[_decisive] = sorted(names)
    return found


@dataclass(frozen=True, slots=True)
class _Move:
    """Where a step can lead.

    Attributes:
        to: the step that comes next, or the end.
        taken: whether the step itself is part of the way.
    """

    to: Place
    taken: bool = True


class _Standing:
    """What is known of a dialogue's steps, by their places."""

    def __init__(self, dialogue: Dialogue, collected: Mapping[str, Any], passed: Collection[str]) -> None:
        self.steps = dialogue.steps
        self.ways: Ways = dialogue.ways
        self.known = {name: value for name in dialogue.fields if (value := collected.get(name)) is not None}
        self.said = {place for place, step in enumerate(self.steps) if step.id in passed}
        self.done: set[Place] = set()
        self.possible = set(range(len(self.steps)))
        self.certain: set[Place] = set()
        self.awaited: dict[str, None] = {}
        self.moves: list[list[_Move]] = []
        # What is done or impossible decides rules, and those tell what else is done or impossible.
        told = None
        while (found := self._look()) != told:
            told = found

    def _look(self) -> int:
        """Find out more from what is known; gives how much is known now, which never falls."""
        open_steps = [step for place, step in enumerate(self.steps) if place in self.possible - self.done]
        self.awaited = {
            field.name: None for step in open_steps for field in step.fields if field.name not in self.known
        }
        self.moves = [self._moves(place, step) for place, step in enumerate(self.steps)]
        self._sweep()
        complete = {place for place, step in enumerate(self.steps) if self._is_complete(place, step)}
        last = max((self.ways.rank[place] for place in complete & self.certain), default=-1)
        self.done = complete | {
            place
            for place, step in enumerate(self.steps)
            if step.optional and (place in self.said or self.ways.rank[place] < last)
        }
        return len(self.done) + len(self.certain) - len(self.possible)

    def _is_complete(self, place: Place, step: DialogueStep) -> bool:
        if step.only_said:
            return place in self.said or any(field.name in self.known for field in step.fields)
        if not all(name in self.known for name in step.needed):
            return False
        if step.complete_when is None:
            return True
        awaited = set(self.awaited)
        if step.needed or place in self.said:  # its optional fields are not waited for
            awaited -= {field.name for field in step.fields}
        return dialogue_rule(step.complete_when).is_certain(self.known, awaited)

    def _moves(self, place: Place, step: DialogueStep) -> list[_Move]:
        """Where a step may lead, as far as is decided."""
        below = self.ways.below[place]
        is_on_the_way = self._decided(step.when)
        moves = []
        if is_on_the_way is not False:
            for branch in step.next:
                holds = self._decided(branch.when)
                if holds is not False:
                    moves.append(_Move(self.ways.place_of[branch.step]))
                if holds:
                    break
            if not step.next:
                moves.append(_Move(self.ways.end if step.final else below))
        if not is_on_the_way:
            moves.append(_Move(below, taken=False))
        return moves

    def _decided(self, rule: str | None) -> bool | None:
        """Whether a rule holds; None while it is not decided."""
        if rule is None:
            return True
        asked = dialogue_rule(rule)
        return asked.holds(self.known) if asked.names.isdisjoint(self.awaited) else None

    def _sweep(self) -> None:
        """Find out which steps some way, and which every way comes through."""
        rank = self.ways.rank
        reached, self.possible, self.certain = {0}, set(), set()
        farthest = 0  # where some way comes to that has left all steps so far behind
        for place in self.ways.order:
            if place not in reached:
                continue
            moves = self.moves[place]
            if any(move.taken for move in moves):
                self.possible.add(place)
            if farthest <= rank[place] and all(move.taken for move in moves):
                self.certain.add(place)
            for move in moves:
                reached.add(move.to)
                farthest = max(farthest, rank[move.to])

    def _longest(self) -> list[Place]:
        """The way on which most is left to do."""
        left = {self.ways.end: 0}
        best: dict[Place, _Move] = {}
        for place in reversed(self.ways.order):
            to_do = place not in self.done
            counted = [(move.taken and to_do) + left[move.to] for move in self.moves[place]]
            left[place] = max(counted)
            best[place] = self.moves[place][counted.index(left[place])]
        way, place = [], 0
        while place != self.ways.end:
            if best[place].taken:
                way.append(place)
            place = best[place].to
        return way

    def progress(self) -> Progress:
        way = [place for place in self._longest() if place not in self.done or place in self.certain]
        to_do = [place for place in way if place not in self.done]
        return Progress(
            way=tuple(self.steps[place].id for place in way),
            completed=tuple(self.steps[place].id for place in way if place in self.done),
            current=self.steps[to_do[0]].id if to_do else None,
            awaited=tuple(self.awaited),
            is_final=bool(way) and self.steps[way[-1]].final,
        )
