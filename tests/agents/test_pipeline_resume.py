"""Pipelines in process go on from the artifacts that lie in their workspace."""

import asyncio
import json
import logging
import sys
from pathlib import Path

import pytest

from holdfast.agents.pipelines.agents import Work, agent
from holdfast.agents.pipelines.results import PipelineResult
from holdfast.agents.pipelines.shapes import LoopPipeline, ParallelPipeline, Pipeline, SequentialPipeline
from holdfast.errors import AgentFailed, PayloadError, UsageError, WorkspaceError
from tests.agents import pipeline_victim
from tests.agents.pipeline_kit import ONCE, Code, Crew, Plan, Review, accepted, double, fails


@pytest.fixture
def work(tmp_path: Path) -> Path:
    return tmp_path / "work"


def line(crew: Crew, work: Path) -> Pipeline:
    agents = [crew.planner, agent(crew.coder, retry=ONCE), agent(crew.reviewer, retry=ONCE)]
    return SequentialPipeline(agents, workspace=work, name="line")


def statuses(result: PipelineResult) -> list[str]:
    return [one.status for one in result.steps]


async def broken_off(crew: Crew, pipeline: Pipeline, *broken: str) -> None:
    """A run that ends with an agent that fails."""
    crew.broken = set(broken)
    with pytest.raises(AgentFailed):
        await pipeline.run("x", resume=True)
    crew.broken = set()
    crew.calls.clear()


async def test_what_has_finished_is_not_run_again(work: Path) -> None:
    crew = Crew()
    await broken_off(crew, line(crew, work), "reviewer")
    result = await line(crew, work).run("x", resume=True)
    assert statuses(result) == ["reused", "reused", "succeeded"]
    assert crew.calls == {"reviewer": 1}
    assert (result.output("planner", Plan).steps, result.warnings) == (["x", "test"], [])
    assert [one.name for one in result.artifacts] == ["plan.json", "code.json", "review.json"]
    again = await line(crew, work).run("x", resume=True)
    assert (again.review, statuses(again)) == (result.review, ["reused"] * 3)
    assert (again.steps[0].started_at, again.steps[0].ended_at) == (
        result.steps[0].started_at,
        result.steps[0].ended_at,
    )


