"""Secrets by where they are: files, tables and messages hold the reference, never the secret."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from holdfast.errors import UsageError

REFERENCE = "env:NAME or file:PATH"


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret by where it is, so that no file and no command line holds it.

    Attributes:
        reference: ``env:NAME`` or ``file:PATH``.
    """

    reference: str

    def reveal(self, what: str) -> str:
        """The secret itself, without the line's end.

        Args:
            what: whose secret, for the error.

        Raises:
            UsageError: there is no such variable or file, or it is empty.
        """
        kind, _, place = self.reference.partition(":")
        if kind == "env":
            found = os.environ.get(place, "")
        else:
            try:
                found = Path(place).expanduser().read_text("utf-8")
            except UnicodeDecodeError:
                raise UsageError(f"{what}: {place} is not UTF-8 text") from None
            except (OSError, ValueError) as error:
                said = getattr(error, "strerror", None) or "it is no path"
                raise UsageError(f"{what}: {place} cannot be read: {said}") from None
        found = found.strip("\r\n")
        if not found:
            where = f"the variable {place} is not set" if kind == "env" else f"{place} is empty"
            raise UsageError(f"{what}: {where}")
        return found

    def __str__(self) -> str:
        return self.reference


def secret(reference: object, what: str) -> Secret:
    """A secret by its reference.

    Args:
        what: whose, for the error.

    Raises:
        UsageError: it is no reference. What it is instead is not told: it may be the secret itself.
    """
    kind, colon, place = reference.partition(":") if isinstance(reference, str) else ("", "", "")
    if kind not in ("env", "file") or not colon or not place or "\0" in place:
        raise UsageError(f"{what} is not given as {REFERENCE}; a secret itself does not belong in a file")
    return Secret(f"{kind}:{place}")
