"""Looks whether something is wrong, and has people told: one worker at a time, of those that were given the rules.

What is decided at a look is written as one change, with the messages that tell of it, and only while the worker leads:
so what fires, and that it is over, is told once, wherever a worker is killed.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import Counter, defaultdict
from collections.abc import Iterable

from holdfast.engine.core import Core
from holdfast.errors import StoreError
from holdfast.model.alerting import Standing, decide
from holdfast.services.alerting.counts import Firing, note
from holdfast.services.alerting.measuring import Look, Sample
from holdfast.services.alerting.rules import AlertRule, AlertRules
from holdfast.services.alerting.telling import messages_of, title_of
from holdfast.services.outbox.settling import HINT
from holdfast.store.alerts import AlertRow
from holdfast.store.operations import NewMessage

log = logging.getLogger("holdfast.alerts")

DUTY = "alerts"

LEASE_SECONDS = 15.0
"""A worker that leads and is lost is followed by another after so long, or after three looks."""

LEAVE_SECONDS = 2.0

KEEP_US = 90 * 86_400 * 1_000_000
"""For so long an alert that is over is kept."""

PRUNE_EVERY_US = 600 * 1_000_000
PRUNE_AT_ONCE = 1_000

Group = tuple[str, str]
"""A rule's name and a tenant: what is told together."""


class Watch:
    """Sees to the alerts of a database.

    Args:
        core: the database.
        rules: what is looked at.
    """

    def __init__(self, core: Core, rules: AlertRules) -> None:
        self._core = core
        self._rules = rules
        self._holder = secrets.token_bytes(16)
        self._took = 0.0
        """So many seconds the last look took."""
        self._over: dict[tuple[Group, str], int] = {}
        """Of what fires, since when it is not so any more, as it was recorded. Whoever leads next counts anew."""
        self._faults: dict[str, str] = {}
        self._pruned_at = 0

    async def forever(self) -> None:
        """Look until cancelled."""
        try:
            while True:
                began = asyncio.get_running_loop().time()
                try:
                    await self.tick()
                except StoreError as error:
                    log.warning("whether something is wrong cannot be seen just now: %s", error)
                self._took = asyncio.get_running_loop().time() - began
                # Looking must stay a small part of the time, however much there is to look at.
                await asyncio.sleep(max(self._rules.every_seconds - self._took, 2 * self._took))
        finally:
            await self._leave()

    async def tick(self) -> bool:
        """Look once, if this worker leads. Whether it does."""
        alerts = self._core.store.alerts
        # It lasts over some looks, also of those that take long.
        lease = max(LEASE_SECONDS, 3 * self._rules.every_seconds, 6 * self._took)
        term = await alerts.lead(DUTY, self._holder, int(lease * 1e6))
        if term is None:
            return self._led_by_another()
        now = await self._core.store.now()
        look = Look(self._core.store, self._rules.tenant, now)
        measured = [(rule, await self._samples(look, rule)) for rule in self._rules.rules]
        open_ = await alerts.open_alerts()
        over = dict(self._over)
        rows, messages = self._decide(open_, measured, over, now)
        if rows or messages:
            if not await alerts.put_alerts(DUTY, term, rows, messages):
                return self._led_by_another()
            if messages:
                self._core.announce(HINT)
        self._over = over
        note(self, now / 1e6, self._firing(open_, rows))
        if now - self._pruned_at >= PRUNE_EVERY_US:
            self._pruned_at = now
            await alerts.prune_alerts(now - KEEP_US, PRUNE_AT_ONCE)
        return True

    def _led_by_another(self) -> bool:
        self._over.clear()
        note(self, None, {})
        return False

    async def _samples(self, look: Look, rule: AlertRule) -> list[Sample] | None:
        """What a rule measures; None where it cannot be measured, which must not keep others from being told."""
        try:
            found = await look.samples(rule)
        except StoreError:
            raise
        except Exception as error:
            if self._faults.get(rule.name) != repr(error):
                log.exception("%s of alert %r cannot be measured", rule.measure, rule.name)
            self._faults[rule.name] = repr(error)
            return None
        self._faults.pop(rule.name, None)
        return found

    def _decide(
        self,
        open_: Iterable[AlertRow],
        measured: Iterable[tuple[AlertRule, list[Sample] | None]],
        over: dict[tuple[Group, str], int],
        now: int,
    ) -> tuple[list[AlertRow], list[NewMessage]]:
        standing: dict[Group, dict[str, AlertRow]] = defaultdict(dict)
        for row in open_:
            standing[row.rule, row.tenant][row.about] = row
        rows: list[AlertRow] = []
        messages: list[NewMessage] = []
        for rule, samples in measured:
            values: dict[Group, dict[str, float]] = defaultdict(dict)
            for one in samples or ():
                values[rule.name, one.tenant][one.about] = one.value
            for group in sorted({*values, *(group for group in standing if group[0] == rule.name)}):
                was = standing.pop(group, {})
                if samples is not None:
                    changed, told = _decide_group(rule, group, was, values[group], over, now)
                    rows += changed
                    messages += told
        # Of rules that there are no more, nobody is told.
        rows += [
            row._replace(state="resolved", resolved_at=now) for group in standing.values() for row in group.values()
        ]
        return rows, messages

    def _firing(self, open_: Iterable[AlertRow], changed: Iterable[AlertRow]) -> Firing:
        """How many fire now; 0 of the rules of which none does."""
        now = {(row.rule, row.tenant, row.about): row for row in (*open_, *changed)}
        count: dict[tuple[str, str], int] = {(rule.name, rule.severity): 0 for rule in self._rules.rules}
        return count | Counter((row.rule, str(row.severity)) for row in now.values() if row.state == "firing")

    async def _leave(self) -> None:
        """Let another worker lead at once."""
        note(self, None, {})
        try:
            async with asyncio.timeout(LEAVE_SECONDS):
                await self._core.store.alerts.lead(DUTY, self._holder, 0)
        except (StoreError, TimeoutError) as error:
            log.warning("the next worker sees to alerts only when this one's lease is over: %s", error)


