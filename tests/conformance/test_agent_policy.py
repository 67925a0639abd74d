"""Of models and artifacts, a store under a tenant's policy reads what is the tenant's."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from holdfast.errors import UsageError
from holdfast.store.agent_rows import Grant, PhaseFileRow, SpentQuery
from holdfast.store.agents import AgentStore
from holdfast.store.base import Store
from tests.conformance.agent_kit import artifact, call
from tests.conformance.kit import child, claim, commit, make, pending, start

Ask = Callable[[AgentStore, str, bytes], Awaitable[Any]]

READS: dict[str, Ask] = {
    "model_calls": lambda s, tenant, run: s.model_calls(tenant, run, limit=9),
    "artifacts": lambda s, tenant, run: s.artifacts(tenant, run, limit=9),
    "artifact": lambda s, tenant, run: s.artifact(tenant, run, b"\x00", 1, "draft/prompt.md"),
    "costs": lambda s, tenant, run: s.costs(tenant, 0, 10**6, ["model"], limit=9),
    "costs_of": lambda s, tenant, run: s.costs_of(tenant, [run], 0, 10**6, ["model"], limit=9),
    "children_of": lambda s, tenant, run: s.children_of(tenant, [run], limit=9),
    "phases": lambda s, tenant, run: s.phases(tenant, "orders"),
    "phase_files": lambda s, tenant, run: s.phase_files(tenant, limit=9),
}
VERBS = {name for name, verb in vars(AgentStore).items() if not name.startswith("_") and callable(verb)}


async def settle_in(store: Store, tenant: str) -> bytes:
    """Give a tenant something in every table; the run that it is of."""
    kind = (f"of {tenant}", "agents", "v1", 1)
    await make(store, start("agents", tenant=tenant, kind=kind))
    (run,) = await claim(store, 1, kind)
    await commit(
        store, checkpoints=[pending(run, b"\x00")], starts=[child("child", run, b"\x00", tenant=tenant)],
        model_calls=[call(run)], artifacts=[artifact(run)],
    )  # fmt: skip
    for query in (SpentQuery(tenant), SpentQuery(tenant, run.uid)):
        await store.agents.grant(Grant(f"to {query.run!r}", query, 3, 4, "ann", 5))
    await store.agents.keep_phases(PhaseFileRow(tenant, "orders", "v1", b"content", 5))
    await store.agents.reserve("model:openai:small", 1, 1)
    return run.uid


async def test_a_tenant_reads_its_own_and_nothing_else(store: Store, looking: Store) -> None:
    ours, theirs = await settle_in(store, "t"), await settle_in(store, "u")
    within = looking.under_policy("t").agents
    for name, ask in READS.items():
        known = await ask(store.agents, "t", ours)
        assert known, name
        assert await ask(within, "t", ours) == known, name
        assert await ask(store.agents, "u", theirs), name
        assert not await ask(within, "u", theirs), name


async def test_a_tenant_reads_what_it_spent_itself(store: Store, looking: Store) -> None:
    ours, theirs = await settle_in(store, "t"), await settle_in(store, "u")
    within = looking.under_policy("t").agents
    asked = [SpentQuery("t"), SpentQuery("t", ours)]
    known = await store.agents.spent(asked)
    assert [tuple(spent) for spent in known] == [(15, 7, 3, 4)] * 2
    assert await within.spent(asked) == known
    foreign = [SpentQuery("u"), SpentQuery("u", theirs)]
    assert await store.agents.spent(foreign) == known
    assert [tuple(spent) for spent in await within.spent(foreign)] == [(0, 0, 0, 0)] * 2


@pytest.mark.parametrize("verb", sorted(VERBS - READS.keys() - {"spent"}))
async def test_what_is_no_read_of_a_tenant_is_refused(store: Store, verb: str) -> None:
    within: Any = store.under_policy("t")
    with pytest.raises(UsageError, match=f"^{verb}: a store under the policy of tenant 't'"):
        getattr(within.agents, verb)()
