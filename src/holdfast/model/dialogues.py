"""Guided dialogues: what a conversation asks for, step by step. Checked when they are read.

    [conversation]
    id = "renewal"
    instructions = "You are friendly and brief."

    [[steps]]
    id = "company"
    ask = "Which company is it about?"
    collects = { company = "text", employees = { type = "integer", minimum = 1, optional = true } }

    [[steps]]
    id = "renewal_date"
    collects = { renews_on = "date" }
    when = "collected.employees > 10"

    [[steps]]
    id = "confirm"
    collects = { confirmed = "boolean" }
    complete_when = "collected.confirmed"
    final = true

Its rules are those of `holdfast.model.rules`, of ``collected.NAME`` and nothing else.
"""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from holdfast.errors import RuleError, UsageError
from holdfast.model.definitions import circle_of
from holdfast.model.dialogue_fields import fields_from
from holdfast.model.dialogue_kinds import FIELD_TYPES, Dialogue, DialogueBranch, DialogueField, DialogueStep
from holdfast.model.dialogue_progress import Progress, progress_of
from holdfast.model.dialogue_reading import Lines, Path, Reader
from holdfast.model.dialogue_rules import check_dialogue_rule
from holdfast.model.dialogue_values import check_value, json_schema, shown
from holdfast.model.dialogue_ways import Ways
from holdfast.model.toml_places import toml_line

CONVERSATION_FIELDS = ("id", "name", "instructions")
STEP_FIELDS = ("id", "title", "ask", "collects", "when", "optional", "next", "complete_when", "final")
STEPS_AT_MOST = 200
BRANCHES_AT_MOST = 50
INSTRUCTIONS_CHARACTERS = 100_000
ASK_CHARACTERS = 10_000

__all__ = [
    "Dialogue", "DialogueBranch", "DialogueField", "DialogueStep", "Progress", "check_value", "dialogue_from",
    "json_schema", "progress_of",
]  # fmt: skip


def dialogue_from(document: object, where: str = "", *, source: str | Lines | None = None) -> Dialogue:
    """A dialogue, checked.

    Args:
        document: a table ``conversation``, and a list ``steps``.
        where: the file or place that it is from, for messages.
        source: the TOML text that it was read from, or what tells lines of another; so that messages name the line.

    Raises:
        UsageError: something is missing, unknown or wrong, a step can never be reached, or the steps go round in a
            circle; says where, and what to write.
        RuleError: a rule cannot be read, or names a field that is not collected before.
    """
    if not isinstance(source, str):
        return _DialogueReader(where, source).read(document)
    return _DialogueReader(where, lambda place: toml_line(source, place)).read(document)


