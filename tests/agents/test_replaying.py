"""A phase tried again aside, on the prompt that its run has recorded: what is told of it, and that nothing changes."""

import contextlib
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pydantic
import pytest

import holdfast as hf
from holdfast.agents.phases import versions
from holdfast.agents.phases.differing import WORDS_AT_MOST, by_lines, by_words
from holdfast.agents.phases.registry import Phases, load_phases
from holdfast.errors import Forbidden, ModelFailed, RunNotFound, StepNotFound, UsageError
from holdfast.store.agent_rows import SpentQuery
from tests.agents.kit import OUTPUTS, QUICK, Draft, Model, PhaseFolder, asked, serving
from tests.engine.helpers import until_status
from tests.remote.kit import serving as server

SYSTEM = "You are brief.\n\n---\n\nAnd kind."

FILE = f"""
    name = "orders"
    [defaults]
    {QUICK}
    model = "cheap"
    [models.cheap]
    model = "scripted:main"
    settings = {{ temperature = 0.5 }}
    price = {{ input = 1.0, output = 2.0 }}
    [models.dear]
    model = "scripted:other"
    [phases.draft]
    system = '''
{SYSTEM}'''
    prompt = "Write to {{{{ context }}}}."
    output = "Draft"
    [phases.sum-up]
    prompt = "Sum up for {{{{ context }}}}."
"""

FALLBACK = FILE.replace('model = "cheap"\n', 'model = "cheap"\n    fallbacks = ["dear"]\n', 1)

AWAY = ModelFailed("is away", kind="unavailable")


def drafting(phases: Phases, *names: str) -> hf.Workflow[[], None]:
    """A workflow of some phases, one after the other."""

    @hf.workflow(name="drafting")
    async def run() -> None:
        for name in names or ("draft",):
            await phases.run(name, context="Ann")

    return run


@asynccontextmanager
async def done(url: str, phases: Phases, *names: str, run: str = "o-1") -> AsyncIterator[hf.Client]:
    """A client of a database in which the phases have run, and no worker is any more."""
    async with serving(url, flow := drafting(phases, *names), *phases.workflows) as (client, _):
        await (await client.start(flow.options(id=run))).result(timeout="30s")
    async with hf.connect(url, actor="maria") as client:
        yield client


async def everything_of(client: hf.Client, run: str) -> list[Any]:
    """All that is stored of a run and of what was spent, as it is stored."""
    row, store = await client._find(run), client.core.store
    made = await store.agents.artifacts(client.tenant, row.uid, limit=1000)
    queries = [SpentQuery(client.tenant), SpentQuery(client.tenant, run=row.uid)]
    return [
        row,
        await store.load_journals([row.uid]),
        made,
        [await store.agents.artifact(client.tenant, row.uid, one.position, one.generation, one.name) for one in made],
        await store.agents.model_calls(client.tenant, row.uid, limit=1000),
        await store.agents.spent(queries),
        await store.agents.costs(client.tenant, 0, 100_000, ("model",), limit=100),
        await store.list_audit(client.tenant, limit=100),
    ]


async def test_the_model_is_asked_the_recorded_prompt_again_and_the_difference_is_told(
    disk_url: str, folder: PhaseFolder, model: Model
) -> None:
    model.plan = [Draft(title="An offer", words=3), Draft(title="An offer", words=4)]
    phases = folder.load(FILE)
    async with done(disk_url, phases) as client:
        found = await phases.replay(client, "o-1", "draft")
    first, again = model.scenes
    assert (again.prompt, again.system) == (first.prompt, first.system) == ("Write to Ann.", SYSTEM)
    assert again.schema == first.schema
    assert (found.prompt, found.system) == ("Write to Ann.", SYSTEM)
    assert (found.run, found.phase, found.position) == ("o-1", "draft", "0")
    assert found.version == phases.file().version
    assert (found.recorded.output, found.now.output) == (
        {"title": "An offer", "words": 3},
        {"title": "An offer", "words": 4},
    )
    assert not found.same
    assert found.difference.splitlines()[-5:] == [
        " {",
        '   "title": "An offer",',
        '-  "words": 3',
        '+  "words": 4',
        " }",
    ]
    assert found.words.splitlines()[2] == '"words": [-3-] {+4+}'
    for answer in (found.recorded, found.now):
        assert (answer.model, answer.failed, answer.error, answer.requests) == ("cheap", None, None, 1)
        assert answer.cost == Decimal(answer.input_tokens + 2 * answer.output_tokens) / 1_000_000 > 0


