"""Measures what alerts are about: what a look reads is read once for all rules, and none of it goes through history.

What ended is known as workers count it, by the minute, and store it every ten seconds (see `holdfast.engine.tallying`):
so rates and percentiles are of whole minutes.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Any, NamedTuple, TypeVar

import msgspec

from holdfast.errors import RunHeld
from holdfast.model.failure import failure_view
from holdfast.model.ids import MAX_ID_CHARACTERS
from holdfast.model.phase_terms import NANODOLLARS
from holdfast.model.run import Status
from holdfast.model.tally import MINUTE, added, percentile
from holdfast.services.alerting.measures import (
    COUNT_AT_MOST,
    HELD_AT_MOST,
    LOST_AT_MOST,
    TENANTS_AT_MOST,
    UNDELIVERED_AT_MOST,
    Filter,
)
from holdfast.services.alerting.rules import AlertRule
from holdfast.store.agent_rows import DAY_US, SpentQuery
from holdfast.store.base import Store
from holdfast.store.intake_rows import EntryFilter
from holdfast.store.outbox_rows import MessageFilter

T = TypeVar("T")

QUEUE_COUNTED = 1_000
"""`Store.list_queues` counts so far."""

SCHEDULES_AT_MOST = 1_000

_HELD_BY_PEOPLE = f"{RunHeld.__module__}.{RunHeld.__qualname__}"


class Sample(NamedTuple):
    """What was measured of something. ``named``: what a rule's patterns are held against, beside the tenant."""

    tenant: str
    about: str
    value: float
    named: dict[Filter, str]


