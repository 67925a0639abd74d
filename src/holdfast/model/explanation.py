"""Why a run does not move, in words."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from holdfast.model.events import ITEM_EVENT
from holdfast.model.notes import Note
from holdfast.model.run import Status, instant


@dataclass(frozen=True, slots=True)
class Link:
    """One run waits for another.

    Attributes:
        run: who waits.
        lane: the lane that the other holds; None if it is a child.
        other: for whom.
    """

    run: str
    lane: str | None
    other: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of where a run stands. Instants are microseconds since 1970.

    Attributes:
        now: when this was so.
        status: as shown, see `Status`.
        place: executing, ready, parked, lane (in line for a slot), nowhere (held or ended).
        error: the message of a failed, cancelled or held run's error, with its type in front if it is no hold.
        asked: what was asked of it and is not carried out.
        held_since: when its own code had it held.
        worker: who executes it.
        wake_at: when a parked run wakes at the latest.
        ahead: runs before it in its lane's line, or among the ready ones of its kind.
        lane: the lane that it is in line for.
        slots: of the lane.
        held: how many of them are in use.
        holders: who holds them, as (id, since), at most ten.
        served: how many living workers serve its kind.
        executing: how many runs execute from its queue, if that is limited.
        total: how many may.
        per_worker: how many may on each worker.
        tenants: how many tenants have ready runs in its queue, up to twenty.
        keyed: it is in the share of a key, not only in its tenant's.
        of_share: how many runs of its share execute, if that is limited.
        per_key: how many may.
        waits: the events that it waits for, as (name, key, due instant or None).
        children: ids of child runs that have not ended, at most ten.
        open_children: how many there are.
        sleeps: until when its calls of ``hf.sleep`` last.
        retries: steps between two attempts, as (name, failed attempts, instant of the next one).
        cycle: how it waits for itself; empty if it does not.
        rule: by which rule of its workflow it begins later; empty for none.
        rule_key: of the rule.
        starts: how many starts it stands for so far, at least.
    """

    now: int
    id: str
    workflow: str
    version: str
    queue: str
    status: str
    place: str
    finished_at: int | None = None
    error: str = ""
    asked: Note | None = None
    held_since: int | None = None
    worker: str | None = None
    claimed_at: int | None = None
    beat_at: int | None = None
    wake_at: int | None = None
    ahead: int = 0
    lane: str | None = None
    slots: int = 0
    held: int = 0
    holders: tuple[tuple[str, int], ...] = ()
    served: int = 0
    queue_paused: bool = False
    workflow_paused: bool = False
    executing: int | None = None
    total: int | None = None
    per_worker: int | None = None
    tenants: int = 0
    keyed: bool = False
    of_share: int | None = None
    per_key: int | None = None
    waits: tuple[tuple[str, str, int | None], ...] = ()
    children: tuple[str, ...] = ()
    open_children: int = 0
    sleeps: tuple[int, ...] = ()
    retries: tuple[tuple[str, int, int], ...] = ()
    cycle: tuple[Link, ...] = ()
    rule: str = ""
    rule_key: str = ""
    starts: int = 1


def explain(facts: Facts) -> str:
    """Why the run is where it is, one reason to a line, the nearest first."""
    if facts.status in (Status.SUCCEEDED, Status.FAILED, Status.CANCELLED):
        return _ended(facts)
    if facts.status == Status.HELD:
        return _held(facts)
    lines = [*_asked(facts), *_REASONS[facts.place](facts)]
    if facts.cycle:
        lines.append(_cycle(facts.cycle))
    return "\n".join(lines)


def lane_name(name: str, key: str) -> str:
    """A lane as people read it: ``order=o-1``, or its name alone where it has no key."""
    return f"{name}={key}" if key else name


def moment(at: int) -> str:
    """An instant as people read it: 2026-12-01 10:00 UTC, with seconds where there are any."""
    when = instant(at)
    return f"{when:%Y-%m-%d %H:%M:%S} UTC" if when.second else f"{when:%Y-%m-%d %H:%M} UTC"


