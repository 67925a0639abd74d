"""What artifacts may be called: names that are one file on every system, inside the workspace and nowhere else."""

from __future__ import annotations

import unicodedata

from holdfast.errors import UsageError

OURS = ".holdfast"
"""Files whose names begin so are the workspace's own."""

MAX_NAME_BYTES = 512
MAX_PART_BYTES = 200

_DEVICES = {"con", "prn", "aux", "nul", *(f"{kind}{n}" for kind in ("com", "lpt") for n in "123456789")}
"""No file can have these names on Windows, whatever its suffix."""

_FORBIDDEN = '\\<>:"|?*'

_MEDIA_TYPES = {
    "css": "text/css",
    "csv": "text/csv",
    "diff": "text/x-diff",
    "gif": "image/gif",
    "html": "text/html",
    "jpg": "image/jpeg",
    "json": "application/json",
    "jsonl": "application/jsonl",
    "md": "text/markdown",
    "patch": "text/x-diff",
    "pdf": "application/pdf",
    "png": "image/png",
    "py": "text/x-python",
    "svg": "image/svg+xml",
    "toml": "application/toml",
    "txt": "text/plain",
    "xml": "application/xml",
    "yaml": "application/yaml",
    "zip": "application/zip",
}


def check_name(name: object, what: str = "the name of an artifact") -> str:
    """A name of an artifact, checked.

    Args:
        name: parts with ``/`` between them, such as ``plan.json`` or ``rounds/1/code.json``.
        what: what it is, for the error.

    Raises:
        UsageError: it leads out of the workspace, or some system could not store it, or not tell it from another.
    """
    if not isinstance(name, str):
        raise UsageError(f"{what} is {name!r}; it must be text")
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise UsageError(f"{what} is {name!r}, which is no text that can be stored: it has half a character") from None
    if not 0 < size <= MAX_NAME_BYTES:
        raise UsageError(f"{what} has {size} bytes; give 1 to {MAX_NAME_BYTES}")
    said = f"{what} is {name!r}"
    if name.startswith("/"):
        raise UsageError(f"{said}, an absolute path; give one within the workspace")
    if not unicodedata.is_normalized("NFC", name):
        raise UsageError(f"{said}, whose accents are characters of their own; give unicodedata.normalize('NFC', name)")
    for part in name.split("/"):
        if part in ("", ".", ".."):
            raise UsageError(f"{said}: a part of it is {part!r}; give names of folders and files, with one / between")
        fault = _fault(part)
        if fault:
            raise UsageError(f"{said}: {part!r} {fault}")
    return name


def _fault(part: str) -> str | None:
    """What is wrong with a part of a name."""
    for character in part:
        if character in _FORBIDDEN or unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp"):
            return f"has {character!r}, which not every system can store"
    if len(part.encode()) > MAX_PART_BYTES:
        return f"has {len(part.encode())} bytes; give at most {MAX_PART_BYTES}"
    if part[-1] in ". ":
        return "ends with a dot or a space, which not every system keeps"
    if part.split(".")[0].rstrip().lower() in _DEVICES:
        return "is the name of a device on Windows"
    if fold(part).startswith(OURS):
        return "begins as the workspace's own files do"
    return None


def fold(name: str) -> str:
    """The same for names that are one file where case is not told apart."""
    return unicodedata.normalize("NFC", name.casefold())


def media_type_of(name: str) -> str:
    """The media type that a name's suffix stands for."""
    return _MEDIA_TYPES.get(name.rpartition(".")[2].lower(), "application/octet-stream")
