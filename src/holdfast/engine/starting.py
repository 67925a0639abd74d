"""The row of a new run: what its workflow's terms, its start's options and its parent say of it."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import msgspec

from holdfast.engine.shadow import in_shadow
from holdfast.engine.tracing import caller, stored_caller
from holdfast.errors import UsageError
from holdfast.model.ids import uuid7
from holdfast.model.keys import items_in, lane_id, rule_id, topic_id
from holdfast.model.payload import codec_of
from holdfast.model.publishing import SHADOW
from holdfast.model.run import PROTOCOL, microseconds, rank
from holdfast.model.search import attribute_rows
from holdfast.model.shares import PLACE_BYTES, queue_of, share_name, too_long
from holdfast.model.start_rules import RateLimit, StartRule
from holdfast.model.terms import Terms, key_for, key_of_items
from holdfast.model.trace import TRACEPARENT, shown
from holdfast.store.operations import Fact, Gather, Rate, Start, Topic

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
    rate, gather = rules_of(tenant, workflow, terms, options, given, args, kwargs) if terms.ruled else (None, None)
    row = Start(
        uid=uid,
        tenant=tenant,
        # One that sorts by time keeps the inserts into the index of ids together.
        id=options.id if options.id is not None else uid.hex(),
        workflow=workflow,
        version=version,
        protocol=PROTOCOL,
        queue=place_in(options.queue or terms.queue, tenant, "", workflow, version),
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
        rate=rate,
        gather=gather,
        options=kept_options(options) if terms.ruled else None,
    )
    return row if terms.plain else with_terms(row, terms, args, kwargs)


def place_in(queue: str, tenant: str, key: str, workflow: str, version: str) -> str:
    """Where the runs of a share wait in a queue.

    Raises:
        UsageError: the names are too long, together, for the index of what is ready.
    """
    place = share_name(queue, tenant, key)
    if taken := too_long(place, workflow, version):
        raise UsageError(
            f"the names of queue, tenant, share, workflow and version have {taken:,} bytes together, for a run of "
            f"workflow {workflow[:80]!r} in queue {queue[:80]!r}; the index takes {PLACE_BYTES:,}: give shorter ones"
        )
    return place


def with_terms(row: Start, terms: Terms, args: tuple[Any, ...] | None, kwargs: dict[str, Any]) -> Start:
    """The row with its share, its lane, unless an ancestor's slot serves it, and the event that cancels it."""
    if terms.share is not None:
        key = key_for(terms, terms.share, row.workflow, "share", row.input, args, kwargs)
        row = row._replace(queue=place_in(queue_of(row.queue), row.tenant, key, row.workflow, row.version))
    if terms.cancel_on is not None:
        key = key_for(terms, terms.cancel_key, row.workflow, "cancel_on", row.input, args, kwargs)
        row = row._replace(watches=(topic(row.tenant, terms.cancel_on, key),))
    if terms.lane is not None:
        key = key_for(terms, terms.key, row.workflow, "key", row.input, args, kwargs)
        lane = lane_id(row.tenant, terms.lane, key)
        above = row.lanes_above or b""
        if lane not in (above[n : n + 16] for n in range(0, len(above), 16)):
            row = row._replace(lane=lane, lane_name=terms.lane, lane_key=key, slots=terms.slots)
    return row


