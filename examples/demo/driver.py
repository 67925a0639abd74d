"""Plays all faces side by side, and sums up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import holdfast as hf

from . import chats, crew, customers, mail, orders
from .stage import GROUPS, ME, Face, Stage, played

TOUR_END = (
    (
        "What goes out?",
        "Each message: sent, held back with the reason, or a draft until you complete its item under My work.",
        "/outbox",
    ),
    (
        "What needs somebody?",
        "A mail that nobody can read, and a message to a system that is switched off: try again, or give up.",
        "/dead-letters",
    ),
)


def faces(folder: Path) -> list[Face]:
    """The five faces.

    Args:
        folder: for what they make beside the database.
    """
    return [mail.face(folder), orders.FACE, crew.face(folder / "coding"), customers.FACE, chats.FACE]


def tour(shown: Sequence[Face]) -> list[tuple[str, str, str]]:
    """Title, text and path of each stop."""
    return [*((face.title, face.text, face.path) for face in shown), *TOUR_END]


async def play(
    client: hf.Client, folder: Path, shown: Sequence[Face], *, once: bool, say: Callable[[str, str], None]
) -> None:
    """Play them, to the end or for ever.

    Args:
        say: is told what a face did when it was played once: its name, and what.
    """
    stage = Stage(client, folder, once)
    await client.put_user(ME, role="admin", groups=GROUPS)

    async def one(face: Face) -> None:
        say(face.name, await played(stage, face))

    async with asyncio.TaskGroup() as group:
        for face in shown:
            group.create_task(one(face))
