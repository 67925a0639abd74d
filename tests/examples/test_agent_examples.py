"""The smaller examples of agents, each run as its reader runs it, and stopped where it may be."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.examples.kit import EXAMPLES, run, running

pytestmark = pytest.mark.slow


def test_agents_side_by_side_and_one_that_fails(tmp_path: Path) -> None:
    assert run(tmp_path, "examples.agents.parallel_pipeline").stdout.splitlines() == [
        "style: {'remarks': ['very', 'very']}",
        "length: {'remarks': ['12 words']}",
        "facts: ConnectionError: the archive is closed",
        "editor: {'text': 'The old bridge was built in 1803. It is long.', 'not_heard': ['facts']}",
    ]


def test_each_letter_goes_to_the_agent_that_fits(tmp_path: Path) -> None:
    expected = [
        "['reader', 'question'] We are open from nine to five.",
        "['reader', 'apologise', 'compensate'] {'text': 'We are sorry that it is broken. You get your money back.'}",
    ]
    # The second time both runs have ended, and give what they gave.
    for _ in range(2):
        assert run(tmp_path, "examples.agents.router_pipeline").stdout.splitlines() == expected


def test_a_graph_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    graph = "examples.agents.saved_graph"
    asked = "Book a trip to Oslo for 240 dollars?"
    assert run(tmp_path, graph).stdout.splitlines() == ["looking for a trip to Oslo", asked, "['found']"]
    assert run(tmp_path, graph, "yes").stdout.splitlines() == ["['found', 'booked']"]


def test_an_agent_that_was_killed_repeats_no_request_and_waits_for_a_person(tmp_path: Path) -> None:
    agent = "examples.agents.durable_agent"
    with running(tmp_path, agent) as process:
        assert process.stdout is not None
        assert [next(process.stdout) for _ in range(2)] == ["the model is asked\n", "looking for a lamp\n"]
        process.kill()
        process.wait()
    waits = "Approve order? Start it again with: approve"
    # The tool was under way when it was killed, or recorded; the request to the model was recorded.
    assert run(tmp_path, agent).stdout.splitlines() in ([waits], ["looking for a lamp", waits])
    answer = "There is no lamp. A lamp is ordered."
    assert run(tmp_path, agent, "approve").stdout.splitlines() == ["the model is asked", answer]


def test_every_example_of_agents_is_run_and_short() -> None:
    found = {path.stem: len(path.read_text().splitlines()) for path in (EXAMPLES / "agents").glob("*.py")}
    assert {"parallel_pipeline", "router_pipeline", "saved_graph", "durable_agent"} == found.keys()
    assert max(found.values()) < 80
