"""Reads the .sql files: named statements, and statements for any number of rows.

A file opens with a comment on what it guarantees; each statement follows a line ``-- name: …``.
A row of placeholders after ``/*rows*/`` is repeated as often as a call has rows to send. Values
never become text: they travel as parameters.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
_TAIL = re.compile(r"(\n\s*(--[^\n]*)?)+\Z")
"""What stands between a statement and the next one's name: comments on that."""
_ROW = re.compile(r"/\*rows\*/\s*(\([^()]*\))")


@cache
def statements(package: str, file: str) -> dict[str, str]:
    """The named statements of a file in a package's ``sql`` folder."""
    text = files(package).joinpath("sql", file).read_text("utf-8")
    pieces = _NAME.split(text)
    return {
        name: _TAIL.sub("", body).strip().rstrip(";") for name, body in zip(pieces[1::2], pieces[2::2], strict=True)
    }


@cache
def repeated(statement: str, rows: int) -> str:
    """The statement with its ``/*rows*/`` group of placeholders written ``rows`` times."""
    return _ROW.sub(lambda group: ", ".join([group[1]] * rows), statement)
