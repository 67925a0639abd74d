"""The durable part: what is read of an order, and the workflow that takes it through the phases of ``phases.toml``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import holdfast as hf

from . import clerk
from .outputs import OUTPUTS, Report

HERE = Path(__file__).parent
PHASES = HERE / "phases.toml"
SAMPLE = HERE / "sample"
ORDERS = 3
"""So many are in the sample; the order ``house-4`` is the first one again."""


class HouseOrder(hf.OrderContext):
    """What all phases know of an order; the subject is the customer.

    Attributes:
        letters: what the customer wrote; None where that cannot be read.
    """

    letters: list[str] | None


@hf.source
def customer(order_id: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((_folder(order_id) / "customer.json").read_text(encoding="utf-8"))
    return found


@hf.source
def documents(order_id: str) -> dict[str, str]:
    return _texts(_folder(order_id) / "documents")


@hf.source(optional=True, retry=hf.Retry(max_attempts=1))
def letters(order_id: str) -> list[str]:
    """Most customers write none, and there is no folder then."""
    return list(_texts(_folder(order_id) / "letters").values())


@hf.source(cache="10m")
def templates() -> dict[str, str]:
    """The same for all orders: of those that a process works on, one reads them."""
    return _texts(SAMPLE / "templates")


def ordering(phases: hf.Phases) -> hf.Workflow[[str], Report]:
    """The workflow of an order, by the phases of a file."""

    @hf.workflow(name="order", key="order_id", lane="order")
    async def order(order_id: str) -> Report:
        context = await hf.gather_context(
            HouseOrder,
            order_id=order_id,
            subject=customer(order_id),
            documents=documents(order_id),
            templates=templates(),
            letters=letters(order_id),
        )
        outputs = await phases.execute(context=context)
        report: Report = outputs["report"]
        return report

    return order


clerk.register()
phases = hf.load_phases(PHASES, outputs=OUTPUTS)
order = ordering(phases)


def _folder(order_id: str) -> Path:
    number = int(order_id.rpartition("-")[2])
    return SAMPLE / "orders" / str((number - 1) % ORDERS + 1)


def _texts(folder: Path) -> dict[str, str]:
    return {path.stem: path.read_text(encoding="utf-8") for path in sorted(folder.iterdir())}
