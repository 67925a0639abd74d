"""Workers: who executes runs, what each serves, and how much it has; kinds of runs that nobody serves."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence

from starlette.responses import Response

from holdfast.api.problems import Refused
from holdfast.engine.fleet import WorkerView
from holdfast.model.access import Role
from holdfast.web.page import Page
from holdfast.web.pages.questions import question
from holdfast.web.section import Section

site = Section("workers")

SHOWN_AT_MOST = 300
"""So many workers are on a page; the lost ones first."""

BULK = "holdfast.bulk"
"""What every worker serves is not said of each."""


@site.get("/workers")
async def workers(page: Page) -> Response:
    """Every registered worker, those that are lost first."""
    found, stranded = await asyncio.gather(page.client.workers(), page.client.stranded())
    found = sorted(found, key=lambda one: (one.alive, not one.draining, one.host, one.pid))
    alive = [one for one in found if one.alive]
    return page.render(
        "pages/workers.html",
        title="Workers",
        workers=found[:SHOWN_AT_MOST],
        left_out=max(0, len(found) - SHOWN_AT_MOST),
        serves={one.id: _served(one.serves) for one in found[:SHOWN_AT_MOST]},
        alive=len(alive),
        lost=len(found) - len(alive),
        running=sum(one.running for one in alive),
        slots=sum(one.slots or 0 for one in alive),
        memory=sum(one.memory_bytes or 0 for one in alive),
        stranded=stranded,
    )


def _served(serves: Sequence[str]) -> list[tuple[str, list[str]]]:
    """What a worker serves: each workflow with its versions."""
    versions: dict[str, list[str]] = defaultdict(list)
    for one in serves:
        name, _, version = one.rpartition(" ")
        if name != BULK:
            versions[name].append(version)
    return sorted(versions.items())


@site.get("/worker/drain")
async def ask_drain(page: Page) -> Response:
    """Ask whether to drain a worker."""
    assert page.principal is not None
    page.principal.need(Role.OPERATOR, shared=True)
    worker = await _worker(page, page.query.get("id", ""))
    return question(
        page,
        f"Drain the worker on {worker.host}, process {worker.pid}?",
        text=f"It hears of it with its next beat, claims no more, hands its {worker.running:,} runs over to others and "
        "ends. Whatever started it may start it anew.",
        to="/worker/drain",
        label="Drain it",
        back="/workers",
        kind="danger",
        fields={"id": worker.id},
    )


@site.post("/worker/drain")
async def drain(page: Page) -> Response:
    """Ask a worker to hand its runs over and to end."""
    form = await page.form(Role.OPERATOR, shared=True)
    worker = await _worker(page, form.text("id", most=100))
    if not await page.client.drain_worker(worker.id):
        return page.done("/workers", "That worker has left meanwhile.", "failed")
    return page.done("/workers", f"The worker on {worker.host}, process {worker.pid}, hands its runs over and ends.")


async def _worker(page: Page, id: str) -> WorkerView:
    found = [one for one in await page.client.workers() if one.id == id]
    if not found:
        raise Refused("not-found", "there is no such worker: it has left, or the address is cut off")
    return found[0]