@pytest.mark.slow
async def test_a_process_that_is_killed_between_agents_goes_on_in_the_next(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(pipeline_victim.LOG, str(tmp_path / "log"))
    monkeypatch.setenv(pipeline_victim.DEADLY, "writer:1 coder:1 reviewer:2")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    for exit_code in (-9, -9, -9, 0):
        process = await asyncio.create_subprocess_exec(
            sys.executable, pipeline_victim.__file__, "here", str(work), stdout=asyncio.subprocess.PIPE
        )
        said, _ = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode == exit_code
    counts = pipeline_victim.noted()
    assert counts.pop("tester:1") in (1, 2)  # it was under way beside the writer, or had just ended, at the first kill
    assert counts == {"planner:1": 1, "writer:1": 2, "coder:1": 2, "reviewer:1": 1, "coder:2": 1, "reviewer:2": 2}
    result = PipelineResult.model_validate_json(said)
    assert (result.accepted, result.warnings) == (True, [])


async def test_without_resume_it_begins_anew(work: Path) -> None:
    crew = Crew()
    await line(crew, work).run("x")
    assert statuses(await line(crew, work).run("x")) == ["succeeded"] * 3
    assert crew.calls == {"planner": 2, "coder": 2, "reviewer": 2}


async def test_a_file_that_a_person_changed_counts_and_what_depends_on_it_runs_again(
    work: Path, caplog: pytest.LogCaptureFixture
) -> None:
    crew = Crew()
    await line(crew, work).run("x")
    crew.calls.clear()
    (work / "plan.json").write_text('{"steps": ["mine"]}')
    with caplog.at_level(logging.WARNING, "holdfast.pipeline"):
        result = await line(crew, work).run("x", resume=True)
    assert statuses(result) == ["reused", "succeeded", "succeeded"]
    assert (work / "plan.json").read_text() == '{"steps": ["mine"]}'
    assert json.loads((work / "code.json").read_text()) == {"text": "mine in round 1"}
    said = "plan.json was changed since planner wrote it: it counts as what planner gave, and what depends on it"
    assert len(result.warnings) == 1
    assert result.warnings[0].startswith(said)
    assert said in caplog.text
    # It is told once: from then on it is what it is.
    settled = await line(crew, work).run("x", resume=True)
    assert (statuses(settled), settled.warnings) == (["reused"] * 3, [])


async def test_a_change_of_the_last_file_is_told_once(work: Path) -> None:
    crew = Crew()
    await line(crew, work).run("x")
    (work / "review.json").write_text('{"accepted": false, "note": "mine"}')
    result = await line(crew, work).run("x", resume=True)
    assert (statuses(result), result.output("reviewer", Review).note, len(result.warnings)) == (
        ["reused"] * 3,
        "mine",
        1,
    )
    assert (await line(crew, work).run("x", resume=True)).warnings == []


async def test_what_does_not_depend_on_a_changed_file_is_not_run_again(work: Path) -> None:
    def left(n: int) -> int:
        return n + 1

    def right(n: int) -> int:
        return n + 2

    def make() -> Pipeline:
        both = ParallelPipeline([SequentialPipeline([left, agent(double, name="twice")]), right])
        return SequentialPipeline([both], workspace=work, name="both")

    await make().run(1)
    (work / "left.json").write_text("10")
    result = await make().run(1, resume=True)
    assert {one.name: one.status for one in result.steps} == {"left": "reused", "twice": "succeeded", "right": "reused"}
    assert result.review == {"left-twice": 20, "right": 3}


async def test_a_file_that_is_gone_is_made_again_and_told(work: Path) -> None:
    crew = Crew()
    await line(crew, work).run("x")
    crew.calls.clear()
    (work / "code.json").unlink()
    result = await line(crew, work).run("x", resume=True)
    # The coder gave the same again, so that the reviewer need not look again.
    assert statuses(result) == ["reused", "succeeded", "reused"]
    assert result.warnings == ["code.json is gone since coder wrote it: coder runs again"]


async def test_a_change_that_the_agent_could_not_have_made_is_refused_with_the_place(work: Path) -> None:
    crew = Crew()
    await line(crew, work).run("x")
    (work / "plan.json").write_text('{"steps": ["a", 3]}')
    with pytest.raises(PayloadError, match=r"work/plan\.json: value\.steps\[1\]: Input should be a valid string"):
        await line(crew, work).run("x", resume=True)
    (work / "plan.json").write_text('{"steps": ')
    with pytest.raises(PayloadError, match=r"work/plan\.json: value: Invalid JSON"):
        await line(crew, work).run("x", resume=True)


async def test_a_loop_goes_on_in_the_round_where_it_was(work: Path) -> None:
    crew = Crew(accept_in=3)

    def loop() -> Pipeline:
        agents = [crew.coder, agent(crew.reviewer, retry=ONCE)]
        inner = LoopPipeline(agents, until=accepted, name="loop")
        return SequentialPipeline([crew.planner, inner], workspace=work, name="line")

    def stops_in_round_2(code: Code, work: Work) -> Review:
        if work.round == 2:
            raise ValueError("killed")
        return reviews(code, work)

    reviews, crew.reviewer = crew.reviewer, stops_in_round_2  # type: ignore[method-assign]
    stops_in_round_2.__name__ = "reviewer"
    with pytest.raises(AgentFailed):
        await loop().run("x")
    assert crew.calls == {"planner": 1, "coder": 2, "reviewer": 1}
    crew.reviewer = reviews  # type: ignore[method-assign]
    crew.calls.clear()
    result = await loop().run("x", resume=True)
    assert [(one.name, one.round, one.status) for one in result.steps] == [
        ("planner", 1, "reused"),
        ("coder", 1, "reused"),
        ("reviewer", 1, "reused"),
        ("coder", 2, "reused"),
        ("reviewer", 2, "succeeded"),
        ("coder", 3, "succeeded"),
        ("reviewer", 3, "succeeded"),
    ]
    assert (result.warnings, result.accepted) == ([], True)


async def test_a_change_before_a_loop_runs_all_its_rounds_again(work: Path) -> None:
    crew = Crew(accept_in=2)

    def loop() -> Pipeline:
        inner = LoopPipeline([crew.coder, crew.reviewer], until=accepted, name="loop")
        return SequentialPipeline([crew.planner, inner], workspace=work, name="line")

    await loop().run("x")
    (work / "plan.json").write_text('{"steps": ["mine"]}')
    result = await loop().run("x", resume=True)
    assert statuses(result) == ["reused", "succeeded", "succeeded", "succeeded", "succeeded"]
    assert len(result.warnings) == 1
    # What a person changed of the last round counts too, and is looked at by the reviewer.
    (work / "code.json").write_text('{"text": "by hand"}')
    result = await loop().run("x", resume=True)
    assert statuses(result) == ["reused", "reused", "reused", "reused", "succeeded"]
    assert result.review == {"accepted": True, "note": "'by hand'?"}
    assert json.loads((work / "rounds" / "2" / "code.json").read_text()) == {"text": "by hand"}


async def test_a_round_that_runs_again_takes_with_it_what_came_of_later_ones(work: Path) -> None:
    crew = Crew(accept_in=2)

    def loop() -> Pipeline:
        agents = [crew.coder, agent(crew.reviewer, retry=ONCE)]
        inner = LoopPipeline(agents, until=accepted, name="loop")
        return SequentialPipeline([crew.planner, inner], workspace=work, name="line")

    await loop().run("x")
    plan = (work / "plan.json").read_text()
    (work / "plan.json").write_text('{"steps": ["mine"]}')
    await broken_off(crew, loop(), "reviewer")
    (work / "plan.json").write_text(plan)
    result = await loop().run("x", resume=True)
    # The first round left its code where that of the second was, which is made anew although it is given the same.
    assert [(one.name, one.round, one.status) for one in result.steps if one.name == "coder"] == [
        ("coder", 1, "succeeded"),
        ("coder", 2, "succeeded"),
    ]
    assert (work / "code.json").read_text() == (work / "rounds" / "2" / "code.json").read_text()


async def test_files_that_an_agent_wrote_itself_are_looked_at_too(work: Path) -> None:
    calls = []

    async def writes(given: str, work: Work) -> int:
        calls.append(1)
        assert work.workspace is not None
        await work.workspace.put("notes.md", "# Notes")
        return 1

    pipeline = SequentialPipeline([writes], workspace=work)
    await pipeline.run("x")
    (work / "notes.md").write_text("# Mine")
    result = await pipeline.run("x", resume=True)
    assert (statuses(result), len(calls)) == (["reused"], 1)
    assert result.warnings[0] == "notes.md was changed since writes wrote it"
    (work / "notes.md").unlink()
    result = await pipeline.run("x", resume=True)
    assert (statuses(result), len(calls)) == (["succeeded"], 2)
    assert result.warnings == ["notes.md is gone since writes wrote it: writes runs again"]


async def test_an_agent_whose_artifact_is_called_otherwise_now_runs_again(work: Path) -> None:
    def drafter(given: str) -> Plan:
        return Plan(steps=["by the drafter"])

    def renamed(given: Plan) -> Plan:
        return given

    crew = Crew()
    await SequentialPipeline([crew.planner, crew.coder], workspace=work, name="line").run("x")
    pipeline = SequentialPipeline([crew.planner, renamed, crew.coder], workspace=work, name="line")
    result = await pipeline.run("x", resume=True)
    assert statuses(result) == ["succeeded", "succeeded", "succeeded"]
    assert result.warnings == ["plan.json of planner is planner.json now: planner runs again"]
    assert (await pipeline.run("x", resume=True)).warnings == []
    # A file that another agent has taken over is not what the first one gave.
    await SequentialPipeline([crew.planner], workspace=work, name="line").run("x")
    await SequentialPipeline([drafter], workspace=work, name="line").run("x", resume=True)
    result = await SequentialPipeline([crew.planner], workspace=work, name="line").run("x", resume=True)
    assert (result.review, result.warnings) == ({"steps": ["x", "test"]}, [])


async def test_text_is_taken_up_as_text(work: Path) -> None:
    def writes(given: str) -> str:
        return f"# {given}"

    pipeline = SequentialPipeline([agent(writes, artifact="draft.md")], workspace=work)
    await pipeline.run("x")
    (work / "draft.md").write_text("# Mine")
    assert (await pipeline.run("x", resume=True)).review == "# Mine"
    (work / "draft.md").write_bytes(b"\xff")
    with pytest.raises(PayloadError, match=r"draft\.md: value: is no text in UTF-8"):
        await pipeline.run("x", resume=True)


async def test_an_agent_that_was_passed_over_is_tried_again(work: Path) -> None:
    healthy: list[int] = []

    def may_fail(given: int) -> int:
        return given + healthy[0]

    pipeline = SequentialPipeline([agent(may_fail, continue_on_error=True, retry=ONCE), double], workspace=work)
    assert (await pipeline.run(1)).review == 2
    healthy.append(10)
    result = await pipeline.run(1, resume=True)
    assert (statuses(result), result.review) == (["succeeded", "succeeded"], 22)


async def test_a_workspace_of_another_pipeline_or_task_is_refused(work: Path) -> None:
    crew = Crew()
    await line(crew, work).run("x")
    with pytest.raises(UsageError, match="is of the pipeline 'line', and 'other' cannot go on there"):
        await SequentialPipeline([double], workspace=work, name="other").run("x", resume=True)
    with pytest.raises(UsageError, match="is of another task"):
        await line(crew, work).run("y", resume=True)
    assert statuses(await line(crew, work).run("x", resume=True)) == ["reused"] * 3  # nothing was changed


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "Invalid JSON"),
        ("{}", r"\.holdfast\.json\.format: Field required"),
        ('{"name": "somebody else\'s"}', "format: Field required"),
        ('{"format": "holdfast workspace 2", "pipeline": "", "task": "", "finished": []}', "format: Input should be"),
        (
            '{"format": "holdfast workspace 1", "pipeline": "line", "task": "", "finished": [{"agent": 1}]}',
            r"finished\[0\]\.agent: ",
        ),
    ],
)
async def test_a_manifest_that_is_broken_or_not_ours_is_told_with_the_place(work: Path, text: str, said: str) -> None:
    crew = Crew()
    work.mkdir()
    (work / ".holdfast.json").write_text(text)
    with pytest.raises(WorkspaceError, match=f"none of holdfast's, or broken: .*{said}.*Run without resume"):
        await line(crew, work).run("x", resume=True)
    assert (work / ".holdfast.json").read_text() == text
    assert statuses(await line(crew, work).run("x")) == ["succeeded"] * 3


async def test_resume_without_a_workspace_is_refused() -> None:
    with pytest.raises(UsageError, match="has no workspace to go on in"):
        await SequentialPipeline([fails]).run(None, resume=True)
