"""What the artifacts of a pipeline's agents are called."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Generic, NamedTuple, TypedDict, TypeVar

import pytest
import typing_extensions
from pydantic import BaseModel, Field
from pydantic_ai import Agent as ModelAgent
from pydantic_ai.models.test import TestModel

from holdfast.agents.artifacts.workspace import Workspace
from holdfast.agents.pipelines.agents import Agent, agent
from holdfast.agents.pipelines.commands import Command
from holdfast.agents.pipelines.naming import name_artifacts
from holdfast.agents.pipelines.shapes import LoopPipeline, ParallelPipeline, RouterPipeline, SequentialPipeline
from holdfast.errors import UsageError
from tests.agents.pipeline_kit import Code, Crew, Plan, Review, accepted

T = TypeVar("T")


class CodeReview(BaseModel):
    note: str


@dataclass
class HTTPPlanV2:
    url: str


class _Findings(TypedDict):
    all: list[str]


class Summary(typing_extensions.TypedDict):
    text: str


class Score(NamedTuple):
    points: int


class Page(BaseModel, Generic[T]):
    of: T


class Con(BaseModel):
    """No file on Windows can be called so."""


class PLAN(BaseModel):
    """Differs from Plan in case alone."""


class Coder(BaseModel):
    """As an agent is called."""


class NoTuple(tuple[int, int]):
    """A class, and not one that says what it holds."""


def gives(kind: Any, name: str = "it", artifact: str | None = None) -> Agent:
    def fn(given: Any) -> Any:
        return given

    fn.__annotations__["return"] = kind
    return agent(fn, name=name, artifact=artifact)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (Plan, "plan.json"),
        (CodeReview, "code_review.json"),
        (HTTPPlanV2, "http_plan_v2.json"),
        (_Findings, "findings.json"),
        (Summary, "summary.json"),
        (Score, "score.json"),
        (Annotated[Plan, Field(description="of the work")], "plan.json"),
        ("Missing", "it.json"),
        (Any, "it.json"),
        (None, "it.json"),
        (str, "it.json"),
        (dict[str, Plan], "it.json"),
        (list[Plan], "it.json"),
        (Plan | Code, "it.json"),
        (Page[Plan], "it.json"),
        (NoTuple, "it.json"),
        (Con, "it.json"),
    ],
)
def test_an_artifact_is_called_after_the_class_that_its_agent_gives_else_after_the_agent(kind: Any, name: str) -> None:
    assert name_artifacts([gives(kind)]) == {"it": name}


def test_agents_of_pydantic_ai_and_commands_say_what_they_give_too() -> None:
    agents = [
        agent(ModelAgent(TestModel(), name="planner", output_type=Plan)),
        agent(ModelAgent(TestModel(), name="writer")),
        agent(Command(["true"], name="check", output=Review)),
        agent(Command(["true"], name="count")),
    ]
    assert name_artifacts(agents) == {
        "planner": "plan.json", "writer": "writer.json", "check": "review.json", "count": "count.json",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("agents", "names"),
    [
        # Two of one type; of types that differ in case alone.
        ([gives(Plan, "a"), gives(Plan, "b"), gives(Code, "c")], {"a": "a.json", "b": "b.json", "c": "code.json"}),
        ([gives(Plan, "a"), gives(PLAN, "b")], {"a": "a.json", "b": "b.json"}),
        # Another agent has the name of the type.
        ([gives(str, "plan"), gives(Plan, "b")], {"plan": "plan.json", "b": "b.json"}),
        ([gives(Plan, "plan"), gives(Plan, "b")], {"plan": "plan.json", "b": "b.json"}),
        ([gives(Plan, "plan"), gives(Code, "b")], {"plan": "plan.json", "b": "code.json"}),
        # One that steps back comes upon the type of a third.
        (
            [gives(Plan, "coder"), gives(Plan, "b"), gives(Coder, "c")],
            {"coder": "coder.json", "b": "b.json", "c": "c.json"},
        ),
        # What is told wins.
        ([gives(Plan, "a", "the.json"), gives(Plan, "b")], {"a": "the.json", "b": "plan.json"}),
        ([gives(str, "a", "Plan.json"), gives(Plan, "b")], {"a": "Plan.json", "b": "b.json"}),
        ([gives(Plan, "a", "plan.json"), gives(Plan, "b")], {"a": "plan.json", "b": "b.json"}),
    ],
)
def test_agents_that_would_have_one_name_are_told_apart_by_their_own(
    agents: list[Agent], names: dict[str, str]
) -> None:
    for order in itertools.permutations(agents):
        assert name_artifacts(order) == names


@pytest.mark.parametrize(
    "agents",
    [
        [gives(Plan, "a", "x.json"), gives(Code, "b", "X.json")],
        [gives(str, "a", "b.json"), gives(str, "b")],
        [gives(str, "a", "b.json"), gives(Plan, "b"), gives(Plan, "c")],
        [gives(str, "a"), gives(str, "A")],
    ],
)
def test_two_that_have_one_name_all_the_same_are_refused(agents: list[Agent]) -> None:
    for order in itertools.permutations(agents):
        with pytest.raises(UsageError, match=r"write the same artifact, .*hf\.agent\(…, artifact=…\)"):
            SequentialPipeline(order)


@pytest.mark.parametrize(
    "nest",
    [
        lambda agents: SequentialPipeline(agents, name="inner"),
        lambda agents: ParallelPipeline(agents, name="inner"),
        lambda agents: RouterPipeline(route=lambda given: "0", agents={str(n): a for n, a in enumerate(agents)}),
        lambda agents: LoopPipeline(agents, until=lambda given: True, name="inner"),
    ],
)
async def test_agents_of_nested_pipelines_count(tmp_path: Path, nest: Callable[[list[Agent]], Any]) -> None:
    def planner(given: Any) -> Plan:
        return Plan(steps=[])

    def replanner(given: Any) -> Plan:
        return Plan(steps=["again"])

    inner = nest([agent(replanner)])
    result = await SequentialPipeline([planner, inner], workspace=tmp_path / "outer").run("x")
    assert [(one.name, one.artifact) for one in result.steps] == [
        ("planner", "planner.json"),
        ("replanner", "replanner.json"),
    ]
    assert not (tmp_path / "outer" / "plan.json").exists()
    # By itself it has nothing beside it.
    assert inner._artifacts == {"replanner": "plan.json"}


async def test_each_round_of_a_loop_is_kept_by_the_same_names(tmp_path: Path) -> None:
    crew = Crew(accept_in=2)
    agents = [crew.planner, agent(crew.coder, artifact="src/main.json"), crew.reviewer]
    await LoopPipeline(agents, until=accepted, workspace=tmp_path / "work").run("x")
    outputs = ("plan.json", "review.json", "src/main.json")
    rounds = [f"rounds/{n}/{name}" for n in (1, 2) for name in outputs]
    assert await Workspace(tmp_path / "work").names() == sorted([*outputs, *rounds])
