"""The row of a new run: what its workflow's terms, its start's options and its parent say of it."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from holdfast.engine.tracing import caller, stored_caller
from holdfast.model.ids import uuid7
from holdfast.model.keys import lane_id, topic_id
from holdfast.model.payload import codec_of
from holdfast.model.publishing import SHADOW
from holdfast.model.run import PROTOCOL, microseconds, rank
from holdfast.model.search import attribute_rows
from holdfast.model.terms import Terms, key_for
from holdfast.model.trace import TRACEPARENT, shown
from holdfast.store.operations import Fact, Start, Topic

if TYPE_CHECKING:
    from holdfast.engine.workflow import StartOptions

ATTRIBUTES = codec_of(dict[str, Any])


def start_row(
    *,
    tenant: str,
    workflow: str,
    version: str,
    terms: Terms,
    options: StartOptions,
    given: bytes,
    now_us: int,
    args: tuple[Any, ...] | None,
    kwargs: dict[str, Any],
) -> Start:
    """A run without a parent.

    Args:
        given: its stored input.
        args: its arguments; None when only the stored input is known.
        kwargs: its arguments by name.

    Raises:
        UsageError: its key cannot be had from its arguments.
        PayloadError: an attribute that cannot be stored.
    """
    due = now_us
    if options.delay_seconds is not None:
        due = now_us + int(options.delay_seconds * 1e6)
    elif options.at is not None:
        due = microseconds(options.at)
    uid = uuid7(now_us, secrets.token_bytes(10))
    limit = options.timeout_seconds if options.timeout_seconds is not None else terms.timeout_seconds
    attributes = {**options.attributes, SHADOW: True} if options.shadow else options.attributes
    row = Start(
        uid=uid,
        tenant=tenant,
        # One that sorts by time keeps the inserts into the index of ids together.
        id=options.id if options.id is not None else uid.hex(),
        workflow=workflow,
        version=version,
        protocol=PROTOCOL,
        queue=options.queue or terms.queue,
        priority=options.priority,
        rank=rank(due, options.priority),
        input=given,
        attributes=ATTRIBUTES.encode(attributes, "attributes") if attributes else None,
        created_at=now_us,
        due_at=due if due > now_us else None,
        parent_uid=None,
        parent_position=None,
        parent_generation=None,
        parent_epoch=None,
        deadline_at=None if limit is None else max(due, now_us) + int(limit * 1e6),
        facts=facts_of(attributes) if attributes else (),
    )
    if terms.lane is None and terms.cancel_on is None:
        return row
    return with_terms(row, terms, args, kwargs)


def with_terms(row: Start, terms: Terms, args: tuple[Any, ...] | None, kwargs: dict[str, Any]) -> Start:
    """The row with its lane, unless an ancestor's slot serves it, and with the event that cancels it."""
    if terms.cancel_on is not None:
        key = key_for(terms.cancel_key, row.workflow, "cancel_on", row.input, args, kwargs)
        row = row._replace(watches=(topic(row.tenant, terms.cancel_on, key),))
    if terms.lane is not None:
        key = key_for(terms.key, row.workflow, "key", row.input, args, kwargs)
        lane = lane_id(row.tenant, terms.lane, key)
        above = row.lanes_above or b""
        if lane not in (above[n : n + 16] for n in range(0, len(above), 16)):
            row = row._replace(lane=lane, lane_name=terms.lane, lane_key=key, slots=terms.slots)
    return row


def under_caller(row: Start) -> Start:
    """The row with the span in which it is started, if any, among its attributes."""
    span = caller()
    if span is None and stored_caller(row.attributes) is None:
        return row
    attributes = ATTRIBUTES.decode(row.attributes, "attributes") if row.attributes else {}
    attributes.pop(TRACEPARENT, None)
    if span is not None:
        attributes[TRACEPARENT] = span
    return row._replace(attributes=ATTRIBUTES.encode(attributes, "attributes") if attributes else None)


def facts_of(attributes: dict[str, Any]) -> tuple[Fact, ...]:
    """Attributes as they are searched."""
    return tuple(Fact(*row) for row in attribute_rows(shown(attributes)))


def topic(tenant: str, name: str, key: str) -> Topic:
    """What an event of this name and key is about."""
    return Topic(topic_id(tenant, name, key), tenant, name, key)
