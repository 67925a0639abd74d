"""Where a run's journal names its files of phases, and the requests that child runs made for it in queues of models."""

from __future__ import annotations

from holdfast.engine.execution import PATCHES
from holdfast.engine.part import Part
from holdfast.store.agent_rows import ModelCall
from holdfast.store.rows import ChildRow, RunRow

PINNED = PATCHES + b"phases "
"""Before the name of a file of phases: where a run's journal has the version of it that the run goes by."""

FILES_AT_MOST = 100
CHILDREN_AT_MOST = 10_000
"""So many of a run are looked at."""

CHILDREN_AT_ONCE = 500


def is_caller(workflow: str, file: str) -> bool:
    """Whether a workflow is one by which phases of a file call models whose concurrency is limited."""
    return workflow.startswith((f"{file}: model:", f"{file}: provider:"))


async def requests_for(part: Part, row: RunRow, limit: int) -> list[ModelCall]:
    """The first requests that were made for a run: its own, and at the places of its child runs those of its phases.

    Args:
        part: of the client that asks.
        row: the run.
        limit: at most so many.
    """
    agents = part.reads.agents
    found = await part._patiently(agents.model_calls(part.tenant, row.uid, limit=limit))
    entries, _ = await part._patiently(part.reads.browse_journal(row.uid, after=PINNED, limit=FILES_AT_MOST))
    files = {entry.name.removeprefix("phases ") for entry in entries if entry.position.startswith(PINNED)}
    callers = await _callers(part, row, files) if files else []
    for child in callers:
        generation = int(child.id.removeprefix(f"{row.id}/").partition(".")[0])
        made = await part._patiently(agents.model_calls(part.tenant, child.uid, limit=limit))
        found += [one._replace(position=child.position, generation=generation) for one in made]
    return sorted(found, key=lambda one: (one.position, one.generation))[:limit]


async def _callers(part: Part, row: RunRow, files: set[str]) -> list[ChildRow]:
    """The child runs of a run that called models for its phases."""
    found: list[ChildRow] = []
    after: bytes | None = None
    for _ in range(0, CHILDREN_AT_MOST, CHILDREN_AT_ONCE):
        children = await part._patiently(
            part.reads.children(row.uid, open_only=False, limit=CHILDREN_AT_ONCE, after=after)
        )
        if not children:
            break
        after = children[-1].position
        rows = await part._patiently(part.reads.find_runs(part.tenant, [child.id for child in children]))
        called = {one.uid for one in rows if any(is_caller(one.workflow, file) for file in files)}
        found += [child for child in children if child.uid in called]
    return found
