"""Reads a small text file from outside: its size, its encoding and what no database takes are checked."""

from __future__ import annotations

from pathlib import Path

from holdfast.errors import UsageError
from holdfast.model.toml_places import NotReadable

read_files: set[Path] = set()
"""What this process has read, or tried to read: what was wrong in one of these may be mended."""


def text_of(path: Path, most_bytes: int, what: str) -> str:
    """The text of a file.

    Args:
        path: of the file.
        most_bytes: how large it may be.
        what: it is, for the error.

    Raises:
        UsageError: it cannot be opened, or is too large; names the file.
        NotReadable: it is not UTF-8, or holds the NUL character.
    """
    read_files.add(path.absolute())
    try:
        with path.open("rb") as file:
            data = file.read(most_bytes + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"file {str(path)!r} cannot be read: {reason}") from None
    if len(data) > most_bytes:
        raise UsageError(f"file {path} is larger than {most_bytes:,} bytes; {what} takes less")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise NotReadable(f"is not UTF-8: byte {error.start} is {data[error.start]:#04x}", line) from None
    if (at := text.find("\0")) >= 0:
        raise NotReadable("holds the NUL character; leave it out", text.count("\n", 0, at) + 1)
    return text
