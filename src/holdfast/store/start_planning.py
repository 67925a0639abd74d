"""What becomes of starts that a rule of their workflow is asked about: rate limits, debounces, batches, singletons.

It is decided here for every store, from the rows of the rules as they stand under lock; what is decided is a `Plan`,
which the store writes. Starts of one key are taken in the order in which they are given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from holdfast.model.diverting import NO_ROOM, reason_of
from holdfast.model.payload import MAX_PAYLOAD_BYTES
from holdfast.store.diversion_rows import short_id
from holdfast.store.operations import Gather, Rate, Start, Started, Way
from holdfast.store.start_keeping import Cancelling, Closing, GatherState, Made, Plan
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
            return self._make(start, None, None)
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
        return self._note(start, "dropped", gather, "cancel", by.uid, by.id)

    def _only(self, start: Start, gather: Gather, state: GatherState) -> Started:
        stood, id = state.run if state.open else None, state.run_id
        if stood is not None and gather.mode == "skip":
            return self._note(start, "dropped", gather, "skip", stood, id)
        result = self._make(start, gather, state)
        if stood is not None and result.created:
            self.plan.cancels.append(Cancelling(stood, id, start))
        return result

    def _lead(self, start: Start, gather: Gather, state: GatherState) -> Started:
        if state.run is None or self._now >= state.due_at:
            result = self._make(start, gather, state)
            if result.created:
                state.due_at = self._now + min(gather.wait_us, gather.longest_us)
            return result
        state.due_at = min(self._now + gather.wait_us, state.first_at + gather.longest_us)
        state.changed = True
        return self._note(start, "merged", gather, "leading", state.run, state.run_id)

    def _trail(self, start: Start, gather: Gather, state: GatherState) -> Started:
        run = state.run
        if run is None or state.collects != start.version:
            if run is not None and state.collects is not None:
                self._close(state, state.due_at)
            return self._make(start, gather, state, self._now + min(gather.wait_us, gather.longest_us))
        # Never earlier: where it is parked says only when it is looked at.
        due = max(state.due_at, min(self._now + gather.wait_us, state.first_at + gather.longest_us))
        state.due_at, state.changed = due, True
        if state.rate is not None:
            self._keep(self._limits[state.rate], due)
        made = self.plan.made.get(run)
        if made is None:
            state.newest = start.uid
        else:
            made.newest, made.due_at = start.input, due
        return self._note(start, "merged", gather, "trailing", run, state.run_id, due)

    def _collect(self, start: Start, gather: Gather, state: GatherState) -> Started:
        run, items, size_bytes = state.run, state.items, len(start.input)
        mode = ""
        if run is not None and state.collects is not None:
            if state.collects != start.version or items + gather.items > gather.most:
                self._close_batch(state)
            elif state.size_bytes + size_bytes > MAX_PAYLOAD_BYTES:
                self._close_batch(state)
                mode = NO_ROOM
        if run is None or state.collects is None:
            due = None if gather.items >= gather.most else self._now + gather.wait_us
            result = self._make(start, gather, state, due, mode)
            if result.created:
                state.items, state.size_bytes = gather.items, size_bytes
            return result
        made = self.plan.made.get(run)
        if made is not None:
            made.more.append(start.input)
        due = state.due_at
        state.items = items + gather.items
        state.size_bytes += size_bytes
        state.changed = True
        if state.items >= gather.most:
            due = self._close_batch(state)
        return self._note(start, "merged", gather, "", run, state.run_id, due, items)

    def _close_batch(self, state: GatherState) -> int | None:
        """Let a run that collected be let through; its instant, if it waits for its limit."""
        at = None
        if state.rate is not None:
            at = self._limits[state.rate].book(self._now)
            at = at if at > self._now else None
        self._close(state, at)
        return at

    def _close(self, state: GatherState, at: int | None) -> None:
        """Let a run take nothing more in."""
        assert state.run is not None
        made = self.plan.made.get(state.run)
        if made is None:
            self.plan.closings[state.run] = Closing(at, state.newest)
        else:
            made.due_at, made.gather = at, None
            made.rate = None if at is None else made.rate
        state.collects = state.rate = state.newest = None

    def _keep(self, limit: RateState, at: int) -> None:
        """Have the row of a limit there when a run is due that it will be asked about."""
        limit.over_at, limit.changed = max(limit.over_at, at + limit.period), True

    def _make(
        self, start: Start, gather: Gather | None, state: GatherState | None, due: int | None = None, mode: str = ""
    ) -> Started:
        """Make a run of a start: at once, when the rule says, or when its limit admits it."""
        limit, now, uid = start.rate, self._now, start.uid
        rule: Gather | Rate | None = None if due is None else gather
        at = start.due_at if due is None else max(due, start.due_at or 0)
        rate = None if limit is None or at is None else limit.id
        if limit is not None:
            known = self._limits[limit.id]
            if known.most != limit.most or known.period != limit.period_us:
                known.most, known.period, known.changed = limit.most, limit.period_us, True
            if at is not None:  # and the limit's row is there then
                self._keep(known, at)
            elif limit.drop:
                if not known.take(now):
                    return self._note(start, "dropped", limit, "", None, "")
            else:
                when = known.book(now)
                if when > now:
                    at, rate, rule = when, limit.id, limit
        collects = due is not None
        if at is not None:
            self.plan.made[uid] = Made(start, at, rate, gather.id if gather is not None and collects else None)
        if state is not None:
            state.run, state.run_id, state.first_at, state.newest = uid, start.id, now, None
            state.due_at = now if due is None else due
            state.collects, state.rate = (start.version, rate) if collects else (None, None)
            state.open = state.changed = True
        if rule is None:
            return Started(True, uid, start.workflow, start.input)
        mode = mode or rule.mode if isinstance(rule, Gather) else ""
        return self._note(start, "delayed", rule, mode, uid, start.id, at)

    def _note(
        self,
        start: Start,
        way: Way,
        rule: Gather | Rate,
        mode: str,
        run: bytes | None,
        run_id: str,
        due: int | None = None,
        number: int | None = None,
    ) -> Started:
        """Keep what became of a start that made no run of its own at once."""
        uid, tenant, id, workflow, version, given = *start[:5], start.input
        most: int | None
        span: int | None
        if isinstance(rule, Rate):
            kind, most, span = "rate_limit", rule.most, rule.period_us
        else:
            kind, most, span = rule.rule, rule.most or None, rule.wait_us or None
        reason = reason_of(way, kind, mode, rule.key, run_id, most, span, due)
        if way == "delayed":
            self.plan.diversions.append((
                tenant, uid, short_id(uid, id), workflow, version, way, kind, mode, rule.key, None, None, most, span,
                None, due, given if kind == "debounce" else None, None,
            ))  # fmt: skip
            return Started(True, uid, workflow, given, way, reason, "", due)
        self.plan.diversions.append((
            tenant, uid, short_id(uid, id), workflow, version, way, kind, mode, rule.key, run,
            None if run is None else short_id(run, run_id), most, span, number, due, given,
            start.options if way == "dropped" else None,
        ))  # fmt: skip
        return Started(False, run or b"", workflow, given, way, reason, run_id, due)
