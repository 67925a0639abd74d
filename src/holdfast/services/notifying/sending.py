"""Sends what people are told: each message is a run, so that it is neither lost nor sent again once it was taken."""

from __future__ import annotations

import logging
import re
import threading
import warnings
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote

from holdfast.engine.attaching import attempt
from holdfast.engine.context import now
from holdfast.engine.events import send_event, wait_for_event
from holdfast.engine.fan_out import gather
from holdfast.engine.steering import continue_as_new
from holdfast.engine.step import step
from holdfast.engine.workflow import workflow
from holdfast.errors import EventTimeout, Fatal, HoldfastError, RunFailed, UsageError
from holdfast.model.retry import Retry
from holdfast.services.notifying.rules import Rules

log = logging.getLogger("holdfast.notifications")

QUEUE = "notifications"
RULES = "notifications"
"""Under this name a process keeps its rules beside its database."""

TOLD = "holdfast.notice"
"""The event by which a digest hears of something."""

VERSION = "1"
AT_MOST = 1000
"""So much is in one digest."""

DIGEST_CHARACTERS = 100_000
"""A digest that has as many is sent, and another begun."""

PATIENT = Retry(max_attempts=12, initial=2.0, factor=2.0, maximum=600.0)
DAY_SECONDS = 24 * 3600

_SEPARATORS = re.compile(r"[/:@?&=,;]")


@dataclass(frozen=True, slots=True)
class Message:
    """What is told. ``digest``: the name of the rule, when it is told together with what else comes up."""

    channels: list[str]
    title: str
    body: str
    digest: str | None = None


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


@step(name="send", retry=PATIENT, timeout=60)
def send(channel: str, title: str, body: str) -> None:
    """Send a message.

    Raises:
        Fatal: there is no such channel in this worker's rules, or its address is none.
        HoldfastError: it was not taken.
    """
    here = attempt()
    rules = None if here is None else here.execution.core.companions.get(RULES)
    if not isinstance(rules, Rules) or channel not in rules.channels:
        raise Fatal(f"channel {channel!r} is not in the file of notifications any more")
    try:
        url = rules.channels[channel].reveal(f"the url of channel {channel!r}")
    except UsageError as error:
        raise Fatal(str(error)) from None
    deliver(channel, url, title, body)


def deliver(channel: str, url: str, title: str, body: str) -> None:
    """Hand a message to the library that knows the channels.

    Args:
        url: an address as apprise takes them, such as ``mailto://…`` or ``slack://…``.

    Raises:
        Fatal: the address is none.
        HoldfastError: it was not taken; says why, without what the address holds.
    """
    import apprise

    heard = _Heard()
    logger = logging.getLogger("apprise")
    logger.addHandler(heard)
    try:
        plugin = apprise.Apprise.instantiate(url, suppress_exceptions=True)
        if plugin is None:
            raise Fatal(f"the address of channel {channel!r} is none that apprise knows")
        if not plugin.notify(body=body, title=title):
            raise HoldfastError(f"channel {channel!r} did not take the message: {_without(url, heard.last)}")
    finally:
        logger.removeHandler(heard)


def load_channels() -> None:
    """Load the library that knows the channels, which takes a moment.

    Raises:
        UsageError: it is not installed.
    """
    try:
        with warnings.catch_warnings():
            # It looks for modules that Python is about to leave out.
            warnings.simplefilter("ignore", DeprecationWarning)
            import apprise

            apprise.Apprise.instantiate("json://localhost")
    except ImportError:
        raise UsageError('notifications are sent through apprise: pip install "holdfast[notify]"') from None


class _Heard(logging.Handler):
    """Keeps the last warning of this thread: apprise says why only there."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._thread = threading.get_ident()
        self.last = "it does not say why"

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread:
            self.last = record.getMessage()


def _without(url: str, text: str) -> str:
    """A text without what stands in an address, where passwords and tokens are."""
    parts = _SEPARATORS.split(url)
    for part in sorted({*parts, *map(unquote, parts)}, key=len, reverse=True):
        if len(part) > 3:
            text = text.replace(part, "…")
    return text


@workflow(name="holdfast.notify", version=VERSION, queue=QUEUE)
async def notify(message: Message) -> None:
    """Tell people, at once or with a digest."""
    if message.digest is not None:
        told = {"title": message.title, "body": message.body, "at": now().isoformat(timespec="seconds")}
        await send_event(TOLD, told, key=message.digest)
        return
    await gather(*(send(channel, message.title, message.body) for channel in message.channels))


@workflow(name="holdfast.digest", version=VERSION, queue=QUEUE)
async def digest(terms: Digest) -> None:
    """Gather what comes up, tell it together, and begin again until the day is over."""
    over = datetime.fromtimestamp((terms.day + 1) * DAY_SECONDS, UTC) + timedelta(seconds=terms.seconds)
    first = await _next(terms, over)
    if first is None:
        return
    told, until = [first], now() + timedelta(seconds=terms.seconds)
    size = len(first["body"])
    while len(told) < AT_MOST and size < DIGEST_CHARACTERS and (further := await _next(terms, until)) is not None:
        told.append(further)
        size += len(further["body"])
    title = f"{terms.rule}: {len(told)} notices" if len(told) > 1 else told[0]["title"]
    body = "\n\n".join(f"{one['at']} {one['title']}\n{one['body']}" for one in told)
    try:
        await notify(Message(terms.channels, title, body))
    except RunFailed as error:
        log.error("a digest of rule %r was not sent; its run can be retried: %s", terms.rule, error)
    continue_as_new(terms)


async def _next(terms: Digest, until: datetime) -> dict[str, Any] | None:
    left = (until - now()).total_seconds()
    if left <= 0:
        return None
    try:
        return await wait_for_event(TOLD, key=terms.rule, timeout=left, type=dict[str, Any])
    except EventTimeout:
        return None
