"""A workflow's step graph as a run went: its journal laid out in rows, what went side by side beside each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from holdfast.model.run import JournalEntry, Kind, Outcome

ROWS_AT_MOST = 40
"""So many rows of calls are shown; the rest is counted."""

BRANCHES_AT_MOST = 4
"""So many branches of a fan-out that differ are shown beside each other."""

DEEP_AT_MOST = 4
"""So deep are fan-outs inside fan-outs shown."""

WIDE = 168
HIGH = 40
GAP_X = 16
GAP_Y = 18

_SHOWN = (
    Kind.STEP, Kind.SLEEP, Kind.CHILD, Kind.MAP, Kind.EVENT, Kind.SEND, Kind.PUBLISH, Kind.FIRST, Kind.HOLD
)  # fmt: skip
_ENDS = (Kind.STEP, Kind.CHILD, Kind.MAP)
_LABELS = {"hf.sleep": "Sleep", "hf.first": "First of several", "hf.hold": "Hold"}
_WORST_FIRST = ("error", "cancelled", "pending", "ok")


@dataclass(slots=True)
class Box:
    """A call, or several alike, and where it is drawn.

    Attributes:
        kind: as in the journal; ``more`` for a note on what is left out.
        outcome: the worst of what it stands for: ok, pending, cancelled, error.
        times: for how many calls it stands.
        seconds: how long they took together; None while one has not ended.
    """

    name: str
    kind: str
    outcome: str
    times: int = 1
    seconds: float | None = 0.0
    x: float = 0.0
    y: float = 0.0

    @property
    def label(self) -> str:
        """Its name, in words where the engine gave it."""
        return _LABELS.get(self.name, self.name)

    @property
    def shape(self) -> object:
        """What makes two boxes alike."""
        return self.kind, self.name


@dataclass(slots=True)
class Fan:
    """Branches that go on side by side; each is a list of what follows one another."""

    branches: list[list[Box | Fan]]
    left_out: int = 0

    @property
    def shape(self) -> object:
        """What makes two fan-outs alike."""
        return tuple(tuple(one.shape for one in branch) for branch in self.branches)


@dataclass(slots=True)
class Graph:
    """A graph that can be drawn.

    Attributes:
        boxes: with their places; each is ``WIDE`` by ``HIGH``.
        paths: the lines between them, as SVG path data.
        left_out: how many calls are not shown.
    """

    boxes: list[Box] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    width: float = 0.0
    height: float = 0.0
    left_out: int = 0


def step_graph(history: Sequence[JournalEntry]) -> Graph:
    """The graph of a journal.

    Calls that follow one another with the same name are one box, and so are branches of a fan-out that made the
    same calls; a box says for how many it stands, and shows the worst of their outcomes.

    Args:
        history: a run's journal, in order of position. What a later generation did anew is left out.
    """
    # A fan-out of child runs has an entry of its own inside it, which says that all were started.
    started = {f"{one.position}.1" for one in history if one.kind == Kind.MAP}
    placed = [
        (tuple(int(part) for part in one.position.split(".") if part.isdigit()), one)
        for one in history
        if one.in_force and one.kind in _SHOWN and not (one.kind == Kind.MAP and one.position in started)
    ]
    chain = _folded(_chain([(path, one) for path, one in placed if path], 0))
    graph = Graph(left_out=sum(_calls(one) for one in chain[ROWS_AT_MOST:]))
    chain = chain[:ROWS_AT_MOST]
    graph.width, bottom, _, _ = _place(chain, 0.0, 0.0, graph)
    graph.height = bottom
    return graph


_Placed = tuple[tuple[int, ...], JournalEntry]


def _chain(entries: Sequence[_Placed], depth: int) -> list[Box | Fan]:
    """What follows one another at a depth of positions, fan-outs and what overlapped in time as one."""
    parts: list[Box | Fan] = []
    together: list[Box] = []
    until: datetime | None = None
    for head, below in _groups(entries, depth):
        if head is not None:
            box = _box(head)
            # A call that was made before one before it had ended went side by side with it.
            beside = until is not None and head.started_at < until and head.kind != Kind.FIRST
            if not beside:
                parts += _beside(together)
                together, until = [], None
            together.append(box)
            # A sleep's end is when it is due, and a race may have left it behind.
            if head.kind in _ENDS and head.finished_at is not None:
                until = head.finished_at if until is None else max(until, head.finished_at)
        if below:
            parts += _beside(together)
            together, until = [], None
            if depth // 2 + 1 < DEEP_AT_MOST:
                parts.append(_fan(below, depth + 1))
            else:
                parts.append(Box(f"{len(below)} calls", "more", "ok", len(below), None))
    return parts + _beside(together)


def _groups(entries: Sequence[_Placed], depth: int) -> Iterator[tuple[JournalEntry | None, list[_Placed]]]:
    """For each number at a depth its own entry, if it has one, and those inside it."""
    head: JournalEntry | None = None
    below: list[_Placed] = []
    number: int | None = None
    for path, entry in entries:
        if number is not None and path[depth] != number:
            yield head, below
            head, below = None, []
        number = path[depth]
        if len(path) == depth + 1:
            head = entry
        else:
            below.append((path, entry))
    if number is not None:
        yield head, below


def _fan(entries: Sequence[_Placed], depth: int) -> Fan:
    branches: dict[object, list[Box | Fan]] = {}
    order: dict[int, list[_Placed]] = {}
    for path, entry in entries:
        order.setdefault(path[depth], []).append((path, entry))
    for inside in order.values():
        deeper = [one for one in inside if len(one[0]) > depth + 1]
        branch: list[Box | Fan] = [_box(entry) for _, entry in inside]
        if deeper:
            branch = _folded(_chain(deeper, depth + 1))
        shape = tuple(one.shape for one in branch)
        if shape in branches:
            _add(branches[shape], branch)
        else:
            branches[shape] = branch
    shown = list(branches.values())
    kept = shown[:BRANCHES_AT_MOST]
    return Fan(kept, len(shown) - len(kept))


def _beside(boxes: list[Box]) -> list[Box | Fan]:
    if len(boxes) < 2:
        return list(boxes)
    alike: dict[object, Box] = {}
    for box in boxes:
        if box.shape in alike:
            _join(alike[box.shape], box)
        else:
            alike[box.shape] = box
    shown = list(alike.values())
    if len(shown) == 1:
        return list(shown)
    kept = shown[:BRANCHES_AT_MOST]
    return [Fan([[box] for box in kept], len(shown) - len(kept))]


def _folded(chain: list[Box | Fan]) -> list[Box | Fan]:
    """Boxes that follow one another and are alike, as one."""
    folded: list[Box | Fan] = []
    for part in chain:
        last = folded[-1] if folded else None
        if isinstance(part, Box) and isinstance(last, Box) and part.shape == last.shape:
            _join(last, part)
        elif isinstance(part, Fan) and len(part.branches) == 1 and not part.left_out:
            folded += part.branches[0]
        else:
            folded.append(part)
    return folded


def _add(first: list[Box | Fan], second: list[Box | Fan]) -> None:
    """Count a branch into one that is alike."""
    for one, other in zip(first, second, strict=True):
        if isinstance(one, Box) and isinstance(other, Box):
            _join(one, other)
        elif isinstance(one, Fan) and isinstance(other, Fan):
            one.left_out += other.left_out
            for branch, alike in zip(one.branches, other.branches, strict=True):
                _add(branch, alike)


def _join(box: Box, other: Box) -> None:
    box.times += other.times
    box.seconds = None if box.seconds is None or other.seconds is None else box.seconds + other.seconds
    box.outcome = min(box.outcome, other.outcome, key=_WORST_FIRST.index)


def _box(entry: JournalEntry) -> Box:
    outcome = entry.outcome if entry.outcome in _WORST_FIRST else Outcome.OK
    took = None if entry.finished_at is None else max(0.0, (entry.finished_at - entry.started_at).total_seconds())
    return Box(entry.name, str(entry.kind), str(outcome), 1, took)


def _calls(part: Box | Fan) -> int:
    if isinstance(part, Box):
        return part.times
    return sum(_calls(one) for branch in part.branches for one in branch)


_Points = list[tuple[float, float]]


def _width(chain: Sequence[Box | Fan]) -> float:
    """How wide a chain is drawn."""
    widest = float(WIDE)
    for part in chain:
        if isinstance(part, Fan):
            widths = [_width(branch) for branch in part.branches] + ([float(WIDE)] if part.left_out else [])
            widest = max(widest, sum(widths) + GAP_X * (len(widths) - 1))
    return widest


def _place(chain: Sequence[Box | Fan], left: float, top: float, graph: Graph) -> tuple[float, float, _Points, _Points]:
    """Put a chain's boxes into the graph, one below another.

    Returns:
        Its width, where its last row ends, and the points at which lines enter and leave it.
    """
    width = _width(chain)
    centre = left + width / 2
    first: _Points = []
    leaving: _Points = []
    y = top
    for part in chain:
        if isinstance(part, Box):
            part.x, part.y = centre - WIDE / 2, y
            graph.boxes.append(part)
            entering, gone = [(centre, y)], [(centre, y + HIGH)]
            bottom = y + HIGH
        else:
            entering, gone, bottom = _place_fan(part, centre, y, graph)
        graph.paths += [_line(start, end) for start in leaving for end in entering]
        first, leaving = first or entering, gone
        y = bottom + GAP_Y
    return width, max(top, y - GAP_Y), first, leaving


def _place_fan(fan: Fan, centre: float, top: float, graph: Graph) -> tuple[_Points, _Points, float]:
    branches: list[list[Box | Fan]] = list(fan.branches)
    if fan.left_out:
        branches.append([Box(f"{fan.left_out} more branches", "more", "ok", fan.left_out, None)])
    x = centre - _width([Fan(branches)]) / 2
    entering: _Points = []
    leaving: _Points = []
    lowest = top + HIGH
    for branch in branches:
        width, bottom, into, out = _place(branch, x, top, graph)
        entering, leaving, lowest = entering + into, leaving + out, max(lowest, bottom)
        x += width + GAP_X
    return entering, leaving, lowest


def _line(start: tuple[float, float], end: tuple[float, float]) -> str:
    (x1, y1), (x2, y2) = start, end
    if x1 == x2:
        return f"M{x1:g} {y1:g}V{y2:g}"
    # Down, across in the gap above the next row, down.
    return f"M{x1:g} {y1:g}V{y2 - GAP_Y / 2:g}H{x2:g}V{y2:g}"
