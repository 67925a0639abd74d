"""The verbs of models and artifacts. What an attempt made is written with the attempt: see `Batch`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from holdfast.store.agent_rows import (
    ArtifactRow,
    CostBy,
    CostRow,
    Grant,
    ModelCall,
    PhaseFileRow,
    Spent,
    SpentQuery,
)


class AgentStore(Protocol):
    """What keeps what models cost and what runs made."""

    async def model_calls(self, tenant: str, run: bytes, *, limit: int) -> list[ModelCall]:
        """The requests of a run in the order of its journal, then of attempts and numbers."""

    async def artifacts(self, tenant: str, run: bytes, *, limit: int) -> list[ArtifactRow]:
        """What a run made, in the order of its journal, then of names; of each place the newest generation's."""

    async def artifact(
        self, tenant: str, run: bytes, position: bytes, generation: int, name: str
    ) -> tuple[ArtifactRow, bytes | None] | None:
        """One of them, with its bytes where the database keeps them."""

    async def spent(self, asked: Sequence[SpentQuery]) -> list[Spent]:
        """What was spent and granted, for each query in its order."""

    async def grant(self, grant: Grant) -> None:
        """Add to a budget, once for each id."""

    async def costs(self, tenant: str, since: int, until: int, by: Sequence[CostBy], *, limit: int) -> list[CostRow]:
        """What was spent from the day ``since`` to before ``until``: by day in order, then the dearest first."""

    async def costs_of(
        self, tenant: str, runs: Sequence[bytes], since: int, until: int, by: Sequence[CostBy], *, limit: int
    ) -> list[CostRow]:
        """The same of some of the tenant's runs, by their requests; each counts once, however often it is named.

        Args:
            runs: at most `RUNS_AT_ONCE`.
        """

    async def children_of(self, tenant: str, runs: Sequence[bytes], *, limit: int) -> list[bytes]:
        """The child runs of some of the tenant's runs, at most `RUNS_AT_ONCE` of them; not the children of these."""

    async def keep_phases(self, row: PhaseFileRow) -> None:
        """Keep a version of a file of phases; one that is there is the newest again."""

    async def phases(self, tenant: str, name: str, version: str | None = None) -> PhaseFileRow | None:
        """A version, or the newest."""

    async def phase_files(self, tenant: str, *, limit: int) -> list[PhaseFileRow]:
        """The newest version of each of the tenant's files, by name."""

    async def reserve(self, key: str, interval_us: int, burst: int) -> int:
        """Take the next place of a rate, for all tenants.

        Args:
            key: what is limited, such as ``model:openai:gpt-5-mini``.
            interval_us: one place comes free in each.
            burst: so many may be taken at once after a rest.

        Returns:
            How many microseconds from now the place is; 0 for now.
        """

    async def postpone(self, key: str, for_us: int) -> None:
        """Let no place of a rate be earlier than that from now on: its provider asks for a pause."""
