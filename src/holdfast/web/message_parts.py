"""What the pages of messages share: what may be done to one, why one is not moving, and how one is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from holdfast.engine.messages import MessageView
from holdfast.engine.publish_modes import PublishSettingView
from holdfast.model.publishing import PublishMode, action

LABELS: Mapping[str, str] = {
    "pending": "Pending",
    "sending": "Sending",
    "sent": "Sent",
    "failed": "Failed",
    "dead": "Dead",
    "withheld": "Withheld",
    "discarded": "Discarded",
}
"""The statuses of messages, in words."""

MODES: Mapping[str, str] = {
    "off": "nothing is sent",
    "draft": "a person sees each message first",
    "auto": "messages are sent by themselves",
}
"""What the publish modes do with messages that their code lets pass."""

OPEN = ("pending", "failed", "dead", "withheld")
"""Messages in these statuses can be discarded."""

SENDABLE = ("dead", "failed", "withheld")
"""And in these sent again, unless they are never to be sent."""


def may_send(view: MessageView) -> bool:
    """Whether a message can be sent again."""
    return view.status in SENDABLE and view.verdict not in ("refused", "shadow")


def mode_of(settings: Sequence[PublishSettingView], workflow: str) -> PublishMode:
    """The mode in force for a workflow. The first of the settings is that for all."""
    return next((one.mode_in_force for one in settings if one.workflow == workflow), settings[0].mode_in_force)


class Said(NamedTuple):
    """A line that explains something: a text, and a link behind it. ``item``, ``run`` and ``message`` are ids."""

    text: str
    item: str | None = None
    run: str | None = None
    message: str | None = None


def standing(
    view: MessageView, mode: PublishMode, ahead: Sequence[MessageView], review: tuple[str, str | None] | None,
    now: datetime,
) -> list[Said]:  # fmt: skip
    """Where a message stands, and why it is not moving, in words.

    Args:
        view: the message, with its attempts.
        mode: that is in force for its workflow.
        ahead: those of its key that have to be sent before it, the first of them first.
        review: the run that has a person look at it, and the work item that it asks by; None where there is none.
        now: the present.
    """
    if view.status == "pending":
        return _pending(view, mode, ahead, now)
    if view.status == "sending":
        return [Said("A worker is sending it just now.")]
    if view.status == "failed":
        lines = [Said(f"Attempt {view.attempts} failed: it is tried again {_at(view.due_at)}.")]
        return lines + ([Said("It may have been received by an attempt that failed.")] if view.doubt else [])
    if view.status == "dead":
        return _dead(view)
    if view.status == "withheld":
        return _withheld(view, mode, review)
    if view.status == "sent":
        by = f", as {view.approved_by} let it pass" if view.approved_by else ""
        return [Said(f"It was sent {_at(view.ended_at)}{by}.")]
    return [Said(f"It was given up {_at(view.ended_at)}: {view.reason}.")]


def _pending(view: MessageView, mode: PublishMode, ahead: Sequence[MessageView], now: datetime) -> list[Said]:
    lines = []
    if ahead:
        many = "one message" if len(ahead) == 1 else f"{len(ahead)} messages"
        lines.append(Said(
            f"It waits for {many} of the same key that were published before it; the first is {ahead[0].status}:",
            message=ahead[0].id,
        ))  # fmt: skip
    elif view.due_at is not None and view.due_at > now:
        lines.append(Said(f"It is not due before {_at(view.due_at).removeprefix('at ')}."))
    else:
        lines.append(Said(f"It is due, and waits for a worker that sends by the channel {view.channel}."))
    done = "send" if view.approved_by else action(view.verdict, mode)
    if done == "withhold":
        lines.append(Said(f"When its turn comes it will be withheld: the publish mode is {mode}."))
    elif done == "review" and view.verdict == "review":
        lines.append(Said(f"When its turn comes a person is asked to look at it first: {view.reason}."))
    elif done == "review":
        lines.append(Said("When its turn comes it will wait for a person to look at it: the publish mode is draft."))
    return lines


def _dead(view: MessageView) -> list[Said]:
    lines = [Said("It is not tried again by itself: somebody has to have it sent again, or discard it.")]
    if view.doubt:
        lines.insert(0, Said("It may have been sent: whoever sent it was lost before it could be recorded."))
    if view.key is not None:
        lines.append(Said("Messages of the same key that were published after it wait for that."))
    return lines


def _withheld(view: MessageView, mode: PublishMode, review: tuple[str, str | None] | None) -> list[Said]:
    if view.verdict == "refused":
        return [Said(f"It is never sent: {view.reason}.")]
    if view.verdict == "shadow":
        return [Said("It is never sent: the run that published it works in shadow, beside another path that answers.")]
    because = f": {view.reason}" if view.reason else ""
    if review is None:
        return [Said(f"It was withheld by the publish mode of that time{because}. The mode is {mode} now.")]
    run, item = review
    if item is None:
        return [Said(f"It is to be looked at by a person first{because}. See", run=run)]
    return [Said(f"It waits for a person to look at it{because}. See", item=item)]


def _at(at: datetime | None) -> str:
    return "" if at is None else f"at {at:%Y-%m-%d %H:%M:%S} UTC"


class Letter(NamedTuple):
    """A mail as it is read.

    Attributes:
        headers: names and texts, in order.
        text: its words.
        html: the same as HTML, which is never shown as such; None for none.
        attachments: the names, media types and sizes in bytes of the files that go with it.
    """

    headers: list[tuple[str, str]]
    text: str
    html: str | None
    attachments: list[tuple[str, str, int]]


_HEADERS = (
    ("sender", "From"), ("to", "To"), ("cc", "Cc"), ("bcc", "Bcc"), ("reply_to", "Reply to"), ("subject", "Subject"),
    ("in_reply_to", "In reply to"), ("references", "References"),
)  # fmt: skip


def letter_of(body: Any) -> Letter | None:
    """The mail that a body is, whatever was hidden in it; None where it is something else."""
    if not isinstance(body, dict) or not {"to", "subject", "text"} <= body.keys():
        return None
    headers = [(label, _line(body.get(name))) for name, label in _HEADERS]
    more = body.get("headers")
    if isinstance(more, dict):
        headers += [(str(name), _line(text)) for name, text in more.items()]
    attached = body.get("attachments")
    html = body.get("html")
    return Letter(
        headers=[(label, text) for label, text in headers if text],
        text=str(body["text"]),
        html=html if isinstance(html, str) else None,
        attachments=[_attached(one) for one in attached if isinstance(one, dict)] if isinstance(attached, list) else [],
    )


def _line(value: Any) -> str:
    return ", ".join(str(one) for one in value) if isinstance(value, list) else str(value or "")


def _attached(one: dict[str, Any]) -> tuple[str, str, int]:
    content = one.get("content")
    size = len(content) * 3 // 4 - content[-2:].count("=") if isinstance(content, str) else 0
    return str(one.get("name", "")), str(one.get("media_type", "")), size
