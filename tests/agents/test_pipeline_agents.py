"""Agents of pydantic-ai, and others with ``async run(prompt)``, in pipelines."""

from pathlib import Path
from typing import Any

import pytest
from pydantic_ai import Agent, ToolOutput
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, TextPart, ToolCallPart, UserPromptPart
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_ai.models.test import TestModel

from holdfast.agents.pipelines.agents import Work, agent
from holdfast.agents.pipelines.shapes import LoopPipeline, SequentialPipeline
from holdfast.errors import AgentFailed, UsageError
from holdfast.pydantic_ai import Durable
from tests.agents.pipeline_kit import QUICK, Plan, Review, accepted
from tests.engine.helpers import serving


class Scripted:
    """A model that gives one answer after the other, and keeps what it was asked."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []
        self.model = FunctionModel(self._answer, model_name="scripted")

    def _answer(self, messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        [request] = [one for one in messages if isinstance(one, ModelRequest)][-1:]
        self.asked += [str(part.content) for part in request.parts if isinstance(part, UserPromptPart)]
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, str):
            return ModelResponse([TextPart(answer)])
        return ModelResponse([ToolCallPart(info.output_tools[0].name, answer)])


async def test_an_agent_gives_its_typed_output_and_is_named_by_itself(tmp_path: Path) -> None:
    script = Scripted({"steps": ["a"]})
    planner = Agent(script.model, name="planner", output_type=Plan)

    def last(plan):  # type: ignore[no-untyped-def]
        return type(plan).__name__

    result = await SequentialPipeline([planner, last], workspace=tmp_path / "work").run("Build a shop.")
    assert result.review == "Plan"
    assert result.output("planner", Plan) == Plan(steps=["a"])
    assert (tmp_path / "work" / "plan.json").exists()
    assert script.asked == ["Build a shop."]


async def test_it_is_asked_the_task_what_it_is_given_and_in_later_rounds_the_review() -> None:
    coder_script = Scripted("code one", "code two")
    reviewer_script = Scripted({"accepted": False, "note": "too short"}, {"accepted": True, "note": "good"})
    coder = Agent(coder_script.model, name="coder")
    reviewer = Agent(reviewer_script.model, name="reviewer", output_type=Review)

    def planner(task: str) -> Plan:
        return Plan(steps=["a"])

    loop = LoopPipeline([coder, reviewer], until=accepted)
    result = await SequentialPipeline([planner, loop]).run("Build a shop.")
    assert result.accepted
    plan = '{\n  "steps": [\n    "a"\n  ]\n}'
    assert coder_script.asked[0] == f"# Task\n\nBuild a shop.\n\n# planner\n\n{plan}"
    assert coder_script.asked[1] == (
        f"# Task\n\nBuild a shop.\n\n# planner\n\n{plan}\n\n# Your answer before\n\ncode one\n\n"
        '# Review of it\n\n{\n  "accepted": false,\n  "note": "too short"\n}'
    )
    assert reviewer_script.asked[0] == "# Task\n\nBuild a shop.\n\n# coder\n\ncode one"
    assert reviewer_script.asked[1].count("too short") == 1


async def test_its_prompt_may_be_made_by_a_function() -> None:
    script = Scripted("done", "done")

    def ask(work: Work) -> str:
        return f"round {work.round} of {work.task}"

    asker = agent(Agent(script.model, name="asker"), prompt=ask)
    await LoopPipeline([asker], until=lambda text: False, limit=2).run("x")
    assert script.asked == ["round 1 of x", "round 2 of x"]
    with pytest.raises(AgentFailed, match="the prompt of agent 'bad' is 7; it must be text"):
        await SequentialPipeline([agent(Agent(script.model), name="bad", prompt=lambda work: 7)]).run("x")  # type: ignore[arg-type, return-value]


async def test_what_a_model_refuses_is_not_asked_again_and_what_fails_is() -> None:
    refused = Scripted(ModelHTTPError(401, "scripted", "no such key"), "never")
    with pytest.raises(AgentFailed, match="agent 'a' failed: ModelHTTPError"):
        await SequentialPipeline([agent(Agent(refused.model), name="a", retry=QUICK)]).run("x")
    assert len(refused.asked) == 1
    down = Scripted(ModelHTTPError(503, "scripted"), "there")
    assert (await SequentialPipeline([agent(Agent(down.model), name="a", retry=QUICK)]).run("x")).review == "there"


async def test_output_of_any_kind_is_kept() -> None:
    kinds: list[tuple[Any, Any]] = [
        (str, "success (no tool calls)"),
        (bool, False),
        (list[int], [0]),
        ([Plan, Review], {"steps": ["a"]}),
        (ToolOutput(Plan), {"steps": ["a"]}),
        (Plan | Review, {"steps": ["a"]}),
    ]
    for kind, expected in kinds:
        tested = Agent(TestModel(), name="tested", output_type=kind)
        assert (await SequentialPipeline([tested]).run("x")).review == expected, kind


async def test_an_agent_without_a_name_is_refused() -> None:
    with pytest.raises(UsageError, match=r"has no name that can be used; write hf\.agent"):
        SequentialPipeline([Agent(TestModel())])


async def test_anything_that_runs_on_a_prompt_is_an_agent() -> None:
    class Echo:
        name = "echo"

        async def run(self, prompt: str) -> str:
            return prompt.upper()

    assert (await SequentialPipeline([Echo()]).run("x")).review == "X"


@pytest.mark.parametrize("durable", [False, True])
async def test_each_request_is_counted_once_also_of_an_attempt_that_failed(disk_url: str, durable: bool) -> None:
    script = Scripted(ModelHTTPError(503, "scripted"), "there")
    capabilities = [Durable()] if durable else []
    one = agent(Agent(script.model, name="one", capabilities=capabilities), retry=QUICK)
    ask = SequentialPipeline([one]).workflow("ask")
    async with serving(disk_url, ask) as client:
        run = await client.start(ask, "x")
        assert (await run.result(timeout="30s")).review == "there"
        [row] = await client.core.store.find_runs("default", [run.id])
        calls = await client.core.store.agents.model_calls("default", row.uid, limit=10)
    assert [(call.attempt, call.phase, call.outcome) for call in calls] == [(1, "one", "unavailable"), (2, "one", "ok")]
