"""Of conversations, a store under a tenant's policy reads what is the tenant's."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from holdfast.errors import UsageError
from holdfast.store.base import Store
from holdfast.store.conversations import ConversationFilter, StateStore
from tests.conformance.conversation_kit import had, one, take

READS: dict[str, Callable[[StateStore, str], Awaitable[Any]]] = {
    "find": lambda s, tenant: s.find(tenant, "c-1"),
    "search": lambda s, tenant: s.search(tenant, ConversationFilter(), limit=9),
    "turns": lambda s, tenant: s.turns(tenant, "c-1", limit=9),
}
VERBS = {name for name, verb in vars(StateStore).items() if not name.startswith("_") and callable(verb)}


async def settle_in(store: Store, tenant: str) -> None:
    """Give a tenant something in every table: a turn that is over, one in progress, and one in line."""
    await had(store.conversations, tenant=tenant)
    assert (await one(store.conversations, take(tenant=tenant))).outcome == "yours"
    assert (await one(store.conversations, take(tenant=tenant))).outcome == "waits"


async def test_a_tenant_reads_its_own_and_nothing_else(store: Store) -> None:
    for tenant in ("t", "u"):
        await settle_in(store, tenant)
    within: Any = store.under_policy("t")
    for name, ask in READS.items():
        assert await ask(within.conversations, "t"), name
        assert not await ask(within.conversations, "u"), name
        assert await ask(store.conversations, "u"), name


@pytest.mark.parametrize("verb", sorted(VERBS - READS.keys()))
async def test_what_is_no_read_of_a_tenant_is_refused(store: Store, verb: str) -> None:
    within: Any = store.under_policy("t")
    with pytest.raises(UsageError):
        getattr(within.conversations, verb)()