async def test_nothing_is_written(disk_url: str, folder: PhaseFolder, model: Model, other: Model) -> None:
    model.usual, other.usual = Draft(title="Yes", words=1), AWAY
    phases = folder.load(FILE + "    [budgets.run]\n    tokens = 100_000\n")
    async with done(disk_url, phases) as client:
        before = await everything_of(client, "o-1")
        assert (await phases.replay(client, "o-1", "draft")).same
        assert (await phases.replay(client, "o-1", "draft", model="dear")).now.failed == "unavailable"
        assert await everything_of(client, "o-1") == before
        assert len(before[4]) == 1
    assert (len(model.scenes), len(other.scenes)) == (2, 1)


async def test_nothing_is_written_either_in_a_step_of_another_run(folder: PhaseFolder, model: Model) -> None:
    model.usual = Draft(title="Yes", words=1)
    phases = folder.load(FILE)
    clients: list[hf.Client] = []

    @hf.step
    async def compare() -> bool:
        return (await phases.replay(clients[0], "o-1", "draft")).same

    @hf.workflow
    async def comparing() -> bool:
        return await compare()

    async with serving("memory://", flow := drafting(phases), comparing) as (client, _):
        clients.append(client)
        await (await client.start(flow.options(id="o-1"))).result(timeout="20s")
        run = await client.start(comparing)
        assert await run.result(timeout="20s")
        assert await client.model_calls(run.id) == []


async def test_another_model_of_the_file_is_compared_on_the_same_prompt(
    disk_url: str, folder: PhaseFolder, model: Model, other: Model
) -> None:
    model.usual, other.usual = "One.\nIt costs 3 dollars.", "One.\nIt costs 4 dollars, about."
    phases = folder.load(FILE)
    async with done(disk_url, phases, "sum-up") as client:
        found = await phases.replay(client, "o-1", "sum-up", model="dear")
        with pytest.raises(UsageError, match="orders has no model 'none'; it has: cheap, dear"):
            await phases.replay(client, "o-1", "sum-up", model="none")
    assert [(scene.prompt, scene.system) for scene in other.scenes] == [("Sum up for Ann.", None)]
    assert found.system is None
    assert (found.recorded.model, found.now.model) == ("cheap", "dear")
    assert (found.recorded.output, found.now.output) == (model.usual, other.usual)
    assert found.difference == (
        "--- recorded\n+++ now\n@@ -1,2 +1,2 @@\n One.\n-It costs 3 dollars.\n+It costs 4 dollars, about."
    )
    assert found.words == "One.\nIt costs [-3 dollars.-] {+4 dollars, about.+}"
    assert found.now.cost is None  # of a model without a price
    assert found.recorded.cost
    assert len(model.scenes) == 1


async def test_the_same_answer_has_no_difference(folder: PhaseFolder, model: Model) -> None:
    phases = folder.load(FILE)
    async with serving("memory://", flow := drafting(phases, "sum-up")) as (client, _):
        await (await client.start(flow.options(id="o-1"))).result(timeout="20s")
        found = await phases.replay(client, "o-1", "sum-up")
    assert (found.same, found.difference, found.words) == (True, "", "Done.")


async def test_a_model_that_fails_is_told_and_not_raised(disk_url: str, folder: PhaseFolder, model: Model) -> None:
    model.plan, model.usual = [Draft(title="Yes", words=1)], '{"title": 3}'
    phases = folder.load(FILE)
    async with done(disk_url, phases) as client:
        found = await phases.replay(client, "o-1", "draft")
    assert (found.same, found.now.output, found.now.failed, found.now.requests) == (False, None, "malformed", 2)
    assert found.now.error is not None
    assert "title: Input should be a valid string" in found.now.error
    assert f"+{found.now.error}" in found.difference
    assert found.now.input_tokens > found.recorded.input_tokens
    assert found.now.cost


