"""What a client can do with the outbox: publish, look at messages, send them again or discard them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from holdfast.engine.asking import cancel_runs
from holdfast.engine.messages import MessageCount, MessageCounts, MessageView, message_view
from holdfast.engine.part import Part, check_whole
from holdfast.engine.publishing import check_reason, checked, new_message
from holdfast.errors import MessageNotFound, MessageNotPossible, UsageError
from holdfast.model.duration import Duration
from holdfast.model.ids import check_id
from holdfast.model.publishing import MESSAGE_STATUSES, MessageStatus, review_of
from holdfast.store.outbox_rows import MESSAGES_AT_ONCE, ChangeMessages, MessageFilter

PAGE_AT_MOST = 1000
COUNT_AT_MOST = 100_000
ATTEMPTS_SHOWN = 100
"""So many attempts to send a message are shown, the last ones."""


class Outboxes(Part):
    """The part of a client that has to do with messages."""

    async def publish(
        self,
        channel: str,
        message: Any,
        *,
        id: str | None = None,
        key: object = None,
        delay: Duration | None = None,
        review: str | None = None,
        refuse: str | None = None,
        workflow: str = "",
    ) -> str:
        """Publish a message outside a run; in a workflow or a step use ``hf.publish``.

        Args:
            channel: by which it is sent, as the file of channels names it.
            message: an ``hf.Mail``, plain JSON, a pydantic model or a dataclass.
            id: to publish it once however often this is called; made up unless given.
            key: messages of a channel with the same key are sent in the order in which they were published.
            delay: not before so long from now.
            review: why a person has to look at it first, whatever the mode.
            refuse: why it must never be sent, whatever the mode.
            workflow: in whose name: its publish mode counts; that for all workflows unless given.

        Returns:
            The message's id.

        Raises:
            PayloadError: the message cannot be stored.
            UsageError: a value out of range.
        """
        given = checked(channel, message, id=id, key=key, delay=delay, review=review, refuse=refuse)
        name = check_id(workflow, "the workflow of a message") if workflow != "" else ""
        row = new_message(given, self.tenant, self.core.now_us(), workflow=name)
        await self._patiently(self.core.committer.submit("messages", row))
        await self._record("message.publish", row.id, channel=channel, workflow=name)
        return row.id

    async def messages(
        self,
        *,
        status: MessageStatus | None = None,
        channel: str | None = None,
        workflow: str | None = None,
        run: str | None = None,
        key: str | None = None,
        doubt: bool | None = None,
        limit: int = 50,
        before: str | None = None,
    ) -> list[MessageView]:
        """Messages, the newest first, without their bodies.

        Args:
            status: only in this status.
            channel: only of this channel.
            workflow: only of this workflow's runs.
            run: only of the run of this id.
            key: only with this key.
            doubt: only those that may have been sent, though nobody knows; or only the others.
            limit: at most so many, 1 to 1,000.
            before: only what was published before the message of this uid, the last of the page before.

        Raises:
            RunNotFound: the tenant has no run of this id.
            UsageError: a value out of range.
        """
        check_whole(limit, "limit", PAGE_AT_MOST)
        check_filter(status, channel, workflow, key, doubt)
        which = MessageFilter(
            statuses=() if status is None else (status,),
            channel=channel,
            workflow=workflow,
            run=None if run is None else (await self._find(run)).uid,
            key=key,
            doubt=doubt,
        )
        behind = None if before is None else checked_uid(before)
        rows = await self._patiently(self.reads.outbox.messages(self.tenant, which, limit=limit, before=behind))
        return [message_view(row, ()) for row in rows]

    async def message(self, id: str) -> MessageView:
        """A message, with its body and the attempts to send it.

        Raises:
            MessageNotFound: the tenant has none of this id.
        """
        row = await self._patiently(self.reads.outbox.message(self.tenant, check_id(id, "the id of a message")))
        if row is None:
            raise no_message(self.tenant, id)
        tries = await self._patiently(self.reads.outbox.attempts(self.tenant, row.uid, limit=ATTEMPTS_SHOWN))
        return message_view(row, tries)

    async def message_counts(self, *, cap: int = 1000) -> MessageCounts:
        """How many messages are on their way, or want somebody.

        Args:
            cap: count no further, 1 to 100,000.

        Raises:
            UsageError: a cap out of range.
        """
        check_whole(cap, "cap", COUNT_AT_MOST)

        async def count(status: MessageStatus, doubt: bool | None = None) -> MessageCount:
            which = MessageFilter(statuses=(status,), doubt=doubt)
            # One more tells whether the cap was reached or passed.
            found = await self._patiently(self.reads.outbox.count_messages(self.tenant, which, cap=cap + 1))
            return MessageCount(min(found, cap), found > cap)

        return MessageCounts(
            pending=await count("pending"),
            sending=await count("sending"),
            failed=await count("failed"),
            dead=await count("dead"),
            doubt=await count("dead", doubt=True),
            withheld=await count("withheld"),
        )

    async def send_again(self, ids: str | Sequence[str]) -> list[str]:
        """Have dead or failed messages, and those that their mode withheld, sent now, whatever the mode says.

        Of one that may have been sent, whoever asks for this decides that it may be sent twice. One that is refused,
        or was made in shadow, is never sent.

        Args:
            ids: of the message, or of several.

        Returns:
            The ids of those that are sent; of several, those that cannot be are left as they are.

        Raises:
            MessageNotFound: the tenant has none of this id, where one is given.
            MessageNotPossible: it is in no state for that, where one is given.
        """
        return await self._change_messages(ids, "send", "")

    async def discard_message(self, ids: str | Sequence[str], reason: str) -> list[str]:
        """Give messages up that are not sent yet; those with the same key behind them can be sent then.

        Args:
            ids: of the message, or of several.
            reason: why; shown to people.

        Returns:
            The ids of those that are discarded; of several, those that were sent or are being sent are left.

        Raises:
            MessageNotFound: the tenant has none of this id, where one is given.
            MessageNotPossible: it is in no state for that, where one is given.
            UsageError: no reason.
        """
        return await self._change_messages(ids, "discard", check_reason(reason, "the reason to discard a message"))

    async def _change_messages(
        self, ids: str | Sequence[str], change: Literal["send", "discard"], reason: str
    ) -> list[str]:
        wanted, actor = checked_ids(ids), self.actor or "local"
        changed: list[str] = []
        for first in range(0, len(wanted), MESSAGES_AT_ONCE):
            some = wanted[first : first + MESSAGES_AT_ONCE]
            # Recorded without an actor too: by its record a change that is repeated is known again.
            audits = [self._audit(actor, f"message.{change}", id, {"reason": reason}) for id in some]
            asked = ChangeMessages(
                self.tenant, tuple(some), change, reason, None, actor if change == "send" else None,
                self.core.now_us(), tuple(audits),
            )  # fmt: skip
            done = await self._patiently(self.core.store.outbox.change_messages(asked))
            if done:
                await self._patiently(self._close_reviews(done))
            changed += done
        if isinstance(ids, str) and not changed:
            raise not_possible(await self.message(ids), change)
        return changed

    async def _close_reviews(self, ids: Sequence[str]) -> None:
        """Ask nobody any more what is to become of messages about which it is decided."""
        uids = await self.core.store.outbox.uids(self.tenant, ids)
        await cancel_runs(self.core, self.tenant, [review_of(uid) for uid in uids], "the message was decided about")


def check_filter(status: object, channel: object, workflow: object, key: object, doubt: object) -> None:
    """Refuse what no message can have.

    Raises:
        UsageError: such a value.
    """
    if status is not None and status not in MESSAGE_STATUSES:
        raise UsageError(f"status is {status!r:.300}; give one of {', '.join(MESSAGE_STATUSES)}")
    if doubt is not None and not isinstance(doubt, bool):
        raise UsageError(f"doubt is {doubt!r:.300}; give True or False")
    for what, value in (("channel", channel), ("workflow", workflow), ("key", key)):
        if value is not None:
            check_id(value, f"the {what} of a message")


def checked_uid(text: object) -> bytes:
    """The uid of a message.

    Raises:
        UsageError: it is none.
    """
    try:
        uid = bytes.fromhex(text) if isinstance(text, str) else b""
    except ValueError:
        uid = b""
    if len(uid) != 16:
        raise UsageError(f"before is {text!r:.300}; give the uid of a message, 32 hexadecimal digits")
    return uid


def checked_ids(ids: str | Sequence[str]) -> list[str]:
    """Ids of messages, each once.

    Raises:
        UsageError: one that is no id.
    """
    if not isinstance(ids, str | Sequence):
        raise UsageError(f"the ids of messages are {ids!r:.300}; give one id, or a list of them")
    some = [ids] if isinstance(ids, str) else ids
    return list(dict.fromkeys(check_id(one, "the id of a message") for one in some))


def no_message(tenant: str, id: str) -> MessageNotFound:
    """What is raised for a message that is not there."""
    return MessageNotFound(f"tenant {tenant!r} has no message {id!r}", message_id=id)


def not_possible(view: MessageView, change: Literal["send", "discard"]) -> MessageNotPossible:
    """What is raised for a message that is in no state for a change."""
    if view.verdict in ("refused", "shadow") and change == "send":
        why = "its code refused it" if view.verdict == "refused" else "it was published in shadow"
        return MessageNotPossible(f"message {view.id!r} is never sent: {why}", message_id=view.id)
    only = "dead, failed and withheld ones are sent again" if change == "send" else "what is not sent yet is discarded"
    return MessageNotPossible(f"message {view.id!r} is {view.status}; only {only}", message_id=view.id)
