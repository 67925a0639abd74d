"""A model that is a function: it reads the prompt of a phase and answers by rules, so that everything runs offline."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import holdfast as hf

from .outputs import Costs, Defect, Facts, Repair, Report

MODELS = ("reader", "writer", "spare")


@dataclass
class Manner:
    """How the models work.

    Attributes:
        pace_seconds: how long they take for an answer.
        calls: the file that each call is written into, before it is answered: a line with order and phase.
    """

    pace_seconds: float = 0.0
    calls: Path | None = None


manner = Manner()


def register() -> None:
    """Have ``scripted:reader`` and the others be models."""
    for name in MODELS:
        hf.scripted(name, answer)


async def answer(scene: hf.Scene) -> Any:
    """What a phase gives; its prompt begins with its name."""
    phase = scene.prompt.split("\n", 1)[0].removeprefix("# ").lower()
    if manner.calls is not None:
        with manner.calls.open("a", encoding="utf-8") as file:
            file.write(f"{phase}{' again' if scene.wrong else ''}\n")
    await asyncio.sleep(manner.pace_seconds)
    return ANSWERS[phase](scene)


def _facts(scene: hf.Scene) -> Facts:
    said = dict(re.findall(r"^(\w+): (.+)$", scene.prompt, re.MULTILINE))
    return Facts(
        address=said["Address"],
        built=int(said["Built"]),
        area_m2=_number(said["Area"]),
        heating=said["Heating"],
        asked_dollars=_number(said["Price"]),
    )


def _defects(scene: hf.Scene) -> list[Defect]:
    return [Defect(where=where, what=what, severity=severity) for where, what, severity in _told(scene)]


def _energy(scene: hf.Scene) -> str:
    [demand] = re.findall(r"Demand: (\d+) kWh", scene.prompt)
    [area] = re.findall(r"(\d+) m²,", scene.prompt)
    return f"Its heating takes {int(demand) * int(area)} kWh a year."


def _questions(scene: hf.Scene) -> list[str]:
    return [f"Since when is it so that {what}?" for what in re.findall(r"^- \w+: (.+)$", scene.prompt, re.MULTILINE)]


def _costs(scene: hf.Scene) -> dict[str, Any] | Costs:
    prices = {where: int(dollars) for where, dollars in re.findall(r"^- (\w+): (\d+) dollars$", scene.prompt, re.M)}
    repairs = [Repair(what=what, dollars=prices[where]) for where, what, _ in _told(scene)]
    total = sum(one.dollars for one in repairs)
    if len(repairs) > 2 and scene.wrong is None:  # it adds up like a model
        return {"repairs": repairs, "total_dollars": total - 1000}
    return Costs(repairs=repairs, total_dollars=total)


def _draft(scene: hf.Scene) -> str:
    known = scene.prompt.split("## What is known\n")[1].split("## Form")[0]
    return "\n".join(line.removeprefix("- ") for line in known.split("\n") if line)


def _remarks(scene: hf.Scene) -> list[str]:
    text = scene.prompt.split("## Text\n")[1]
    return ["Say what to look at first."] if scene.prompt.startswith("# Style") and "(urgent)" in text else []


def _report(scene: hf.Scene) -> Report:
    [address] = re.findall(r"the address, (.+), and", scene.prompt)
    text = scene.prompt.split("## Draft\n")[1].strip()
    if "look at first" in scene.prompt:
        [urgent, *_] = re.findall(r"^(\w+): .+ \(urgent\)$", text, re.MULTILINE)
        text += f"\nLook at the {urgent} first."
    [total] = re.findall(r"The repairs cost (\d+) dollars", text)
    return Report(title=f"The house in {address}", summary=f"It needs repairs for {total} dollars.", text=text)


ANSWERS: dict[str, Callable[[hf.Scene], Any]] = {
    "facts": _facts,
    "defects": _defects,
    "energy": _energy,
    "questions": _questions,
    "costs": _costs,
    "draft": _draft,
    "check": _remarks,
    "style": _remarks,
    "report": _report,
}


def _told(scene: hf.Scene) -> list[Any]:
    """Part of the house, what is wrong and how bad that is, of each line that says it."""
    return re.findall(r"^- (\w+): (.+) \((minor|serious|urgent)\)$", scene.prompt, re.MULTILINE)


def _number(text: str) -> int:
    return int(text.split()[0])
