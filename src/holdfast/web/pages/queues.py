"""Queues and lanes: how much waits and executes, where the lines are long; limits and pauses."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Any
from urllib.parse import quote

from starlette.responses import Response

from holdfast.engine.finding import LaneView
from holdfast.engine.queues import QueueView
from holdfast.engine.shares import LIMIT_AT_MOST
from holdfast.model.access import Role
from holdfast.model.schema import terms_of
from holdfast.web.kept import kept
from holdfast.web.page import Page
from holdfast.web.pages.charts import stats_of
from holdfast.web.pages.questions import question
from holdfast.web.pages.shares import shared_queues
from holdfast.web.section import Section
from holdfast.web.spans import SPANS, Bars, bars
from holdfast.web.weights import read_weights, weights_text

site = Section("queues")

LANES_AT_MOST = 1000
"""So many lanes are looked at."""

LANES_SHOWN = 50
LANES_SECONDS = 1.0

WORKFLOWS_DRAWN = 40
"""So many workflows of a queue are in its line."""


async def workflows_by_queue(page: Page) -> dict[str, list[str]]:
    """Which workflows say that their runs wait in which queue."""

    async def read() -> dict[str, list[str]]:
        found: dict[str, set[str]] = defaultdict(set)
        for row in await page.client.reads.list_workflows():
            found[terms_of(row.input_schema).queue].add(row.name)
        return {queue: sorted(names) for queue, names in found.items()}

    known: dict[str, list[str]] = await kept(page, 5.0).get("workflows by queue", read)
    return known


@site.get("/queues")
async def queues(page: Page) -> Response:
    """Every queue, and the lanes with the longest lines."""
    return page.render(
        "pages/queues.html",
        title="Queues and lanes",
        **(await _queues(page) if page.fragment != "lanes" else {}),
        **(await _lanes(page) if page.fragment != "queues" else {}),
    )


async def _queues(page: Page) -> dict[str, Any]:
    """What the table of queues shows."""
    span = SPANS["1h"]
    found, stats, known = await asyncio.gather(page.client.queues(), stats_of(page, span), workflows_by_queue(page))
    shared = await shared_queues(page, found)
    rates: dict[str, Bars] = {
        queue.name: bars(stats.points, span, page.now, frozenset(known.get(queue.name, ()))) for queue in found
    }
    return {
        "queues": found,
        "rates": rates,
        "lines": {name: _line(page, names) for name, names in known.items()},
        "shared": shared,
    }


async def _lanes(page: Page) -> dict[str, Any]:
    """What the table of lanes shows: the longest lines of those that are looked at."""
    tenant = page.client.tenant
    changes = page.server.live.changes(tenant, "lanes")
    lanes: list[LaneView] = await kept(page, LANES_SECONDS).get(
        ("lanes", tenant, changes), lambda: page.client.lanes(LANES_AT_MOST)
    )
    longest = sorted(lanes, key=lambda lane: (-lane.waiting, -lane.held, lane.name, lane.key))
    return {
        "lanes": page.shown(longest[:LANES_SHOWN]),
        "lanes_known": len(lanes),
        "lanes_cut": len(lanes) == LANES_AT_MOST,
    }


def _line(page: Page, workflows: list[str]) -> str:
    """The address of the line of some workflows."""
    names = "".join(f"&workflow={quote(name, safe='')}" for name in workflows[:WORKFLOWS_DRAWN])
    return page.url("/charts/spark.svg", span="1h") + names


@site.get("/queue/limits")
async def ask_limits(page: Page) -> Response:
    """The form with a queue's limits."""
    assert page.principal is not None
    page.principal.need(Role.OPERATOR, shared=True)
    return await _limits(page, page.query.get("name", ""))


@site.post("/queue/limits")
async def set_limits(page: Page) -> Response:
    """Set a queue's limits."""
    form = await page.form(Role.OPERATOR, shared=True)
    name = form.text("name", most=512)
    total = form.integer("total", least=1, most=LIMIT_AT_MOST)
    per_worker = form.integer("per_worker", least=1, most=LIMIT_AT_MOST)
    per_key = form.integer("per_key", least=1, most=LIMIT_AT_MOST)
    weights = read_weights(form, name)
    if form.sound:
        with form.refusals():
            await page.client.set_queue(name, total=total, per_worker=per_worker, per_key=per_key, weights=weights)
            return page.done("/queues", f"The limits of queue {name} are changed.")
    return await _limits(page, name)


async def _limits(page: Page, name: str) -> Response:
    known = [queue for queue in await page.client.queues() if queue.name == name]
    stands = known[0] if known else QueueView(name, None, None, False, 0, 0, None)
    return page.render(
        "pages/queue_limits.html",
        title=f"Limits of queue {name}" if name else "A queue",
        queue=stands,
        weights=weights_text(stands.weights),
    )


@site.get("/queue/pause")
async def ask_pause(page: Page) -> Response:
    """Ask whether to pause a queue."""
    assert page.principal is not None
    page.principal.need(Role.OPERATOR, shared=True)
    name = page.query.get("name", "")
    return question(
        page,
        f"Pause queue {name}?",
        text="No worker claims runs from it until it is resumed; what executes goes on. It holds for every tenant.",
        to="/queue/pause",
        label="Pause it",
        back="/queues",
        fields={"name": name},
    )


@site.post("/queue/pause")
async def pause(page: Page) -> Response:
    """Pause a queue."""
    form = await page.form(Role.OPERATOR, shared=True)
    name = form.text("name", most=512)
    with form.refusals():
        await page.client.pause_queue(name)
    return _done(page, f"Queue {name} is paused.")


@site.post("/queue/resume")
async def resume(page: Page) -> Response:
    """Let workers claim from a queue again."""
    form = await page.form(Role.OPERATOR, shared=True)
    name = form.text("name", most=512)
    with form.refusals():
        await page.client.resume_queue(name)
    return _done(page, f"Workers claim runs from queue {name} again.")


def _done(page: Page, message: str) -> Response:
    """Back to the queues: it is done, or this is why not."""
    assert page.form_sent is not None
    if page.form_sent.sound:
        return page.done("/queues", message)
    return page.done("/queues", " ".join(page.form_sent.errors.values()), "failed")
