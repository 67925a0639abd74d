"""`hf.publish`: a message that is recorded in the outbox with the run's own commit, and sent afterwards.

In a step it is committed with the attempt's result, and dropped when the attempt fails. In a workflow's own code it is
a durable call, committed with its entry. Either way it costs one row, and nothing is read.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import secrets
import threading
from collections.abc import Awaitable, Generator
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from holdfast.engine.attaching import attach
from holdfast.engine.context import Scope, place
from holdfast.engine.shadow import in_shadow
from holdfast.errors import PayloadError, UsageError
from holdfast.model.duration import Duration, seconds
from holdfast.model.ids import MAX_ID_CHARACTERS, check_id, derived_bytes, uuid7
from holdfast.model.keys import check_key
from holdfast.model.mails import STORED_BYTES, Mail
from holdfast.model.payload import HEADER, codec_of
from holdfast.model.publishing import Verdict, text_digest
from holdfast.model.run import Kind, Outcome
from holdfast.store.operations import NewMessage

if TYPE_CHECKING:
    from holdfast.engine.execution import Execution
    from holdfast.store.operations import ClaimedRun

PUBLISH, OK = str(Kind.PUBLISH), str(Outcome.OK)

REASON_CHARACTERS = 1000

_ANY = codec_of(Any)
_TEXT = codec_of(str)
_order = itertools.count()
_counting = threading.Lock()


class Given(NamedTuple):
    """What is to be published, checked and encoded.

    Attributes:
        id: of its own; None for one that is made up.
    """

    channel: str
    id: str | None
    key: str | None
    delay_us: int
    verdict: Verdict
    reason: str
    body: bytes
    digest: bytes


class _Attached:
    """What `publish` gives in a step, where all is done at the call: a plain step cannot await it, and need not."""

    __slots__ = ("_id",)

    def __init__(self, id: str) -> None:
        self._id = id

    def __await__(self) -> Generator[Any, Any, str]:
        yield from ()
        return self._id


def publish(
    channel: str,
    message: Any,
    *,
    id: str | None = None,
    key: object = None,
    delay: Duration | None = None,
    review: str | None = None,
    refuse: str | None = None,
) -> Awaitable[str]:
    """Publish a message: it is recorded with the run's own commit, and sent afterwards, however often anything crashes.

    In a step it goes out only if the attempt succeeds; a plain ``def`` calls it without ``await``. In a workflow it is
    a durable call. Whether it is sent at once, after a person has looked, or not at all, is decided when its turn
    comes, by the workflow's publish mode.

    Args:
        channel: by which it is sent, as the file of channels names it.
        message: an ``hf.Mail``, plain JSON, a pydantic model or a dataclass.
        id: unique within the tenant; a message whose id is known is not published again. Unless given, it is made of
            the run and the place in its code. In a run in shadow ``shadow/`` comes before it.
        key: a text, a whole number or a UUID; messages of a channel with the same key are sent in the order in which
            they were published.
        delay: not before so long from now, in seconds or as text such as ``"5m"``.
        review: why a person has to look at it first, whatever the mode.
        refuse: why it must never be sent, whatever the mode; it is recorded all the same.

    Returns:
        To await: the message's id.

    Raises:
        PayloadError: the message cannot be stored.
        UsageError: a value out of range, both review and refuse, or called outside a run, or when the step is over.
    """
    here = place.get()
    if here is None:
        raise UsageError(
            "hf.publish outside a run: call it in a workflow or in a step that a workflow called; elsewhere use "
            "await client.publish(…)"
        )
    given = checked(channel, message, id=id, key=key, delay=delay, review=review, refuse=refuse)
    if isinstance(here, Scope):
        call = _publish(here.execution, here.allocate(), given)
        call.__qualname__ = "hf.publish"  # type: ignore[attr-defined]
        return call
    if here.over:
        raise UsageError(
            f"hf.publish when step {here.name!r} had ended, whose result it goes with: in the step, await whatever "
            "publishes"
        )
    execution = here.execution
    with _counting:  # of a plain step's threads
        count = here.published
        here.published += 1
        if execution.dead:  # of an attempt that is tried aside, or was cut off, nothing is committed
            return _Attached(given.id or _derived_id(execution.run, here.position, count))
        row = _of_run(execution, here.position, given, count)
        attach(here, "messages", row)
    return _Attached(row.id)


async def _publish(execution: Execution, position: bytes, given: Given) -> str:
    execution.check()
    entry = execution.recorded(position, PUBLISH, given.channel)
    if entry is None:
        await execution.may_go_on(position)
        message = _of_run(execution, position, given, 0)
        run, now = execution.run, message.created_at
        said = {"key": given.key, "review": given.reason if given.verdict == "review" else None}
        row = (
            run.uid, position, run.generation, execution.next_seq(), PUBLISH, given.channel, OK,
            _ANY.encode({name: value for name, value in said.items() if value is not None}, "hf.publish"),
            _TEXT.encode(message.id, "the id of a message"), 1, now, now, run.epoch,
        )  # fmt: skip
        execution.enter()
        try:
            # Both are queued before anything is awaited, so that they share a transaction.
            execution.committer.post("messages", message)
            entry = await execution.record(row)
        except asyncio.CancelledError:
            execution.stopped_call("hf.publish", position)
            raise
        finally:
            execution.leave_call(position)
        if entry is None:
            return message.id
    id: str = _TEXT.decode(entry.output or b"", "the id of a message")
    return id


def _of_run(execution: Execution, position: bytes, given: Given, count: int) -> NewMessage:
    run = execution.run
    id = given.id or _derived_id(run, position, count)
    if in_shadow(execution.attributes):
        said = {"mode": "", "review": f"review: {given.reason}", "refused": f"refused: {given.reason}"}
        given = given._replace(verdict="shadow", reason=said[given.verdict])
        id = id if given.id is None else _shadow_id(id)
    return new_message(
        given._replace(id=id), run.tenant, execution.core.now_us(), workflow=run.workflow, run=run.uid, run_id=run.id,
        position=position, generation=run.generation, epoch=run.epoch,
    )  # fmt: skip


def _derived_id(run: ClaimedRun, position: bytes, count: int) -> str:
    """The same over attempts and crashes, another for each call that is executed anew."""
    return derived_bytes(run.uid, run.generation, position, b"message %d" % count)[:16].hex()


def _shadow_id(id: str) -> str:
    """Another id than the one that was given, so that the message keeps no other from being sent."""
    named = f"shadow/{id}"
    return named if len(named) <= MAX_ID_CHARACTERS else f"shadow/{hashlib.sha256(id.encode()).hexdigest()}"


def new_message(
    given: Given,
    tenant: str,
    now_us: int,
    *,
    workflow: str,
    run: bytes | None = None,
    run_id: str = "",
    position: bytes = b"",
    generation: int = 0,
    epoch: int | None = None,
) -> NewMessage:
    """The row of a message; its uid sorts behind those that this process made before."""
    number = next(_order)
    uid = uuid7(now_us, b"\0" + (number & 0x3FFFFF).to_bytes(3, "big") + secrets.token_bytes(6))
    return NewMessage(
        uid, tenant, uid.hex() if given.id is None else given.id, given.channel, given.key, given.verdict, given.reason,
        given.body, given.digest, workflow, run, run_id, position, generation, epoch, now_us + given.delay_us, now_us,
    )  # fmt: skip


def checked(
    channel: str,
    message: Any,
    *,
    id: str | None,
    key: object,
    delay: Duration | None,
    review: str | None,
    refuse: str | None,
) -> Given:
    """What is to be published, or why it cannot be.

    Raises:
        PayloadError: the message cannot be stored.
        UsageError: a value out of range.
    """
    check_id(channel, "the channel of a message")
    if review is not None and refuse is not None:
        raise UsageError(f"a message on {channel!r} has review and refuse: give one of them, since refused is not sent")
    verdict: Verdict = "mode" if review is None and refuse is None else "review" if refuse is None else "refused"
    why, what = (review, "review") if refuse is None else (refuse, "refuse")
    body = encode(message, f"the message on {channel!r}")
    return Given(
        channel=channel,
        id=None if id is None else check_id(id, "the id of a message"),
        key=None if key is None else check_key(key, "the key of a message"),
        delay_us=0 if delay is None else int(seconds(delay, what="the delay of a message") * 1e6),
        verdict=verdict,
        reason="" if why is None else check_reason(why, f"{what} of a message"),
        body=body,
        digest=text_digest(msgspec.json.decode(body[len(HEADER) :])),
    )


def encode(message: Any, what: str) -> bytes:
    """A message as stored: plain JSON, whatever class it was of.

    Raises:
        PayloadError: it cannot be stored; the place inside it is named.
    """
    if isinstance(message, Mail):  # it has checked itself, and may have attachments
        body = HEADER + msgspec.json.encode(message.to_json())
        if len(body) > STORED_BYTES:
            raise PayloadError(what, f"takes {len(body):,} bytes as JSON, and at most {STORED_BYTES:,} are stored")
        return body
    plain = message is None or isinstance(message, str | int | float | bool | dict | list)
    return (_ANY if plain else codec_of(type(message))).encode(message, what)


def check_reason(reason: object, what: str) -> str:
    """A reason as it is shown to people.

    Raises:
        UsageError: it is none.
    """
    if not isinstance(reason, str) or not reason.strip() or len(reason) > REASON_CHARACTERS or "\0" in reason:
        raise UsageError(f"{what} is {reason!r:.300}; say why, in 1 to {REASON_CHARACTERS} characters without NUL")
    if any("\ud800" <= character <= "\udfff" for character in reason):
        raise UsageError(f"{what} holds half of a surrogate pair; leave it out")
    return reason
