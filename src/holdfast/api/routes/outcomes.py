"""How runs ended: what clients that wait for many results ask, with every error as it was recorded."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Annotated, Any

import msgspec
from pydantic import ConfigDict, Field
from starlette.responses import Response

from holdfast.api.routing import Call, Calling, Named, Routes, answer
from holdfast.api.schemas import Body, Id
from holdfast.errors import RunNotFound
from holdfast.model.access import Role
from holdfast.model.generations import base_of
from holdfast.model.payload import body_of
from holdfast.model.run import Status
from holdfast.store.rows import RunRow

routes = Routes("runs")

WAIT_AT_MOST = 60

GATHER_SECONDS = 0.02
"""When a run has ended, so long is waited for others that end with it."""

_ENDED = (Status.SUCCEEDED, Status.FAILED, Status.CANCELLED)


class AskOutcomes(Body):
    """Whose outcomes are asked for."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"ids": ["o-1", "o-2"], "wait": 0}]})

    ids: list[Id] = Field(min_length=1, max_length=1000)
    wait: Annotated[float, Field(ge=0, le=WAIT_AT_MOST)] = Field(
        default=0, description="Wait so many seconds, at most, until one of them has ended."
    )


@dataclass(frozen=True, slots=True)
class RunEnd:
    """How a run ended.

    Attributes:
        id: the run's id.
        status: succeeded, failed or cancelled.
        output: what it gave; null unless it succeeded.
        failure: its error as it was recorded: type, message, args, attributes, traceback, cause; null if it succeeded.
    """

    id: str
    status: str
    output: Any
    failure: Any


@dataclass(frozen=True, slots=True)
class Outcomes:
    """How some runs ended.

    Attributes:
        items: those that have ended.
        missing: ids of which the tenant has no run.
    """

    items: list[RunEnd]
    missing: list[str] = field(default_factory=list)


@routes.post("/runs:outcomes", needs=Role.VIEWER, answers=Outcomes, problems=("value-sealed",))
async def get_outcomes(call: Calling, body: AskOutcomes) -> Response:
    """How runs ended, of those that have; with `wait`, once one of them has. It changes nothing."""
    ids = list(dict.fromkeys(body.ids))
    rows = await _rows(call, ids)
    if body.wait and len(rows) == len(ids) and not any(row.status in _ENDED for row in rows):
        waits = [call.server.core.wait_result(row.uid) for row in rows]
        try:
            await asyncio.wait(waits, timeout=body.wait, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.sleep(GATHER_SECONDS if len(ids) > 1 else 0)
        finally:
            for wait in waits:
                wait.cancel()
        rows = await _rows(call, ids)
    known = {row.id for row in rows}
    ends = [await _end(call, row) for row in rows if row.status in _ENDED]
    return answer(Outcomes(ends, [id for id in ids if id not in known]))


@dataclass(frozen=True, slots=True)
class RunKey:
    """What a run's code hands to outside systems.

    Attributes:
        idempotency_key: that of the run; a step's has a dash and the step's position behind it.
    """

    idempotency_key: str


@routes.get("/runs/{run_id:name}/idempotency-key", needs=Role.OPERATOR, answers=RunKey, problems=("run-not-found",))
async def get_idempotency_key(call: Calling, run_id: Named) -> Response:
    """The key by which outside systems know a run, for those who try a step of it again aside."""
    row = await call.client._find(run_id)
    base = base_of(row.cuts)
    return answer(RunKey(row.uid.hex() if base == 1 else f"{row.uid.hex()}.{base}"))


async def _rows(call: Call, ids: list[str]) -> list[RunRow]:
    client = call.client
    return list(await client._patiently(client.reads.find_runs(client.tenant, ids)))


async def _end(call: Call, row: RunRow) -> RunEnd:
    if call.hides:
        try:
            view = call.show(await call.client.get(row.id))
        except RunNotFound:  # it was deleted just now
            return RunEnd(row.id, row.status, None, None)
        return RunEnd(row.id, row.status, view.output, view.error)
    [row] = await call.client._with_values([row], "output")
    told = None if row.output is None else msgspec.Raw(body_of(row.output, "output"))
    succeeded = row.status == Status.SUCCEEDED
    return RunEnd(row.id, row.status, told if succeeded else None, None if succeeded else told)
