"""What requests about intake bring, and what is answered where a client's views do not say it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from holdfast.api.schemas import Body, Id, Instant, JsonObject, Reason
from holdfast.engine.path_views import TEXT_CHARACTERS, ComparedView
from holdfast.engine.shadowing import OUTCOMES_AT_ONCE
from holdfast.store.intake_rows import Decided


class Rewind(Body):
    """Where a source is put."""

    to: JsonObject | None = Field(
        default=None, description="A position, as a source's `position` has it; the beginning unless given."
    )


class RetryEntry(Body):
    """What a dead entry should have been."""

    content: Annotated[str, Field(max_length=TEXT_CHARACTERS)] | None = Field(
        default=None, description="What it should have been; what was kept of it unless given."
    )


class DiscardEntry(Body):
    """Why an entry is given up."""

    reason: Reason


class ToldOutcome(Body):
    """What another path made of a message."""

    message_id: Id = Field(description="As the source has it.")
    decided: Decided = Field(
        description="`sent`: it was answered; `review`: it was given to a person; `withheld`: it was not answered, on "
        "purpose; `failed`: it was not dealt with."
    )
    text: Annotated[str, Field(max_length=TEXT_CHARACTERS, pattern=r"^[^\x00]*$")] = Field(
        default="", description="What it was answered."
    )
    at: Instant | None = Field(default=None, description="When; now unless given.")


class TellOutcomes(Body):
    """What another path made of messages."""

    workflow: Id = Field(description="Whose messages they are here.")
    outcomes: list[ToldOutcome] = Field(max_length=OUTCOMES_AT_ONCE)


@dataclass(frozen=True, slots=True)
class RetriedEntry:
    """A dead entry that was taken in after all.

    Attributes:
        run_id: the run that it became.
    """

    run_id: str


@dataclass(frozen=True, slots=True)
class OutcomesTold:
    """What was told of another path.

    Attributes:
        changed: how many outcomes were new, or other than what was told before.
    """

    changed: int


@dataclass(frozen=True, slots=True)
class ComparisonPage:
    """What two paths made of messages.

    Attributes:
        counts: how many messages of the time compare how: ``same``, ``different``, ``missing``, ``alone``.
        items: in order.
        next: what to send as ``cursor`` for what follows; null at the end.
    """

    counts: dict[str, int]
    items: list[ComparedView]
    next: str | None
