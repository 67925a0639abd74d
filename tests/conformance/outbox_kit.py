"""Short ways to publish messages, claim them and settle them, over any store."""

import itertools
import os
from collections.abc import Iterable
from typing import Any

from holdfast.model.ids import uuid7
from holdfast.model.publishing import text_digest
from holdfast.store.base import Store
from holdfast.store.operations import Audit, ClaimedRun, NewMessage, Refusal
from holdfast.store.outbox_rows import (
    ChangeMessages,
    ClaimedMessage,
    ClaimMessages,
    MessageFilter,
    MessageRow,
    PublishSettingRow,
    Settlement,
)
from tests.conformance.kit import WORKER, commit

AT = 1_700_000_000_000_000
"""When the first message is made; the n-th is made n milliseconds later."""

EVERY = MessageFilter()

_numbers = itertools.count()


def message(id: str, run: ClaimedRun | None = None, **changes: Any) -> NewMessage:
    """A message that may be sent at once; of a run, from its first call."""
    at = changes.get("created_at", AT + 1000 * next(_numbers))
    row = NewMessage(
        uid=uuid7(at, os.urandom(10)),
        tenant="t" if run is None else run.tenant,
        id=id,
        channel="replies",
        key=None,
        verdict="mode",
        reason="",
        body=f"body of {id}".encode(),
        text_digest=text_digest(id),
        workflow="flow",
        run=None if run is None else run.uid,
        run_id="" if run is None else run.id,
        position=b"" if run is None else b"\x00",
        generation=0 if run is None else run.generation,
        epoch=None if run is None else run.epoch,
        due_at=at,
        created_at=at,
    )
    return row._replace(**changes)


async def publish(store: Store, *rows: NewMessage) -> list[Refusal | None]:
    """Publish messages in one batch."""
    return (await commit(store, messages=list(rows))).messages


def claiming(channel: str = "replies", limit: int = 10, **changes: Any) -> ClaimMessages:
    """A claim that was never made."""
    return ClaimMessages(WORKER, os.urandom(16), channel, limit, False)._replace(**changes)


class Taken(list[ClaimedMessage]):
    """Messages, with the claim under which they were taken."""

    def __init__(self, taken: Iterable[ClaimedMessage], claim_id: bytes) -> None:
        super().__init__(taken)
        self.claim_id = claim_id

    @property
    def ids(self) -> list[str]:
        """Theirs, in order."""
        return [one.id for one in self]


async def take(store: Store, channel: str = "replies", limit: int = 10, **changes: Any) -> Taken:
    """Claim messages."""
    asked = claiming(channel, limit, **changes)
    return Taken(await store.outbox.claim(asked), asked.claim_id)


def settlement(taken: Taken, outcome: Any = "sent", *, number: int = 0, **changes: Any) -> Settlement:
    """What became of one of the messages that were taken."""
    row = Settlement(taken[number].uid, taken.claim_id, outcome, "", None, False, AT + 5, AT + 6)
    return row._replace(**changes)


async def settle(store: Store, taken: Taken, outcome: Any = "sent", **changes: Any) -> list[bool]:
    """Settle all of them alike."""
    return await store.outbox.settle([settlement(taken, outcome, number=n, **changes) for n in range(len(taken))])


async def statuses(store: Store, tenant: str = "t") -> dict[str, str]:
    """How each message stands."""
    rows = await store.outbox.messages(tenant, EVERY, limit=999)
    return {row.id: row.status for row in reversed(rows)}


async def found(store: Store, id: str, tenant: str = "t") -> MessageRow:
    """A message that is there."""
    row = await store.outbox.message(tenant, id)
    assert row is not None
    return row


def audit(target: str, tenant: str = "t", action: str = "message.send") -> Audit:
    """A record that was never made."""
    return Audit(os.urandom(16), tenant, "ann", action, target, b"{}", AT)


def change(what: Any, *ids: str, **changes: Any) -> ChangeMessages:
    """A change of messages with a record for each."""
    audits = tuple(audit(id, action=f"message.{what}") for id in ids)
    return ChangeMessages("t", ids, what, "enough", None, None, AT + 9, audits)._replace(**changes)


def setting(workflow: str = "flow", revision: int = 1, **changes: Any) -> PublishSettingRow:
    """A decision that messages are sent."""
    return PublishSettingRow("t", workflow, "auto", "primary", 5, 0, revision, "ann", 6)._replace(**changes)