def rules_of(
    tenant: str,
    workflow: str,
    terms: Terms,
    options: StartOptions,
    given: bytes,
    args: tuple[Any, ...] | None,
    kwargs: dict[str, Any],
) -> tuple[Rate | None, Gather | None]:
    """What the rules of a workflow say of one start.

    Raises:
        UsageError: a key cannot be had from its arguments; the items of a batch are none, too many, or of several
            keys; or options ask for an instant that the rule decides.
    """
    rate, debounce, batch, singleton = terms.rate_limit, terms.debounce, terms.batch, terms.singleton
    if (debounce or batch) and (options.delay_seconds is not None or options.at is not None):
        raise UsageError(
            f"workflow {workflow!r} has a rule that decides when its run starts, its {terms.merging}: leave delay and "
            "at out"
        )

    def told(rule: StartRule, name: str) -> tuple[bytes, str]:
        key = key_for(terms, rule.key, workflow, f"the key of {name}", given, args, kwargs)
        return rule_id(tenant, workflow, _apart(name, options.shadow), key), key

    gather: Gather | None = None
    if debounce is not None:
        id, key = told(debounce, "debounce")
        gather = Gather(id, "debounce", key, debounce.edge, debounce.wait_us, debounce.longest_us)
    elif batch is not None:
        items = check_items(workflow, batch.most, given)
        key = key_of_items(batch.key, workflow, "the key of batch", items, args, kwargs)
        id = rule_id(tenant, workflow, _apart("batch", options.shadow), key)
        gather = Gather(id, "batch", key, "", batch.within_us, 0, batch.most, len(items))
    elif singleton is not None:
        id, key = told(singleton, "singleton")
        gather = Gather(id, "singleton", key, singleton.when_taken)
    limit = None
    if rate is not None:
        limit = _rate(tenant, workflow, terms, rate, given, args, kwargs, shadow=options.shadow)
    return limit, gather


def kept_options(options: StartOptions) -> bytes | None:
    """What a start that is dropped is to be started with, if a person starts it after all; None for nothing."""
    if not (options.priority or options.queue or options.attributes or options.timeout_seconds or options.shadow):
        return None
    said = {name: value for name in _KEPT if (value := getattr(options, name))}
    return msgspec.json.encode(said)


_KEPT = ("priority", "queue", "attributes", "timeout_seconds", "shadow")


def with_limit(row: Start, terms: Terms, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Start:
    """The row of a child run with the limit to how many start, the only rule that goes with a parent."""
    if terms.rate_limit is None:
        return row
    limit = terms.rate_limit
    shadow = in_shadow(row.attributes)
    return row._replace(rate=_rate(row.tenant, row.workflow, terms, limit, row.input, args, kwargs, shadow=shadow))


def check_items(workflow: str, most: int, given: bytes) -> list[msgspec.Raw]:
    """The items that a start brings to a batch.

    Raises:
        UsageError: none, or more than a batch collects.
    """
    items = items_in(given, f"workflow {workflow!r}")
    if not items:
        raise UsageError(f"a start of workflow {workflow!r} brings no item to its batch; give a list of one or more")
    if len(items) > most:
        raise UsageError(
            f"a start of workflow {workflow!r} brings {len(items):,} items, and its batch collects at most {most:,}; "
            "give them in several starts"
        )
    return items


def ruled(start: Start) -> bool:
    """Whether a rule may merge or drop a start."""
    return start.gather is not None or (start.rate is not None and start.rate.drop)


def check_child(workflow: str, terms: Terms) -> None:
    """Refuse a child run that might not come to be: its parent waits for it.

    Raises:
        UsageError: the workflow has a rule that merges or drops starts.
    """
    rule = terms.merging
    if rule is None and terms.rate_limit is not None and terms.rate_limit.excess == "drop":
        rule = "rate_limit"
    if rule is not None:
        raise UsageError(
            f"workflow {workflow!r} is called in a workflow, and its {rule} may merge or drop a start, so that there "
            "would be no child run to wait for: start it with a client in a step"
        )


def _rate(
    tenant: str,
    workflow: str,
    terms: Terms,
    limit: RateLimit,
    given: bytes,
    args: tuple[Any, ...] | None,
    kwargs: dict[str, Any],
    *,
    shadow: bool,
) -> Rate:
    key = key_for(terms, limit.key, workflow, "the key of rate_limit", given, args, kwargs)
    id = rule_id(tenant, workflow, _apart("rate_limit", shadow), key)
    return Rate(id, key, limit.most, limit.per_us, limit.excess == "drop")


def _apart(rule: str, shadow: bool) -> str:
    """A rule's name, as it is known by: starts in shadow are told apart, so that none goes into a run that sends."""
    return f"{rule}/shadow" if shadow else rule


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
