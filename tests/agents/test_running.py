"""A phase in a run: attempts, fallbacks by how a call failed, and the person who is asked at the end."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import pydantic
import pytest

import holdfast as hf
from holdfast.agents.phases.registry import Phases, load_phases
from holdfast.errors import ModelFailed, PhaseFailed, RunFailed, UsageError
from tests.agents.kit import (
    DRAFT,
    OUTPUTS,
    QUICK,
    Draft,
    Model,
    PhaseFolder,
    artifacts_of,
    asked,
    calls_of,
    serving,
    steps_of,
)
from tests.engine.clock import LONG_LEASE, move
from tests.engine.helpers import outcome, until_status

ONE = f"""
    name = "orders"
    [defaults]
    model = "scripted:main"
    {QUICK}
    [phases.draft]
    prompt = "Write an offer to {{{{ context.name }}}}."
    system = "You are brief."
    output = "Draft"
"""

BOTH = ONE.replace('"scripted:main"', '"scripted:main"\n    fallbacks = ["scripted:other"]')

UNAVAILABLE = ModelFailed("is away", kind="unavailable")
REFUSED = ModelFailed("does not want to", kind="refused")


def drafting(phases: Phases) -> hf.Workflow[[], Draft]:
    """A workflow of one phase."""

    @hf.workflow(name="drafting")
    async def run() -> Draft:
        draft: Draft = await phases.run("draft", context={"name": "Ann"})
        return draft

    return run


async def test_a_phase_gives_its_typed_output_and_keeps_its_prompt_output_and_request(
    store_url: str, folder: PhaseFolder, model: Model
) -> None:
    model.plan = [DRAFT]
    async with serving(store_url, flow := drafting(folder.load(ONE))) as (client, _):
        run = await client.start(flow)
        assert await run.result(timeout="20s") == DRAFT
        assert await steps_of(client, run.id) == [("draft", "ok", 1)]
        [call] = await calls_of(client, run.id)
        assert (call.phase, call.model, call.outcome, call.workflow) == ("draft", "scripted:main", "ok", "drafting")
        assert call.input_tokens > 0 < call.output_tokens
        made = await artifacts_of(client, run.id)
        assert (made["draft/system.md"], made["draft/prompt.md"]) == (b"You are brief.", b"Write an offer to Ann.")
        assert json.loads(made["draft/output.json"]) == DRAFT.model_dump()
    assert [(scene.prompt, scene.system) for scene in model.scenes] == [("Write an offer to Ann.", "You are brief.")]


async def test_a_failing_call_is_tried_again_and_every_attempt_is_seen(folder: PhaseFolder, model: Model) -> None:
    model.plan = [UNAVAILABLE, ModelFailed("took too long", kind="timeout"), DRAFT]
    async with serving("memory://", flow := drafting(folder.load(ONE))) as (client, _):
        run = await client.start(flow)
        assert await run.result(timeout="20s") == DRAFT
        [step] = [one for one in await client.history(run.id) if one.kind == "step"]
        assert (step.name, step.attempts, step.input) == ("draft", 3, {"model": "scripted:main"})
        assert ["is away" in one.error["message"] for one in step.failed_attempts] == [True, False]
        assert [call.outcome for call in await calls_of(client, run.id)] == ["unavailable", "timeout", "ok"]


async def test_the_next_model_is_tried_when_the_attempts_of_one_are_used_up(
    folder: PhaseFolder, model: Model, other: Model
) -> None:
    model.usual, other.plan = UNAVAILABLE, [DRAFT]
    async with serving("memory://", flow := drafting(folder.load(BOTH))) as (client, _):
        run = await client.start(flow)
        assert await run.result(timeout="20s") == DRAFT
        assert await steps_of(client, run.id) == [("draft", "error", 3), ("draft", "ok", 1)]
        assert [call.model for call in await calls_of(client, run.id)] == ["scripted:main"] * 3 + ["scripted:other"]


async def test_what_trying_again_cannot_mend_ends_the_attempts_at_once(
    folder: PhaseFolder, model: Model, other: Model
) -> None:
    model.usual, other.plan = REFUSED, [DRAFT]
    async with serving("memory://", flow := drafting(folder.load(BOTH))) as (client, _):
        run = await client.start(flow)
        assert await run.result(timeout="20s") == DRAFT
        assert await steps_of(client, run.id) == [("draft", "error", 1), ("draft", "ok", 1)]


async def test_a_failure_that_is_not_in_fallback_on_asks_a_person_and_no_other_model(
    folder: PhaseFolder, model: Model, other: Model
) -> None:
    model.usual, other.plan = REFUSED, [DRAFT]
    phases = folder.load(BOTH + '    fallback_on = ["unavailable", "timeout"]\n')
    async with serving("memory://", flow := drafting(phases)) as (client, queue):
        await client.start(flow)
        [item] = await asked(queue)
        assert "does not want to" in item.text
    assert other.scenes == []


@pytest.fixture
def failing(folder: PhaseFolder, model: Model) -> Phases:
    """Phases whose only model is away."""
    model.plan = [UNAVAILABLE] * 3
    model.usual = DRAFT
    return folder.load(ONE)


async def test_at_the_end_a_person_is_asked_and_may_have_it_tried_again(
    store_url: str, failing: Phases, model: Model, park_at_once: None
) -> None:
    async with serving(store_url, flow := drafting(failing)) as (client, queue):
        run = await client.start(flow)
        [item] = await asked(queue)
        assert (item.title, item.run) == ("Phase 'draft' failed", run.id)
        assert "scripted:main" in item.text
        assert "is away" in item.text
        await until_status(client, run.id, "waiting")
        await queue.complete(item.id, {"action": "try again"})
        assert await run.result(timeout="20s") == DRAFT
    assert len(model.scenes) == 4


async def test_or_they_give_the_output_themselves(store_url: str, failing: Phases, model: Model) -> None:
    async with serving(store_url, flow := drafting(failing)) as (client, queue):
        run = await client.start(flow)
        [item] = await asked(queue)
        with pytest.raises(hf.PayloadError, match="title"):
            await queue.complete(
                item.id, {"action": "give the output", "output": {"words": 3}}
            )  # the title is missing; what may be null may be
        await queue.complete(item.id, {"action": "give the output", "output": {"title": "Mine"}})
        assert await run.result(timeout="20s") == Draft(title="Mine", words=None)
        assert json.loads((await artifacts_of(client, run.id))["draft/output.json"])["title"] == "Mine"
        [step] = [one for one in await client.history(run.id) if one.name == "draft given"]
        assert step.input == {"by": "maria"}
    assert len(model.scenes) == 3


async def test_who_gives_no_output_although_they_say_so_is_asked_again(failing: Phases) -> None:
    async with serving("memory://", flow := drafting(failing)) as (client, queue):
        run = await client.start(flow)
        [item] = await asked(queue)
        await queue.complete(item.id, {"action": "give the output"})
        [again] = await asked(queue)
        assert again.id != item.id
        assert "give the output" in again.text
        await queue.complete(again.id, {"action": "try again"})
        assert await run.result(timeout="20s") == DRAFT


async def test_or_they_stop_the_run(failing: Phases) -> None:
    async with serving("memory://", flow := drafting(failing)) as (client, queue):
        run = await client.start(flow)
        [item] = await asked(queue)
        await queue.complete(item.id, {"action": "stop"})
        with pytest.raises(RunFailed) as failed:
            await run.result(timeout="20s")
        cause = failed.value.__cause__
        assert isinstance(cause, PhaseFailed)
        assert (cause.phase, cause.kind) == ("draft", "unavailable")
        assert "'maria'" not in str(cause)
        assert "maria" in str(cause)


async def test_skipping_the_question_stops_the_run_with_the_reason(failing: Phases) -> None:
    async with serving("memory://", flow := drafting(failing)) as (client, queue):
        run = await client.start(flow)
        [item] = await asked(queue)
        await queue.skip(item.id, "not worth it")
        with pytest.raises(RunFailed, match="not worth it"):
            await run.result(timeout="20s")


async def test_the_pause_that_a_provider_asks_for_is_waited_for_durably(
    disk_url: str, folder: PhaseFolder, model: Model
) -> None:
    model.plan = [ModelFailed("too many requests", kind="rate-limited", retry_after=3600.0), DRAFT]
    async with serving(disk_url, flow := drafting(folder.load(ONE)), lease=LONG_LEASE) as (client, _):
        run = await client.start(flow)
        view = await until_status(client, run.id, "waiting")
        assert view.due_at is not None
        [entry] = [one for one in await client.history(run.id) if one.kind == "step"]
        [attempt] = entry.failed_attempts
        assert attempt.next_attempt_at - attempt.finished_at >= timedelta(seconds=3599)
        await move(client, 3601)
        assert await run.result(timeout="20s") == DRAFT
    assert len(model.scenes) == 2


async def test_an_answer_that_does_not_fit_is_mended_within_the_attempt(folder: PhaseFolder, model: Model) -> None:
    model.plan = ['{"title": 3}', DRAFT]
    async with serving("memory://", flow := drafting(folder.load(ONE))) as (client, _):
        run = await client.start(flow)
        assert await run.result(timeout="20s") == DRAFT
        assert await steps_of(client, run.id) == [("draft", "ok", 1)]
        assert [(call.number, call.outcome) for call in await calls_of(client, run.id)] == [(0, "malformed"), (1, "ok")]


async def test_an_attempt_ends_at_its_timeout(folder: PhaseFolder, model: Model) -> None:
    async def never(_: Any) -> None:
        await asyncio.Event().wait()

    model.plan = [never, DRAFT]
    phases = folder.load(ONE + '    timeout = "50ms"\n')
    async with serving("memory://", flow := drafting(phases)) as (client, _):
        run = await client.start(flow)
        assert await run.result(timeout="20s") == DRAFT
        assert [call.outcome for call in await calls_of(client, run.id)] == ["timeout", "ok"]


NEEDS = """
    name = "orders"
    [defaults]
    model = "scripted:main"
    [phases.end]
    prompt = "{{ outputs.left }} and {{ outputs.right }}"
    needs = ["left", "right"]
    [phases.left]
    prompt = "left of {{ outputs.begin }} for {{ tenant }}"
    needs = ["begin"]
    [phases.right]
    prompt = "right of {{ outputs.begin }}"
    needs = ["begin"]
    [phases.begin]
    prompt = "begin {{ run_id }}"
