"""Pipelines whose agents fail, or that make no sense."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from holdfast.agents.pipelines.agents import Work, agent
from holdfast.agents.pipelines.results import PipelineResult
from holdfast.agents.pipelines.shapes import LoopPipeline, ParallelPipeline, RouterPipeline, SequentialPipeline
from holdfast.errors import AgentFailed, StepTimeout, UsageError, WorkspaceError
from holdfast.model.retry import Retry
from tests.agents.pipeline_kit import ONCE, QUICK, Code, Crew, Plan, accepted, double, fails


async def test_what_does_not_fit_is_told_with_both_agents_and_the_place() -> None:
    def gives(task: Any) -> dict[str, Any]:
        return {"steps": ["a", 3]}

    def takes(plan: Plan) -> None: ...

    with pytest.raises(
        AgentFailed, match=r"what 'takes' is given by 'gives'\.steps\[1\]: Input should be a valid string"
    ):
        await SequentialPipeline([gives, takes]).run(None)


async def test_an_agent_that_fails_ends_the_pipeline_and_what_there_is_is_kept(tmp_path: Path) -> None:
    crew = Crew()
    crew.broken = {"coder"}
    agents = [crew.planner, agent(crew.coder, retry=QUICK), crew.reviewer]
    with pytest.raises(AgentFailed, match="agent 'coder' failed: ValueError: coder is broken") as raised:
        await SequentialPipeline(agents, workspace=tmp_path / "work").run("x")
    assert raised.value.agent == "coder"
    assert isinstance(raised.value.__cause__, ValueError)
    assert crew.calls == {"planner": 1, "coder": 3}
    result = raised.value.result
    assert isinstance(result, PipelineResult)
    assert [(one.name, one.status, one.error) for one in result.steps] == [
        ("planner", "succeeded", None),
        ("coder", "failed", "ValueError: coder is broken"),
    ]
    assert [one.name for one in result.artifacts] == ["plan.json"]
    with pytest.raises(UsageError, match="has no output of an agent 'coder'; there are those of: planner"):
        result.output("coder", Code)


async def test_the_first_failure_side_by_side_is_raised_when_all_have_ended() -> None:
    ended = []

    async def slow(given: None) -> int:
        await asyncio.sleep(0.05)
        ended.append("slow")
        return 1

    agents = [slow, agent(fails, name="second", retry=ONCE), agent(fails, name="third", retry=ONCE)]
    with pytest.raises(AgentFailed) as raised:
        await ParallelPipeline(agents).run(None)
    assert (raised.value.agent, ended) == ("second", ["slow"])
    assert isinstance(raised.value.result, PipelineResult)
    assert [one.status for one in raised.value.result.steps] == ["succeeded", "failed", "failed"]


async def test_those_after_an_agent_that_is_passed_over_are_told() -> None:
    def after(given: int, work: Work) -> dict[str, Any]:
        return {"given": given, "failures": dict(work.failures), "results": sorted(work.results)}

    passed_over = agent(fails, continue_on_error=True, retry=ONCE)
    result = await SequentialPipeline([double, passed_over, after]).run(1)
    assert result.review == {"given": 2, "failures": {"fails": "ValueError: no luck"}, "results": ["double"]}
    assert [one.status for one in result.steps] == ["succeeded", "failed", "succeeded"]
    assert (await ParallelPipeline([passed_over, double]).run(1)).review == {"double": 2}
    inner = agent(SequentialPipeline([double, agent(fails, retry=ONCE)], name="inner"), continue_on_error=True)
    found = (await SequentialPipeline([inner, after]).run(1)).review
    assert found["failures"] == {
        "fails": "ValueError: no luck", "inner": "agent 'fails' failed: ValueError: no luck",
    }  # fmt: skip
    assert found["given"] == 1


async def test_a_pipeline_that_is_passed_over_may_have_failed_in_any_way() -> None:
    def after(given: int, work: Work) -> dict[str, str]:
        return dict(work.failures)

    lost = RouterPipeline(route=lambda given: "nowhere", agents={"a": double}, name="lost")
    found = (await SequentialPipeline([agent(lost, continue_on_error=True), after]).run(1)).review
    assert found["lost"].startswith("UsageError: the route of 'lost' leads to 'nowhere'")


async def test_a_pipeline_whose_last_agent_is_passed_over_has_no_review() -> None:
    result = await SequentialPipeline([double, agent(fails, continue_on_error=True, retry=ONCE)]).run(1)
    assert (result.review, result.steps[-1].error) == (None, "ValueError: no luck")


async def test_an_attempt_that_takes_too_long_is_cut_off_and_tried_again() -> None:
    calls = []

    async def slow_at_first(given: int) -> int:
        calls.append(given)
        await asyncio.sleep(600 if len(calls) == 1 else 0)
        return given

    patient = agent(slow_at_first, timeout=0.1, retry=QUICK)
    assert (await SequentialPipeline([patient]).run(1)).review == 1
    assert len(calls) == 2

    async def slow(given: int) -> None:
        await asyncio.sleep(600)

    with pytest.raises(AgentFailed, match="took longer than") as raised:
        await SequentialPipeline([agent(slow, timeout=0.01, retry=ONCE)]).run(1)
    assert isinstance(raised.value.__cause__, StepTimeout)


@pytest.mark.parametrize("bad", [object(), {1: 2}, float("nan"), {"a": {3}}, "\ud800"])
async def test_output_that_is_no_json_is_an_error_that_is_not_tried_again(bad: Any) -> None:
    calls = []

    def gives(given: None) -> Any:
        calls.append(1)
        return bad

    with pytest.raises(AgentFailed, match="what agent 'gives' gave"):
        await SequentialPipeline([gives]).run(None)
    assert calls == [1]


async def test_a_workspace_that_cannot_be_used_is_found_before_an_agent_is_called(tmp_path: Path) -> None:
    crew = Crew()
    (tmp_path / "file").write_text("")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for name in ("file", "link"):
        with pytest.raises(WorkspaceError, match="cannot be used"):
            await SequentialPipeline([crew.planner], workspace=tmp_path / name).run("x")
    assert not crew.calls


async def test_an_agent_whose_artifact_cannot_be_written_is_not_called_again_for_it(tmp_path: Path) -> None:
    calls = []

    def gives(given: None) -> int:
        calls.append(1)
        (tmp_path / "work" / "gives.json").mkdir()
        return 1

    with pytest.raises(AgentFailed, match=r"'gives\.json' is a folder there") as raised:
        await SequentialPipeline([agent(gives, retry=QUICK)], workspace=tmp_path / "work").run(None)
    assert isinstance(raised.value.__cause__, WorkspaceError)
    assert calls == [1]


async def test_two_pipelines_do_not_use_one_workspace_at_once(tmp_path: Path) -> None:
    entered, go_on = asyncio.Event(), asyncio.Event()

    async def waits(given: None) -> None:
        entered.set()
        await go_on.wait()

    pipeline = SequentialPipeline([waits], workspace=tmp_path / "work")
    first = asyncio.create_task(pipeline.run(None))
    await entered.wait()
    with pytest.raises(UsageError, match="is in use by a pipeline in this process"):
        await pipeline.run(None)
    go_on.set()
    await first
    await pipeline.run(None)


async def test_a_pipeline_that_an_agent_inside_it_calls_is_refused() -> None:
    async def calls_itself(given: int) -> int:
        return int((await pipelines[0].run(given)).review)

    pipelines = [SequentialPipeline([calls_itself])]
    with pytest.raises(AgentFailed, match="is called by an agent inside it: it would never end"):
        await pipelines[0].run(1)
    part = SequentialPipeline([double], name="part")
    whole = SequentialPipeline([part], name="whole")
    part.agents = (agent(whole),)
    with pytest.raises(UsageError, match="is part of itself"):
        SequentialPipeline([whole])


def many(a: int, b: int) -> None: ...


def generates(given: int) -> Any:
    yield given


async def asyncly(given: Any) -> bool:
    return True


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: SequentialPipeline([]), "has no agents"),
        (lambda: ParallelPipeline([]), "has no agents"),
        (lambda: RouterPipeline(route=double, agents={}), "has no agents"),
        (lambda: RouterPipeline(route=str, agents={"a": double}), "route is <class 'str'>"),
        (lambda: SequentialPipeline("double"), "give a list"),
        (lambda: SequentialPipeline(double), "give a list"),  # type: ignore[arg-type]
        (lambda: RouterPipeline(route=double, agents=[double]), "give a dict"),  # type: ignore[arg-type]
        (lambda: SequentialPipeline([double, double]), "two agents of pipeline 'double-double' are called 'double'"),
        (lambda: SequentialPipeline([double, ParallelPipeline([double, fails])]), "called 'double'"),
        (lambda: SequentialPipeline([SequentialPipeline([fails], name="x"), agent(double, name="x")]), "called 'x'"),
        (lambda: SequentialPipeline([double, agent(fails, artifact="DOUBLE.json")]), "write the same artifact"),
        (lambda: SequentialPipeline([7]), "7 is no agent"),
        (lambda: SequentialPipeline([Plan]), "is no agent"),
        (lambda: SequentialPipeline([lambda n: n]), "has no name"),
        (lambda: SequentialPipeline([many]), "takes 'a' and 'b'"),
        (lambda: SequentialPipeline([generates]), "is a generator"),
        (lambda: SequentialPipeline([double], name=""), "the name of a pipeline"),
        (lambda: agent(agent(double)), "has terms already"),
        (lambda: agent(double, prompt=str), "prompt is a function, for an agent"),
        (lambda: agent(double, artifact="../x"), "the artifact of agent 'double'"),
        (lambda: agent(double, timeout="soon"), "timeout of agent 'double'"),
        (lambda: agent(SequentialPipeline([double]), retry=Retry()), "takes no retry"),
        (lambda: LoopPipeline([double], until=accepted, limit=0), "the limit of a loop is 0"),
        (lambda: LoopPipeline([double], until=accepted, limit=True), "the limit of a loop is True"),
        (lambda: LoopPipeline([double], until="yes"), "until is 'yes'"),  # type: ignore[arg-type]
        (lambda: LoopPipeline([double], until=asyncly), "until is an `async def`"),  # type: ignore[arg-type]
        (lambda: RouterPipeline(route=asyncly, agents={"a": double}), "route is an `async def`"),  # type: ignore[arg-type]
    ],
)
def test_what_makes_no_sense_is_refused(make: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        make()
