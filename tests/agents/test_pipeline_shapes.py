"""Agents side by side, the one that fits, and again until it is accepted."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from holdfast.agents.artifacts.workspace import Workspace
from holdfast.agents.pipelines.agents import Work, agent
from holdfast.agents.pipelines.results import PipelineResult
from holdfast.agents.pipelines.shapes import LoopPipeline, ParallelPipeline, RouterPipeline, SequentialPipeline
from holdfast.errors import NotAccepted, UsageError
from tests.agents.pipeline_kit import ONCE, Code, Crew, Plan, Review, accepted, double


async def test_plain_functions_side_by_side_do_not_wait_for_each_other() -> None:
    barrier = threading.Barrier(3, timeout=60)

    def meets(given: int) -> int:
        return barrier.wait() * 0 + given

    agents = [agent(meets, name=f"m{n}") for n in range(3)]
    assert (await ParallelPipeline(agents).run(5)).review == {"m0": 5, "m1": 5, "m2": 5}


async def test_agents_side_by_side_see_what_was_before_and_nothing_of_each_other() -> None:
    saw: dict[str, list[str]] = {}

    def look(name: str) -> Any:
        async def looks(given: int, work: Work) -> int:
            saw[name] = sorted(work.results)
            await asyncio.sleep(0)
            return given

        return agent(looks, name=name)

    def last(given: dict[str, int], work: Work) -> dict[str, int]:
        saw["last"] = sorted(work.results)
        return given

    sides = ParallelPipeline([look("b"), SequentialPipeline([look("a1"), look("a2")], name="a")])
    result = await SequentialPipeline([double, sides, last]).run(1)
    assert result.review == {"b": 2, "a": 2}
    assert saw == {"b": ["double"], "a1": ["double"], "a2": ["a1", "double"], "last": ["a1", "a2", "b", "double"]}
    assert [one.name for one in result.steps] == ["double", "b", "a1", "a2", "last"]


async def test_a_route_leads_to_one_agent() -> None:
    def kind_of(given: Plan) -> str:
        return given.steps[0]

    pipeline = RouterPipeline(route=kind_of, agents={"double": len_of, "bug": agent(steps_of, name="steps")})
    result = await pipeline.run({"steps": ["double", "x"]})
    assert (result.review, [one.name for one in result.steps]) == (2, ["double"])
    assert (await pipeline.run({"steps": ["bug"]})).steps[0].name == "steps"
    with pytest.raises(UsageError, match=r"the route of 'double-steps' leads to 'x', .*there are: double, bug"):
        await pipeline.run({"steps": ["x"]})


def len_of(plan: Plan) -> int:
    return len(plan.steps)


def steps_of(plan: Plan) -> list[str]:
    return plan.steps


async def test_a_loop_sends_the_review_back_until_it_is_accepted(tmp_path: Path) -> None:
    crew = Crew(accept_in=3)
    loop = LoopPipeline([crew.coder, crew.reviewer], until=accepted, limit=5)
    result = await SequentialPipeline([crew.planner, loop], workspace=tmp_path / "work").run("x")
    assert [(one.name, one.round) for one in result.steps] == [
        ("planner", 1), ("coder", 1), ("reviewer", 1), ("coder", 2), ("reviewer", 2), ("coder", 3), ("reviewer", 3),
    ]  # fmt: skip
    # The coder is given the plan each time; what was sent back is the review of the round before.
    assert result.steps[3].output == {"text": "x+test in round 2 after 'x+test in round 1'?"}
    assert (result.accepted, result.output("reviewer", Review).accepted) == (True, True)
    work = Workspace(tmp_path / "work")
    assert await work.names() == [
        "code.json", "plan.json", "review.json", *(
            f"rounds/{n}/{name}.json" for n in (1, 2, 3) for name in ("code", "review")
        ),
    ]  # fmt: skip
    assert await work.get("code.json") == await work.get("rounds/3/code.json")


async def test_a_loop_that_comes_to_its_limit_says_so() -> None:
    crew = Crew(accept_in=9)
    agents = [crew.planner, crew.coder, crew.reviewer]
    result = await LoopPipeline(agents, until=accepted, limit=2).run("x")
    assert (result.accepted, len(result.steps), crew.calls["coder"]) == (False, 6, 2)
    assert result.review == result.steps[-1].output
    with pytest.raises(NotAccepted, match="nothing was accepted in 2 rounds of 'loop'") as raised:
        await LoopPipeline(agents, until=accepted, limit=2, must_accept=True, name="loop").run("x")
    assert raised.value.rounds == 2
    assert isinstance(raised.value.result, PipelineResult)
    assert len(raised.value.result.steps) == 6


async def test_a_loop_whose_reviewer_fails_goes_on() -> None:
    crew = Crew()
    crew.broken = {"reviewer"}

    def heal(plan: Plan, work: Work) -> Code:
        if work.round == 2:
            crew.broken.clear()
        return Code(text=f"{work.round} {dict(work.failures)}")

    reviewer = agent(crew.reviewer, continue_on_error=True, retry=ONCE)

    def after(review: Review, work: Work) -> dict[str, str]:
        return dict(work.failures)

    loop = LoopPipeline([heal, reviewer], until=accepted)
    result = await SequentialPipeline([loop, after]).run(Plan(steps=[]))
    assert [one.status for one in result.steps] == ["succeeded", "failed", "succeeded", "succeeded", "succeeded"]
    assert result.review == {}  # it has not failed in the end
    assert result.steps[2].output == {"text": "2 {'reviewer': 'ValueError: reviewer is broken'}"}
    assert result.accepted


async def test_a_loop_in_a_loop_counts_its_own_rounds(tmp_path: Path) -> None:
    def counts(n: int, work: Work) -> int:
        return n + work.round

    inner = LoopPipeline([counts], until=lambda n: n >= 3, name="inner")
    outer = LoopPipeline([inner, agent(double)], until=lambda n: False, limit=2, workspace=tmp_path / "work")
    result = await outer.run(1)
    assert [(one.name, one.round) for one in result.steps] == [
        ("counts", 1), ("counts", 2), ("double", 1), ("counts", 1), ("counts", 2), ("double", 2),
    ]  # fmt: skip
    assert not result.accepted
    assert (tmp_path / "work" / "rounds" / "2.1" / "counts.json").read_text() == "2\n"


async def test_what_an_outer_loop_sends_back_is_seen_in_an_inner_one() -> None:
    seen: list[Any] = []

    def works(given: int, work: Work) -> int:
        seen.append((work.round, work.review))
        return given + work.round

    inner = LoopPipeline([works], until=lambda n: n >= 3, name="inner")
    await LoopPipeline([inner, agent(double)], until=lambda n: False, limit=2).run(1)
    assert seen == [(1, None), (2, 2), (1, 6), (2, 2)]
