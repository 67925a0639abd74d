"""Pipelines in runs: each agent is a step, and what has finished is not done again."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import pytest

import holdfast as hf
from holdfast.agents.artifacts.workspace import Workspace
from holdfast.agents.pipelines.agents import Work, agent
from holdfast.agents.pipelines.results import PipelineResult
from holdfast.agents.pipelines.shapes import LoopPipeline, ParallelPipeline, Pipeline, SequentialPipeline
from holdfast.errors import AgentFailed, NotAccepted, UsageError
from holdfast.store.agent_rows import ArtifactRow
from tests.agents import pipeline_victim
from tests.agents.pipeline_kit import ONCE, QUICK, Code, Crew, Plan, accepted, double, fails
from tests.engine.helpers import cause, outcome, serving, until_status

ROOT = Path(__file__).parents[2]


def line(crew: Crew, work: Path) -> Pipeline:
    loop = LoopPipeline([agent(crew.coder, retry=ONCE), crew.reviewer], until=accepted, name="loop")
    return SequentialPipeline([crew.planner, loop], workspace=work, name="line")


async def artifacts(client: hf.Client, run_id: str) -> list[ArtifactRow]:
    [row] = await client.core.store.find_runs(client.tenant, [run_id])
    return await client.core.store.agents.artifacts(client.tenant, row.uid, limit=100)


@pytest.mark.slow
async def test_a_run_that_is_killed_between_agents_calls_none_again_that_had_finished(
    disk_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, work = tmp_path / "log", tmp_path / "work"
    deadly = ("writer:1", "coder:1", "reviewer:2")
    monkeypatch.setenv(pipeline_victim.LOG, str(log))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), pipeline_victim.DEADLY: " ".join(deadly)}

    async def worker() -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable, pipeline_victim.__file__, disk_url, str(work), env=environment
        )

    async with hf.connect(disk_url) as client:
        run = await client.start(pipeline_victim.pipeline(str(work)).workflow().options(id="o-1"), "x")
        for _ in deadly:
            doomed = await worker()
            assert await asyncio.wait_for(doomed.wait(), 60) == -9
        last = await worker()
        try:
            result = await run.result(timeout="60s")
        finally:
            last.kill()
            await last.wait()
        assert {row.name for row in await artifacts(client, run.id)} == {one.name for one in result.artifacts}
    counts = pipeline_victim.noted()
    assert counts.pop("tester:1") in (1, 2)  # it was under way beside the writer, or had just ended, at the first kill
    assert counts == {"planner:1": 1, "writer:1": 2, "coder:1": 2, "reviewer:1": 1, "coder:2": 1, "reviewer:2": 2}
    assert result.accepted
    assert result.warnings == []
    assert await Workspace(work).within("o-1").load("code.json", Code) == Code(
        text='{"writer": "some words", "tester": 1}'
    )


async def test_the_same_code_gives_the_same_in_process_and_in_a_run(disk_url: str, tmp_path: Path) -> None:
    crew = Crew(accept_in=2)
    pipeline = line(crew, tmp_path / "work")

    @hf.workflow
    async def order(task: str) -> PipelineResult:
        return await pipeline.run(task)

    here = await pipeline.run("x")
    async with serving(disk_url, order) as client:
        run = await client.start(order.options(id="o-1"), "x")
        there = await run.result(timeout="30s")
        history = await client.history("o-1")
        rows = await artifacts(client, "o-1")
    assert there.review == here.review
    assert [(one.name, one.status, one.round, one.output, one.artifact) for one in there.steps] == [
        (one.name, one.status, one.round, one.output, one.artifact) for one in here.steps
    ]
    assert [(one.name, one.sha256, one.size_bytes) for one in there.artifacts] == [
        (one.name, one.sha256, one.size_bytes) for one in here.artifacts
    ]
    assert [entry.name for entry in history] == ["planner", "coder", "reviewer", "coder", "reviewer", "artifacts"]
    # A run's artifacts lie in a folder of their own, and stand in the database too.
    assert there.artifacts[0].location == str(tmp_path / "work" / "o-1" / "plan.json")
    assert (tmp_path / "work" / "o-1" / "rounds" / "1" / "code.json").exists()
    assert {(row.name, row.location, row.sha256.hex()) for row in rows} >= {
        (one.name, one.location, one.sha256) for one in there.artifacts
    }


async def test_a_pipeline_is_a_workflow_with_a_typed_task(disk_url: str) -> None:
    def tells(plan: Plan) -> str:
        return plan.steps[0]

    teller = SequentialPipeline([tells], takes=Plan).workflow("teller", timeout="1m")
    assert teller.name == "teller"
    async with serving(disk_url, teller) as client:
        assert (await outcome(client, teller, Plan(steps=["a"]))).review == "a"
        with pytest.raises(hf.PayloadError):
            await client.start(teller, "x")


async def test_it_runs_at_once_by_execute() -> None:
    assert (await hf.execute(SequentialPipeline([double]).workflow(), 4)).review == 8


async def test_an_agent_has_its_own_attempts_and_timeout_in_a_run(disk_url: str) -> None:
    calls: list[int] = []

    async def slow_at_first(given: int) -> int:
        calls.append(given)
        await asyncio.sleep(600 if len(calls) == 1 else 0)
        return given

    patient = SequentialPipeline([agent(slow_at_first, timeout=0.05, retry=QUICK)]).workflow("patient")
    async with serving(disk_url, patient) as client:
        run = await client.start(patient, 1)
        assert (await run.result(timeout="30s")).review == 1
        [entry] = await client.history(run.id)
    assert entry.attempts == 2
    assert [one.error["type"] for one in entry.failed_attempts if one.error] == ["holdfast.errors.StepTimeout"]


async def test_agents_side_by_side_are_steps_of_their_own_branches(disk_url: str) -> None:
    met = asyncio.Barrier(2)

    def meets(name: str) -> Any:
        async def meet(given: int) -> int:
            await met.wait()
            return given

        return agent(meet, name=name)

    both = ParallelPipeline([meets("a"), SequentialPipeline([meets("b"), double], name="b2")]).workflow("both")
    async with serving(disk_url, both) as client:
        run = await client.start(both, 1)
        result = await run.result(timeout="30s")
        assert {entry.name for entry in await client.history(run.id)} == {"a", "b", "double"}
    assert result.review == {"a": 1, "b2": 2}


async def test_an_agent_that_is_passed_over_is_told_in_a_run(disk_url: str) -> None:
    def after(given: int, work: Work) -> dict[str, str]:
        return dict(work.failures)

    crew = SequentialPipeline([agent(fails, continue_on_error=True, retry=ONCE), after]).workflow("crew")
    async with serving(disk_url, crew) as client:
        result = await outcome(client, crew, 1)
    assert result.review == {"fails": "ValueError: no luck"}
    assert [(one.status, one.error) for one in result.steps] == [("failed", "ValueError: no luck"), ("succeeded", None)]
    assert result.steps[0].ended_at <= result.steps[1].ended_at


async def test_a_run_that_failed_goes_on_with_the_agent_that_failed(disk_url: str, tmp_path: Path) -> None:
    crew = Crew()
    crew.broken = {"coder"}
    crew_line = line(crew, tmp_path / "work").workflow()
    async with serving(disk_url, crew_line) as client:
        run = await client.start(crew_line, "x")
        with pytest.raises(hf.RunFailed) as raised:
            await run.result(timeout="30s")
        error = raised.value.__cause__
        assert isinstance(error, AgentFailed)
        assert (error.agent, error.result) == ("coder", None)
        crew.broken = set()
        await client.retry(run.id)
        assert (await run.result(timeout="30s")).accepted
    assert crew.calls == {"planner": 1, "coder": 2, "reviewer": 1}


async def test_a_loop_that_must_be_accepted_fails_its_run(disk_url: str) -> None:
    crew = Crew(accept_in=9)
    loop = LoopPipeline([crew.planner, crew.coder, crew.reviewer], until=accepted, limit=2, must_accept=True, name="l")
    loop_workflow = loop.workflow()
    async with serving(disk_url, loop_workflow) as client:
        error = await cause(client, loop_workflow, "x")
    assert isinstance(error, NotAccepted)
    assert error.rounds == 2


async def test_files_that_were_changed_or_are_gone_while_a_run_waited_are_told(disk_url: str, tmp_path: Path) -> None:
    crew = Crew()
    changed = asyncio.Event()

    async def waits(code: Code) -> dict[str, str]:
        await changed.wait()
        return code.model_dump()

    slow = SequentialPipeline([crew.planner, crew.coder, waits, crew.reviewer], workspace=tmp_path / "work").workflow(
        "s"
    )
    async with serving(disk_url, slow) as client:
        run = await client.start(slow.options(id="o-1"), "x")
        await until_status(client, "o-1", "running")
        while not (tmp_path / "work" / "o-1" / "code.json").exists():
            await asyncio.sleep(0.01)
        (tmp_path / "work" / "o-1" / "plan.json").write_text("{}")
        (tmp_path / "work" / "o-1" / "code.json").unlink()
        changed.set()
        result = await run.result(timeout="30s")
    assert result.warnings == [
        "plan.json was changed since planner wrote it; what was recorded of it was used",
        "code.json is gone since coder wrote it; what was recorded of it was used",
    ]


async def test_a_run_that_goes_on_with_more_agents_tells_its_artifacts_as_they_were_written(
    disk_url: str, tmp_path: Path
) -> None:
    crew = Crew()
    crew.broken = {"coder"}
    coder = agent(crew.coder, retry=ONCE)

    def replanner(code: Code) -> Plan:
        return Plan(steps=[code.text])

    first = SequentialPipeline([crew.planner, coder], workspace=tmp_path / "work", name="line").workflow()
    then = SequentialPipeline([crew.planner, coder, replanner], workspace=tmp_path / "work", name="line").workflow()
    async with serving(disk_url, first) as client:
        run = await client.start(first, "x")
        with pytest.raises(hf.RunFailed):
            await run.result(timeout="30s")
    crew.broken = set()
    async with serving(disk_url, then) as client:
        await client.retry(run.id)
        result: dict[str, Any] = await (await client.handle(run.id)).result(timeout="30s")
    # Beside a second agent that gives a Plan, the planner's would be planner.json; but it has run before.
    assert [step["artifact"] for step in result["steps"]] == ["plan.json", "code.json", "replanner.json"]
    assert [one["name"] for one in result["artifacts"]] == ["plan.json", "code.json", "replanner.json"]
    assert result["warnings"] == []


async def test_each_run_of_each_tenant_has_a_folder_of_its_own(disk_url: str, tmp_path: Path) -> None:
    pipeline = SequentialPipeline([double], workspace=tmp_path / "work").workflow("doubles")
    ids = {"o-1": "o-1", "O-1": "O-1", "../../x": "..%2F..%2Fx", "@acme": "%40acme", "a%b": "a%25b", "é": "é"}
    async with serving(disk_url, pipeline) as client, hf.connect(disk_url, tenant="acme") as acme:
        for run_id, folder in ids.items():
            run = await client.start(pipeline.options(id=run_id), 1)
            [info] = (await run.result(timeout="30s")).artifacts
            assert info.location == str(tmp_path / "work" / folder / "double.json")
        for run_id in ("con", "x" * 400):
            run = await client.start(pipeline.options(id=run_id), 1)
            [info] = (await run.result(timeout="30s")).artifacts
            assert len(Path(info.location).parent.name) == 32
        run = await acme.start(pipeline.options(id="o-1"), 1)
        [info] = (await run.result(timeout="30s")).artifacts
    assert info.location == str(tmp_path / "work" / "@acme" / "o-1" / "double.json")
    assert not (tmp_path / "x").exists()


async def test_the_requests_of_an_agent_to_its_model_are_counted_for_it(
    disk_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(pipeline_victim.LOG, str(tmp_path / "log"))
    words = SequentialPipeline([pipeline_victim.writer]).workflow("words")
    async with serving(disk_url, words) as client:
        run = await client.start(words, "x")
        assert (await run.result(timeout="30s")).review == "some words"
        [row] = await client.core.store.find_runs("default", [run.id])
        [call] = await client.core.store.agents.model_calls("default", row.uid, limit=10)
    assert (call.phase, call.model, call.outcome, call.workflow) == ("writer", "function:scripted", "ok", "words")
    assert call.output_tokens > 0


async def test_a_workspace_that_cannot_be_used_is_found_before_an_agent_of_a_run_is_called(
    disk_url: str, tmp_path: Path
) -> None:
    crew = Crew()
    (tmp_path / "file").write_text("")
    planner = SequentialPipeline([crew.planner], workspace=tmp_path / "file").workflow()
    async with serving(disk_url, planner) as client:
        error = await cause(client, planner, "x")
    assert "is a file; name a folder" in str(error)
    assert not crew.calls


async def test_resume_in_a_run_is_refused_since_it_goes_on_by_itself(disk_url: str, tmp_path: Path) -> None:
    pipeline = SequentialPipeline([double], workspace=tmp_path / "work")

    @hf.workflow
    async def again(n: int) -> PipelineResult:
        return await pipeline.run(n, resume=True)

    async with serving(disk_url, again) as client:
        error = await cause(client, again, 1)
    assert isinstance(error, UsageError)
    assert "is in a run, which goes on by itself" in str(error)


async def test_a_pipeline_in_a_step_is_part_of_its_attempt_and_can_resume(disk_url: str, tmp_path: Path) -> None:
    crew = Crew()
    crew.broken = {"coder"}
    pipeline = line(crew, tmp_path / "work")

    @hf.step(retry=QUICK)
    async def works(task: str) -> bool:
        try:
            result = await pipeline.run(task, resume=True)
            return result.accepted and not result.warnings
        finally:
            crew.broken = set()

    @hf.workflow
    async def order(task: str) -> bool:
        return await works(task)

    async with serving(disk_url, order) as client:
        run = await client.start(order.options(id="o-1"), "x")
        assert await run.result(timeout="30s")
        rows = await artifacts(client, "o-1")
    assert crew.calls == {"planner": 1, "coder": 2, "reviewer": 1}
    assert {row.location for row in rows if row.name == "code.json"} == {str(tmp_path / "work" / "o-1" / "code.json")}


async def test_pipelines_side_by_side_in_one_run(disk_url: str) -> None:
    left, right = SequentialPipeline([double], name="left"), SequentialPipeline([agent(double, name="r")], name="right")

    @hf.workflow
    async def both(n: int) -> list[int]:
        found = await hf.gather(left.run(n), right.run(n + 1))
        return [one.review for one in found]

    async with serving(disk_url, both) as client:
        assert await outcome(client, both, 1) == [2, 4]
