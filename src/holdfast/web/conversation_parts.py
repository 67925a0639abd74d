"""What the pages of conversations share: how far one is, its turns, who may do what to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from holdfast.conversations.desk import Conversations
from holdfast.conversations.turns import ConversationView, TurnView
from holdfast.model.access import Role
from holdfast.model.dialogues import progress_of
from holdfast.web.page import Page
from holdfast.web.state_changes import Change, Changes

LIST_SHOWN = 50

TURNS_SHOWN = 50
"""So many turns are on a page."""

STATUSES: Mapping[str, str] = {
    "open": "Open",
    "ended": "Ended",
    "abandoned": "Abandoned",
    "handed_over": "Handed over",
}
"""The statuses of conversations, in words."""


class Standing(NamedTuple):
    """How far a conversation is, by the definition that is served here.

    Attributes:
        percent: of its steps that are complete.
        step: what the next one is called; None when it is complete.
        done, total: how many steps.
    """

    percent: int
    step: str | None
    done: int
    total: int


def standing_of(conversations: Conversations, view: ConversationView) -> Standing | None:
    """How far a conversation is; None where its definition is not served here, or was another when it ended.

    Args:
        conversations: of its tenant.
        view: as it is stored: nothing of it is hidden.
    """
    engine = conversations.engines.get(view.definition)
    if engine is None or (view.status != "open" and engine.definition.version != view.version):
        return None
    steps = {step.id: step.title or step.id for step in engine.definition.steps}
    found = progress_of(engine.definition, view.state.get("collected", {}), view.state.get("passed", ()))
    step = None if found.current is None else steps[found.current]
    return Standing(found.percent, step, len(found.completed), found.total)


def is_over(view: ConversationView) -> bool:
    """Whether a conversation takes no further turn."""
    return view.status != "open" or view.expired


def may_close(page: Page, view: ConversationView) -> bool:
    """Whether whoever asks may end a conversation."""
    return not is_over(view) and page.may(role_to_close(page, view))


def role_to_close(page: Page, view: ConversationView) -> Role:
    """The role that it takes to end a conversation: one's own, or another's."""
    assert page.principal is not None
    return Role.ITEMS if view.user == page.principal.actor else Role.OPERATOR


class Shown(NamedTuple):
    """A turn as a page shows it.

    Attributes:
        said: what was said to the user.
        changes: of the state; ``more``: how many further ones.
    """

    number: int
    actor: str
    message: str
    said: Sequence[str]
    changes: Sequence[Change]
    more: int
    model: str | None
    input_tokens: int | None
    output_tokens: int | None
    cost: float | None
    waited_seconds: float
    model_seconds: float
    took_seconds: float
    at: datetime


def turns_shown(turns: Iterable[TurnView]) -> list[Shown]:
    """Turns that follow each other, with what each changed."""
    found: list[Shown] = []
    changes: Changes | None = None
    for turn in turns:
        if changes is None:
            changes = Changes(from_the_start=turn.number == 1)
        changed, more = changes.of(turn.change)
        found.append(
            Shown(
                turn.number, turn.actor, turn.message, [one.content for one in turn.messages], changed, more,
                turn.model, turn.input_tokens, turn.output_tokens, turn.cost,
                turn.waited_seconds, turn.model_seconds, turn.took_seconds, turn.at,
            )
        )  # fmt: skip
    return found


async def handed_to(conversations: Conversations, view: ConversationView) -> TurnView | None:
    """The turn by which a conversation was handed over; None where it was not, or its turns are not kept any more."""
    if view.status != "handed_over":
        return None
    turns = await conversations.turns(view.id, after=view.turns - 1, limit=1)
    return turns[0] if turns else None
