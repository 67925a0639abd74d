"""What requests about the outbox bring, and what they are answered where no view says it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import ConfigDict, Field

from holdfast.api.schemas import Body, Duration, Id, Json, Reason
from holdfast.model.publishing import PublishMode

_REVIEW_OR_REFUSE: dict[str, Any] = {
    "not": {
        "required": ["review", "refuse"],
        "properties": {"review": {"not": {"type": "null"}}, "refuse": {"not": {"type": "null"}}},
    }
}


class PublishMessage(Body):
    """A message."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "channel": "replies",
                    "message": {"to": ["ada@shop.example"], "subject": "Your order", "text": "It is on its way."},
                    "id": "reply/o-1",
                    "key": "o-1",
                }
            ],
            **_REVIEW_OR_REFUSE,
        }
    )

    channel: Id = Field(description="By which it is sent, as the file of channels names it.")
    message: Json = Field(description="Any JSON; for a channel of type `smtp` an object with `to`, `subject`, `text`.")
    id: Id | None = Field(default=None, description="To publish it once however often this is called.")
    key: Id | None = Field(default=None, description="Those with the same key and channel are sent in order.")
    delay: Duration | None = Field(default=None, description="Not before so long from now.")
    review: Reason | None = Field(default=None, description="Why a person has to look at it first.")
    refuse: Reason | None = Field(default=None, description="Why it must never be sent; it is recorded all the same.")
    workflow: Id | None = Field(default=None, description="In whose name: its publish mode counts.")


class DiscardMessage(Body):
    """Why a message is given up."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "the order was cancelled"}]})

    reason: Reason = Field(description="Shown to people.")


class SetMode(Body):
    """What is done with messages that their code lets pass."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"mode": "auto", "workflow": "desk"}],
            "anyOf": [
                {"properties": {"mode": {"type": "string"}}},
                {"required": ["workflow"], "properties": {"workflow": {"type": "string"}}},
            ],
        }
    )

    mode: PublishMode | None = Field(description="Null for a workflow that is to have no mode of its own.")
    workflow: Id | None = Field(default=None, description="All workflows that have no mode of their own unless given.")


class CutOver(Body):
    """How a workflow is cut over."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"rollback_window": "14d"}]})

    rollback_window: Duration = Field(default="14d", description="For so long the other path is given copies.")


@dataclass(frozen=True, slots=True)
class PublishedMessage:
    """A message that was published.

    Attributes:
        id: its id.
    """

    id: str
