"""The ways through a dialogue: where each step can lead, whatever is collected.

A step leads where its ``next`` says, else to the step below it in the definition; a final one ends the conversation.
One with a ``when`` can also be left out, and then it is as though it were not there: what comes is the step below it.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from holdfast.model.dialogue_kinds import DialogueStep

Place = int
"""Of a step in the definition, from 0; behind the last one is the end."""


class Ways:
    """Where steps lead, by their places.

    Args:
        steps: of a dialogue; each ``next`` names one of them.

    Attributes:
        end: the place of the end.
        below: for each step, what comes if it is left out, or says nothing of what is next.
        leads: for each step, where it can lead, itself included in the way or not.
        order: the places of the steps, each before all that it can lead to; without those of a circle.
        rank: for each step its place in that order, and for the end a later one.
    """

    def __init__(self, steps: Sequence[DialogueStep]) -> None:
        self.end: Place = len(steps)
        self.place_of = {step.id: place for place, step in enumerate(steps)}
        self.below: list[Place] = list(range(1, self.end + 1))
        self.leads: list[list[Place]] = [self._leads(step, place) for place, step in enumerate(steps)]
        self.order = self._ordered()
        self.rank = {place: number for number, place in enumerate([*self.order, self.end])}

    def _leads(self, step: DialogueStep, place: Place) -> list[Place]:
        found = [self.place_of[branch.step] for branch in step.next]
        if not found:
            found = [self.end if step.final else self.below[place]]
        if step.when is not None:
            found.append(self.below[place])
        return found

    def _ordered(self) -> list[Place]:
        waits = [0] * (self.end + 1)
        for leads in self.leads:
            for place in leads:
                waits[place] += 1
        ready = [place for place in range(self.end) if not waits[place]]
        order = []
        while ready:
            place = heapq.heappop(ready)
            order.append(place)
            for other in self.leads[place]:
                waits[other] -= 1
                if not waits[other] and other != self.end:
                    heapq.heappush(ready, other)
        return order

    def reachable(self) -> set[Place]:
        """The steps that some way from the first one comes to."""
        found: set[Place] = set()
        todo = [0]
        while todo:
            place = todo.pop()
            if place not in found and place != self.end:
                found.add(place)
                todo += self.leads[place]
        return found

    def before(self) -> list[set[Place]]:
        """For each step those that some way to it comes through."""
        found: list[set[Place]] = [set() for _ in range(self.end + 1)]
        for place in self.order:
            for other in self.leads[place]:
                found[other] |= found[place] | {place}
        return found[: self.end]
