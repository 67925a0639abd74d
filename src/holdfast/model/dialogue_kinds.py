"""Guided dialogues: what a definition says, once it has been read. `holdfast.model.dialogues` reads and checks it."""

from __future__ import annotations

import functools
import hashlib
from typing import NamedTuple

import msgspec

from holdfast.model.dialogue_ways import Ways

VERSION_CHARACTERS = 12
DEFAULT_CHARACTERS = 10_000
"""The longest text that a field takes, unless its definition says otherwise."""


class FieldType(NamedTuple):
    """What fields of a type have.

    Attributes:
        constraints: what a definition may say of one, beside ``type`` and ``optional``.
        kind: what its values are for rules, see `holdfast.model.rule_checks`.
    """

    constraints: tuple[str, ...]
    kind: str


FIELD_TYPES = {
    "text": FieldType(("max_characters", "pattern"), "text"),
    "integer": FieldType(("minimum", "maximum"), "number"),
    "number": FieldType(("minimum", "maximum"), "number"),
    "boolean": FieldType((), "truth"),
    "date": FieldType((), "text"),
    "datetime": FieldType((), "text"),
    "email": FieldType(("max_characters", "pattern"), "text"),
    "choice": FieldType(("choices",), "text"),
    "texts": FieldType(("max_characters", "pattern"), "list"),
}
"""The types of fields, by name."""


class DialogueField(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a step collects.

    Attributes:
        name: unique in the dialogue; rules call it ``collected.NAME``.
        type: one of `FIELD_TYPES`.
        optional: whether its step is complete without it.
        minimum, maximum: of a number; both count.
        max_characters: of a text, or of each of several.
        pattern: a regular expression that the whole text matches, or each of several.
        choices: what there is to choose from.
    """

    name: str
    type: str
    optional: bool = False
    minimum: float | None = None
    maximum: float | None = None
    max_characters: int = DEFAULT_CHARACTERS
    pattern: str | None = None
    choices: tuple[str, ...] = ()


class DialogueBranch(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a step leads.

    Attributes:
        step: the id of the step that comes next.
        when: a rule: only if it holds.
    """

    step: str
    when: str | None = None


class DialogueStep(msgspec.Struct, frozen=True, omit_defaults=True):
    """A step of a dialogue.

    Attributes:
        id: unique in the dialogue.
        title: what people call it.
        ask: what to ask for.
        fields: what it collects, in the order of the definition.
        when: a rule: only if it holds is the step part of the way.
        optional: whether it may be passed over.
        next: where it leads, the first that holds; empty: to the step below it.
        complete_when: a rule: complete is the step with every field that is not optional, and only if this holds.
        final: whether the conversation ends behind it.
    """

    id: str
    title: str = ""
    ask: str = ""
    fields: tuple[DialogueField, ...] = ()
    when: str | None = None
    optional: bool = False
    next: tuple[DialogueBranch, ...] = ()
    complete_when: str | None = None
    final: bool = False

    @property
    def needed(self) -> list[str]:
        """The names of its fields that are not optional."""
        return [field.name for field in self.fields if not field.optional]

    @property
    def only_said(self) -> bool:
        """Whether it needs nothing, and so is complete once it has been said."""
        return self.complete_when is None and not self.needed


class Dialogue(msgspec.Struct, frozen=True, omit_defaults=True, dict=True):
    """A guided conversation: what is asked, in which order, and what comes of the answers.

    Attributes:
        id: what programs call it.
        name: what people call it.
        instructions: for the model that speaks.
        steps: in the order of the definition.
    """

    id: str
    name: str
    instructions: str
    steps: tuple[DialogueStep, ...]

    @functools.cached_property
    def version(self) -> str:
        """12 hex digits of the SHA-256 of its content: another version says something else."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()[:VERSION_CHARACTERS]

    @functools.cached_property
    def fields(self) -> dict[str, DialogueField]:
        """Its fields by name, in the order of the definition."""
        return {field.name: field for step in self.steps for field in step.fields}

    @functools.cached_property
    def ways(self) -> Ways:
        """Where its steps lead."""
        return Ways(self.steps)

    @functools.cached_property
    def remembered(self) -> dict[object, object]:
        """What was worked out for it before."""
        return {}