def _decide_group(
    rule: AlertRule,
    group: Group,
    was: dict[str, AlertRow],
    values: dict[str, float],
    over: dict[tuple[Group, str], int],
    now: int,
) -> tuple[list[AlertRow], list[NewMessage]]:
    """What becomes of the alerts of a rule and a tenant; ``over`` is changed: since when what fires is so no more."""
    so = {about for about, value in values.items() if value > rule.above}
    if not so and not was:
        return [], []
    open_ = {
        about: Standing(row.state, row.since, row.fired_at, over.get((group, about)), row.told_at)
        for about, row in was.items()
    }
    decided = decide(rule.terms, open_, so, now)
    rows = {}
    for about, one in decided.standings.items():
        before = was.get(about)
        row = AlertRow(
            tenant=group[1], rule=rule.name, about=about, state=one.state, severity=rule.severity,
            value=values[about] if about in so or before is None else before.value, text="", since=one.since,
            fired_at=one.fired_at, resolved_at=one.over_at if one.state == "resolved" else None,
            # Where nobody is told, whoever is to be told later hears that it fires.
            told_at=one.told_at if rule.to else None if before is None else before.told_at,
        )  # fmt: skip
        # What is over is told in the words in which it was.
        rows[about] = row._replace(text=title_of(rule, row) if about in so or before is None else before.text)
        over.pop((group, about), None)
        if one.state == "firing" and one.over_at is not None:
            over[group, about] = one.over_at
    messages = [
        message
        for telling in decided.tellings
        for message in messages_of(rule, telling, [rows[about] for about in telling.abouts], now)
    ]
    return [row for about, row in rows.items() if row != was.get(about)], messages
