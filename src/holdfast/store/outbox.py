"""The verbs of the outbox. What a run publishes is written with the run's own commit: see `Batch.messages`.

Of messages with a key, only the first of each tenant, channel and key can be claimed; when it has been sent, withheld
or discarded, the next one can. A message that failed, or is dead, keeps its place; one that was withheld and is to be
sent after all goes to the end, several in the order in which they were published.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from holdfast.store.operations import Audit
from holdfast.store.outbox_rows import (
    Backlog,
    ChangeMessages,
    ClaimedMessage,
    ClaimMessages,
    MessageAttempt,
    MessageFilter,
    MessageRow,
    PublishSettingRow,
    Settlement,
)


class OutboxStore(Protocol):
    """What keeps messages until they are sent, and the record of them."""

    async def claim(self, asked: ClaimMessages) -> list[ClaimedMessage]:
        """Take messages; none if the worker is not known. The cost does not depend on what was sent before."""

    async def settle(self, settlements: Sequence[Settlement]) -> list[bool]:
        """Record what became of claimed messages; False for those whose claim is not in force any more.

        One that was sent under such a claim, and is dead in doubt since its worker was taken for lost, is sent.
        """

    async def hand_back(self, claim_ids: Sequence[bytes]) -> int:
        """Make messages of claims ready again that nobody has begun to send, as if they had not been claimed."""

    async def rescue_messages(self, limit: int) -> tuple[int, int]:
        """Take messages from workers that are lost: how many are ready again, how many are dead and in doubt."""

    async def next_due(self, channels: Sequence[str]) -> dict[str, int]:
        """When the next message of each of some channels is due; nothing of one in which none waits."""

    async def uids(self, tenant: str, ids: Sequence[str]) -> list[bytes]:
        """The uids of messages, of those that are there."""

    async def message(self, tenant: str, id: str) -> MessageRow | None:
        """A message, with its body."""

    async def attempts(self, tenant: str, uid: bytes, *, limit: int) -> list[MessageAttempt]:
        """The attempts to send it, the last first."""

    async def messages(
        self, tenant: str, which: MessageFilter, *, limit: int, before: bytes | None = None
    ) -> list[MessageRow]:
        """Messages without their bodies, the newest first, those older than ``before``."""

    async def count_messages(self, tenant: str, which: MessageFilter, *, cap: int) -> int:
        """How many there are, up to a cap."""

    async def backlog(self, *, cap: int) -> list[Backlog]:
        """What waits in each channel, over all tenants."""

    async def change_messages(self, asked: ChangeMessages) -> list[str]:
        """Change messages; the ids of those that changed. Safe to repeat."""

    async def publish_settings(self, tenant: str) -> list[PublishSettingRow]:
        """What was decided for the tenant's workflows, by their names."""

    async def put_publish_setting(self, row: PublishSettingRow, audit: Audit) -> bool:
        """Decide; with ``row.revision`` one above the stored one, or it was changed meanwhile: False."""

    async def prune_messages(self, tenant: str | None, before: int, limit: int) -> int:
        """Delete messages that were sent, withheld or discarded before then, with their attempts; how many.

        One that waits for a person, dead or for a review, stays. ``tenant``: None for those of all tenants.
        """
