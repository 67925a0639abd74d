"""What the tests of work items share: items as rows, a work queue on a database, and waiting for what tends it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import holdfast as hf
from holdfast.model.work import ItemDocument
from holdfast.store.work_rows import ItemChange, ItemRow
from holdfast.workqueue.making import new_item
from holdfast.workqueue.moves import Moved, change_of
from holdfast.workqueue.queue import WorkQueue, work_queue
from holdfast.workqueue.tending import ItemTender
from tests.engine.clock import move

NOW = 1_767_225_600_000_000
"""2026-01-01 00:00 UTC, in microseconds."""

SECOND, HOUR, DAY = 1_000_000, 3_600_000_000, 86_400_000_000


def item(document: ItemDocument | None = None, **fields: Any) -> ItemRow:
    """A work item that was just made, with other fields as given."""
    made = new_item(
        tenant="t", title="Call them", now=NOW, random=bytes(10), actor="maria", document=document or ItemDocument(),
        id="i-1", assignee="maria",
    )  # fmt: skip
    return made.row._replace(**fields)


def moved(row: ItemRow, what: Moved | None, now: int = NOW) -> ItemRow:
    """The item after a move."""
    assert what is not None
    return written(row, what, now).row


def written(row: ItemRow, what: Moved, now: int = NOW) -> ItemChange:
    """What a store is given of a move."""
    return change_of(row, what, actor="maria", now=now)


@asynccontextmanager
async def working(url: str, actor: str | None = "maria") -> AsyncIterator[tuple[hf.Client, WorkQueue]]:
    """A client and its work queue; nobody tends it."""
    async with hf.connect(url, actor=actor) as client:
        yield client, work_queue(client)


async def later(client: hf.Client, seconds: float) -> None:
    """Let time pass, and what is due become of items."""
    await move(client, seconds)
    await tend(client)


async def tend(client: hf.Client) -> None:
    """Let all that is due become of items; also what is due by the database's clock, if ours is a little behind."""
    behind_us = await client.core.store.now() - client.core.now_us()
    if 0 <= behind_us < 1_000_000:
        await asyncio.sleep(behind_us / 1e6 + 0.001)
    tender = ItemTender(client.core)
    while await tender.tick():
        pass