async def test_each_model_that_was_tried_is_a_prompt_of_its_own(
    disk_url: str, folder: PhaseFolder, model: Model, other: Model
) -> None:
    model.usual, other.usual = AWAY, Draft(title="Yes", words=1)
    phases = folder.load(FALLBACK)
    async with done(disk_url, phases) as client:
        found = await phases.replay(client, "o-1", "draft")
        assert (found.position, found.recorded.model, found.same) == ("1", "dear", True)
        found = await phases.replay(client, "o-1", "draft", occurrence=1)
        assert (found.position, found.recorded.model, found.recorded.output) == ("0", "cheap", None)
        assert (found.recorded.requests, found.recorded.failed) == (3, "unavailable")
        assert found.same
        found = await phases.replay(client, "o-1", "draft", occurrence=1, model="dear")
        assert (found.same, found.now.output) == (False, {"title": "Yes", "words": 1})
        with pytest.raises(
            StepNotFound, match="run 'o-1' has recorded 2 of the prompts of phase 'draft', and number 3"
        ):
            await phases.replay(client, "o-1", "draft", occurrence=3)
        for wrong in (0, True, "1"):
            with pytest.raises(UsageError, match="occurrence is"):
                await phases.replay(client, "o-1", "draft", occurrence=wrong)  # type: ignore[arg-type]


async def test_what_a_person_gave_or_changed_is_not_what_the_model_gave(folder: PhaseFolder, model: Model) -> None:
    model.usual = Draft(title="Yes", words=1)
    phases = folder.load(FILE.replace('output = "Draft"', 'output = "Draft"\n    approval = true'))
    async with serving("memory://", flow := drafting(phases)) as (client, queue):
        run = await client.start(flow.options(id="o-1"))
        [item] = await asked(queue)
        await queue.complete(item.id, {"title": "Changed"})
        await run.result(timeout="20s")
        found = await phases.replay(client, "o-1", "draft")
    assert (found.same, found.recorded.output) == (True, {"title": "Yes", "words": 1})


