"""Takes in all sources of a file: in every worker that is given one, or alone."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from holdfast.engine.client import Client
from holdfast.engine.core import Core
from holdfast.engine.tended import INTAKE
from holdfast.intake.files import read_intake
from holdfast.intake.opening import open_source
from holdfast.intake.taking import Taker
from holdfast.intake.terms import SourceTerms


@dataclass(frozen=True, slots=True)
class TakenReport:
    """What was taken in of a source.

    Attributes:
        source: its name.
        tenant: whose it is.
        runs: so many entries became runs.
        filtered: so many were not for the workflow.
        repeated: so many were known.
        dead: so many could not be read.
        state: how the source is doing: ``waiting``, ``full`` or ``failing``.
        note: why, in words.
    """

    source: str
    tenant: str
    runs: int
    filtered: int
    repeated: int
    dead: int
    state: str
    note: str


class IntakeTender:
    """Takes in the sources that a worker was given, each by itself: what is wrong with one stops no other.

    Args:
        core: the database.

    Raises:
        UsageError: something in the worker's file is wrong, or a library is not installed.
    """

    def __init__(self, core: Core) -> None:
        file = core.companions.pop(INTAKE, None)
        given = read_intake(file) if isinstance(file, str | Path) else ()
        self._core = core
        self._takers = takers(core, given)
        self._requested = [terms for terms in given if terms.kind == "http"]

    async def forever(self) -> None:
        """Take in until cancelled."""
        for terms in self._requested:
            # They are read by no one, and yet people should see that they are there.
            await self._core.store.intake.open_source(terms.tenant, terms.name, terms.kind, terms.workflow)
        async with asyncio.TaskGroup() as group:
            for taker in self._takers:
                group.create_task(taker.forever(), name=f"holdfast-intake-{taker.terms.name}")

    async def tick(self) -> bool:
        """Take in what is there now."""
        for taker in self._takers:
            await taker.take()
        return False


def takers(core: Core, sources: Sequence[SourceTerms]) -> list[Taker]:
    """What takes in each source that is read.

    Raises:
        UsageError: a library is not installed.
    """
    holder = secrets.token_bytes(16)
    return [Taker(core, terms, open_source(terms), holder) for terms in sources if terms.kind != "http"]


async def run_intake(client: Client, path: str | Path, *, once: bool = False) -> list[TakenReport]:
    """Take in the sources of a file, without a worker's other duties.

    The workflows are those that workers have registered in the database.

    Args:
        client: a client of the database; sources belong to the tenants that the file names.
        path: the file of sources.
        once: end when everything that is there is taken in, or where there is no room for more; else go on until
            cancelled.

    Returns:
        What was taken in of each source that is read, in the order of the file.

    Raises:
        UsageError: something in the file is wrong, or a library is not installed.
    """
    each = takers(client.core, read_intake(path))
    if not once:
        async with asyncio.TaskGroup() as group:
            for taker in each:
                group.create_task(taker.forever(), name=f"holdfast-intake-{taker.terms.name}")
    return list(await asyncio.gather(*(_once(taker) for taker in each)))


async def _once(taker: Taker) -> TakenReport:
    try:
        await taker.turn(wait=False)
    finally:
        await taker.close()
    terms, taken = taker.terms, taker.taken
    return TakenReport(
        source=terms.name,
        tenant=terms.tenant,
        runs=taken["run"],
        filtered=taken["filtered"],
        repeated=taken["repeated"],
        dead=taken["dead"],
        state=taker.state,
        note=taker.note,
    )
