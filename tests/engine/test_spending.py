"""What a client says of model calls, artifacts, costs and phases: from every store, here and through a server."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import holdfast as hf
from holdfast.engine import artifacts as artifacts_module
from holdfast.engine import spending as spending_module
from holdfast.engine.client import Client
from holdfast.errors import ArtifactChanged, ArtifactElsewhere, ArtifactNotFound, PhasesNotFound
from tests.engine.spending_kit import HAIKU, MINI, WORKFLOWS, files, letter, phase_file
from tests.remote.kit import serving

FIRST, SECOND = date(2026, 3, 1), date(2026, 3, 2)


class Place(NamedTuple):
    """A database with a worker: a client that starts runs, one that looks, and the folder whose files may be read."""

    starts: Client
    looks: Client
    folder: Path
    url: str


@pytest.fixture(params=["local", "remote"])
async def place(request: pytest.FixtureRequest, disk_url: str, tmp_path: Path) -> AsyncIterator[Place]:
    folder = tmp_path / "work"
    folder.mkdir()
    async with AsyncExitStack() as stack:
        tenant = uuid.uuid4().hex
        starts = await stack.enter_async_context(hf.connect(disk_url, tenant=tenant, workspaces=[folder]))
        looks = starts
        if request.param == "remote":
            address = await stack.enter_async_context(serving(disk_url, workspaces=(str(folder),)))
            looks = await stack.enter_async_context(hf.connect(address, tenant=tenant))
        await stack.enter_async_context(hf.Worker(disk_url, WORKFLOWS, drain=0))
        yield Place(starts, looks, folder, disk_url)


async def done(place: Place, workflow: Any, *args: Any) -> str:
    run = await place.starts.start(workflow, *args)
    await run.result("60s")
    return run.id


async def test_model_calls_are_told_with_their_attempts(place: Place) -> None:
    run = await done(place, letter, "Ada")
    found = await place.looks.model_calls(run)
    assert [(one.position, one.phase, one.attempt, one.number, one.model, one.outcome, one.cost) for one in found] == [
        ("0", "draft", 1, 0, MINI, "timeout", None),
        ("0", "draft", 2, 0, MINI, "malformed", Decimal("0.0123")),
        ("0", "draft", 2, 1, HAIKU, "ok", Decimal("1.5")),
        ("1", "review", 1, 0, MINI, "ok", Decimal("2E-8")),
    ]
    first = found[0]
    assert (first.error, first.generation) == ("it was timeout", 1)
    assert (first.input_tokens, first.cached_tokens, first.output_tokens) == (100, 10, 7)
    assert first.began_at == datetime(2026, 3, 1, 6, 30, tzinfo=UTC)
    assert first.ended_at - first.began_at == timedelta(seconds=1.5)
    assert await place.looks.model_calls(run, limit=2) == found[:2]


async def test_artifacts_are_told_and_had_by_name_and_position(place: Place) -> None:
    run = await done(place, letter, "Ada")
    found = await place.looks.artifacts(run)
    assert [(one.position, one.name) for one in found] == [
        ("0", "draft/output.json"),
        ("0", "draft/prompt.md"),
        ("1", "draft/prompt.md"),
    ]
    output = found[0]
    assert (output.media_type, output.size_bytes, output.location) == ("application/json", 16, None)
    assert output.sha256 == hashlib.sha256(b'{"text": "Dear"}').hexdigest()
    assert await place.looks.artifacts(run, limit=1) == found[:1]
    latest = await place.looks.artifact(run, "draft/prompt.md")
    assert (latest.artifact, latest.content) == (found[2], b"# Again\n")
    earlier = await place.looks.artifact(run, "draft/prompt.md", "0")
    assert (earlier.artifact, earlier.content) == (found[1], b"# Write to Ada\n")
    for name, position in (("draft", None), ("draft/output.json", "1"), ("draft/../draft/output.json", None)):
        with pytest.raises(ArtifactNotFound, match="made no artifact"):
            await place.looks.artifact(run, name, position)


async def test_a_file_is_read_below_a_folder_that_is_allowed(place: Place) -> None:
    path = place.folder / "a" / "plan.txt"
    run = await done(place, files, str(path), "first this\n")
    found = await place.looks.artifact(run, "plan.txt")
    assert (found.content, found.artifact.location) == (b"first this\n", str(path))


async def test_a_file_that_changed_is_not_given(place: Place) -> None:
    path = place.folder / "plan.txt"
    run = await done(place, files, str(path), "first this\n")
    for content in ("first that\n", "", "first this\nand then that\n"):
        path.write_text(content)
        with pytest.raises(ArtifactChanged, match="not what was recorded") as changed:
            await place.looks.artifact(run, "plan.txt")
        assert changed.value.location == str(path)
    path.unlink()
    with pytest.raises(ArtifactChanged, match="the file is gone"):
        await place.looks.artifact(run, "plan.txt")


async def test_no_path_in_the_database_leads_out_of_the_folder(place: Place, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("hidden\n")
    (place.folder / "link.txt").symlink_to(secret)
    (place.folder / "up").symlink_to(tmp_path)
    (place.folder / "folder").mkdir()
    os.mkfifo(place.folder / "pipe")
    beside = tmp_path / "work-2"
    beside.mkdir()
    (beside / "secret.txt").write_text("hidden\n")
    for location in (
        str(secret),
        f"{place.folder}/../secret.txt",
        str(place.folder / "link.txt"),
        str(place.folder / "up" / "secret.txt"),
        str(beside / "secret.txt"),
        str(place.folder),
        str(place.folder / "folder"),
        str(place.folder / "pipe"),
        "secret.txt",
        "https://127.0.0.1/secret.txt",
        f"file://{secret}",
    ):
        run = await done(place, files, location, "hidden\n", False)
        with pytest.raises(ArtifactElsewhere) as refused:
            await place.looks.artifact(run, "plan.txt")
        assert refused.value.location == location
        assert location in str(refused.value)


async def test_what_is_too_large_is_not_read(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifacts_module, "CONTENT_BYTES", 5)
    run = await done(place, files, str(place.folder / "plan.txt"), "123456")
    with pytest.raises(ArtifactElsewhere, match=r"are 6; as many as 5 are given here"):
        await place.looks.artifact(run, "plan.txt")


async def test_costs_are_added_up_by_what_is_asked(place: Place) -> None:
    for who in ("Ada", "Bob"):
        await done(place, letter, who)
    report = await place.looks.model_costs(since=FIRST, until=SECOND)
    assert (report.since, report.until, report.by) == (FIRST, SECOND, ["phase"])
    assert [(one.phase, one.calls, one.failed, one.unpriced, one.cost) for one in report.rows] == [
        ("draft", 6, 4, 2, Decimal("3.0246")),
        ("review", 2, 0, 0, Decimal("4E-8")),
    ]
    total = report.total
    assert (total.calls, total.input_tokens, total.cached_tokens, total.output_tokens) == (8, 4600, 80, 56)
    assert (total.cost, total.phase) == (Decimal("3.02460004"), None)
    by_day = await place.looks.model_costs(since=FIRST, until=SECOND, by=("model", "day"))
    assert by_day.by == ["day", "model"]
    assert [(one.day, one.model, one.calls) for one in by_day.rows] == [
        (FIRST, HAIKU, 2),
        (FIRST, MINI, 4),
        (SECOND, MINI, 2),
    ]
    [of_workflow] = (await place.looks.model_costs(since=FIRST, until=SECOND, by=["workflow"])).rows
    assert of_workflow.workflow == letter.name
    second = await place.looks.model_costs(since=datetime(2026, 3, 2, 23, 59, tzinfo=UTC), until=SECOND, by=())
    assert [one.calls for one in second.rows] == [2]
    nothing = await place.looks.model_costs(until=date(2025, 1, 31))
    assert (nothing.since, nothing.rows, nothing.total.calls) == (date(2025, 1, 1), [], 0)
    assert str(nothing.total.cost) == "0"


async def test_phases_in_force_are_told(place: Place) -> None:
    assert await place.looks.phase_files() == []
    await done(place, letter, "Ada")
    file = phase_file()
    found = await place.looks.phase_file("letters")
    assert (found.name, found.version, found.at.date()) == ("letters", file.version, FIRST)
    research, draft = found.phases
    assert (research.name, research.needs, research.approval, research.system) == ("research", [], None, None)
    assert (draft.model, draft.fallbacks, draft.fallback_on) == ("fast", [HAIKU], ["refused", "timeout"])
    assert (draft.budget.cost, draft.input_tokens, draft.output) == (Decimal("0.1"), 8000, "Draft")
    assert (draft.prompt, draft.system) == ("Write to {{ context }}", "You write.")
    assert draft.approval is not None
    assert (draft.approval.group, draft.approval.due_seconds) == ("ops", 60.0)
    fast = next(one for one in found.models if one.name == "fast")
    assert (fast.limits.concurrency, fast.limits.rate, fast.limits.burst) == (4, 60, 5)
    assert fast.price is not None
    assert (fast.price.input, fast.price.cached) == (Decimal("0.25"), Decimal("0.025"))
    assert (found.providers["openai"].rate, found.budgets["run"].cost) == (500, Decimal(2))
    assert "A_KEY" not in repr(found)
    [listed] = await place.looks.phase_files()
    assert [(one.name, one.prompt, one.system) for one in listed.phases] == [
        ("research", None, None),
        ("draft", None, None),
    ]
    assert await place.looks.phase_file("letters", file.version) == found
    for name, version in (("others", None), ("letters", "0000")):
        with pytest.raises(PhasesNotFound, match="has no phases"):
            await place.looks.phase_file(name, version)


async def test_another_tenant_finds_none_of_it(place: Place) -> None:
    run = await done(place, letter, "Ada")
    url = place.url if place.looks is place.starts else place.looks.server.shown  # type: ignore[attr-defined]
    async with hf.connect(url, tenant="another") as other:
        for asked in (other.model_calls(run), other.artifacts(run), other.artifact(run, "draft/prompt.md")):
            with pytest.raises(hf.RunNotFound):
                await asked
        assert (await other.model_costs(since=FIRST, until=SECOND)).rows == []
        assert await other.phase_files() == []
        with pytest.raises(PhasesNotFound):
            await other.phase_file("letters")


async def test_what_cannot_be_asked_is_told(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    run = await done(place, letter, "Ada")
    looks: Any = place.looks
    for asked, said in (
        (looks.model_calls(run, limit=0), "limit is 0"),
        (looks.artifacts(run, limit=10_001), "limit is 10001"),
        (looks.artifact(run, ""), "the name of an artifact"),
        (looks.artifact(run, "plan.txt", "first"), "the position is 'first'"),
        (looks.model_costs(since="7d"), "since is '7d'"),
        (looks.model_costs(until=datetime(2026, 3, 1)), "an aware instant"),
        (looks.model_costs(since=SECOND, until=FIRST), "is after until"),
        (looks.model_costs(by="phase"), "by has 'phase'"),
        (looks.model_costs(by=["step"]), "by has 'step'"),
        (looks.model_costs(since=date(1969, 1, 1)), "from 1970-01-01 on"),
        (looks.phase_file(""), "the name of a file of phases"),
    ):
        with pytest.raises(hf.UsageError, match=said):
            await asked
    monkeypatch.setattr(spending_module, "ROWS_AT_MOST", 1)
    with pytest.raises(hf.UsageError, match="more than 1 rows"):
        await looks.model_costs(since=FIRST, until=SECOND)


async def test_what_is_no_list_of_folders_is_refused() -> None:
    for folders in ("/srv", [""], [3]):
        with pytest.raises(hf.UsageError, match="give a list of folders"):
            await hf.connect("memory://", workspaces=folders)  # type: ignore[arg-type]
