"""What the cases found: rows for a table to read, and the same as JSON for a machine."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

HEAD = ("case", "backend", "what", "ours", "limit", "peer", "ratio", "required", "verdict")
LEFT = 3
"""So many columns are text, aligned to the left."""


@dataclass(frozen=True, slots=True)
class Required:
    """What has to be reached: ``at_least`` or ``at_most``, of the ratio if the row has one, else of ours."""

    at_least: float | None = None
    at_most: float | None = None

    def met(self, value: float) -> bool:
        """Whether the value reaches it."""
        return (self.at_least is None or value >= self.at_least) and (self.at_most is None or value <= self.at_most)

    def __str__(self) -> str:
        return f">= {_number(self.at_least)}" if self.at_least is not None else f"<= {_number(self.at_most)}"


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of one case.

    Attributes:
        what: what was measured, with its unit.
        ratio: ours divided by what it is held against, the median over the rounds.
        against: what it is held against.
        required: what has to be reached; None for a figure that is only shown.
        more: whatever else was seen, for the JSON.
    """

    case: str
    backend: str
    what: str
    ours: float
    limit: float | None = None
    peer: float | None = None
    ratio: float | None = None
    against: str = ""
    required: Required | None = None
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def met(self) -> bool | None:
        """Whether what is required was reached; None when nothing is."""
        if self.required is None:
            return None
        return self.required.met(self.ratio if self.ratio is not None else self.ours)

    def cells(self) -> tuple[str, ...]:
        """The row as texts, in the order of `HEAD`."""
        return (
            self.case,
            self.backend,
            self.what,
            _number(self.ours),
            _number(self.limit),
            _number(self.peer),
            "" if self.ratio is None else f"{_number(self.ratio)} x {self.against}",
            "" if self.required is None else str(self.required),
            {None: "", True: "ok", False: "MISSED"}[self.met],
        )


def _number(value: float | None) -> str:
    if value is None:
        return ""
    if value == int(value) and abs(value) < 1000:
        return str(int(value))
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 0.1 else 3
    return f"{value:,.{digits}f}"


def table(rows: list[Row]) -> str:
    """The rows as a plain table."""
    lines = [HEAD, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEAD))]

    def text(line: tuple[str, ...]) -> str:
        return "  ".join(
            cell.ljust(width) if column < LEFT or column == len(HEAD) - 1 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()

    head, *body = (text(line) for line in lines)
    return "\n".join([head, "-" * len(head), *body])


def missed(rows: list[Row]) -> str:
    """The requirements that were not reached, or that all were."""
    lost = [row for row in rows if row.met is False]
    asked = sum(row.required is not None for row in rows)
    if not lost:
        return f"All {asked} required figures were reached."
    lines = [f"{len(lost)} of {asked} required figures were MISSED:"]
    for row in lost:
        value = row.ratio if row.ratio is not None else row.ours
        held = f" x {row.against}" if row.against else ""
        lines.append(f"  {row.case}, {row.backend}, {row.what}: {_number(value)}{held}, required {row.required}")
    return "\n".join(lines)


def as_json(machine: dict[str, Any], rows: list[Row], errors: list[str]) -> str:
    """Everything, for a machine."""
    figures = [{**asdict(row), "met": row.met} for row in rows]
    return json.dumps({"machine": machine, "rows": figures, "errors": errors}, indent=2) + "\n"
