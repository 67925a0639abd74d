"""The step graph: calls in their order, fan-outs side by side, what is alike as one box, and nothing unbounded."""

from datetime import UTC, datetime, timedelta

import pytest

import holdfast as hf
from holdfast.model.run import JournalEntry
from holdfast.web.graph import BRANCHES_AT_MOST, HIGH, ROWS_AT_MOST, WIDE, Graph, step_graph

BEGUN = datetime(2026, 3, 1, tzinfo=UTC)


def entry(position: str, name: str, begin: float = 0.0, end: float | None = None, **more: object) -> JournalEntry:
    given: dict[str, object] = {
        "seq": 1, "generation": 1, "kind": "step", "outcome": "ok", "input": None, "output": None, "error": None,
        "attempts": 1, **more,
    }  # fmt: skip
    finished = None if end is None else BEGUN + timedelta(seconds=end)
    return JournalEntry(
        position=position, name=name, started_at=BEGUN + timedelta(seconds=begin), finished_at=finished, **given
    )  # type: ignore[arg-type]


def rows(graph: Graph) -> list[list[str]]:
    """The names of the boxes, row by row."""
    found: dict[float, list[str]] = {}
    for box in sorted(graph.boxes, key=lambda one: (one.y, one.x)):
        found.setdefault(box.y, []).append(box.name if box.times == 1 else f"{box.name}*{box.times}")
    return list(found.values())


def test_calls_stand_below_each_other_with_a_line_between() -> None:
    graph = step_graph([entry("0", "a", 0, 1), entry("1", "b", 1, 2), entry("2", "c", 2, 3)])
    assert rows(graph) == [["a"], ["b"], ["c"]]
    assert len(graph.paths) == 2
    assert (graph.width, graph.boxes[0].seconds) == (WIDE, 1.0)
    assert graph.height == graph.boxes[-1].y + HIGH


def test_what_overlapped_stands_side_by_side() -> None:
    graph = step_graph([entry("0", "a", 0, 5), entry("1", "b", 1, 2), entry("2", "c", 6, 7)])
    assert rows(graph) == [["a", "b"], ["c"]]
    assert len(graph.paths) == 2


def test_a_sleep_that_lost_a_race_holds_nothing_beside_it() -> None:
    history = [
        entry("0", "hf.sleep", 0, 300, kind="sleep"),
        entry("1", "hf.first", 1, 1, kind="first"),
        entry("2", "b", 2, 3),
    ]
    assert rows(step_graph(history)) == [["hf.sleep"], ["hf.first"], ["b"]]


def test_a_fan_out_shows_each_kind_of_branch_once() -> None:
    branches = [
        entry(f"1.{n}.{k}", name, n + k, n + k + 0.5) for n in range(50) for k, name in enumerate(("get", "put"))
    ]
    graph = step_graph([entry("0", "a", 0, 1), *branches, entry("2", "z", 90, 91)])
    assert rows(graph) == [["a"], ["get*50"], ["put*50"], ["z"]]


def test_branches_that_differ_stand_side_by_side_and_are_bounded() -> None:
    branches = [entry(f"0.{n}.0", f"s{n}", 0, 1) for n in range(20)]
    [row] = rows(step_graph(branches))
    assert row[:BRANCHES_AT_MOST] == ["s0", "s1", "s2", "s3"]
    assert row[BRANCHES_AT_MOST] == f"{20 - BRANCHES_AT_MOST} more branches*{20 - BRANCHES_AT_MOST}"


def test_a_long_journal_is_cut_and_the_rest_is_counted() -> None:
    graph = step_graph([entry(str(n), f"s{n % 2}", n, n + 0.5) for n in range(1000)])
    assert len(graph.boxes) == ROWS_AT_MOST
    assert graph.left_out == 1000 - ROWS_AT_MOST


def test_calls_alike_one_after_another_are_one_box_with_the_worst_outcome() -> None:
    history = [
        entry("0", "a", 0, 1),
        entry("1", "a", 1, 2, outcome="error"),
        entry("2", "a", 2, None, outcome="pending"),
    ]
    [box] = step_graph(history).boxes
    assert (box.times, box.outcome, box.seconds) == (3, "error", None)


def test_deep_fan_outs_end_somewhere() -> None:
    deep = ".".join(["0"] * 41)
    graph = step_graph([entry(deep, "a", 0, 1)])
    assert [box.kind for box in graph.boxes] == ["more"]


def test_what_a_retry_did_anew_counts_and_the_old_does_not() -> None:
    history = [entry("0", "a", 0, 1), entry("1", "b", 1, 2, outcome="error", in_force=False), entry("1", "c", 9, 10)]
    assert rows(step_graph(history)) == [["a"], ["c"]]


def test_nothing_recorded_is_an_empty_graph() -> None:
    graph = step_graph([])
    assert (graph.boxes, graph.paths) == ([], [])


@hf.step
async def double(n: int) -> int:
    return 2 * n


@hf.workflow
async def part(n: int) -> int:
    return await double(n)


async def twice(n: int) -> int:
    return await double(await double(n))


@hf.workflow
async def whole() -> None:
    await double(1)
    await hf.map(part, [1, 2, 3])
    await hf.gather(twice(1), hf.sleep(0.0))
    await part(3)


async def test_a_real_journal() -> None:
    async with hf.connect("memory://") as client, hf.Worker(client, [whole, part]):
        run = await client.start(whole)
        await run.result(timeout="20s")
        graph = step_graph(await client.history(run.id))
    names = [box.name for box in graph.boxes]
    assert names[:2] == ["double", "part"]
    assert "hf.sleep" in names
    assert "started" not in names
    assert {box.outcome for box in graph.boxes} == {"ok"}
    assert all(0 <= box.x <= graph.width - WIDE for box in graph.boxes)


@pytest.mark.parametrize("many", [1, 3])
def test_boxes_never_lie_on_each_other(many: int) -> None:
    history = [entry("0", "a", 0, 1)]
    history += [entry(f"1.{n}.{k}", f"s{n}{k}", 0, 1) for n in range(many + 1) for k in range(many)]
    history += [entry(f"2.0.1.{n}.0", f"t{n}", 0, 1) for n in range(many + 1)] + [entry("2.1.0", "u", 0, 1)]
    graph = step_graph(history)
    places = [(box.x, box.y) for box in graph.boxes]
    assert all(
        abs(x1 - x2) >= WIDE or abs(y1 - y2) >= HIGH for n, (x1, y1) in enumerate(places) for x2, y2 in places[n + 1 :]
    )