@pytest.fixture
def heard_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is one worker, which hears of limits when they are set."""
    monkeypatch.setattr("holdfast.agents.phases.queued.HEARD_SECONDS", 0.05)


@pytest.mark.usefixtures("heard_at_once")
async def test_a_call_by_a_queue_is_replayed_likewise_and_waits_for_nobody(
    disk_url: str, folder: PhaseFolder, model: Model, other: Model
) -> None:
    model.usual, other.plan = AWAY, [Draft(title="Yes", words=1), Draft(title="No", words=1)]
    phases = folder.load(FALLBACK + "    [providers.scripted]\n    concurrency = 1\n")
    async with done(disk_url, phases) as client:
        before = await everything_of(client, "o-1")
        found = await phases.replay(client, "o-1", "draft")
        assert (found.recorded.model, found.recorded.output) == ("dear", {"title": "Yes", "words": 1})
        assert (found.now.output, found.recorded.requests) == ({"title": "No", "words": 1}, 1)
        assert found.system == SYSTEM
        found = await phases.replay(client, "o-1", "draft", occurrence=1)
        assert (found.recorded.model, found.recorded.failed, found.recorded.requests) == ("cheap", "unavailable", 3)
        assert found.same
        assert await everything_of(client, "o-1") == before


@pytest.mark.usefixtures("heard_at_once")
async def test_a_fork_that_kept_a_call_by_a_queue_has_to_be_told_the_model(folder: PhaseFolder, model: Model) -> None:
    phases = folder.load(FILE.replace("settings", "concurrency = 1\n    settings"))
    async with serving("memory://", flow := drafting(phases, "sum-up", "draft"), *phases.workflows) as (client, queue):
        model.plan = ["Done.", *[ModelFailed("no", kind="refused")]]
        await client.start(flow.options(id="o-1"))
        await asked(queue)
        forked = await client.fork("o-1", from_step="draft prompt")
        with pytest.raises(UsageError, match=r"which model run .* asked for phase 'sum-up' is not known; name one"):
            await phases.replay(client, forked, "sum-up")
        assert (await phases.replay(client, forked, "sum-up", model="cheap")).same


async def test_a_fork_has_what_it_kept_and_a_phase_whose_output_was_edited_has_no_prompt(
    disk_url: str, folder: PhaseFolder, model: Model
) -> None:
    model.plan = [Draft(title="Yes", words=1)]
    phases = folder.load(FILE)
    flow = drafting(phases, "draft", "sum-up")
    async with serving(disk_url, flow) as (client, _):
        await (await client.start(flow.options(id="o-1"))).result(timeout="20s")
        for run in (
            await client.fork("o-1", from_step="sum-up", id="from-sum-up"),
            await client.fork("o-1", from_step="draft", id="from-draft", output={"title": "Edited", "words": 2}),
        ):
            await (await client.handle(run)).result(timeout="20s")
        model.plan = [Draft(title="Yes", words=1)] * 2
        found = await phases.replay(client, "from-sum-up", "draft")
        assert (found.same, found.recorded.model, found.recorded.requests) == (True, "cheap", 0)
        with pytest.raises(StepNotFound, match="has recorded no prompt of phase 'draft'"):
            await phases.replay(client, "from-draft", "draft")


async def test_the_version_that_the_run_goes_by_is_asked_also_after_the_file_has_changed(
    disk_url: str, folder: PhaseFolder, model: Model, other: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions, "LOOK_SECONDS", 0.0)
    other.usual = "Yes."
    phases = folder.load(FILE)
    async with done(disk_url, phases, "sum-up") as client:
        version = phases.file().version
        folder.write(FILE.replace("dear", "new").replace("cheap", "dear").replace("phases.sum-up", "phases.summary"))
        for loaded in (phases, load_phases(folder.path, outputs=OUTPUTS)):
            found = await loaded.replay(client, "o-1", "sum-up")
            assert (found.version, found.recorded.model, found.same) == (version, "cheap", True)
            assert (await loaded.replay(client, "o-1", "sum-up", model="dear")).now.output == "Yes."
            assert (await loaded.replay(client, "o-1", "sum-up", model="new")).now.output == "Yes."
            with pytest.raises(UsageError, match="orders has no phase 'summary', as version"):
                await loaded.replay(client, "o-1", "summary")


async def test_what_cannot_be_replayed_is_refused_before_a_model_is_asked(
    disk_url: str, folder: PhaseFolder, model: Model
) -> None:
    model.usual = Draft(title="Yes", words=1)
    phases = folder.load(FILE)
    async with done(disk_url, phases) as client:
        with pytest.raises(RunNotFound, match="no run 'none'"):
            await phases.replay(client, "none", "draft")
        with pytest.raises(UsageError, match="orders has no phase 'none', as version"):
            await phases.replay(client, "o-1", "none")
        with pytest.raises(StepNotFound, match="has recorded no prompt of phase 'sum-up'"):
            await phases.replay(client, "o-1", "sum-up")
        async with hf.connect(disk_url, tenant="mallory") as stranger:
            with pytest.raises(RunNotFound, match="tenant 'mallory' has no run 'o-1'"):
                await phases.replay(stranger, "o-1", "draft")
    assert len(model.scenes) == 1


async def test_a_run_that_came_to_no_phase_has_none_to_replay(folder: PhaseFolder, model: Model) -> None:
    @hf.workflow
    async def idle() -> None:
        await hf.sleep(0)

    phases = folder.load(FILE)
    async with serving("memory://", idle) as (client, _):
        run = await client.start(idle)
        await run.result(timeout="20s")
        with pytest.raises(StepNotFound, match="has come to none of the phases of orders"):
            await phases.replay(client, run.id, "draft")


async def test_an_output_that_the_code_does_not_give_any_more_is_told(
    disk_url: str, folder: PhaseFolder, model: Model
) -> None:
    class Other(pydantic.BaseModel):
        subject: str

    model.usual = Draft(title="Yes", words=1)
    async with done(disk_url, folder.load(FILE)) as client:
        without = folder.load(FILE.replace('output = "Draft"', 'output = "text"'), {})
        with pytest.raises(UsageError, match="there is no output 'Draft'; the code gives: text"):
            await without.replay(client, "o-1", "draft")
        changed = folder.load(FILE, {"Draft": Other})
        with pytest.raises(hf.PayloadError, match="subject"):
            await changed.replay(client, "o-1", "draft")
    assert len(model.scenes) == 1


async def test_a_version_that_is_not_kept_any_more_is_told(sqlite_url: str, folder: PhaseFolder, model: Model) -> None:
    async with done(sqlite_url, folder.load(FILE), "sum-up") as client:
        changed = folder.load(FILE.replace("Sum up", "Say"))
        assert (await changed.replay(client, "o-1", "sum-up")).prompt == "Sum up for Ann."
        with contextlib.closing(sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))) as database, database:
            database.execute("DELETE FROM phase_files")
        with pytest.raises(UsageError, match=r"goes by version .* of orders, which is not kept any more"):
            await changed.replay(client, "o-1", "sum-up")


async def test_a_phase_is_replayed_through_a_server_if_its_version_is_in_force_here(
    disk_url: str, folder: PhaseFolder, model: Model
) -> None:
    model.usual = Draft(title="Yes", words=1)
    phases = folder.load(FILE)
    async with (
        done(disk_url, phases, "draft") as client,
        server(disk_url) as address,
        hf.connect(address) as remote,
    ):
        assert await phases.replay(remote, "o-1", "draft") == await phases.replay(client, "o-1", "draft")
        changed = folder.load(FILE.replace("Sum up", "Say"))
        with pytest.raises(UsageError, match="ask the database itself, which keeps them all, instead of its server"):
            await changed.replay(remote, "o-1", "draft")


async def test_who_may_not_see_the_prompt_or_the_output_cannot_have_it_asked_again(
    disk_url: str, folder: PhaseFolder, model: Model
) -> None:
    phases = folder.load(FILE)

    @hf.workflow
    async def writing(who: str, phase: str) -> None:
        await phases.run(phase, context=who)

    async with serving(disk_url, writing) as (client, _):
        await (await client.start(writing.options(id="shown"), "Ann Smith", "sum-up")).result(timeout="20s")
        model.plan = [Draft(title="Dear Ann Smith", words=1)]
        await (await client.start(writing.options(id="said"), "Ann Smith", "draft")).result(timeout="20s")
        viewer, operator = [(await client.create_key(role, role=role)).key for role in ("viewer", "operator")]
    asked_before = len(model.scenes)
    async with server(disk_url, auth=True, redact=("who",)) as address:
        async with hf.connect(address, key=viewer) as remote:
            for run, name in (("shown", "sum-up"), ("said", "draft")):
                with pytest.raises(Forbidden, match=f"'{name}/prompt.md' of run '{run}' holds what is hidden"):
                    await phases.replay(remote, run, name)
        assert len(model.scenes) == asked_before
        async with hf.connect(address, key=operator) as remote:
            assert (await phases.replay(remote, "shown", "sum-up")).prompt == "Sum up for Ann Smith."


async def test_an_output_that_is_hidden_is_compared_for_nobody_who_may_only_look(
    disk_url: str, folder: PhaseFolder, model: Model
) -> None:
    model.usual = Draft(title="A secret", words=1)
    phases = folder.load(FILE)
    async with done(disk_url, phases) as client:
        viewer = (await client.create_key("viewer", role="viewer")).key
        async with (
            server(disk_url, auth=True, redact=("title",)) as address,
            hf.connect(address, key=viewer) as remote,
        ):
            with pytest.raises(Forbidden, match=r"'draft/output.json' of run 'o-1' holds what is hidden"):
                await phases.replay(remote, "o-1", "draft")
    assert len(model.scenes) == 1


async def test_a_phase_that_waits_for_a_person_is_replayed_while_it_waits(folder: PhaseFolder, model: Model) -> None:
    model.plan = [AWAY] * 3
    phases = folder.load(FILE)
    async with serving("memory://", flow := drafting(phases, "sum-up")) as (client, queue):
        run = await client.start(flow.options(id="o-1"))
        await asked(queue)
        await until_status(client, run.id, "waiting")
        found = await phases.replay(client, "o-1", "sum-up")
        assert (found.recorded.failed, found.now.output, found.same) == ("unavailable", "Done.", False)


async def test_a_phase_that_is_between_two_attempts_is_replayed_with_a_model_that_is_named(
    disk_url: str, folder: PhaseFolder, model: Model
) -> None:
    model.plan = [ModelFailed("too many requests", kind="rate-limited", retry_after=3600.0)]
    phases = folder.load(FILE)
    async with serving(disk_url, flow := drafting(phases, "sum-up")) as (client, _):
        await client.start(flow.options(id="o-1"))
        await until_status(client, "o-1", "waiting")
        with pytest.raises(UsageError, match="which model run 'o-1' asked for phase 'sum-up' is not known; name one"):
            await phases.replay(client, "o-1", "sum-up")
        found = await phases.replay(client, "o-1", "sum-up", model="cheap")
        assert (found.recorded.failed, found.now.output) == ("rate-limited", "Done.")
        assert (await client.get("o-1")).status == "waiting"


def test_lines_that_changed_altogether_are_told_as_a_whole() -> None:
    then, now = "same\n" + "old " * (WORDS_AT_MOST + 1), "same\nnew words"
    assert by_words(then, now) == f"same\n[-{('old ' * (WORDS_AT_MOST + 1)).strip()}-]\n{{+new words+}}"
    assert by_words("a b\nc", "a b\nc\nd") == "a b\nc\n{+d+}"
    assert by_words("a\nb", "") == "[-a\nb-]"
    assert by_words("a  b c", "a b  d") == "a b [-c-] {+d+}"
    assert by_lines("a", "a") == ""
    assert by_lines("a", "a\n").endswith(" a\n+")
    assert by_lines("", "a").endswith("\n+a")
