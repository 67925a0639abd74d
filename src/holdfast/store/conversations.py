"""The verbs of a state store: each is one atomic change, and safe to repeat.

Whoever has a turn takes the conversation, with a token that rises each time, and gives it back by saving the turn or by
leaving it. Whatever is saved is checked against the token in the same atomic change. Those who wait stand in line in
the order in which they came; who has stopped saying so has left.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from holdfast.store.conversation_rows import ConversationRow, Save, Take, Taken, TurnRow


class Claim(NamedTuple):
    """Who has, or waits for, a conversation."""

    tenant: str
    id: str
    ticket: bytes


class ConversationFilter(NamedTuple):
    """Which conversations: those that meet all that is given.

    Attributes:
        user: of this one.
        status: in this one.
        definition: of this one.
        item: that belong to this work item.
        expired: those that have expired too.
    """

    user: str | None = None
    status: str | None = None
    definition: str | None = None
    item: str | None = None
    expired: bool = False


class StateStore(Protocol):
    """What keeps conversations."""

    name: str

    async def take(self, asked: Sequence[Take]) -> list[Taken]:
        """Give conversations to those who ask, or a place in line; of different conversations each."""

    async def is_free(self, asked: Sequence[Claim]) -> list[bool]:
        """Whether those who stand in line would get theirs now, were they to ask again. Changes nothing."""

    async def renew(self, held: Sequence[Claim], lease_us: int) -> list[bool]:
        """Keep conversations from others for longer; False for those that are not held any more."""

    async def leave(self, claims: Sequence[Claim]) -> None:
        """Give conversations back as they were, and places in line."""

    async def save(self, saves: Sequence[Save]) -> list[bool]:
        """End turns; of different conversations each.

        Returns:
            False for those that are not held under their token any more: nothing of them is stored. A turn that is
            stored as it is given was stored by an earlier call.
        """

    async def find(self, tenant: str, id: str) -> ConversationRow | None:
        """A conversation, one that has expired too while that is remembered."""

    async def search(
        self, tenant: str, which: ConversationFilter, *, limit: int, before: tuple[int, str] | None = None
    ) -> list[ConversationRow]:
        """The tenant's conversations that meet a filter, those that changed last first.

        Args:
            before: from behind the one that changed then and has this id on.
        """

    async def turns(self, tenant: str, id: str, *, after: int = 0, limit: int) -> list[TurnRow]:
        """A conversation's turns in their order, from the one behind the number ``after`` on."""

    async def settle(self, tenant: str, id: str, handover: bytes) -> None:
        """Say that a handover, as it was saved, is done."""

    async def unsettled(self, limit: int) -> list[ConversationRow]:
        """Conversations of all tenants whose handover is still to be done."""

    async def forget(self, limit: int) -> int:
        """Delete what has expired long ago; how many conversations."""
