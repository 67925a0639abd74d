"""Reads the file of channels: by which messages are sent. What is wrong is told with the file and the line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from holdfast.errors import RuleError, UsageError
from holdfast.model.ids import check_id
from holdfast.model.nearest import nearest
from holdfast.model.phase_terms import Place, Term, Wrong, duration, line, lines, no_key, number, rate, table, whole
from holdfast.model.phases import Approval, Rate
from holdfast.model.retry import Retry
from holdfast.model.toml_places import NotReadable, read_toml, toml_line
from holdfast.services.outbox.accepting import accept_from
from holdfast.services.outbox.terms import (
    CONCURRENCY,
    RESENDS,
    SECURITIES,
    Apprise,
    Channels,
    ChannelTerms,
    Folder,
    Smtp,
    Webhook,
)
from holdfast.services.outbox.values import (
    address,
    addresses,
    channel_name,
    flag,
    host,
    is_here,
    one,
    place_of_web,
    reference,
    request_headers,
)
from holdfast.store.text_files import text_of

FILE_BYTES = 1024 * 1024

TIMEOUT_SECONDS = 30.0
ATTEMPTS = 8
INITIAL_SECONDS, FACTOR, MAXIMUM_SECONDS, JITTER = 2.0, 2.0, 600.0, 0.2

LONGEST_TIMEOUT_SECONDS = 600.0
MOST_AT_ONCE = 1_000

_BACKOFF: Mapping[str, Term] = {"initial": duration, "factor": number(1, 1000), "maximum": duration}
_REVIEW: Mapping[str, Term] = {"assignee": line, "group": line, "due": duration, "escalate_to": lines}

COMMON: Mapping[str, Term] = {
    "type": one(tuple(CONCURRENCY)),
    "drafts": channel_name,
    "review": table(_REVIEW),
    "rate": rate,
    "burst": whole(1, 10_000),
    "concurrency": whole(1, MOST_AT_ONCE),
    "attempts": whole(1, 1_000),
    "backoff": table(_BACKOFF),
    "timeout": duration,
    "resend": flag,
}
"""The keys of every channel, each with what checks its value."""

KEYS: Mapping[str, Mapping[str, Term]] = {
    "smtp": {
        "host": host, "port": whole(1, 65535), "security": one(SECURITIES), "user": line, "password": reference,
        "sender": address, "to": addresses,
    },
    "webhook": {"url": place_of_web, "secret": reference, "accept": accept_from, "headers": request_headers},
    "file": {"folder": line},
    "apprise": {"url": reference},
}  # fmt: skip
"""The keys of each type of channel."""

NEEDED = {"smtp": ("host", "sender"), "webhook": ("url",), "file": ("folder",), "apprise": ("url",)}


def read_channels(path: str | Path) -> Channels:
    """The channels of a file, checked.

    Raises:
        UsageError: it cannot be read, or something in it is missing, unknown or wrong; names the file and the line.
    """
    path, text = Path(path), ""
    try:
        text = text_of(path, FILE_BYTES, "a file of channels")
        document = read_toml(text)
    except NotReadable as error:
        where = f"{path}, line {error.line}" if error.line else str(path)
        raise UsageError(f"{where}: {'is no TOML that can be read: ' if text else ''}{error.reason}") from None
    try:
        return _channels(document, path.parent)
    except _Fault as fault:
        at = toml_line(text, fault.place)
        where = f"{path}, line {at}" if at else str(path)
        raise UsageError(f"{where}: {fault.reason}") from None


class _Fault(Exception):
    def __init__(self, place: Place, reason: str) -> None:
        super().__init__(reason)
        self.place, self.reason = place, reason


def _channels(document: Mapping[str, Any], beside: Path) -> Channels:
    for key in document:
        if key != "channels":
            raise _Fault((key,), f"{key!r} {no_key(key, ('channels',))}")
    given = document.get("channels", {})
    if not isinstance(given, dict) or not given:
        raise _Fault(("channels",), "there is no channel; begin one with [channels.NAME]")
    found = {name: _channel(name, one, beside) for name, one in given.items()}
    for name, channel in found.items():
        if channel.drafts is None:
            continue
        place = ("channels", name, "drafts")
        if channel.drafts not in found:
            near = nearest(channel.drafts, found)
            meant = f"; did you mean {near!r}?" if near else ""
            raise _Fault(place, f"drafts is {channel.drafts!r:.100}, which is no channel of this file{meant}")
        if channel.drafts == name:
            raise _Fault(place, "drafts is the channel itself: drafts would be sent as if they were none")
    return found


def _channel(name: str, given: Any, beside: Path) -> ChannelTerms:
    place: Place = ("channels", name)
    try:
        check_id(name, "the name of a channel")
    except UsageError as error:
        raise _Fault(place, str(error)) from None
    if not isinstance(given, dict):
        raise _Fault(place, f"channel {name!r} is no table: begin it with [channels.{name}]")
    if "type" not in given:
        raise _Fault(place, f"channel {name!r} has no type; give one of {', '.join(CONCURRENCY)}")
    kind = _value(COMMON["type"], given["type"], (*place, "type"), "type")
    keys = {**COMMON, **KEYS[kind]}
    for key in given:
        if key not in keys:
            raise _Fault((*place, key), f"{key!r} of a channel of type {kind!r} {no_key(key, keys)}")
    for key in NEEDED[kind]:
        if key not in given:
            raise _Fault(place, f"channel {name!r} has no {key}, which one of type {kind!r} needs")
    read = {key: _value(keys[key], value, (*place, key), key) for key, value in given.items()}
    _check(read, place)
    pace = read.get("rate")
    pause = read.get("backoff", {})
    initial = pause.get("initial", INITIAL_SECONDS)
    whom = read.get("review", {})
    return ChannelTerms(
        name=name,
        means=_means(kind, read, beside),
        drafts=read.get("drafts"),
        review=Approval(whom.get("assignee"), whom.get("group"), whom.get("due"), whom.get("escalate_to", ())),
        rate=None if pace is None else Rate(pace[0], pace[1], read.get("burst", 1)),
        concurrency=read.get("concurrency", CONCURRENCY[kind]),
        retry=Retry(
            max_attempts=read.get("attempts", ATTEMPTS), initial=initial, factor=pause.get("factor", FACTOR),
            maximum=pause.get("maximum", max(MAXIMUM_SECONDS, initial)), jitter=JITTER,
        ),
        timeout_seconds=read.get("timeout", TIMEOUT_SECONDS),
        resend=read.get("resend", kind in RESENDS),
    )  # fmt: skip


def _check(read: Mapping[str, Any], place: Place) -> None:
    """Refuse what does not go together."""
    pause = read.get("backoff", {})
    if pause.get("initial", INITIAL_SECONDS) > pause.get("maximum", float("inf")):
        raise _Fault((*place, "backoff"), "backoff has a maximum that is shorter than its initial pause")
    if read.get("timeout", 1.0) > LONGEST_TIMEOUT_SECONDS:
        raise _Fault((*place, "timeout"), f"timeout is longer than {LONGEST_TIMEOUT_SECONDS:g} s; give less")
    if "burst" in read and "rate" not in read:
        raise _Fault((*place, "burst"), 'burst has no rate beside it; give one, such as rate = "60/1m"')
    if len({"assignee", "group"} & read.get("review", {}).keys()) > 1:
        raise _Fault((*place, "review"), "review names an assignee and a group; give one of them")
    if ("user" in read) != ("password" in read):
        key = "user" if "user" in read else "password"
        other = "password" if key == "user" else "user"
        raise _Fault((*place, key), f"{key} is there and {other} is not; give both, or none")
    if "password" in read and read.get("security") == "none" and not is_here(read["host"]):
        raise _Fault((*place, "security"), "security is 'none', and the password would be read on its way")


def _means(kind: str, read: Mapping[str, Any], beside: Path) -> Smtp | Webhook | Folder | Apprise:
    if kind == "smtp":
        return Smtp(
            read["host"], read.get("port"), read.get("security", "starttls"), read.get("user"), read.get("password"),
            read["sender"], read.get("to", ()),
        )  # fmt: skip
    if kind == "webhook":
        return Webhook(read["url"], read.get("secret"), read.get("accept"), read.get("headers", {}))
    if kind == "file":
        return Folder(beside / Path(read["folder"]).expanduser())
    return Apprise(read["url"])


def _value(term: Term, value: Any, place: Place, key: str) -> Any:
    try:
        return term(value)
    except Wrong as wrong:
        inner = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in wrong.place)
        raise _Fault((*place, *wrong.place), f"{key}{inner} {wrong.reason}") from None
    except (RuleError, UsageError) as error:
        raise _Fault(place, str(error)) from None
