"""Single values of a file of channels: each checked, and turned into what the rest works with."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from holdfast.engine.secrets import REFERENCE, Secret, secret
from holdfast.errors import UsageError
from holdfast.model.ids import check_id
from holdfast.model.mail_parts import mailbox
from holdfast.model.nearest import nearest
from holdfast.model.phase_terms import Wrong, line, lines

_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_OURS = re.compile(r"webhook-.*|x-holdfast-.*|idempotency-key|host|content-length|transfer-encoding|connection", re.I)
_SECRET = re.compile(r"auth|cookie|token|secret|passw|key", re.I)


def flag(value: object) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise Wrong(f"is {value!r:.100}; give true or false")
    return value


def reference(value: object) -> Secret:
    """Where a secret is."""
    try:
        return secret(value, "it")
    except UsageError:
        # What it is instead is not told: it may be the secret itself.
        raise Wrong(f"is not given as {REFERENCE}; a secret itself does not belong in a file") from None


def address(value: object) -> str:
    """The address of a mailbox, with or without a name."""
    try:
        mailbox(value)
    except UsageError:
        raise Wrong(f'is {value!r:.100}; give an address, such as "Desk <desk@shop.example>"') from None
    return str(value).strip()


def addresses(value: object) -> tuple[str, ...]:
    """One of them, or several."""
    return (address(value),) if isinstance(value, str) else tuple(address(one) for one in lines(value))


def host(value: object) -> str:
    """The name or the number of a machine."""
    found = line(value)
    if re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", found) is None:
        try:
            ipaddress.ip_address(found)
        except ValueError:
            raise Wrong(f'is {found!r:.100}; give the name of a machine, such as "mail.shop.example"') from None
    return found


def is_here(machine: str) -> bool:
    """Whether it is this machine by its name or number."""
    try:
        return ipaddress.ip_address(machine).is_loopback
    except ValueError:
        return machine == "localhost"


def one(words: tuple[str, ...]) -> Callable[[object], str]:
    """One of some words."""

    def read(value: object) -> str:
        if value not in words or not isinstance(value, str):
            near = nearest(value, words) if isinstance(value, str) else None
            meant = f"did you mean {near!r}?" if near else f"give one of {', '.join(map(repr, words))}"
            raise Wrong(f"is {value!r:.100}; {meant}")
        return value

    return read


def place_of_web(value: object) -> str | Secret:
    """An address on the web, or where it is."""
    if isinstance(value, str) and value.partition(":")[0] in ("env", "file"):
        return reference(value)
    try:
        parts = urlsplit(line(value))
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except (ValueError, Wrong):
        raise Wrong('is no address; give one such as "https://crm.example/messages", or where it is') from None
    if not sound:
        raise Wrong('is no address; give one such as "https://crm.example/messages", or where it is')
    if parts.username is not None or parts.password is not None:
        raise Wrong(f"holds a password; give it as {REFERENCE}")
    return str(value)


def request_headers(value: object) -> Mapping[str, str | Secret]:
    """Headers by their names."""
    if not isinstance(value, Mapping):
        raise Wrong('is no table; give one such as { Authorization = "env:CRM_TOKEN" }')
    found: dict[str, str | Secret] = {}
    for name, given in value.items():
        if _HEADER.fullmatch(name) is None:
            raise Wrong("is no name of a header", name)
        if _OURS.fullmatch(name) is not None:
            raise Wrong("is set by what sends; leave it out", name)
        if name.lower() in (known.lower() for known in found):
            raise Wrong("is there a second time; leave it out", name)
        try:
            named = isinstance(given, str) and given.partition(":")[0] in ("env", "file")
            found[name] = reference(given) if named or _SECRET.search(name) is not None else line(given)
            if not str(found[name]).isascii():
                raise Wrong("has other letters than ASCII has, which no header takes")
        except Wrong as wrong:
            raise Wrong(wrong.reason, name) from None
    return found


def channel_name(value: object) -> str:
    """The name of a channel."""
    try:
        return check_id(value, "it")
    except UsageError:
        raise Wrong(f"is {value!r:.100}; give the name of a channel") from None
