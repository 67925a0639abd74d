"""Starts that were diverted, as they are told and shown."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, get_args

import msgspec

from holdfast.engine.views import shown_value
from holdfast.errors import UsageError
from holdfast.model.ids import check_id
from holdfast.model.run import instant
from holdfast.store.diversion_rows import DiversionRow
from holdfast.store.operations import DivertedWay, Rule, Start, Started

WAYS: tuple[DivertedWay, ...] = ("delayed", "merged", "dropped")
"""What can become of a start that does not make a run at once."""

RULES: tuple[Rule, ...] = get_args(Rule)


class Diverted(msgspec.Struct, frozen=True, gc=False):
    """Why a start did not make a run at once.

    Attributes:
        way: ``delayed``, ``merged`` or ``dropped``.
        reason: in words.
        rule: by which rule of the workflow; None where it is not told.
        key: of the rule.
        run_id: of the run that it was merged into, or because of which it was dropped; empty for none.
        diversion: the id under which it is recorded.
    """

    way: DivertedWay
    reason: str
    rule: Rule | None
    key: str
    run_id: str
    diversion: str


@dataclass(frozen=True, slots=True)
class DiversionView:
    """A start that was delayed, merged into another start's run, or dropped.

    Attributes:
        id: of the start, in hexadecimal; ids sort by time.
        asked_id: the id that it asked for, or that was made up for it.
        workflow: what it starts.
        version: of the workflow.
        way: ``delayed``, ``merged`` or ``dropped``.
        rule: by which rule: ``rate_limit``, ``debounce``, ``batch`` or ``singleton``.
        key: of the rule; empty for the only one.
        run_id: the run that it made later, that it was merged into, or because of which it was dropped; None for none.
        reason: why, in words.
        at: when it was started.
        due_at: when its run starts, as it was planned then.
        input: its arguments by name, plain JSON, where no run has them as they were; None in lists.
    """

    id: str
    asked_id: str
    workflow: str
    version: str
    way: DivertedWay
    rule: Rule
    key: str
    run_id: str | None
    reason: str
    at: datetime
    due_at: datetime | None
    input: Any


def diverted(start: Start, found: Started) -> Diverted | None:
    """What is told of a start that did not make a run at once; None for the others."""
    if found.way == "started":
        return None
    rule: Rule | None = None
    key = ""
    limit, gather = start.rate, start.gather
    if found.way == "merged" or (found.way == "dropped" and found.run_id):
        rule, key = (None, "") if gather is None else (gather.rule, gather.key)
    elif found.way == "dropped" and limit is not None:
        rule, key = "rate_limit", limit.key
    return Diverted(found.way, found.reason, rule, key, found.run_id, (found.diversion or start.uid).hex())


def diversion_view(row: DiversionRow) -> DiversionView:
    """A diverted start, as it is shown."""
    return DiversionView(
        id=row.uid.hex(),
        asked_id=row.id,
        workflow=row.workflow,
        version=row.version,
        way=row.way,
        rule=row.rule,
        key=row.key,
        run_id=row.run_id or None,
        reason=row.reason,
        at=instant(row.at),
        due_at=None if row.due_at is None else instant(row.due_at),
        input=shown_value(row.input, f"the input of start {row.uid.hex()}"),
    )


def check_diversion_filter(
    workflow: object, key: object, way: object, rule: object, run_id: object, id: object
) -> None:
    """Refuse what no diverted start can have.

    Raises:
        UsageError: such a value.
    """
    for what, value, allowed in (("way", way, WAYS), ("rule", rule, RULES)):
        if value is not None and value not in allowed:
            raise UsageError(f"{what} is {value!r:.100}; it is one of {', '.join(allowed)}")
    for what, value in (("workflow", workflow), ("run_id", run_id), ("id", id)):
        if value is not None:
            check_id(value, what)
    if key is not None and key != "":
        check_id(key, "key")


def diversion_uid(id: object) -> bytes:
    """The bytes of a diversion's id.

    Raises:
        UsageError: it is none.
    """
    try:
        uid = bytes.fromhex(id) if isinstance(id, str) else b""
    except ValueError:
        uid = b""
    if len(uid) != 16:
        raise UsageError(f"the id of a diversion is {id!r:.300}; give 32 hexadecimal digits")
    return uid
