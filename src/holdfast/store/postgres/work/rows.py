"""The columns of rows, as statements that read them name them: fixed fragments."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, TypeAlias

import asyncpg

from holdfast.store.work_rows import DefinitionRow, ItemRow, QueuedRow, SubjectRow

ITEM = ", ".join(f"i.{name}" for name in ItemRow._fields)

DEFINITION = ", ".join(f"d.{name}" for name in DefinitionRow._fields)

SUBJECT = ", ".join(
    f"convert_to(s.{name}::text, 'UTF8')" if name in ("signals", "signals_at") else f"s.{name}"
    for name in SubjectRow._fields
)

Columns: TypeAlias = "Sequence[Any] | asyncpg.Record"

_LONG = re.compile(rb"[0-9]{17}")
"""Digits of a whole number that a float does not hold, or of a fraction with many."""

_ITEM, _SUBJECT = len(ItemRow._fields), len(ItemRow._fields) + 1 + len(SubjectRow._fields)


def storable(text: str) -> bool:
    """Whether a text can be sent at all; one that cannot is in no row."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def subject_row(row: Columns) -> SubjectRow:
    """A subject, from its columns. A very large signal is a float, as it was sent, and not all of its digits."""
    found = SubjectRow(*row)
    if _LONG.search(found.signals) is None:
        return found
    values = json.loads(found.signals, parse_int=float)
    return found._replace(signals=json.dumps(values, ensure_ascii=False).encode())


def queued(row: Columns) -> QueuedRow:
    """A row of item, score, subject and definition; either of the latter may be none."""
    subject, definition = row[_ITEM + 1 : _SUBJECT], row[_SUBJECT:]
    return QueuedRow(
        ItemRow(*row[:_ITEM]),
        row[_ITEM],
        None if subject[0] is None else subject_row(subject),
        None if definition[0] is None else DefinitionRow(*definition),
    )
