"""What becomes of starts that a rule of their workflow is asked about: rate limits, debounces, batches, singletons.

It is decided here for every store, from the rows of the rules as they stand under lock; what is decided is a `Plan`,
which the store writes. Starts of one key are taken in the order in which they are given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from holdfast.model.run import instant
from holdfast.store.operations import Gather, Rate, Rule, Start, Started, Way
from holdfast.store.start_keeping import Cancelling, Closing, GatherState, Item, Made, Plan, of_key
from holdfast.store.start_limits import RateState


def plan_starts(
    starts: Sequence[Start], limits: Mapping[bytes, RateState], gathers: Mapping[bytes, GatherState], now: int
) -> Plan:
    """What becomes of starts whose ids and uids are new.

    Args:
        starts: in order.
        limits: those of the starts, and those of the runs that their gathers collect for; they are changed.
        gathers: those of the starts; they are changed.
        now: the database's clock.
    """
    planner = _Planner(limits, gathers, now)
    last: dict[bytes, Start] = {s.gather.id: s for s in starts if s.gather is not None and s.gather.mode == "cancel"}
    for start in starts:
        gather = start.gather
        if gather is not None and gather.mode == "cancel" and last[gather.id] is not start:
            result = planner.superseded(start, gather, last[gather.id])
        else:
            result = planner.start(start)
        planner.plan.results.append(result)
    return planner.plan


class _Planner:
    """Takes starts one by one."""

    def __init__(self, limits: Mapping[bytes, RateState], gathers: Mapping[bytes, GatherState], now: int) -> None:
        self._limits = limits
        self._gathers = gathers
        self._now = now
        self.plan = Plan()

    def start(self, start: Start) -> Started:
        """What becomes of one."""
        gather = start.gather
        if gather is None:
            return self._make(start, None)
        state = self._gathers[gather.id]
        if gather.rule == "singleton":
            return self._only(start, gather, state)
        if gather.rule == "batch":
            return self._collect(start, gather, state)
        if gather.mode == "leading":
            return self._lead(start, gather, state)
        return self._trail(start, gather, state)

    def superseded(self, start: Start, gather: Gather, by: Start) -> Started:
        """One that was to be cancelled in the moment in which it came."""
        reason = f"another start{of_key(gather.key)} came in the same moment, after it: run {by.id!r}"
        return self._divert(start, "dropped", "singleton", gather.key, by.uid, by.id, reason, start.input)

    def _only(self, start: Start, gather: Gather, state: GatherState) -> Started:
        stood, id = state.run if state.open else None, state.run_id
        if stood is not None and gather.mode == "skip":
            reason = f"run {id!r}{of_key(gather.key)} is open"
            return self._divert(start, "dropped", "singleton", gather.key, stood, id, reason, start.input)
        result = self._make(start, state)
        if stood is not None and result.created:
            self.plan.cancels.append(Cancelling(stood, id, start))
        return result

    def _lead(self, start: Start, gather: Gather, state: GatherState) -> Started:
        if state.run is None or self._now >= state.due_at:
            result = self._make(start, state)
            if result.created:
                state.due_at = self._now + min(gather.wait_us, gather.longest_us)
            return result
        state.due_at = min(self._now + gather.wait_us, state.first_at + gather.longest_us)
        state.changed = True
        quiet = _span(gather.wait_us)
        reason = f"run {state.run_id!r} stands for all{of_key(gather.key)} until there were none for {quiet}"
        return self._merge(start, gather, state, reason, start.input, None)

    def _trail(self, start: Start, gather: Gather, state: GatherState) -> Started:
        run = state.run
        if run is None or state.collects != start.version:
            due = self._now + min(gather.wait_us, gather.longest_us)
            reason = f"it starts when there were no others{of_key(gather.key)} for {_span(gather.wait_us)}"
            return self._make(start, state, due, reason)
        due = min(self._now + gather.wait_us, state.first_at + gather.longest_us)
        state.due_at, state.changed = due, True
        made = self.plan.made.get(run)
        if made is None:
            self.plan.replaced[run] = start.input, due
        else:
            made.newest, made.due_at = start.input, due
        reason = f"its input took the place of that of run {state.run_id!r}, which had not begun"
        return self._merge(start, gather, state, reason, start.input, due)

    def _collect(self, start: Start, gather: Gather, state: GatherState) -> Started:
        run = state.run
        if run is not None and state.collects is not None and (
            state.collects != start.version or state.items + gather.items > gather.most
        ):  # fmt: skip
            self._close(state)
        if run is None or state.collects is None:
            if gather.items >= gather.most:
                return self._make(start, state, items=gather.items)
            reason = f"it collects up to {gather.most:,} items{of_key(gather.key)} for {_span(gather.wait_us)}"
            return self._make(start, state, self._now + gather.wait_us, reason, items=gather.items)
        made = self.plan.made.get(run)
        if made is None:
            self.plan.items.setdefault(run, []).append(Item(run, state.items, start.input))
        elif made.more is None:
            made.more = [start.input]
        else:
            made.more.append(start.input)
        due: int | None = state.due_at
        state.items += gather.items
        state.changed = True
        if state.items >= gather.most:
            due = self._close(state)
        return self._merge(start, gather, state, f"its items went into run {state.run_id!r}", None, due)

    def _close(self, state: GatherState) -> int | None:
        """Let a run that collected be let through; its instant, if it waits for its limit."""
        assert state.run is not None
        at = None
        if state.rate is not None:
            at = self._limits[state.rate].book(self._now)
            at = at if at > self._now else None
        made = self.plan.made.get(state.run)
        if made is None:
            more = self.plan.items.pop(state.run, [])
            self.plan.closings[state.run] = Closing(at, tuple(item.input for item in more))
        else:
            made.due_at, made.gather = at, None
            made.rate = None if at is None else made.rate
        state.collects, state.rate = None, None
        return at

    def _make(
        self, start: Start, state: GatherState | None, due: int | None = None, reason: str = "", items: int = 0
    ) -> Started:
        """Make a run of a start: at once, when the rule says, or when its limit admits it."""
        way: Way = "started" if due is None else "delayed"
        gather, limit = start.gather, start.rate
        rule: Rule = "rate_limit" if gather is None else gather.rule
        key = "" if gather is None else gather.key
        at = start.due_at if due is None else max(due, start.due_at or 0)
        rate = None if limit is None or at is None else limit.id
        if limit is not None:
            known = self._limits[limit.id]
            if (known.most, known.period) != (limit.most, limit.period_us):
                known.most, known.period, known.changed = limit.most, limit.period_us, True
            if at is not None:  # and the limit's row is there then
                known.over_at, known.changed = max(known.over_at, at + limit.period_us), True
            elif limit.drop:
                if not known.take(self._now):
                    return self._divert(start, "dropped", "rate_limit", limit.key, None, "", _said(limit), start.input)
            else:
                when = known.book(self._now)
                if when > self._now:
                    at, rate, way, rule, key = when, limit.id, "delayed", "rate_limit", limit.key
                    reason = f"{_said(limit)}: it starts at {instant(when).isoformat()}"
        collects = due is not None
        self.plan.made[start.uid] = Made(start, at, rate, gather.id if gather is not None and collects else None)
        if state is not None:
            state.run, state.run_id, state.first_at, state.items = start.uid, start.id, self._now, items
            state.due_at = self._now if due is None else due
            state.collects, state.rate = (start.version, rate) if collects else (None, None)
            state.open = state.changed = True
        if way == "started":
            return Started(True, start.uid, start.workflow, start.input)
        kept = start.input if rule == "debounce" else None
        self._note(start, way, rule, key, start.uid, start.id, reason, kept, at)
        return Started(True, start.uid, start.workflow, start.input, way, reason, "", at)

    def _merge(
        self, start: Start, gather: Gather, state: GatherState, reason: str, kept: bytes | None, due: int | None
    ) -> Started:
        assert state.run is not None
        return self._divert(start, "merged", gather.rule, gather.key, state.run, state.run_id, reason, kept, due)

    def _divert(
        self,
        start: Start,
        way: Way,
        rule: Rule,
        key: str,
        run: bytes | None,
        run_id: str,
        reason: str,
        kept: bytes | None,
        due: int | None = None,
    ) -> Started:
        self._note(start, way, rule, key, run, run_id, reason, kept, due)
        return Started(False, run or b"", start.workflow, start.input, way, reason, run_id, due)

    def _note(
        self,
        start: Start,
        way: Way,
        rule: Rule,
        key: str,
        run: bytes | None,
        run_id: str,
        reason: str,
        kept: bytes | None,
        due: int | None,
    ) -> None:
        self.plan.diversions.append((
            start.uid, start.tenant, start.id, start.workflow, start.version, way, rule, key, run_id, reason, kept,
            start.created_at, due, run, start.options if way == "dropped" else None,
        ))  # fmt: skip


def _span(microseconds: int) -> str:
    return f"{microseconds / 1e6:g} s"


def _said(limit: Rate) -> str:
    return f"at most {limit.most:,} runs{of_key(limit.key)} start in {_span(limit.period_us)}"