def length(microseconds: int) -> str:
    """A length of time as people read it, in its largest fitting unit, rounded."""
    seconds = microseconds / 1_000_000
    if seconds < 0.5:
        return "less than 1 s"
    for unit, size, up_to in (("s", 1, 59.5), ("min", 60, 59.5 * 60), ("h", 3600, 47.5 * 3600)):
        if seconds < up_to:
            return f"{round(seconds / size)} {unit}"
    return f"{round(seconds / 86_400)} days"


def ordinal(number: int) -> str:
    """A place in line, from 1: first, second, …, 11th."""
    words = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
    if number <= len(words):
        return words[number - 1]
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _ended(facts: Facts) -> str:
    at = "" if facts.finished_at is None else f" at {moment(facts.finished_at)}"
    if facts.status == Status.SUCCEEDED:
        return f"succeeded{at}"
    said = f": {facts.error}" if facts.error else ""
    return f"{facts.status}{at}{said}; let it go on with `{_command('retry', facts)}`"


def _held(facts: Facts) -> str:
    said = facts.error or "held"
    since = "" if facts.held_since is None else f" since {moment(facts.held_since)}"
    who, colon, reason = said.partition(": ")
    said = f"{who}{since}{colon}{reason}" if who.startswith("held") else f"held{since}: {said}"
    return f"{said}; release it with `{_command('release', facts)}`"


def _command(verb: str, facts: Facts) -> str:
    return f"holdfast runs {verb} {shlex.quote(facts.id)}"


def _asked(facts: Facts) -> Iterator[str]:
    if facts.asked is None:
        return
    to_be = {"hold": "is to be held", "timeout": "has used up its time and is to end"}
    by = f" by {facts.asked.by}" if facts.asked.by else ""
    reason = f" ({facts.asked.reason})" if facts.asked.reason else ""
    told = "its worker has been told" if facts.place == "executing" else "the worker that takes it lets it clean up"
    yield f"{to_be.get(facts.asked.action, 'is to be cancelled')}{by}{reason}: {told}"


def _executing(facts: Facts) -> Iterator[str]:
    worker = f" on worker {facts.worker}" if facts.worker else ""
    since = f" since {moment(facts.claimed_at)}" if facts.claimed_at is not None else ""
    beat = f", last beat {length(facts.now - facts.beat_at)} ago" if facts.beat_at is not None else ""
    yield f"executes{worker}{since}{beat}"
    yield from _retrying(facts)
    yield from _waits(facts)


def _retrying(facts: Facts) -> Iterator[str]:
    for step, failed, next_at in facts.retries:
        times = "once" if failed == 1 else f"{failed} times"
        then = f"next attempt in {length(next_at - facts.now)}" if next_at > facts.now else "the next attempt is due"
        yield f"step {step} failed {times}, {then}"


def _waits(facts: Facts) -> Iterator[str]:
    for name, key, due in facts.waits:
        if name == ITEM_EVENT:
            yield f"waits for somebody to complete work item {key}"
            continue
        about = f" (key {key})" if key else ""
        until = "" if due is None else f" until {moment(due)}"
        yield f"waits for event {name}{about}{until}"
    if facts.open_children:
        runs = "1 child run" if facts.open_children == 1 else f"{facts.open_children} child runs"
        more = ", …" if facts.open_children > len(facts.children) else ""
        yield f"waits for {runs}: {', '.join(facts.children)}{more}"


def _parked(facts: Facts) -> Iterator[str]:
    if facts.status == Status.QUEUED:
        when = f"at {moment(facts.wake_at)}" if facts.wake_at is not None else "later"
        yield _RULED[facts.rule](facts, when) if facts.rule in _RULED else f"is to start {when}"
        return
    lines = [*_waits(facts), *_retrying(facts)]
    if facts.wake_at is not None and facts.wake_at in facts.sleeps:
        lines.append(f"sleeps until {moment(facts.wake_at)}")
    if not lines and facts.wake_at is not None:
        lines = [f"goes on at {moment(facts.wake_at)}"]
    yield from lines or ["goes on when what it waits for is there"]


def _limited(facts: Facts, when: str) -> str:
    return f"waits for its rate limit{_of_key(facts)}: it is to start {when}"


