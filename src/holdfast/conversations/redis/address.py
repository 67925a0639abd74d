"""Reads the address of a Redis."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from holdfast.errors import BadURL

_FORM = "redis://[user:password@]host[:port][/number], rediss://… with TLS, or unix:///path/to/socket"

_OPTIONS = frozenset({
    "client_name", "db", "password", "ssl_ca_certs", "ssl_cert_reqs", "ssl_certfile", "ssl_check_hostname",
    "ssl_keyfile", "username",
})  # fmt: skip
"""Options of redis-py that an address may give; the others are ours to set."""


class Address(NamedTuple):
    """Where a Redis is.

    Attributes:
        url: for redis-py; may hold a password.
        where: for messages: scheme, host and port, or the socket's path.
        secrets: what no message may show.
    """

    url: str
    where: str
    secrets: tuple[str, ...]

    def hide(self, text: str) -> str:
        """The text without the secrets."""
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return text


def read_address(url: str) -> Address:
    """The parts of a ``redis://``, ``rediss://`` or ``unix://`` URL.

    Raises:
        BadURL: it cannot be read, or it has an option that it does not take.
    """
    scheme = url.partition("://")[0]
    if scheme not in ("redis", "rediss", "unix"):
        raise BadURL(f"{scheme[:20]}://…: this is no address of a Redis; give {_FORM}")
    try:
        parts = urlsplit(url)
        port, options = parts.port, parse_qsl(parts.query, strict_parsing=bool(parts.query))
    except ValueError:
        # What is wrong with it may be a part of the password: say nothing of it.
        raise BadURL(
            f"{scheme}://…: this address cannot be read; write special characters in the user or the password as in "
            "%40 for @"
        ) from None
    where = f"unix://{unquote(parts.path)}"
    if scheme != "unix":
        host = parts.hostname or "localhost"
        where = f"{scheme}://{f'[{host}]' if ':' in host else host}:{port or 6379}"
    for name, _ in options:
        if name not in _OPTIONS:
            raise BadURL(f"{where}: the option {name!r} is not one of {', '.join(sorted(_OPTIONS))}")
    if scheme != "unix" and (number := parts.path.strip("/")) and not number.isdecimal():
        raise BadURL(f"{where}: {number!r} is not the number of a database; give {_FORM}")
    secrets = {parts.password or "", *(value for name, value in options if name == "password")}
    secrets |= {unquote(secret) for secret in secrets}
    return Address(url, where, tuple(sorted(secrets - {""}, key=len, reverse=True)))
