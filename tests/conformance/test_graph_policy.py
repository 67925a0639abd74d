"""Of LangGraph's graphs, a store under a tenant's policy reads what is the tenant's."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from holdfast.errors import UsageError
from holdfast.store.base import Store
from holdfast.store.graph_rows import CheckpointFilter, ItemPlace
from holdfast.store.graphs import GraphStore
from tests.conformance.graph_kit import item, key, put, write

READS: dict[str, Callable[[GraphStore, str], Awaitable[Any]]] = {
    "checkpoint": lambda s, tenant: s.checkpoint(tenant, "th", ""),
    "checkpoints": lambda s, tenant: s.checkpoints(tenant, CheckpointFilter("th", ""), limit=9),
    "ancestors": lambda s, tenant: s.ancestors(key(tenant=tenant), ["ch"], limit=9),
    "items": lambda s, tenant: s.items(tenant, [ItemPlace(".a.", "k")]),
    "find_items": lambda s, tenant: s.find_items(tenant, ".", lambda _: True, limit=9, offset=0),
    "namespaces": lambda s, tenant: s.namespaces(tenant, ".", "/", limit=9),
}
VERBS = {name for name, verb in vars(GraphStore).items() if not name.startswith("_") and callable(verb)}


async def settle_in(store: Store, tenant: str) -> None:
    """Give a tenant something in every table."""
    at = key(tenant=tenant)
    await put(store.graphs, at, versions={"ch": "1"}, new={"ch": f"of {tenant}"})
    await store.graphs.put_writes(at, [write()])
    await store.graphs.put_items(tenant, [item("k")])


def nothing(found: Any) -> bool:
    return not found or found == [None]


async def test_a_tenant_reads_its_own_and_nothing_else(store: Store) -> None:
    for tenant in ("t", "u"):
        await settle_in(store, tenant)
    within: Any = store.under_policy("t")
    for name, ask in READS.items():
        assert await ask(within.graphs, "t") == await ask(store.graphs, "t"), name
        assert not nothing(await ask(within.graphs, "t")), name
        assert nothing(await ask(within.graphs, "u")), name
        assert not nothing(await ask(store.graphs, "u")), name
    assert (await within.graphs.checkpoint("t", "th", "")).values[0].content == b"of t"


@pytest.mark.parametrize("verb", sorted(VERBS - READS.keys()))
async def test_what_is_no_read_of_a_tenant_is_refused(store: Store, verb: str) -> None:
    within: Any = store.under_policy("t")
    with pytest.raises(UsageError):
        getattr(within.graphs, verb)()