class Look:
    """One look at the database; each measure is the method of its name.

    Args:
        store: the database.
        tenant: whose what no tenant owns is.
        now_us: the database's clock.
    """

    def __init__(self, store: Store, tenant: str, now_us: int) -> None:
        self._store = store
        self._tenant = tenant
        self._now = now_us
        self._read: dict[str, Any] = {}

    async def samples(self, rule: AlertRule) -> list[Sample]:
        """What a rule measures, of what its patterns fit; each of what it is about once."""
        measure: Callable[[AlertRule], Awaitable[list[Sample]]] = getattr(self, rule.measure)
        return [one for one in await measure(rule) if _fits(rule, one)]

    async def _once(self, key: str, read: Callable[[], Awaitable[T]]) -> T:
        if key not in self._read:
            self._read[key] = await read()
        found: T = self._read[key]
        return found

    async def _each(self, key: str, read: Callable[[str], Awaitable[Sequence[T]]]) -> list[tuple[str, T]]:
        """What is read of each tenant."""

        async def all_of_them() -> list[tuple[str, T]]:
            tenants = await self._once("tenants", lambda: self._store.alerts.tenants(TENANTS_AT_MOST))
            return [(tenant, one) for tenant in tenants for one in await read(tenant)]

        return await self._once(key, all_of_them)

    async def queue_depth(self, rule: AlertRule) -> list[Sample]:
        queues = await self._once("queues", self._store.list_queues)
        depths = {row.name: ready for row, ready, _, _ in queues}
        deep = [name for name, ready in depths.items() if ready >= QUEUE_COUNTED]
        if deep and rule.above >= QUEUE_COUNTED:
            counted = await self._store.alerts.depths(deep, int(rule.above) + 1)
            depths.update(zip(deep, counted, strict=True))
        return [self._whole(name, ready, {"queues": name}) for name, ready in depths.items()]

    async def oldest_age(self, _: AlertRule) -> list[Sample]:
        queues = await self._once("queues", self._store.list_queues)
        return [
            self._whole(row.name, (self._now - due_at) / 1e6, {"queues": row.name})
            for row, _, _, due_at in queues
            if due_at is not None
        ]

    async def queue_wait_p95(self, rule: AlertRule) -> list[Sample]:
        return await self._percentile(rule, "waits")

    async def run_duration_p95(self, rule: AlertRule) -> list[Sample]:
        return await self._percentile(rule, "tooks")

    async def _percentile(self, rule: AlertRule, which: str) -> list[Sample]:
        histograms: dict[tuple[str, str], list[int]] = {}
        for row in await self._ended(rule):
            key, counts = (row.tenant, row.workflow), msgspec.json.decode(getattr(row, which), type=list[int])
            histograms[key] = added(histograms.get(key, []), counts)
        return [
            Sample(tenant, workflow, found / 1e6, {"workflows": workflow})
            for (tenant, workflow), histogram in histograms.items()
            if sum(histogram) >= rule.least and (found := percentile(histogram, 0.95)) is not None
        ]

    async def failure_rate(self, rule: AlertRule) -> list[Sample]:
        ended: Counter[tuple[str, str]] = Counter()
        failed: Counter[tuple[str, str]] = Counter()
        for row in await self._ended(rule):
            ended[row.tenant, row.workflow] += row.runs
            failed[row.tenant, row.workflow] += row.runs if row.status == Status.FAILED else 0
        return [
            Sample(tenant, workflow, failed[tenant, workflow] / runs, {"workflows": workflow})
            for (tenant, workflow), runs in ended.items()
            if runs >= rule.least
        ]

    async def _ended(self, rule: AlertRule) -> Iterable[Any]:
        # The minute that the window begins in is included.
        since = int(self._now / 1e6 - rule.window_seconds) // MINUTE * MINUTE
        return await self._once(f"ended {since}", lambda: self._store.alerts.ended(since))

    async def dead_letters(self, _: AlertRule) -> list[Sample]:
        rows = await self._each(
            "failed", lambda tenant: self._store.alerts.troubled(tenant, Status.FAILED, COUNT_AT_MOST)
        )
        return _counted(rows)

    async def stuck(self, _: AlertRule) -> list[Sample]:
        rows = await self._each("held", lambda tenant: self._store.alerts.troubled(tenant, Status.HELD, HELD_AT_MOST))
        return _counted(
            (tenant, (workflow, output))
            for tenant, (workflow, output) in rows
            if output is not None and failure_view(output)["type"] != _HELD_BY_PEOPLE
        )

    async def stranded(self, _: AlertRule) -> list[Sample]:
        kinds = await self._once("stranded", lambda: self._store.stranded(COUNT_AT_MOST))
        return [
            self._whole(
                _short(f"{kind.workflow} {kind.version} in {kind.queue}"), kind.runs,
                {"workflows": kind.workflow, "queues": kind.queue},
            )
            for kind in kinds
        ]  # fmt: skip

    async def lost_workers(self, rule: AlertRule) -> list[Sample]:
        since = self._now - int(rule.window_seconds * 1e6)
        lost = await self._store.alerts.lost_workers(since, LOST_AT_MOST)
        return [self._whole("", len(lost), {})]

    async def unsent(self, _: AlertRule) -> list[Sample]:
        channels = await self._once("backlog", lambda: self._store.outbox.backlog(cap=COUNT_AT_MOST + 1))
        return [self._whole(one.channel, one.pending, {"channels_of": one.channel}) for one in channels]

    async def unsent_age(self, _: AlertRule) -> list[Sample]:
        channels = await self._once("backlog", lambda: self._store.outbox.backlog(cap=COUNT_AT_MOST + 1))
        return [
            self._whole(one.channel, (self._now - one.oldest_at) / 1e6, {"channels_of": one.channel})
            for one in channels
            if one.oldest_at is not None
        ]

    async def undelivered(self, _: AlertRule) -> list[Sample]:
        dead = MessageFilter(statuses=("dead",))
        rows = await self._each(
            "dead", lambda tenant: self._store.outbox.messages(tenant, dead, limit=UNDELIVERED_AT_MOST)
        )
        counts = Counter((tenant, row.channel) for tenant, row in rows)
        return [Sample(tenant, channel, count, {"channels_of": channel}) for (tenant, channel), count in counts.items()]

    async def schedule_missed(self, _: AlertRule) -> list[Sample]:
        rows = await self._once("schedules", lambda: self._store.due_schedules(SCHEDULES_AT_MOST))
        return [
            Sample(row.tenant, row.name, (self._now - row.next_at) / 1e6, {"workflows": row.workflow})
            for row in rows
            if row.next_at is not None
        ]

    async def budget(self, rule: AlertRule) -> list[Sample]:
        day = None if rule.all_time else self._now // DAY_US
        tenants = await self._once("tenants", lambda: self._store.alerts.tenants(TENANTS_AT_MOST))
        spent = await self._store.agents.spent([SpentQuery(tenant, day=day) for tenant in tenants])
        return [Sample(tenant, "", one.cost / NANODOLLARS, {}) for tenant, one in zip(tenants, spent, strict=True)]

    async def intake_failing(self, _: AlertRule) -> list[Sample]:
        sources = await self._each("sources", self._store.intake.sources)
        return [
            Sample(tenant, one.name, 1 if one.state == "failing" else 0, _of_source(one.name, one.workflow))
            for tenant, one in sources
        ]

    async def intake_dead(self, _: AlertRule) -> list[Sample]:
        sources = await self._each("sources", self._store.intake.sources)
        found = []
        for tenant, one in sources:
            which = EntryFilter(source=one.name, outcome="dead")
            dead = await self._store.intake.count_entries(tenant, which, cap=COUNT_AT_MOST) if one.dead else 0
            found.append(Sample(tenant, one.name, dead, _of_source(one.name, one.workflow)))
        return found

    def _whole(self, about: str, value: float, named: dict[Filter, str]) -> Sample:
        """What no tenant owns."""
        return Sample(self._tenant, about, value, named)


def _fits(rule: AlertRule, sample: Sample) -> bool:
    named = {**sample.named, "tenants": sample.tenant}
    return all(any(fnmatchcase(named[key], pattern) for pattern in patterns) for key, patterns in rule.patterns.items())


def _short(about: str) -> str:
    """A name that is put together, no longer than it can be kept."""
    if len(about) <= MAX_ID_CHARACTERS:
        return about
    return f"{about[: MAX_ID_CHARACTERS - 40]}… {hashlib.sha256(about.encode()).hexdigest()[:32]}"


def _counted(rows: Iterable[tuple[str, tuple[str, bytes | None]]]) -> list[Sample]:
    counts = Counter((tenant, workflow) for tenant, (workflow, _) in rows)
    return [Sample(tenant, workflow, count, {"workflows": workflow}) for (tenant, workflow), count in counts.items()]


def _of_source(name: str, workflow: str) -> dict[Filter, str]:
    return {"sources": name, "workflows": workflow}