class _DialogueReader(Reader):
    """Reads one dialogue."""

    def __init__(self, where: str, lines: Lines | None) -> None:
        super().__init__(where, lines)
        self._named: list[tuple[Path, str]] = []  # steps that come next, and where that is said

    def read(self, document: object) -> Dialogue:
        if document is None or document == {}:
            self.refuse((), "is empty; give a table conversation with its id, and a list of steps")
        whole = self.table(document, (), ("conversation", "steps"))
        if "conversation" not in whole:
            self.refuse((), "has no conversation; give a table of this name, with an id")
        said = self.table(whole["conversation"], ("conversation",), CONVERSATION_FIELDS)
        id = self.id(said, ("conversation",))
        self.name = f"conversation {shown(id)}"
        name = self.line(said["name"], ("conversation", "name")) if "name" in said else id
        place: Path = ("conversation", "instructions")
        instructions = self.text(said.get("instructions", ""), place, INSTRUCTIONS_CHARACTERS)
        if whole.get("steps", []) == []:
            self.refuse(("steps",) if "steps" in whole else (), "has no steps; give at least one")
        steps = [
            self._step(one, ("steps", number))
            for number, one in enumerate(self.entries(whole["steps"], ("steps",), STEPS_AT_MOST))
        ]
        self._check_names(steps)
        self._check_rules(steps, self._checked_ways(steps))
        return Dialogue(id, name, instructions, tuple(steps))

    def _step(self, document: object, place: Path) -> DialogueStep:
        said = self.table(document, place, STEP_FIELDS)
        step = DialogueStep(
            id=self.id(said, place),
            title=self.line(said["title"], (*place, "title")) if "title" in said else "",
            ask=self.text(said.get("ask", ""), (*place, "ask"), ASK_CHARACTERS),
            fields=fields_from(self, said["collects"], (*place, "collects")) if "collects" in said else (),
            when=self._rule(said, "when", place),
            optional=self.truth(said.get("optional", False), (*place, "optional")),
            next=self._next(said["next"], (*place, "next")) if "next" in said else (),
            complete_when=self._rule(said, "complete_when", place),
            final=self.truth(said.get("final", False), (*place, "final")),
        )
        if step.final and step.next:
            self.refuse((*place, "next"), "stands beside final, behind which nothing comes; leave one of them out")
        return step

    def _next(self, value: object, place: Path) -> tuple[DialogueBranch, ...]:
        if isinstance(value, str):
            self._named.append((place, value))
            return (DialogueBranch(value),)
        if not isinstance(value, list):
            self.refuse(place, f"is {shown(value)}; give the id of a step, or a list of tables with step and when")
        branches: list[DialogueBranch] = []
        for number, one in enumerate(self.entries(value, place, BRANCHES_AT_MOST)):
            within = (*place, number)
            said = self.table(one, within, ("step", "when"))
            if "step" not in said:
                self.refuse(within, "has no step; give the id of the one that comes next")
            if branches and branches[-1].when is None:
                self.refuse(within, "stands behind one without when, and so is never asked; put it before that one")
            step = said["step"]
            if not isinstance(step, str):
                self.refuse((*within, "step"), f"is {shown(step)}; give the id of a step")
            self._named.append(((*within, "step"), step))
            rule = self._rule(said, "when", within)
            branches.append(DialogueBranch(step, rule))
        if branches[-1].when is not None:
            advice = "add one without when, for when none of them holds"
            self.refuse(
                (*place, len(branches) - 1), f"is the last and has a when, so that there may be no way on; {advice}"
            )
        return tuple(branches)

    def _rule(self, table: Mapping[str, Any], key: str, place: Path) -> str | None:
        if key not in table:
            return None
        value = table[key]
        if not isinstance(value, str) or not value.strip():
            what = "blank" if isinstance(value, str) else shown(value)
            self.refuse((*place, key), f'is {what}; give a rule, such as "collected.NAME > 10", or leave it out')
        return value

    def _check_names(self, steps: Sequence[DialogueStep]) -> None:
        """Refuse an id or a field that is there twice, and a next that is not there."""
        owners: dict[str, str] = {}
        ids: set[str] = set()
        for number, step in enumerate(steps):
            place: Path = ("steps", number)
            if step.id in ids:
                self.refuse((*place, "id"), f"is {shown(step.id)}, as that of a step before it; give each its own")
            ids.add(step.id)
            for field in step.fields:
                if field.name in owners:
                    advice = "a field belongs to one step: give it another name, or leave it out"
                    reason = f"is collected by step {shown(owners[field.name])} already; {advice}"
                    self.refuse((*place, "collects", field.name), reason)
                owners[field.name] = step.id
        for place, id in self._named:
            if id not in ids:
                near = difflib.get_close_matches(id[:100], ids, 1)
                advice = f"did you mean {near[0]}?" if near else f"the steps are {', '.join(sorted(ids)):.500}"
                self.refuse(place, f"is {shown(id)}, and there is no such step; {advice}")

    def _checked_ways(self, steps: Sequence[DialogueStep]) -> Ways:
        """Where the steps lead: to an end, and through each of them."""
        ways = Ways(steps)
        leads = [[steps[to].id for to in places if to != ways.end] for places in ways.leads]
        circle = circle_of(dict(zip(ways.place_of, leads, strict=True)))
        if circle:
            # Some step of it leads up; all others may just lead to the step below.
            back = next(id for id, to in itertools.pairwise(circle) if ways.place_of[to] <= ways.place_of[id])
            reason = f"goes round in a circle: {', then '.join(circle):.500}; lead to a step further on"
            self.refuse(("steps", ways.place_of[back], "next"), reason)
        reachable = ways.reachable()
        for place, step in enumerate(steps):
            if place not in reachable:
                reason = f"is step {shown(step.id)}, which can never be reached; have another one lead to it"
                self.refuse(("steps", place), reason)
        return ways

    def _check_rules(self, steps: Sequence[DialogueStep], ways: Ways) -> None:
        kinds = {field.name: FIELD_TYPES[field.type].kind for step in steps for field in step.fields}
        for number, (step, before) in enumerate(zip(steps, ways.before(), strict=True)):
            place: Path = ("steps", number)
            earlier = [field.name for other in sorted(before) for field in steps[other].fields]
            here = [*earlier, *(field.name for field in step.fields)]
            rules = [(step.when, (*place, "when"), earlier), (step.complete_when, (*place, "complete_when"), here)]
            rules += [
                (branch.when, (*place, "next", branch_number, "when"), here)
                for branch_number, branch in enumerate(step.next)
            ]
            for rule, within, names in rules:
                if rule is not None:
                    self._check_rule(rule, within, kinds, names)

    def _check_rule(self, rule: str, place: Path, kinds: Mapping[str, str], earlier: Sequence[str]) -> None:
        try:
            check_dialogue_rule(rule, self.head(place), kinds, earlier)
        except RuleError:
            raise
        except UsageError as error:
            self.refuse(place, f"is not right: {error}")
