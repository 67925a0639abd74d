"""What is done with a message that a run publishes: the rules that no setting can override, and those that one can.

A message has a verdict, given by the code that publishes it, and a workflow has a publish mode, which people change
while it works. A refused message is never sent, a message for review never without a person's word, and a run in
shadow sends nothing, whatever the mode says.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any, Literal

PublishMode = Literal["off", "draft", "auto"]
"""What is done with messages that their code lets pass: nothing is sent, a person sees each first, or all are sent."""

PUBLISH_MODES: tuple[PublishMode, ...] = ("off", "draft", "auto")

USUAL_MODE: PublishMode = "draft"
"""Where nobody has chosen."""

PublishPath = Literal["primary", "shadow"]
"""Which path answers what comes in: this one, or another beside which this one works in shadow."""

Verdict = Literal["mode", "review", "refused", "shadow", "send"]
"""What the code says of a message: the mode decides; a person must look; never to be sent, since a policy refuses it or
since the run works in shadow; or sent in every mode, which only holdfast's own messages are."""

MessageStatus = Literal["pending", "sending", "sent", "failed", "dead", "withheld", "discarded"]
"""``failed`` will be tried again; ``dead`` will not, unless a person has it sent again; ``withheld`` was not sent on
purpose; ``discarded`` was given up by a person, with a reason."""

MESSAGE_STATUSES: tuple[MessageStatus, ...] = (
    "pending", "sending", "sent", "failed", "dead", "withheld", "discarded"
)  # fmt: skip

Action = Literal["send", "review", "withhold"]

SHADOW = "holdfast.shadow"
"""Among a run's stored attributes: it works in shadow. Its children do as well."""

_BLANKS = re.compile(r"\s+")


def review_of(uid: bytes) -> str:
    """The id of the run that has a person look at a message."""
    return f"review/{uid.hex()}"


def action(verdict: Verdict, mode: PublishMode) -> Action:
    """What is done with a message whose turn has come."""
    match verdict, mode:
        case (("refused" | "shadow"), _):
            return "withhold"
        case "send", _:
            return "send"
        case _, "off":
            return "withhold"
        case ("review", _) | (_, "draft"):
            return "review"
    return "send"


def plain_text(message: Any) -> str:
    """The words of a message, by which two of them are compared: of a mail or an object its text, in one line."""
    if isinstance(message, dict):
        message = next((message[name] for name in ("text", "body", "html") if isinstance(message.get(name), str)), "")
    return _BLANKS.sub(" ", message).strip() if isinstance(message, str) else ""


def text_digest(message: Any) -> bytes:
    """A digest of a message's words, 16 bytes; alike for texts that differ in blanks only."""
    return hashlib.blake2b(plain_text(message).encode("utf-8", "replace"), digest_size=16).digest()
