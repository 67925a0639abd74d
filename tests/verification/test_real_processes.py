"""Programs from a seed on real worker processes, among real faults; what tells that they are right is tested too."""

import random
import re
from pathlib import Path
from typing import Any

import pytest

from tests.verification import session
from tests.verification.cutting import TARGETS, cut_everywhere
from tests.verification.drawing import Case, draw, kinds
from tests.verification.oracle import answer
from tests.verification.plan import Plan, Summary
from tests.verification.programs import STEPS
from tests.verification.session import verify

pytestmark = [pytest.mark.slow]

EACH = 1000
"""So many programs a long verification executes; there are ten of them."""


def well(summary: Summary) -> None:
    """See that nothing was found."""
    assert summary.wrong == [], f"{summary}\n{summary.said}"


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
async def test_programs_are_right_among_faults(database: str) -> None:
    faults = frozenset({"kill", "stop", "clock", "proxy"})
    plan = Plan(7, programs=12, workers=2, database=database, faults=faults, pace=2.0, size=8, live=1, deadly=False)
    summary = await verify(plan)
    well(summary)
    assert (summary.ended, summary.live) == (12, 2)


async def test_a_commit_that_is_cut_anywhere_is_done_once() -> None:
    found = await cut_everywhere(401)
    assert found.wrong == []
    assert len(found.positions) == 2 * len(TARGETS)


async def test_when_nothing_ends_any_more_it_is_told_what_is_open_and_why() -> None:
    summary = await verify(Plan(1, programs=3, workers=0, patience=0.5))
    assert summary.wrong == ["STUCK: nothing has ended for 0.5 s"]
    assert "run p2 is queued: no living worker serves" in summary.said
    assert "ready: 1 rows\n    p2 {" in summary.said


async def test_what_is_wrong_is_seen_and_can_be_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    def changed(*given: Any, **more: Any) -> Case:
        case = draw(*given, **more)
        case.fate, case.fork, case.operations = "let be", None, [["step", "quick", 5, 0], ["publish", 6]]
        case.right = answer([["step", "quick", 5, 0], ["step", "quick", 5, 0]])
        return case

    monkeypatch.setattr(session, "draw", changed)
    summary = await verify(Plan(2, programs=1, workers=1, live=1, deadly=False))
    output, messages, effects = sorted(summary.wrong)
    assert "right is ('succeeded', [5, 5], " in output
    assert "lacking {('quick', 5, 0): 1}" in effects
    assert "too often {6: 1}" in messages
    assert "python -m tests.verification --seed 2 --database sqlite --programs 1 " in str(summary)


def test_a_seed_makes_the_same_programs_again() -> None:
    assert [draw(3, n) for n in range(50)] == [draw(3, n) for n in range(50)]
    assert [draw(3, n).operations for n in range(5)] != [draw(4, n).operations for n in range(5)]


def test_every_operation_that_a_program_may_have_is_drawn() -> None:
    source = (Path(__file__).parent / "programs.py").read_text("utf-8")
    known = set(re.findall(r'case \["([a-z. ]+)"', source)) - {"event", "first", "map", "step"}
    events, firsts = (
        source.split(f"async def {name}(")[1].split("raise AssertionError")[0] for name in ("_event", "_first")
    )
    known |= {f"event: {how}" for how in re.findall(r'case "([a-z ]+)"', events)}
    known |= {f"first: {how}" for how in re.findall(r'case "([a-z ]+)"', firsts)}
    known |= {"large", "many", "amended", "map: step", "map: branch", "map: child"} | {
        f"step: {name}" for name in STEPS
    }
    assert set().union(*(draw(5, n).kinds for n in range(600))) == known
    assert kinds([["try", [["event", "early", 1]]]]) == {"try", "event: early"}


@pytest.mark.verify
@pytest.mark.timeout(2400)
@pytest.mark.parametrize(
    ("database", "faults"),
    [
        ("sqlite", "kill,stop"),
        ("sqlite", "restart,kill"),
        ("sqlite", "disk,clock"),
        ("sqlite", "kill,stop,restart,clock,disk"),
        ("sqlite", "upgrade,kill"),
        ("postgres", "kill,stop"),
        ("postgres", "restart,disk"),
        ("postgres", "proxy,clock"),
        ("postgres", "kill,stop,restart,proxy,clock,disk"),
        ("postgres", "upgrade,kill"),
    ],
)
async def test_ten_thousand_programs_on_processes(database: str, faults: str) -> None:
    seed = random.SystemRandom().randrange(10**9)
    well(await verify(Plan(seed, programs=EACH, database=database, faults=frozenset(faults.split(",")))))


@pytest.mark.verify
@pytest.mark.timeout(2400)
@pytest.mark.parametrize("target", sorted(TARGETS))
async def test_a_commit_that_is_cut_at_every_byte_is_done_once(target: str) -> None:
    found = await cut_everywhere(1, targets=(target,))
    assert found.wrong == []
