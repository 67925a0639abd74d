"""What the routes of conversations are sent, and what they answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from pydantic import ConfigDict, Field

from holdfast.api.schemas import SAYS_SOMETHING, Body, Id
from holdfast.conversations.asked import MESSAGE_CHARACTERS
from holdfast.conversations.turns import TurnResult

V = TypeVar("V")

Said = Annotated[
    str,
    Field(
        min_length=1,
        max_length=MESSAGE_CHARACTERS,
        pattern=SAYS_SOMETHING,
        description="What the user says.",
    ),
]
TurnId = Annotated[
    Id | None,
    Field(
        description="What the turn calls itself: sent again with it and the same message, a turn that is over is "
        "answered as it was, and one in progress is joined. Made of the Idempotency-Key unless given, or made up."
    ),
]


class ChatTurn(Body):
    """A turn of a conversation, of a new one unless one is named."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"conversationId": "c-1", "turnId": "c-1-2", "message": "It renews on the first of May."}]
        }
    )

    conversationId: Id | None = Field(default=None, description="Which; a new one unless given.")
    turnId: TurnId = None
    message: Said
    definition: Id | None = Field(
        default=None, description="By which definition a new one goes; not needed where one is served."
    )
    item: Id | None = Field(default=None, description="The work item that a new one belongs to.")


class TakeTurn(Body):
    """A turn of a conversation."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"turn_id": "c-1-2", "message": "It renews on the first of May."}]}
    )

    turn_id: TurnId = None
    message: Said


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """What somebody said.

    Attributes:
        role: user or assistant.
    """

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class ChatProgress:
    """How far a dialogue is.

    Attributes:
        currentStep: the id of the step that is next; null when it is complete.
        totalSteps: of the way as far as it is known; an undecided branch counts with its longest way.
        percentComplete: the whole percent of steps that are complete.
    """

    currentStep: str | None
    totalSteps: int
    percentComplete: int


@dataclass(frozen=True, slots=True)
class ChatTurnDone:
    """What a turn did.

    Attributes:
        number: from 1.
        id: sent again with it and the same message, the turn is answered the same.
        stateChanged: whether the state is another than before.
        collected: the fields that this turn collected.
        refused: what was extracted and does not fit its field, with the reason.
    """

    number: int
    id: str
    stateChanged: bool
    collected: dict[str, Any]
    refused: dict[str, str]


@dataclass(frozen=True, slots=True)
class ChatAnswer:
    """A turn that is over.

    Attributes:
        conversationId: its conversation.
        messages: to the user, of this turn.
        extractedPayload: what was read from the model's answer.
        latencyMs: how long the whole turn took, with its wait in line.
        workflowState: the state as it was after the turn.
        status: of the conversation: open, ended, abandoned or handed_over.
        started: ids of the runs that the conversation was handed over to.
        completed: ids of the work items that it was handed over to.
    """

    conversationId: str
    messages: list[ChatMessage]
    extractedPayload: dict[str, Any]
    latencyMs: int
    workflowState: dict[str, Any]
    progress: ChatProgress
    turn: ChatTurnDone
    status: str
    started: list[str]
    completed: list[str]


@dataclass(frozen=True, slots=True)
class DialogueProgress:
    """How far a dialogue is.

    Attributes:
        current_step: the id of the step that is next; null when it is complete.
        total_steps: of the way as far as it is known; an undecided branch counts with its longest way.
        percent_complete: the whole percent of steps that are complete.
    """

    current_step: str | None
    total_steps: int
    percent_complete: int


@dataclass(frozen=True, slots=True)
class TurnDone:
    """A turn that is over.

    Attributes:
        conversation_id: its conversation.
        number: from 1.
        id: sent again with it and the same message, the turn is answered the same.
        messages: to the user.
        extracted: what was read from the model's answer.
        refused: of that, what does not fit its field, with the reason.
        collected: the fields that this turn collected.
        state_changed: whether the state is another than before.
        state: as it was after the turn.
        status: of the conversation: open, ended, abandoned or handed_over.
        started: ids of the runs that the conversation was handed over to.
        completed: ids of the work items that it was handed over to.
        latency_seconds: of the whole turn, with its wait in line.
    """

    conversation_id: str
    number: int
    id: str
    messages: list[ChatMessage]
    extracted: dict[str, Any]
    refused: dict[str, str]
    collected: dict[str, Any]
    state_changed: bool
    state: dict[str, Any]
    progress: DialogueProgress
    status: str
    started: list[str]
    completed: list[str]
    latency_seconds: float


Hide = Callable[[Any], Any]
"""Takes what is hidden from whoever asks out of a value."""


def chat_answer(result: TurnResult, hide: Hide) -> ChatAnswer:
    """A turn by the names of the chat."""
    progress = result.progress
    return ChatAnswer(
        conversationId=result.conversation_id,
        messages=[ChatMessage(one.role, one.content) for one in result.messages],
        extractedPayload=hide(result.extracted),
        latencyMs=round(result.latency_seconds * 1000),
        workflowState=hide(result.state),
        progress=ChatProgress(progress.current_step, progress.total_steps, progress.percent_complete),
        turn=ChatTurnDone(result.number, result.id, result.state_changed, hide(result.collected), dict(result.refused)),
        status=result.status,
        started=list(result.started),
        completed=list(result.completed),
    )


def turn_done(result: TurnResult, hide: Hide) -> TurnDone:
    """A turn by the names of the API."""
    progress = result.progress
    return TurnDone(
        conversation_id=result.conversation_id,
        number=result.number,
        id=result.id,
        messages=[ChatMessage(one.role, one.content) for one in result.messages],
        extracted=hide(result.extracted),
        refused=dict(result.refused),
        collected=hide(result.collected),
        state_changed=result.state_changed,
        state=hide(result.state),
        progress=DialogueProgress(progress.current_step, progress.total_steps, progress.percent_complete),
        status=result.status,
        started=list(result.started),
        completed=list(result.completed),
        latency_seconds=result.latency_seconds,
    )
