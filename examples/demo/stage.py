"""What the faces have in common: the database, a folder, and how long they go on."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import holdfast as hf

HURRY = 0.05
"""What is left of a pause where somebody waits for the end."""

ME = "local"
"""Whoever looks at the demonstration: the dashboard asks nobody who they are."""

GROUPS = ("desk", "surveyors", "accounts")
"""Of theirs: those who look at answers, reports and large renewals."""


@dataclass
class Stage:
    """Where the faces play.

    Attributes:
        folder: for what they read and write beside the database.
        once: each does a fixed amount, without the pauses by which people see what happens; else all go on for ever.
    """

    client: hf.Client
    folder: Path
    once: bool

    async def pause(self, seconds: float) -> None:
        """Let people look."""
        await asyncio.sleep(seconds * (HURRY if self.once else 1.0))

    def acting(self, who: str) -> hf.Client:
        """The client of somebody else, whose changes are recorded as theirs."""
        return hf.Client(self.client.core, self.client.tenant, actor=who)


@dataclass(frozen=True)
class Face:
    """A face.

    Attributes:
        title, text, path: what the tour says of it, and the page that shows it.
        workflows: what the worker serves for it.
        work: plays it; what was done, in words, when it is played once.
    """

    name: str
    title: str
    text: str
    path: str
    workflows: Sequence[hf.Workflow[Any, Any]]
    work: Callable[[Stage], Awaitable[str]]


async def played(stage: Stage, face: Face) -> str:
    """Play a face. Trouble of one is told, and does not stop the others; where they go on for ever, it begins again."""
    while True:
        try:
            return await face.work(stage)
        except Exception as error:
            print(f"demo: {face.name}: {type(error).__name__}: {error}", file=sys.stderr)
            if stage.once:
                raise
            await asyncio.sleep(5.0)
