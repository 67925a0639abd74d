"""Pipelines in process: no server, no database."""

import asyncio
import functools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from holdfast.agents.artifacts.workspace import Workspace
from holdfast.agents.pipelines.agents import Work, agent
from holdfast.agents.pipelines.results import PipelineResult
from holdfast.agents.pipelines.shapes import LoopPipeline, SequentialPipeline
from holdfast.engine.step import step
from holdfast.errors import AgentFailed, PayloadError
from tests.agents.pipeline_kit import ONCE, Crew, Plan, accepted, double


async def test_each_agent_is_given_what_the_one_before_it_gave_and_leaves_a_file(tmp_path: Path) -> None:
    crew = Crew()
    pipeline = SequentialPipeline([crew.planner, crew.coder, crew.reviewer], workspace=tmp_path / "work")
    result = await pipeline.run("build")
    assert [(one.name, one.status, one.artifact, one.round) for one in result.steps] == [
        ("planner", "succeeded", "plan.json", 1),
        ("coder", "succeeded", "code.json", 1),
        ("reviewer", "succeeded", "review.json", 1),
    ]
    assert json.loads((tmp_path / "work" / "plan.json").read_text()) == {"steps": ["build", "test"]}
    assert (tmp_path / "work" / "code.json").read_text() == '{\n  "text": "build+test in round 1"\n}\n'
    assert result.review == {"accepted": True, "note": "'build+test in round 1'?"}
    assert result.output("planner", Plan) == Plan(steps=["build", "test"])
    assert [one.name for one in result.artifacts] == ["plan.json", "code.json", "review.json"]
    assert all(one.started_at and one.started_at <= one.ended_at for one in result.steps)
    assert (result.accepted, result.warnings, result.pipeline) == (True, [], "planner-coder-reviewer")
    assert PipelineResult.model_validate_json(result.model_dump_json()) == result


async def test_without_a_workspace_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = await SequentialPipeline([double]).run(3)
    assert (result.review, result.artifacts, result.steps[0].artifact) == (6, [], None)
    assert list(tmp_path.iterdir()) == []


async def test_a_value_is_typed_by_who_takes_it_else_by_who_gives_it_else_it_is_plain() -> None:
    seen: dict[str, Any] = {}

    def gives() -> Plan:
        return Plan(steps=["a"])

    def takes_other(plan: dict[str, list[str]]) -> Plan:
        seen["other"] = plan
        return Plan(steps=plan["steps"])

    def takes_any(plan):  # type: ignore[no-untyped-def]
        seen["any"] = plan
        return Plan(steps=["c"])

    def takes_after(plan):  # type: ignore[no-untyped-def]
        seen["after"] = plan
        return 1

    await SequentialPipeline([gives, takes_other, takes_any, takes_after]).run(None)
    assert seen == {"other": {"steps": ["a"]}, "any": Plan(steps=["a"]), "after": {"steps": ["c"]}}


async def test_a_task_may_be_a_model_and_is_typed_as_the_pipeline_says() -> None:
    def tells(task):  # type: ignore[no-untyped-def]
        return type(task).__name__

    assert (await SequentialPipeline([tells]).run(Plan(steps=[]))).review == "dict"
    assert (await SequentialPipeline([tells], takes=Plan).run(Plan(steps=[]))).review == "Plan"
    with pytest.raises(PayloadError, match="the task of pipeline 'tells'"):
        await SequentialPipeline([tells], takes=Plan).run("x")


async def test_an_agent_sees_the_work_by_name_or_by_annotation(tmp_path: Path) -> None:
    seen: list[Work] = []

    def by_name(work) -> Plan:  # type: ignore[no-untyped-def]
        seen.append(work)
        return Plan(steps=["x"])

    async def by_annotation(plan: Plan, *, all_there_is: Work) -> int:
        seen.append(all_there_is)
        assert all_there_is.workspace is not None
        await all_there_is.workspace.put("notes.md", "# Notes")
        return 7

    result = await SequentialPipeline([by_name, by_annotation], workspace=tmp_path / "work").run({"id": 1})
    first, second = seen
    assert (first.task, first.given, first.by, first.results, first.review) == ({"id": 1}, {"id": 1}, None, {}, None)
    assert (second.given, second.by, second.results) == (Plan(steps=["x"]), "by_name", {"by_name": Plan(steps=["x"])})
    assert [one.name for one in result.artifacts] == ["plan.json", "by_annotation.json", "notes.md"]


async def test_all_kinds_of_functions_are_agents() -> None:
    class Adder:
        def __init__(self, n: int) -> None:
            self.n = n

        async def __call__(self, given: int) -> int:
            return given + self.n

        def add(self, given: int, /) -> int:
            return given + self.n

    @step(retry=ONCE)
    def stepped(n: int) -> int:
        return n + 1

    async def later(n: int) -> int:
        return n + 1

    agents = [
        double,
        stepped,
        Adder(1).add,
        agent(Adder(1), name="object"),
        agent(lambda n: n + 1, name="lambda"),
        agent(lambda n: later(n), name="lambda-later"),
        agent(functools.partial(pow, 2), name="partial"),
    ]
    assert (await SequentialPipeline(agents).run(0)).review == 2**5


async def test_text_may_be_the_artifact_of_an_agent_that_gives_text(tmp_path: Path) -> None:
    def writes(given: Any) -> str:
        return f"# {given}\n"

    pipeline = SequentialPipeline([agent(writes, artifact="notes/draft.md")], workspace=tmp_path / "work")
    result = await pipeline.run("Hé")
    assert (tmp_path / "work" / "notes" / "draft.md").read_text() == "# Hé\n"
    assert result.artifacts[0].media_type == "text/markdown"
    with pytest.raises(AgentFailed, match=r"is int, and its artifact 'x\.md' is for text"):
        await SequentialPipeline([agent(double, artifact="x.md")], workspace=tmp_path / "work").run(1)


async def test_artifacts_may_lie_in_an_object_storage() -> None:
    work = Workspace("memory:///")
    crew = Crew(accept_in=2)
    pipeline = LoopPipeline([crew.planner, crew.coder, crew.reviewer], until=accepted, workspace=work)
    assert (await pipeline.run("x")).accepted
    assert await work.load("plan.json", Plan) == Plan(steps=["x", "test"])
    again = await pipeline.run("x", resume=True)
    assert {one.status for one in again.steps} == {"reused"}
    assert crew.calls == {"planner": 2, "coder": 2, "reviewer": 2}


async def test_storages_in_memory_are_each_their_own() -> None:
    barrier = asyncio.Barrier(2)

    async def meets(given: int) -> int:
        await barrier.wait()
        return given

    pipelines = [SequentialPipeline([meets], workspace="memory:///") for _ in range(2)]
    assert [one.review for one in await asyncio.gather(*(one.run(7) for one in pipelines))] == [7, 7]


async def test_an_artifact_that_another_agent_changes_is_told(tmp_path: Path) -> None:
    async def meddles(plan: Plan) -> None:
        (tmp_path / "work" / "plan.json").write_text("{}")

    result = await SequentialPipeline([Crew().planner, meddles], workspace=tmp_path / "work").run("x")
    assert result.warnings == ["plan.json was changed since planner wrote it; what was recorded of it was used"]


@pytest.mark.slow
def test_pipelines_need_no_package_but_holdfast() -> None:
    others = ("pydantic_ai", "langgraph", "obstore", "jinja2")
    code = f"import sys, holdfast.agents.pipelines.shapes; print([one for one in {others} if one in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60).stdout == "[]\n"