"""


async def test_all_phases_run_by_their_needs_and_side_by_side(folder: PhaseFolder, model: Model) -> None:
    beside = asyncio.Barrier(2)

    async def answer(scene: Any) -> str:
        if scene.prompt.startswith(("left", "right")):
            await asyncio.wait_for(beside.wait(), 20)  # each waits for the other
        return f"<{scene.prompt}>"

    model.usual = answer
    phases = folder.load(NEEDS)

    @hf.workflow
    async def flow() -> dict[str, str]:
        return await phases.execute()

    async with serving("memory://", flow) as (client, _):
        run = await client.start(flow.options(id="o-1"))
        outputs = await run.result(timeout="30s")
    left, right = "<left of <begin o-1> for default>", "<right of <begin o-1>>"
    assert list(outputs.items()) == [
        ("end", f"<{left} and {right}>"), ("left", left), ("right", right), ("begin", "<begin o-1>"),
    ]  # fmt: skip


async def test_what_needs_a_phase_that_failed_does_not_begin(folder: PhaseFolder, model: Model) -> None:
    model.usual = _refusing("left")
    phases = folder.load(NEEDS)

    @hf.workflow
    async def flow() -> dict[str, str]:
        return await phases.execute()

    async with serving("memory://", flow) as (client, queue):
        run = await client.start(flow)
        [item] = await asked(queue)
        await queue.complete(item.id, {"action": "stop"})
        with pytest.raises(RunFailed) as failed:
            await run.result(timeout="20s")
        assert isinstance(failed.value.__cause__, PhaseFailed)
        assert sorted(name for name, *_ in await steps_of(client, run.id)) == ["begin", "left", "right"]


def _refusing(word: str) -> Any:
    def answer(scene: Any) -> str:
        if word in scene.prompt:
            raise REFUSED
        return "fine"

    return answer


async def test_a_phase_takes_the_outputs_of_those_that_the_run_had_before_or_is_given(
    store_url: str, folder: PhaseFolder, model: Model, park_at_once: None
) -> None:
    model.usual = lambda scene: f"<{scene.prompt}>"
    phases = folder.load(NEEDS)

    @hf.workflow
    async def flow() -> str:
        begun = await phases.run("begin")
        await hf.sleep(0.01)
        left: str = await phases.run("left")
        assert begun in left
        end: str = await phases.run("end", outputs={"right": "mine"})
        return end

    async with serving(store_url, flow) as (client, _):
        assert (await outcome(client, flow)).endswith("and mine>")
    assert len(model.scenes) == 3


async def test_a_phase_does_not_know_what_a_branch_beside_it_gave_however_early(
    folder: PhaseFolder, model: Model
) -> None:
    phases, has_begun = folder.load(NEEDS), asyncio.Event()

    @hf.step
    async def waited() -> None:
        await asyncio.wait_for(has_begun.wait(), 20)

    async def early() -> None:
        await phases.run("begin")
        has_begun.set()

    async def late() -> None:
        await waited()
        await phases.run("left")

    @hf.workflow
    async def flow() -> str:
        with pytest.raises(UsageError, match="'left' needs the output of 'begin'"):
            await hf.gather(early(), late())
        # What a fan-out gave is known behind it.
        text: str = await phases.run("left")
        return text

    async with serving("memory://", flow) as (client, _):
        assert await outcome(client, flow) == "Done."
    assert len(model.scenes) == 2


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda phases: phases.run("dratf"), "has no phase 'dratf'.*it has: end, left, right, begin"),
        (lambda phases: phases.run("left"), "'left' needs the output of 'begin'"),
        (lambda phases: phases.run("begin", tenant="x"), "'tenant'"),
    ],
)
async def test_a_call_that_cannot_be_says_what_is_wrong(
    folder: PhaseFolder, model: Model, call: Any, said: str
) -> None:
    phases = folder.load(NEEDS)

    @hf.workflow
    async def flow() -> Any:
        return await call(phases)

    async with serving("memory://", flow) as (client, _):
        run = await client.start(flow)
        with pytest.raises(RunFailed, match=said) as failed:
            await run.result(timeout="20s")
        assert isinstance(failed.value.__cause__, UsageError)
    assert model.scenes == []


async def test_outside_of_a_run_phases_are_refused(folder: PhaseFolder) -> None:
    with pytest.raises(UsageError, match="outside a run"):
        await folder.load(NEEDS).run("begin")


def test_an_output_that_the_code_does_not_give_is_told_when_the_file_is_loaded(folder: PhaseFolder) -> None:
    folder.write(ONE)
    with pytest.raises(UsageError, match=r"phases\.toml:\d+: .*Draft"):
        load_phases(folder.path)
    assert load_phases(folder.path, outputs=OUTPUTS).name == "orders"


async def test_a_sink_is_given_the_text_as_it_comes(folder: PhaseFolder, model: Model) -> None:
    heard: list[str] = []
    phases = folder.load(NEEDS)

    @hf.workflow
    async def flow() -> str:
        text: str = await phases.run("begin", sink=heard.append)
        return text

    async with serving("memory://", flow) as (client, _):
        assert await outcome(client, flow) == "Done."
    assert "".join(heard) == "Done."


async def test_a_sink_that_fails_is_no_failure_of_the_phase(
    folder: PhaseFolder, model: Model, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: str) -> None:
        raise BrokenPipeError("nobody listens")

    phases = folder.load(NEEDS)

    @hf.workflow
    async def flow() -> str:
        text: str = await phases.run("begin", sink=broken)
        return text

    async with serving("memory://", flow) as (client, _):
        assert await outcome(client, flow) == "Done."
    assert [one.name for one in caplog.records if one.levelname == "ERROR"] == ["holdfast.phases"]
    assert len(model.scenes) == 1


async def test_a_phase_writes_one_transaction_and_reads_nothing(
    disk_url: str, folder: PhaseFolder, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    phases = folder.load(NEEDS)

    @hf.workflow
    async def flow(count: int) -> int:
        for _ in range(count):
            await phases.run("begin")
        return count

    async with serving(disk_url, flow) as (client, _):
        assert await outcome(client, flow, 1) == 1
        store: Any = client.core.store
        commit, written = store.commit, []

        async def counted(batch: Any) -> Any:
            if batch.checkpoints or batch.model_calls or batch.artifacts:
                written.append([len(rows) for rows in (batch.checkpoints, batch.model_calls, batch.artifacts)])
            return await commit(batch)

        async def read(*_: Any) -> Any:
            raise AssertionError("something was read")

        monkeypatch.setattr(store, "commit", counted)
        for verb in ("spent", "phases", "keep_phases", "reserve", "model_calls", "artifacts"):
            monkeypatch.setattr(store.agents, verb, read)
        assert await outcome(client, flow, 10) == 10
    # The version is noted with the run's first write, or just before it.
    assert [rows[1:] for rows in written if rows[1:] != [0, 0]] == [[1, 2]] * 10
    assert sum(rows[0] for rows in written) == 11
    assert len(written) in (10, 11)


async def test_the_last_attempt_does_not_wait_as_long_as_its_provider_says(
    folder: PhaseFolder, model: Model, other: Model
) -> None:
    model.usual = ModelFailed("too many requests", kind="rate-limited", retry_after=3600.0)
    other.plan = [DRAFT]
    async with serving("memory://", flow := drafting(folder.load(BOTH.replace("attempts = 3", "attempts = 1")))) as (
        client,
        _,
    ):
        assert await outcome(client, flow) == DRAFT
    assert len(model.scenes) == 1


async def test_a_replay_renders_and_calls_nothing_again(
    store_url: str, folder: PhaseFolder, model: Model, park_at_once: None
) -> None:
    class Fussy(pydantic.BaseModel):
        """A context that can be looked into once."""

        seen: list[int] = []

        @property
        def name(self) -> str:
            rendered.append(1)
            return "Ann"

    rendered: list[int] = []
    model.usual = DRAFT
    phases = folder.load(ONE)

    @hf.workflow
    async def flow() -> Draft:
        draft: Draft = await phases.run("draft", context=Fussy())
        await hf.sleep(0.01)
        return draft

    async with serving(store_url, flow) as (client, _):
        assert await outcome(client, flow) == DRAFT
    assert (len(rendered), len(model.scenes)) == (1, 1)


async def test_a_fork_may_have_another_model_by_its_edited_input(
    disk_url: str, folder: PhaseFolder, model: Model, other: Model
) -> None:
    model.usual, other.usual = DRAFT, Draft(title="Other", words=1)
    async with serving(disk_url, flow := drafting(folder.load(BOTH))) as (client, _):
        run = await client.start(flow)
        assert await run.result(timeout="20s") == DRAFT
        fork = await client.fork(run.id, from_step="draft", input={"model": "scripted:other"})
        assert (await until_status(client, fork, "succeeded")).output == {"title": "Other", "words": 1}
        assert [call.model for call in await calls_of(client, fork)] == ["scripted:other"]
