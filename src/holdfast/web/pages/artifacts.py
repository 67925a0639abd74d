"""Artifacts: what one of them says, without ever running it, and how two of them differ."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import datetime
from urllib.parse import quote

from starlette.responses import Response

from holdfast.api.artifact_bodies import without_hidden
from holdfast.api.routing import Call
from holdfast.engine.artifacts import ARTIFACTS_AT_MOST, ArtifactContent, ArtifactView, check_asked, chosen
from holdfast.errors import ArtifactChanged, ArtifactElsewhere, ArtifactNotFound, Forbidden, UsageError
from holdfast.model.position import parse_position
from holdfast.model.run import RunView, instant
from holdfast.web.artifact_texts import Difference, difference, kind_of, text_of
from holdfast.web.page import Page
from holdfast.web.section import Section
from holdfast.web.text import MOST_CHARACTERS

site = Section("runs")

BYTES_SHOWN = 4_000_000
"""A larger artifact is not shown; it can be had as a file."""

BEFORE_SHOWN = 10
"""So many earlier attempts of a run are looked through for what they made at the same place."""

CHOICES = 1_000
"""So many artifacts of a run can be chosen from."""


@dataclass(frozen=True, slots=True)
class Shown:
    """An artifact as a page shows it.

    Attributes:
        run: that made it.
        view: what is known of it.
        generation: the attempt of the run that made it; None for the last one.
        kind: ``image``, ``json``, ``text`` or ``other``.
        text: of it; None where it is no text, or is not shown.
        trouble: why it is not shown, in words; empty where it is.
        changed: whether that is since its bytes are no longer those that were recorded, or are gone.
    """

    run: RunView
    view: ArtifactView
    generation: int | None
    kind: str
    text: str | None
    trouble: str
    changed: bool

    @property
    def cut(self) -> bool:
        """Whether its text is longer than what is shown of it."""
        return self.text is not None and len(self.text) > MOST_CHARACTERS

    @property
    def file(self) -> str:
        """The path of its bytes, to be kept as a file; empty where there are none, or the API does not give them."""
        if self.changed or self.generation is not None:
            return ""
        run, name = (quote(one, safe="") for one in (self.run.id, self.view.name))
        return f"/api/v1/runs/{run}/artifacts/{name}?position={self.view.position}"


@site.get("/artifact")
async def artifact(page: Page) -> Response:
    """An artifact."""
    shown = await _shown(page, "")
    others = await page.client.artifacts(shown.run.id, limit=CHOICES)
    return page.render(
        "pages/artifact.html",
        title=shown.view.name,
        shown=shown,
        before=await _made_before(page, shown),
        others=[one for one in others if (one.position, one.name) != (shown.view.position, shown.view.name)],
    )


@site.get("/artifact/compare")
async def compare(page: Page) -> Response:
    """How an artifact differs from another: of the same run, of another, or of an earlier attempt of its run."""
    left, right = await _shown(page, ""), await _shown(page, "2")
    found: Difference | None = None
    if left.text is not None and right.text is not None:
        whole = page.query.get("all") == "yes"
        texts = left.text[:MOST_CHARACTERS], right.text[:MOST_CHARACTERS]
        found = await asyncio.to_thread(difference, *texts, whole=whole)
    return page.render(
        "pages/artifact_compare.html",
        title=f"{left.view.name} and {right.view.name}" if left.view.name != right.view.name else left.view.name,
        left=left,
        right=right,
        same=left.view.sha256 == right.view.sha256,
        found=found,
        cut=found is not None and (found.cut or left.cut or right.cut),
        whole=page.query.get("all") == "yes",
    )


async def _shown(page: Page, which: str) -> Shown:
    """The artifact that the address names.

    Args:
        page: whose address.
        which: what stands behind the names of its parameters.

    Raises:
        RunNotFound: there is no such run.
        ArtifactNotFound: it has no such artifact.
    """
    run_id = page.query.get(f"run{which}", "") or page.query.get("run", "")
    name, position = page.query.get(f"name{which}", ""), page.query.get(f"at{which}") or None
    if which and page.query.get("other"):
        position, _, name = page.query["other"].partition(" ")
    check_asked(name, position)
    hidden: set[str] = set()
    run = page.shown(await page.client.get(run_id), hidden)
    generation = _generation(page.query.get(f"generation{which}", ""))
    if generation is not None:
        found = await _before(page, run, name, position or "", generation)
        if found is None:
            raise ArtifactNotFound(f"attempt {generation} of run {run_id!r} made no artifact {name!r}", name=name)
        return await _told(page, run, found, generation, hidden)
    views = await page.client.artifacts(run_id, limit=ARTIFACTS_AT_MOST)
    view = chosen(views, run_id, name, position)
    if view.size_bytes > BYTES_SHOWN:
        return _untold(run, view, "It is too large to be shown here.")
    try:
        found = await page.client.artifact(run_id, name, view.position)
    except (ArtifactChanged, ArtifactElsewhere) as error:
        return _untold(run, view, _sentence(error), changed=isinstance(error, ArtifactChanged))
    return await _told(page, run, found, None, hidden)


def _generation(text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and 0 < len(text) < 7):
        raise UsageError(f"generation is {text!r:.60}; give the number of an attempt of the run, from 1")
    return int(text)


def _sentence(error: Exception) -> str:
    said = str(error)
    return f"{said[:1].upper()}{said[1:]}."


def _untold(run: RunView, view: ArtifactView, why: str, *, changed: bool = False) -> Shown:
    return Shown(run, view, None, kind_of(view.media_type), None, why, changed)


async def _told(page: Page, run: RunView, found: ArtifactContent, generation: int | None, hidden: set[str]) -> Shown:
    """An artifact with its text, without what is hidden from whoever asks."""
    assert page.principal is not None
    view, kind = found.artifact, kind_of(found.artifact.media_type)
    call = Call(page.request, page.server, page.principal)
    content = found.content
    if call.hides:
        for entry in await page.client.history(run.id):
            page.shown(entry, hidden)
        try:
            content = without_hidden(call, found, hidden)
        except Forbidden as error:
            return replace(_untold(run, view, _sentence(error)), generation=generation)
    text = await asyncio.to_thread(text_of, view.media_type, content)
    trouble = ""
    if text is None and (kind != "image" or generation is not None):
        trouble = "Its bytes are no text." if kind in ("json", "text") else "It is nothing that is shown here."
    return Shown(run, view, generation, kind, text, trouble, False)


async def _before(page: Page, run: RunView, name: str, position: str, generation: int) -> ArtifactContent | None:
    """What an earlier attempt of a run made at a place, where the database keeps it: a file was written over."""
    uid = (await page.client._find(run.id)).uid
    place = parse_position(position)
    found = await page.client.reads.agents.artifact(page.client.tenant, uid, place, generation, name)
    row, content = found or (None, None)
    if row is None or content is None:
        return None
    view = ArtifactView(
        position, row.name, row.media_type, row.size_bytes, row.sha256.hex(), row.location, instant(row.at)
    )
    return ArtifactContent(view, content)


async def _made_before(page: Page, shown: Shown) -> list[tuple[int, datetime]]:
    """Which earlier attempts of the run made it too, and when, the newest first."""
    made = []
    for generation in range(shown.run.attempt, max(0, shown.run.attempt - BEFORE_SHOWN), -1):
        found = await _before(page, shown.run, shown.view.name, shown.view.position, generation)
        if found is not None:
            made.append((generation, found.artifact.at))
    return [(generation, at) for generation, at in made if at != shown.view.at]
