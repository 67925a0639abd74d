"""A client of a server: the methods of the local client, over HTTP."""

from __future__ import annotations


def is_remote(url: str) -> bool:
    """Whether an address is that of a server, rather than of a database."""
    return isinstance(url, str) and url.partition("://")[0].lower() in ("http", "https") and "://" in url
