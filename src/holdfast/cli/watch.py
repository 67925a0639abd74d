"""Watches runs by looking at them again and again: a live table on a terminal, else a line for each change."""

from __future__ import annotations

import asyncio
import time
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from holdfast.cli.output import FAILED, OK, as_json
from holdfast.cli.show import error_line

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

    from holdfast.cli.command import Context
    from holdfast.model.run import RunView

ENDED = ("succeeded", "failed", "cancelled")

LIVE_ROWS = 15
"""How many journal entries a live table shows: the last ones."""


async def watch_one(context: Context, id: str, pause_seconds: float) -> int:
    """Until the run has ended; the exit code."""
    from holdfast.cli.runs import journal_table, run_facts

    seen = ""
    async with context.client() as client:
        with _live(context) as live:
            while True:
                began = time.monotonic()
                run = await client.get(id)
                if live is not None:
                    journal = await client.history(id)
                    live.update(
                        _page(run_facts(run, full=False), journal_table(journal[-LIVE_ROWS:], full=False)), refresh=True
                    )
                elif (now := as_json(run)) != seen:
                    seen = now
                    _line(context, run)
                if run.status in ENDED:
                    break
                await _pause(pause_seconds, began)
    return OK if run.status == "succeeded" else FAILED


async def watch_newest(
    context: Context, workflow: str | None, status: str | None, limit: int, pause_seconds: float
) -> int:
    """Until Ctrl-C."""
    from holdfast.cli.output import make_table
    from holdfast.cli.runs import RUN_COLUMNS, run_row

    seen: dict[str, str] = {}
    async with context.client() as client:
        with _live(context) as live:
            while True:
                began = time.monotonic()
                runs = await client.list(workflow=workflow, status=status, limit=limit)
                if live is not None:
                    live.update(make_table(RUN_COLUMNS, map(run_row, runs)), refresh=True)
                else:
                    shown = {run.id: as_json(run) for run in runs}
                    for run in reversed(runs):
                        if seen.get(run.id) != shown[run.id]:
                            _line(context, run)
                    seen = shown
                await _pause(pause_seconds, began)


async def _pause(seconds: float, began: float) -> None:
    # Looking must stay a small part of the time, however long the journal is.
    await asyncio.sleep(max(seconds, 4 * (time.monotonic() - began), 0.01))


def _live(context: Context) -> AbstractContextManager[Live | None]:
    if context.output.as_json or not context.output.stream.isatty():
        return nullcontext()
    from rich.live import Live

    return Live(console=context.output.console, auto_refresh=False, transient=False, redirect_stdout=False)


def _page(facts: dict[str, object], table: RenderableType) -> RenderableType:
    from rich.console import Group

    from holdfast.cli.output import facts_table

    return Group(facts_table(facts), "", table)


def _line(context: Context, run: RunView) -> None:
    if context.output.as_json:
        context.output.json(run)
        return
    parts: list[Any] = [datetime.now(UTC).strftime("%H:%M:%S"), run.id, run.workflow, run.status]
    if run.error:
        parts.append(error_line(run.error))
    elif run.due_at is not None and run.finished_at is None:
        parts.append(f"until {run.due_at:%Y-%m-%d %H:%M:%S} UTC")
    context.output.text("  ".join(map(str, parts)))
