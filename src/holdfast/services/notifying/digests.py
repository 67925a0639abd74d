"""Tells people together what comes up within some time: a run for each rule and day gathers it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from holdfast.engine.attaching import attach, attempt
from holdfast.engine.context import now, scope
from holdfast.engine.events import send_event, wait_for_event
from holdfast.engine.publishing import checked, new_message
from holdfast.engine.steering import continue_as_new
from holdfast.engine.step import step
from holdfast.engine.workflow import workflow
from holdfast.errors import EventTimeout
from holdfast.store.operations import NewMessage

QUEUE = "notifications"

TOLD = "holdfast.notice"
"""The event by which a digest hears of something."""

WORKFLOW = "holdfast.notifications"
"""In whose name people are told."""

VERSION = "2"
AT_MOST = 1000
"""So much is in one digest."""

DIGEST_CHARACTERS = 100_000
"""A digest that has as many is sent, and another begun."""

DAY_SECONDS = 24 * 3600

_LONG = 200


@dataclass(frozen=True, slots=True)
class Entry:
    """What a digest tells, among others."""

    rule: str
    title: str
    body: str


@dataclass(frozen=True, slots=True)
class Digest:
    """What a rule gathers on one day.

    Attributes:
        seconds: for how long, from the first on.
        day: since 1970, UTC.
    """

    rule: str
    channels: list[str]
    seconds: float
    day: int


def notice_to(channel: str, id: str, title: str, body: str, tenant: str, at: int) -> NewMessage:
    """A message that tells people something, whatever the publish mode is.

    Args:
        id: of what is told; the message's is made of it and the channel.
        at: microseconds since 1970, UTC.
    """
    to = channel if len(channel) <= _LONG else hashlib.sha256(channel.encode()).hexdigest()[:16]
    given = checked(
        channel, {"title": title, "text": body}, id=f"{id}/{to}", key=None, delay=None, review=None, refuse=None
    )
    return new_message(given._replace(verdict="send"), tenant, at, workflow=WORKFLOW)


@workflow(name="holdfast.notice", version=VERSION, queue=QUEUE)
async def gather(entry: Entry) -> None:
    """Hand something to the digest of its rule."""
    told = {"title": entry.title, "body": entry.body, "at": now().isoformat(timespec="seconds")}
    await send_event(TOLD, told, key=entry.rule)


@step(name="tell")
async def tell(channels: list[str], title: str, body: str) -> None:
    """Publish what was gathered, with the result of this attempt."""
    here = attempt()
    assert here is not None
    run = here.execution.run
    id = f"{run.id}/{run.generation}.{here.position.hex()}"
    for channel in channels:
        message = notice_to(channel, id, title, body, run.tenant, here.execution.core.now_us())
        attach(here, "messages", message._replace(
            run=run.uid, run_id=run.id, position=here.position, generation=run.generation, epoch=run.epoch
        ))  # fmt: skip


@workflow(name="holdfast.digest", version=VERSION, queue=QUEUE)
async def digest(terms: Digest) -> None:
    """Gather what comes up, tell it together, and begin again until the day is over."""
    over = datetime.fromtimestamp((terms.day + 1) * DAY_SECONDS, UTC) + timedelta(seconds=terms.seconds)
    # One that begins late, as after a night without workers, waits for what came up all the same.
    begins = scope("a digest").execution.run.generation == 1
    first = await _next(terms, over, late=terms.seconds if begins else 0.0)
    if first is None:
        return
    told, until = [first], now() + timedelta(seconds=terms.seconds)
    size = len(first["body"])
    while len(told) < AT_MOST and size < DIGEST_CHARACTERS and (further := await _next(terms, until)) is not None:
        told.append(further)
        size += len(further["body"])
    title = f"{terms.rule}: {len(told)} notices" if len(told) > 1 else told[0]["title"]
    await tell(terms.channels, title, "\n\n".join(f"{one['at']} {one['title']}\n{one['body']}" for one in told))
    continue_as_new(terms)


async def _next(terms: Digest, until: datetime, late: float = 0.0) -> dict[str, Any] | None:
    """What comes up next; None for nothing until then, or, where it is later already, for so many seconds."""
    left = (until - now()).total_seconds()
    if left <= 0:
        left = late
    if not left:
        return None
    try:
        return await wait_for_event(TOLD, key=terms.rule, timeout=left, type=dict[str, Any])
    except EventTimeout:
        return None
