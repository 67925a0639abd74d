"""Approval: what a phase gave goes on only when a person says so, as they leave it."""

import hashlib
import json
from typing import Any

import pytest

import holdfast as hf
from holdfast.agents.phases.registry import Phases
from holdfast.engine.notices import Notice, Told
from holdfast.errors import Rejected, RunFailed
from tests.agents.kit import DRAFT, Draft, Model, PhaseFolder, artifacts_of, asked, serving, steps_of
from tests.engine.helpers import until_status

FILE = """
    name = "orders"
    [defaults]
    model = "scripted:main"
    [phases.draft]
    prompt = "Write."
    output = "Draft"
    approval = { group = "ops", due = "1d", escalate_to = ["boss"] }
    [phases.send]
    prompt = "Send {{ outputs.draft.title }}."
    needs = ["draft"]
"""


@pytest.fixture
def phases(folder: PhaseFolder, model: Model) -> Phases:
    model.plan = [DRAFT]
    return folder.load(FILE)


def ordering(phases: Phases) -> hf.Workflow[[], Draft]:
    @hf.workflow(name="ordering")
    async def run() -> Draft:
        outputs = await phases.execute()
        draft: Draft = outputs["draft"]
        return draft

    return run


async def test_an_approved_output_goes_on_as_it_is(
    store_url: str, phases: Phases, model: Model, park_at_once: None
) -> None:
    async with serving(store_url, flow := ordering(phases)) as (client, queue):
        run = await client.start(flow)
        [item] = await asked(queue)
        assert (item.title, item.group, item.run) == ("Approve what phase 'draft' gave", "ops", run.id)
        assert item.due_at is not None
        await until_status(client, run.id, "waiting")
        assert len(model.scenes) == 1
        await queue.claim(item.id)
        await queue.complete(item.id)
        assert await run.result(timeout="20s") == DRAFT
    assert model.prompts == ["Write.", "Send An offer."]


async def test_what_a_person_changed_in_it_goes_on_changed_and_is_kept(
    store_url: str, phases: Phases, model: Model, park_at_once: None
) -> None:
    async with serving(store_url, flow := ordering(phases)) as (client, queue):
        run = await client.start(flow)
        [item] = await asked(queue)
        await queue.complete(item.id, {"title": "A better offer"})
        assert await run.result(timeout="20s") == Draft(title="A better offer", words=None)
        made = await artifacts_of(client, run.id)
        assert json.loads(made["draft/output.json"])["title"] == "An offer"
        assert json.loads(made["draft/approved.json"])["title"] == "A better offer"
    assert model.prompts == ["Write.", "Send A better offer."]


async def test_the_item_names_the_digest_of_what_it_shows_and_the_run_records_it(
    store_url: str, phases: Phases
) -> None:
    async with serving(store_url, flow := ordering(phases)) as (client, queue):
        run = await client.start(flow)
        [item] = await asked(queue)
        digest = hashlib.sha256((await artifacts_of(client, run.id))["draft/output.json"]).hexdigest()
        assert digest in item.text
        assert item.data == {"title": "An offer"}
        await queue.complete(item.id)
        await run.result(timeout="20s")
        [entry] = [one for one in await client.history(run.id) if one.name == "draft approved"]
        assert entry.input == {"shown": digest, "by": "maria"}


async def test_a_rejected_output_fails_the_run_with_the_reason(phases: Phases, model: Model) -> None:
    async with serving("memory://", flow := ordering(phases)) as (client, queue):
        run = await client.start(flow)
        [item] = await asked(queue)
        await queue.skip(item.id, "too long")
        with pytest.raises(RunFailed) as failed:
            await run.result(timeout="20s")
        cause = failed.value.__cause__
        assert isinstance(cause, Rejected)
        assert "too long" in str(cause)
        assert cause.run_id == run.id
    assert model.prompts == ["Write."]


async def test_a_phase_is_told_to_be_finished_once_it_is_approved(phases: Phases) -> None:
    told: list[tuple[str, str]] = []

    def hear(notice: Notice) -> Told:
        told.append((notice.event, notice.about))
        return Told()

    async with serving("memory://", flow := ordering(phases)) as (client, queue):
        client.core.listener = hear
        run = await client.start(flow)
        [item] = await asked(queue)
        assert [event for event, _ in told] == ["approval.wanted"]
        await queue.complete(item.id)
        await run.result(timeout="20s")
        client.core.listener = None
    assert told[1:] == [("phase.finished", "draft"), ("phase.finished", "send"), ("run.succeeded", "")]


async def test_what_does_not_fit_the_type_cannot_be_approved(phases: Phases) -> None:
    async with serving("memory://", flow := ordering(phases)) as (client, queue):
        await client.start(flow)
        [item] = await asked(queue)
        with pytest.raises(hf.PayloadError, match=r"data\.words"):
            await queue.complete(item.id, {"words": "many"})


async def test_an_approval_is_used_once_what_is_made_anew_is_approved_anew(
    disk_url: str, phases: Phases, model: Model
) -> None:
    model.plan += ["Sent.", Draft(title="Another", words=1)]
    async with serving(disk_url, flow := ordering(phases)) as (client, queue):
        run = await client.start(flow)
        [first] = await asked(queue)
        await queue.complete(first.id)
        await run.result(timeout="20s")
        fork = await client.fork(run.id, from_step="draft")
        [second] = await asked(queue)
        assert second.id != first.id
        assert second.data["title"] == "Another"
        await queue.complete(second.id)
        assert (await until_status(client, fork, "succeeded")).output == {"title": "Another", "words": 1}
        # A fork from what comes after it keeps the approval with what was approved.
        later = await client.fork(run.id, from_step="send")
        assert (await until_status(client, later, "succeeded")).output == DRAFT.model_dump()
        assert await asked(queue, 0) == []


async def test_a_text_and_a_list_can_be_approved_too(folder: PhaseFolder, model: Model) -> None:
    model.plan = ["A text.", ["a", "b"]]
    phases = folder.load(
        """
        [defaults]
        model = "scripted:main"
        approval = true
        [phases.text]
        prompt = "Say."
        [phases.names]
        prompt = "List."
        output = "Names"
        """,
        {"Names": list[str]},
    )

    @hf.workflow
    async def flow() -> list[Any]:
        return [await phases.run("text"), await phases.run("names")]

    async with serving("memory://", flow) as (client, queue):
        run = await client.start(flow)
        [item] = await asked(queue)
        await queue.complete(item.id, {"answer": "A better text."})
        [item] = await asked(queue)
        await queue.complete(item.id)
        assert await run.result(timeout="20s") == ["A better text.", ["a", "b"]]
        assert ("text approved", "ok", 1) in await steps_of(client, run.id)
