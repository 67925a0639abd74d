"""Whether what a replay came to is what is recorded."""

from __future__ import annotations

import difflib
import json
from typing import Any, NamedTuple

import msgspec

from holdfast.engine.replaying.execution import ReplayedExecution
from holdfast.model.failure import failure_view
from holdfast.model.payload import HEADER
from holdfast.model.position import encode_number, format_position, numbers_of
from holdfast.model.run import Kind, Status
from holdfast.model.sealed import is_unopened, reason_of
from holdfast.store.rows import RunRow

ENDED = (Status.SUCCEEDED, Status.FAILED, Status.CANCELLED)

SHOWN = 5
"""So many recorded calls are named that the code does not make any more."""

LINES = 200
"""So many lines of a difference are shown."""

UNNUMBERED = b"\xff\xff"
"""What stands from here on takes no position: patches, and the phases that a run goes by."""

ALL_STARTED = b"\x01"
"""Behind the position of a fan-out of child runs: that all of them are stored."""

CANCEL, MAP, PATCH = map(str, (Kind.CANCEL, Kind.MAP, Kind.PATCH))


class End(NamedTuple):
    """How a run ended, or its replay.

    Attributes:
        status: as of a run; ``"again"`` if it begins again as new.
        output: the stored result or error.
        place: where in the code an error came from.
        recorded: the error is one that a recorded entry has.
    """

    status: str
    output: bytes
    place: str = ""
    recorded: bool = False


def faults_of(execution: ReplayedExecution, row: RunRow, end: End | None) -> tuple[list[str], str]:
    """Why the code does not fit, and the difference between the recorded end and that of the replay.

    Args:
        execution: the replay.
        row: the run.
        end: how the replay ended; None if it came to the end of what is recorded.
    """
    if execution.faults:
        return list(execution.faults), ""
    reasons: list[str] = []
    if end is not None and end.status == Status.FAILED and not end.recorded and row.status not in ENDED:
        view = failure_view(end.output)
        reasons.append(
            f"the open run would fail: {view['type'].removeprefix('builtins.')}: {view['message']}{end.place}"
        )
    dropped = _dropped(execution)
    if dropped:
        reasons.append(_beside(execution) + _named(execution, dropped))
    if row.status not in ENDED:
        return reasons, ""
    if end is not None:
        reason, difference = _compared(End(row.status, row.output or b""), end)
        return reasons + reason, difference
    if not reasons:
        position, asked = next(iter(execution.ends.items()), (b"", "more"))
        where = f"at position {format_position(position)}, where nothing is recorded"
        reasons.append(f"the run ended {row.status}, and the code asks for {asked} {where}")
    return reasons, ""


def _compared(recorded: End, end: End) -> tuple[list[str], str]:
    if is_unopened(recorded.output):
        return [f"how the run ended cannot be opened here: {reason_of(recorded.output).why}"], ""
    if recorded[:2] == end[:2] or _said(recorded) == _said(end):
        return [], ""
    difference = list(difflib.unified_diff(_lines(recorded), _lines(end), "recorded", "now", lineterm="", n=2))
    reason = f"the run ended {recorded.status}, and now "
    reason += "it begins again as new" if end.status == "again" else f"it ends {end.status}"
    if end.status == recorded.status:
        reason += f" with another {'result' if end.status == Status.SUCCEEDED else 'error'}"
    return [reason + end.place], "\n".join(difference[:LINES])


def _said(end: End) -> Any:
    """What has to be the same: the result whatever the order of its keys, the type and the text of an error."""
    if end.status == Status.SUCCEEDED:
        return end.status, _plain(end.output)
    if end.status == Status.CANCELLED or not end.output:
        return end.status  # by whom and why is not the code's
    view = failure_view(end.output)
    return end.status, view["type"], view["message"]


def _plain(output: bytes) -> Any:
    return msgspec.json.decode(output[1:]) if output[:1] == HEADER else output


def _lines(end: End) -> list[str]:
    if end.status == "again":
        return ["begins again as new"]
    if end.status == Status.SUCCEEDED:
        return json.dumps(_plain(end.output), indent=2, sort_keys=True, ensure_ascii=False, default=repr).splitlines()
    if not end.output:
        return [end.status]
    view = failure_view(end.output)
    return f"{view['type'].removeprefix('builtins.')}: {view['message']}".splitlines()


def _beside(execution: ReplayedExecution) -> str:
    if not execution.ends:
        return "the code never asks for what is recorded: "
    position, asked = next(iter(execution.ends.items()))
    return (
        f"the code asks for {asked} at position {format_position(position)}, where nothing is recorded, and never "
        "for what is: "
    )


def _named(execution: ReplayedExecution, dropped: list[bytes]) -> str:
    entries = [(format_position(one), execution.journal[one]) for one in dropped[:SHOWN]]
    names = ", ".join(f"{entry.kind} {entry.name!r} at position {position}" for position, entry in entries)
    return names if len(dropped) <= SHOWN else f"{names} and {len(dropped) - SHOWN} more"


def _dropped(execution: ReplayedExecution) -> list[bytes]:
    """Positions of recorded calls that the code did not make."""
    rows, asked = execution.rows, execution.asked
    if len(asked) == len(rows):
        return []
    return [position for position in sorted(rows) if position not in asked and _is_call(execution, position)]


def _is_call(execution: ReplayedExecution, position: bytes) -> bool:
    entry = execution.journal[position]
    if position >= UNNUMBERED or entry.kind in (CANCEL, PATCH):
        return False
    above = execution.journal.get(position[:-1])
    if entry.kind == MAP and above is not None and above.kind == MAP and position.endswith(ALL_STARTED):
        return False
    return not any(_lost(execution, position, *first) for first in execution.firsts)


def _lost(execution: ReplayedExecution, position: bytes, scope: bytes, first: bytes, winner: int | None) -> bool:
    """Whether a call belongs to what lost in an ``hf.first``, which a replay does not begin."""
    if not position.startswith(scope):
        return False
    if position.startswith(first):
        # Which branch comes first, where that is not recorded, another replay may see otherwise.
        return winner is None or not position.startswith(first + encode_number(winner))
    # The calls themselves are numbered where they are written, before hf.first is.
    call = scope + encode_number(numbers_of(position[len(scope) :])[0])
    begun = call in execution.asked or any(one.startswith(call) for one in execution.scopes)
    return call < first and not begun