def _debounced(facts: Facts, when: str) -> str:
    return f"is debounced{_of_key(facts)}: {_so_far(facts)}; it starts {when} if no other comes before"


def _collecting(facts: Facts, when: str) -> str:
    return f"collects a batch{_of_key(facts)}: {_so_far(facts)}; it starts {when}, or as soon as the batch is full"


def _of_key(facts: Facts) -> str:
    return f" (key {facts.rule_key})" if facts.rule_key else ""


def _so_far(facts: Facts) -> str:
    return "1 start so far" if facts.starts == 1 else f"{facts.starts:,} starts so far"


_RULED = {"rate_limit": _limited, "debounce": _debounced, "batch": _collecting}


def no_run(id: str, diversion: str, way: str, reason: str, run_id: str, at: int) -> str:
    """Why a start made no run of its id, one reason to a line.

    Args:
        id: that the start asked for.
        diversion: the id under which it is recorded.
        way: merged or dropped; delayed, where the run is deleted meanwhile.
        reason: in words.
        run_id: the run that it went into, or because of which it was dropped; empty for none.
        at: when it was started.
    """
    said = f": {reason}" if reason else ""
    lines = [f"there is no run {id}: the start at {moment(at)} was {way}{said}"]
    if way == "dropped":
        lines.append(f"start it after all with `holdfast diversions start {diversion}`")
    elif run_id and run_id != id:
        lines.append(f"it went into run {run_id}: see `holdfast runs explain {shlex.quote(run_id)}`")
    return "\n".join(lines)


def _in_line(facts: Facts) -> Iterator[str]:
    slots = "1 slot" if facts.slots == 1 else f"{facts.slots} slots"
    holders = ", ".join(f"{run} for {length(facts.now - since)}" for run, since in facts.holders)
    more = ", …" if facts.held > len(facts.holders) else ""
    runs = "run" if len(facts.holders) == 1 and not more else "runs"
    held = f", held by {runs} {holders}{more}" if facts.holders else ""
    yield f"{ordinal(facts.ahead + 1)} in lane {facts.lane} ({slots}){held}"


def _ready(facts: Facts) -> Iterator[str]:
    lines = []
    if facts.queue_paused:
        lines.append(f"queue {facts.queue} is paused")
    if facts.workflow_paused:
        lines.append(f"workflow {facts.workflow} is paused")
    if facts.served == 0:
        kind = f"workflow {facts.workflow} version {facts.version} in queue {facts.queue}"
        lines.append(f"no living worker serves {kind}")
    if facts.total is not None and facts.executing is not None and facts.executing >= facts.total:
        lines.append(f"queue {facts.queue} executes {facts.executing} of {facts.total}")
    if facts.per_key is not None and facts.of_share is not None and facts.of_share >= facts.per_key:
        lines.append(f"queue {facts.queue} executes {facts.of_share} of {facts.per_key} runs of its share")
    if not lines:
        shared = facts.keyed or facts.tenants > 1
        whose = "key" if facts.keyed else "own tenant" if shared else "kind"
        before = f", {facts.ahead} of its {whose} before it" if facts.ahead else ""
        many = "20 tenants or more" if facts.tenants >= 20 else f"{facts.tenants} tenants"
        others = f"; {many} share queue {facts.queue}" if facts.tenants > 1 else ""
        each = f"; queue {facts.queue} executes at most {facts.per_worker} on each worker" if facts.per_worker else ""
        lines.append(f"is ready for the next worker with a free slot{before}{others}{each}")
    yield from lines


def _nowhere(facts: Facts) -> Iterator[str]:
    yield f"is {facts.status}, and moved while this was looked up: ask again"


_REASONS = {"executing": _executing, "ready": _ready, "parked": _parked, "lane": _in_line, "nowhere": _nowhere}


def _cycle(cycle: tuple[Link, ...]) -> str:
    links = [
        f"{link.run} waits for its child {link.other}"
        if link.lane is None
        else f"{link.run} waits for lane {link.lane} held by {link.other}"
        for link in cycle
    ]
    return f"a cycle: {', '.join(links)}; cancel one of them"
