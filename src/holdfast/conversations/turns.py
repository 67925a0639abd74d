"""What a turn is made of: the state, what the model is asked, what it answers, and what is made of that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

from holdfast.model.dialogues import Dialogue, Progress

D = TypeVar("D")

Role = Literal["user", "assistant"]


@dataclass(slots=True)
class State(Generic[D]):
    """The state of a conversation. A turn changes a copy of its own, which is stored if the turn ends well.

    Attributes:
        collected: the values of fields, plain JSON, by name.
        passed: optional steps that were passed over.
        data: whatever the user's own functions keep; of the type that the engine was given for it.
    """

    data: D
    collected: dict[str, Any] = field(default_factory=dict)
    passed: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Message:
    """What somebody said."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Query:
    """What the model is asked.

    Attributes:
        instructions: who it is and what to find out.
        messages: what was said, the user's new message last.
        schema: JSON Schema of what may be extracted.
    """

    instructions: str
    messages: Sequence[Message]
    schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model answered.

    Attributes:
        text: in words.
        data: as data, if it answered so: see `holdfast.conversations.defaults.parse`.
        model: which one.
        cost: in US dollars; None if it is not known.
    """

    text: str = ""
    data: Any = None
    model: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost: float | None = None


@dataclass(frozen=True, slots=True)
class Parsed:
    """What was read from an answer.

    Attributes:
        messages: to the user.
        extracted: values of fields, not checked yet.
        passed: optional steps that the user wants to pass over.
        ends: whether the conversation is over with this turn.
    """

    messages: Sequence[str]
    extracted: Mapping[str, Any] = field(default_factory=dict)
    passed: Sequence[str] = ()
    ends: bool = False


@dataclass(slots=True)
class Turn(Generic[D]):
    """A turn in progress: what its functions are given, one after the other.

    Attributes:
        conversation_id: its conversation.
        number: from 1.
        id: what it calls itself; repeated, it is the same turn.
        message: what the user said.
        state: to be changed by the turn's functions.
        before: what was said before, the last exchanges of it.
        progress: where the dialogue stood before the turn.
        refused: extracted values that do not fit their field, with the reason.
    """

    tenant: str
    user: str
    conversation_id: str
    number: int
    id: str
    message: str
    dialogue: Dialogue
    state: State[D]
    before: Sequence[Message]
    progress: Progress
    refused: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TurnProgress:
    """How far a dialogue is.

    Attributes:
        current_step: the id of the step that is next; None when it is complete.
        total_steps: of the way as far as it is known; an undecided branch counts with its longest way.
        percent_complete: the whole percent of steps that are complete.
    """

    current_step: str | None
    total_steps: int
    percent_complete: int


@dataclass(frozen=True, slots=True)
class TurnResult:
    """A turn that is over.

    Attributes:
        conversation_id: its conversation.
        number: from 1.
        id: repeated with this id and the same message, the turn gives this again.
        messages: to the user.
        extracted: what was read from the answer.
        refused: of that, what does not fit its field, with the reason.
        collected: the fields that this turn collected.
        state_changed: whether the state is another than before.
        state: as it is now, plain JSON.
        status: of the conversation.
        started: ids of the runs that the conversation was handed over to, as they were asked for; what became of one
            whose start a rule of its workflow merged or dropped, ``client.explain`` tells.
        completed: ids of the work items that it was handed over to.
        latency_seconds: of the whole turn, with its wait in line.
        repeated: it was over before.
    """

    conversation_id: str
    number: int
    id: str
    messages: Sequence[Message]
    extracted: Mapping[str, Any]
    refused: Mapping[str, str]
    collected: Mapping[str, Any]
    state_changed: bool
    state: Mapping[str, Any]
    progress: TurnProgress
    status: str
    started: Sequence[str]
    completed: Sequence[str]
    latency_seconds: float
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class ConversationView:
    """A conversation as it is shown.

    Attributes:
        turns: how many it has had.
        expires_at: when it is over, unless there is another turn.
        expired: whether it is.
    """

    id: str
    user: str
    definition: str
    version: str
    status: str
    turns: int
    revision: int
    state: Mapping[str, Any]
    created_at: datetime
    changed_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    expired: bool
    item: str | None


@dataclass(frozen=True, slots=True)
class TurnView:
    """A turn that is over, as it is shown.

    Attributes:
        change: from the state before to the one after, as a JSON merge patch.
        started, completed: ids of the runs and work items that the conversation was handed over to by it.
        waited_seconds: in line.
        model_seconds: how long the model took; ``took_seconds``: the whole turn.
    """

    number: int
    id: str
    actor: str
    message: str
    messages: Sequence[Message]
    change: Mapping[str, Any]
    started: Sequence[str]
    completed: Sequence[str]
    model: str | None
    input_tokens: int | None
    output_tokens: int | None
    cost: float | None
    waited_seconds: float
    model_seconds: float
    took_seconds: float
    at: datetime
