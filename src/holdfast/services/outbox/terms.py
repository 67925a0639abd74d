"""What a file of channels says of each: by which it sends, how fast, how often, and what becomes of what fails."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from holdfast.engine.secrets import Secret
from holdfast.model.phases import Approval, Rate
from holdfast.model.retry import Retry
from holdfast.services.outbox.accepting import Accept

Security = Literal["starttls", "tls", "none"]

SECURITIES: tuple[Security, ...] = ("starttls", "tls", "none")

CONCURRENCY = {"smtp": 4, "webhook": 100, "file": 16, "apprise": 4}
"""How many messages each type of channel sends at once, where nothing else is said."""

RESENDS = frozenset({"file", "webhook"})
"""The types whose receivers can tell that they are given a message a second time."""


@dataclass(frozen=True, slots=True)
class Smtp:
    """A mail server.

    Attributes:
        port: None for the usual one of its security.
        sender: who sends what says nothing of it.
        to: whom messages are for that are no mails.
    """

    host: str
    port: int | None
    security: Security
    user: str | None
    password: Secret | None
    sender: str
    to: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Webhook:
    """An address that takes messages by POST.

    Attributes:
        secret: what messages are signed with, as Standard Webhooks says.
        accept: whether an answer says that the message was taken; None for any of 200 to 299.
        headers: of each request.
    """

    url: str | Secret
    secret: Secret | None
    accept: Accept | None
    headers: Mapping[str, str | Secret]


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder, in which each message is a file."""

    folder: Path


@dataclass(frozen=True, slots=True)
class Apprise:
    """An address as apprise has them."""

    url: Secret


@dataclass(frozen=True, slots=True)
class ChannelTerms:
    """A channel.

    Attributes:
        means: by which it sends, and what that needs to know.
        drafts: the channel that is given drafts, marked as such; None: a person looks at them.
        review: who looks at what has to be looked at.
        rate: how many messages in a time, over all workers; None for any number.
        concurrency: how many are sent at once by a worker.
        retry: how often a message is tried, and with which pauses.
        timeout_seconds: how long an attempt may take.
        resend: whether a message is sent again of which nobody knows whether it was sent.
    """

    name: str
    means: Smtp | Webhook | Folder | Apprise
    drafts: str | None
    review: Approval
    rate: Rate | None
    concurrency: int
    retry: Retry
    timeout_seconds: float
    resend: bool

    @property
    def type(self) -> str:
        """As the file names it."""
        return "file" if isinstance(self.means, Folder) else type(self.means).__name__.lower()


Channels = Mapping[str, ChannelTerms]
"""The channels of a file by their names."""
