"""Of messages, a store under a tenant's policy reads what is the tenant's."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from holdfast.errors import UsageError
from holdfast.store.base import Store
from holdfast.store.confined import OUTBOX_VERBS
from holdfast.store.outbox import OutboxStore
from holdfast.store.outbox_rows import MessageFilter
from tests.conformance.kit import running
from tests.conformance.outbox_kit import AT, EVERY, audit, message, publish, setting, settle, take

Ask = Callable[[OutboxStore, str, bytes], Awaitable[Any]]

RUN: dict[str, bytes] = {}
"""A run of each tenant that published something."""

READS: dict[str, Ask] = {
    "message": lambda s, tenant, uid: s.message(tenant, "first"),
    "attempts": lambda s, tenant, uid: s.attempts(tenant, uid, limit=9),
    "messages": lambda s, tenant, uid: s.messages(tenant, EVERY, limit=9),
    "messages of a channel": lambda s, tenant, uid: s.messages(tenant, MessageFilter(channel=f"of {tenant}"), limit=9),
    "messages of a key": lambda s, tenant, uid: s.messages(tenant, MessageFilter(key="k"), limit=9),
    "messages of a workflow": lambda s, tenant, uid: s.messages(tenant, MessageFilter(workflow="flow"), limit=9),
    "messages of a status": lambda s, tenant, uid: s.messages(tenant, MessageFilter(statuses=("sending",)), limit=9),
    "messages of a run": lambda s, tenant, uid: s.messages(tenant, MessageFilter(run=RUN[tenant]), limit=9),
    "count_messages": lambda s, tenant, uid: s.count_messages(tenant, EVERY, cap=9),
    "publish_settings": lambda s, tenant, uid: s.publish_settings(tenant),
}


async def settle_in(store: Store, tenant: str) -> bytes:
    """Give a tenant something in every table; the message that was tried."""
    channel = f"of {tenant}"
    first = message("first", tenant=tenant, channel=channel, key="k")
    await publish(store, first, *(message(id, tenant=tenant, channel=channel, key="k") for id in ("second", "third")))
    await settle(store, await take(store, channel), "failed", retry_at=AT)
    await take(store, channel)
    await publish(store, message("queued", tenant=tenant, channel=channel))
    await store.outbox.put_publish_setting(setting()._replace(tenant=tenant), audit("flow", tenant))
    return first.uid


async def test_a_tenant_reads_its_own_and_nothing_else(store: Store, looking: Store) -> None:
    ours, theirs = await settle_in(store, "t"), await settle_in(store, "u")
    for tenant in ("t", "u"):
        run = await running(store, "run", tenant=tenant)
        RUN[tenant] = run.uid
        await publish(store, message("of a run", run))
    within = looking.under_policy("t").outbox
    for name, ask in READS.items():
        known = await ask(store.outbox, "t", ours)
        assert known, name
        assert await ask(within, "t", ours) == known, name
        assert await ask(store.outbox, "u", theirs), name
        assert not await ask(within, "u", theirs), name


@pytest.mark.parametrize("verb", sorted(OUTBOX_VERBS - {name.split(" ")[0] for name in READS}))
async def test_what_is_no_read_of_a_tenant_is_refused(store: Store, verb: str) -> None:
    within: Any = store.under_policy("t")
    with pytest.raises(UsageError, match=f"^{verb}: a store under the policy of tenant 't'"):
        getattr(within.outbox, verb)()
