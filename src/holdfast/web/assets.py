"""Static files: styles, scripts and pictures of the package, under addresses that change with their content."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files
from typing import NamedTuple

TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".png": "image/png"}
"""The media type by the ending of a name; nothing else is served."""


class Asset(NamedTuple):
    """A static file. ``digest``: begins its address, so that it may be cached for good."""

    digest: str
    media_type: str
    body: bytes


@cache
def assets() -> dict[str, Asset]:
    """Every static file, by its name."""
    found: dict[str, Asset] = {}
    for file in files("holdfast.web").joinpath("static").iterdir():
        media_type = TYPES.get(file.name[file.name.rfind(".") :])
        if media_type is not None:
            body = file.read_bytes()
            found[file.name] = Asset("", media_type, body)
    # One digest for all: a module imports others by their plain names, which must not be of an older release.
    digest = hashlib.sha256(b"".join(found[name].body for name in sorted(found))).hexdigest()[:12]
    return {name: one._replace(digest=digest) for name, one in found.items()}


def asset(name: str) -> str:
    """The path of a static file from the dashboard's root."""
    return f"/static/{assets()[name].digest}/{name}"
