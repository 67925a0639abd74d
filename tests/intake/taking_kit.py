"""What the tests of taking in share: a desk that answers, files of sources and lines, and readers of them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import holdfast as hf
from holdfast.intake.files import read_intake
from holdfast.intake.opening import open_source
from holdfast.intake.standing import Lead
from holdfast.intake.taking import Taker
from holdfast.intake.tending import TakenReport, run_intake

ORDERS = """
[sources.orders]
kind = "jsonl"
path = "orders.jsonl"
workflow = "desk"
id = "id"
poll = "20ms"
"""


@hf.step
async def consider(text: str) -> str:
    return f"About: {text}"


@hf.workflow
async def desk(message: hf.Incoming) -> str:
    """Answers; what a policy forbids it refuses, and what is delicate a person has to see."""
    text = message.data.get("text", "")
    await hf.publish(
        "replies",
        {"to": message.id, "text": await consider(text)},
        id=f"reply/{message.id}",
        review="it is delicate" if "delicate" in text else None,
        refuse="a policy forbids it" if "forbidden" in text else None,
    )
    return message.path


def write(folder: Path, *tables: str, **keys: Any) -> Path:
    """A file of sources; ``keys`` are added to the last table."""
    path = folder / "intake.toml"
    more = "".join(f"{name} = {json.dumps(value)}\n" for name, value in keys.items())
    path.write_text("".join(tables or [ORDERS]) + more)
    return path


def append(folder: Path, lines: Iterable[dict[str, Any] | str], name: str = "orders.jsonl") -> None:
    """What another program appends to a file."""
    with (folder / name).open("a") as file:
        for line in lines:
            file.write((line if isinstance(line, str) else json.dumps(line)) + "\n")


def orders(*numbers: int, **more: Any) -> list[dict[str, Any]]:
    """Lines of some orders."""
    return [{"id": f"o-{number}", "text": f"order {number}", **more} for number in numbers]


async def registered(client: hf.Client, *workflows: hf.Workflow[Any, Any]) -> None:
    """Make workflows known, as a worker does that serves them and claims nothing of them."""
    async with hf.Worker(client, list(workflows), queues=["nobody's"]):
        pass


async def once(client: hf.Client, folder: Path) -> TakenReport:
    """Take in what is there, of a file with one source that is read."""
    [report] = await run_intake(client, folder / "intake.toml", once=True)
    return report


def counts(report: TakenReport | hf.SourceView) -> tuple[int, int, int, int]:
    """How many became runs, were filtered, were known, and are dead."""
    return report.runs, report.filtered, report.repeated, report.dead


async def ids_of_runs(client: hf.Client) -> list[str]:
    """The message ids of the runs, sorted: one for each run."""
    return sorted(run.attributes["message_id"] for run in await client.list(workflow="desk", limit=1000))


class Careless(Lead):
    """Does not ask whether somebody else reads already."""

    async def keep(self) -> bool:
        return True

    async def let_go(self) -> None:
        pass


def eager(client: hf.Client, folder: Path) -> Taker:
    """A reader of the first source of the file who does not ask whether somebody else reads already."""
    terms = read_intake(folder / "intake.toml")[0]
    taker = Taker(client.core, terms, open_source(terms), b"0123456789abcdef")
    taker._lead = Careless(client.core, terms, b"0123456789abcdef")
    return taker
