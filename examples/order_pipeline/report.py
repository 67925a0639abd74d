"""What is shown of orders: the report, and what each phase used."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from itertools import chain, groupby

import holdfast as hf

from .outputs import Report

HEAD = ("phase", "model", "calls", "read", "written", "dollars")


async def shown(client: hf.Client, order_id: str, report: Report) -> str:
    """An order that has ended: the report, and a line for each phase with its calls, tokens and cost."""
    calls = await client.model_calls(order_id)
    rows = [_used(phase, list(made)) for phase, made in groupby(calls, key=lambda one: one.phase)]
    name, _, *total = _used("all", calls)
    return f"{order_id}: {report.title}. {report.summary}\n{_table([*rows, (name, '', *total)])}"


async def costs(client: hf.Client) -> str:
    """What all orders of the last days cost, by phase: the dearest first."""
    lines = (await client.model_costs(by=("phase",))).rows
    rows = [
        (one.phase or "", "", str(one.calls), str(one.input_tokens), str(one.output_tokens), f"{one.cost:.6f}")
        for one in lines
    ]
    return f"All orders\n{_table(rows)}"


def _used(phase: str, calls: list[hf.ModelCallView]) -> tuple[str, ...]:
    models = ", ".join(dict.fromkeys(one.model for one in calls))
    read, written = sum(one.input_tokens for one in calls), sum(one.output_tokens for one in calls)
    cost = sum((one.cost for one in calls if one.cost is not None), Decimal(0))
    return phase, models, str(len(calls)), str(read), str(written), f"{cost:.6f}"


def _table(rows: Iterable[tuple[str, ...]]) -> str:
    lines = [HEAD, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "    {:<{}}  {:<{}}  {:>{}}  {:>{}}  {:>{}}  {:>{}}".format(*chain(*zip(line, widths, strict=True)))
        for line in lines
    )
