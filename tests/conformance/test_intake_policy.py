"""Of intake and alerts, a store under a tenant's policy reads what is the tenant's."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from holdfast.errors import UsageError
from holdfast.store.base import Store
from holdfast.store.confined import ALERT_VERBS, INTAKE_VERBS
from holdfast.store.intake_rows import CriteriaRow, EntryFilter
from tests.conformance.alert_kit import alert
from tests.conformance.intake_kit import AT, dead, entry, message, opened, outcome, taking
from tests.conformance.kit import claim, commit, settle, start

Ask = Callable[[Store, str, bytes], Awaitable[Any]]

EVERY = EntryFilter()
TIME = {"since": AT, "until": AT + 1}

LISTS = {
    "": EVERY, " of a source": EntryFilter("orders"), " of a run": EntryFilter(run_id="a"),
    " of a message": EntryFilter(message_id="a"), " that are dead": EntryFilter(outcome="dead"),
}  # fmt: skip

READS: dict[str, Ask] = {
    "intake.sources": lambda s, tenant, uid: s.intake.sources(tenant),
    "intake.source": lambda s, tenant, uid: s.intake.source(tenant, "orders"),
    "intake.count_entries": lambda s, tenant, uid: s.intake.count_entries(tenant, EVERY, cap=9),
    "intake.entry": lambda s, tenant, uid: s.intake.entry(tenant, uid),
    "intake.compared": lambda s, tenant, uid: s.intake.compared(tenant, "flow", which=None, limit=9, **TIME),
    "intake.count_compared": lambda s, tenant, uid: s.intake.count_compared(tenant, "flow", **TIME),
    "alerts.alerts": lambda s, tenant, uid: s.alerts.alerts(tenant, state=None, limit=9),
}
for of, which in LISTS.items():
    READS[f"intake.entries{of}"] = lambda s, tenant, uid, which=which: s.intake.entries(tenant, which, limit=9)
NOTHING = CriteriaRow(0, 0, 0, 0, 0, 0, 0)


async def settle_in(store: Store, tenant: str) -> bytes:
    """Give a tenant something in every table; the entry that is dead."""
    first = entry("a", start=start("a", tenant=tenant, kind=(f"of {tenant}", "flow", "v1", 1)))
    first = first._replace(messages=(message(first, tenant=tenant),))
    asked = taking(await opened(store, tenant), first, dead("b"))
    await store.intake.take_in(asked)
    (run,) = await claim(store, 1, (f"of {tenant}", "flow", "v1", 1))
    await commit(store, settles=[settle(run)])
    await store.intake.put_outcomes([outcome("a", tenant=tenant), outcome("b", tenant=tenant)])
    term = await store.alerts.lead("watching", b"holder", 10**12)
    assert term is not None
    await store.alerts.put_alerts("watching", term, [alert("stuck", tenant=tenant)], [])
    return asked.entries[1].uid


async def test_a_tenant_reads_its_own_and_nothing_else(store: Store, looking: Store) -> None:
    ours, theirs = await settle_in(store, "t"), await settle_in(store, "u")
    within = looking.under_policy("t")
    for name, ask in READS.items():
        known = await ask(store, "t", ours)
        assert known, name
        assert await ask(within, "t", ours) == known, name
        assert await ask(store, "u", theirs), name
        assert not await ask(within, "u", theirs), name


async def test_a_tenant_reads_its_own_figures(store: Store, looking: Store) -> None:
    await settle_in(store, "t")
    await settle_in(store, "u")
    within = looking.under_policy("t")
    asked = {"since": AT, "until": AT + 1, "unsent_before": AT + 1}
    known = await store.intake.criteria("t", "flow", **asked)
    assert known == NOTHING._replace(entries=1, without_stages=1, unsent=1)
    assert await within.intake.criteria("t", "flow", **asked) == known
    assert await store.intake.criteria("u", "flow", **asked) == known
    assert await within.intake.criteria("u", "flow", **asked) == NOTHING


ASKED = {name.split(" ")[0] for name in READS} | {"intake.criteria"}
REFUSED = ({f"intake.{verb}" for verb in INTAKE_VERBS} | {f"alerts.{verb}" for verb in ALERT_VERBS}) - ASKED


@pytest.mark.parametrize("name", sorted(REFUSED))
async def test_what_is_no_read_of_a_tenant_is_refused(store: Store, name: str) -> None:
    part, verb = name.split(".")
    within: Any = store.under_policy("t")
    with pytest.raises(UsageError, match=f"^{verb}: a store under the policy of tenant 't'"):
        getattr(getattr(within, part), verb)()
