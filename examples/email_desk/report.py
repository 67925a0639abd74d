"""What the desk shows: a line for each message as it ends, a table at the end, or one line of JSON."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, replace
from typing import Literal, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from .text import one_line

Shown = Literal["published", "withheld", "failed"]

COLOURS = {"published": "green", "withheld": "yellow", "failed": "red"}
MOST_ROWS = 300


@dataclass(frozen=True)
class Row:
    """One message and how it ended.

    Attributes:
        run_id: empty if it could not be started.
        detail: the reason, or the file name of the draft.
    """

    name: str
    run_id: str
    subject: str
    tier: str
    outcome: Shown
    detail: str

    def ended(self, outcome: Shown, detail: str) -> Row:
        """The same message with another end."""
        return replace(self, outcome=outcome, detail=detail)


class Report:
    """Collects rows and shows them.

    Args:
        stdout: the table goes there, or the line of JSON.
        stderr: progress and table go there if ``as_json``.
    """

    def __init__(self, *, as_json: bool, stdout: TextIO, stderr: TextIO) -> None:
        self.rows: dict[str, Row] = {}
        self._as_json = as_json
        self._stdout = stdout
        self._screen = stderr if as_json else stdout
        self._console = Console(file=self._screen, highlight=False, soft_wrap=True)

    def say(self, text: str) -> None:
        """A line for the person watching."""
        self._console.print(Text(self._printable(text)))

    def add(self, row: Row) -> None:
        """Show a message that ended; one of the same name replaces the former."""
        self.rows[row.name] = row
        line = Text(f"{len(self.rows):>4}  ")
        line.append(f"{row.outcome:<9}", COLOURS[row.outcome])
        line.append(self._printable(f"  {row.tier or '-':<6}  {one_line(row.name)}  {one_line(row.subject, 60)}"))
        self._console.print(line)

    def counts(self) -> dict[str, int]:
        """How many messages, repeats included, and how they ended."""
        ended = Counter(row.outcome for row in self.rows.values())
        return {
            "messages": len(self.rows),
            "succeeded": ended["published"],
            "failed": ended["failed"],
            "withheld": ended["withheld"],
        }

    def close(self, seconds: float) -> None:
        """The table, and the line of JSON if asked for."""
        counts = self.counts()
        table = Table(title="The mail desk", expand=False)
        for heading in ("message", "subject", "tier", "outcome", "reason or draft"):
            table.add_column(heading, overflow="fold")
        rows = list(self.rows.values())
        for row in rows[:MOST_ROWS]:
            left = (one_line(row.name), one_line(row.subject, 60), row.tier or "-")
            table.add_row(
                *(Text(self._printable(text)) for text in left),
                Text(row.outcome, COLOURS[row.outcome]),
                Text(self._printable(row.detail)),
            )
        self._console.print(table, soft_wrap=False)
        if len(rows) > MOST_ROWS:
            self.say(f"… and {len(rows) - MOST_ROWS} more")
        self.say(
            f"{counts['messages']} messages: {counts['succeeded']} drafts, {counts['withheld']} withheld, "
            f"{counts['failed']} failed, in {seconds:.1f} s"
        )
        if self._as_json:
            print(json.dumps({**counts, "seconds": round(seconds, 3)}), file=self._stdout, flush=True)

    def _printable(self, text: str) -> str:
        encoding = getattr(self._screen, "encoding", None) or "utf-8"
        return text.encode(encoding, "replace").decode(encoding, "replace")
