"""What tests of the outbox share: an end for messages, as their sender would give it."""

from __future__ import annotations

import secrets
from typing import Any

import holdfast as hf
from holdfast.model.ids import uuid7
from holdfast.store.outbox_rows import ClaimMessages, Settlement


async def settle(client: hf.Client, channel: str, outcome: Any, detail: str, *, doubt: bool = False) -> None:
    """Let all that is due in a channel end, in the name of the first worker."""
    worker, *_ = await client.workers()
    now = client.core.now_us()
    claim = uuid7(now, secrets.token_bytes(10))
    outbox = client.core.store.outbox
    claimed = await outbox.claim(ClaimMessages(bytes.fromhex(worker.id), claim, channel, 100, True))
    assert claimed
    rows = [Settlement(one.uid, claim, outcome, detail, None, doubt, now, now) for one in claimed]
    assert await outbox.settle(rows) == [True] * len(rows)
