"""Which state store conversations are kept in, and who is told when one may be free."""

from __future__ import annotations

import asyncio

from holdfast.conversations.holding import Holding
from holdfast.conversations.tending import ConversationTender
from holdfast.engine.core import Core
from holdfast.errors import BadURL, UsageError
from holdfast.store.url import hide_password


async def holding_of(core: Core, url: str) -> Holding:
    """The conversations of a state store, as this process takes them; one for all users of the database.

    Args:
        core: the database.
        url: ``redis://…``, ``rediss://…`` or ``unix://…``; "" for the database.

    Raises:
        BadURL: it is none of these.
        UsageError: it is a Redis's, and redis-py is not installed.
        StoreUnavailable: the state store does not answer.
    """
    opening = core.companions.get(("conversations", url))
    if not isinstance(opening, asyncio.Task) or (opening.done() and (opening.cancelled() or opening.exception())):
        opening = core.companions["conversations", url] = asyncio.ensure_future(_open(core, url))
    # Whoever asks meanwhile waits for the same one, and whoever leaves does not end it.
    found: Holding = await asyncio.shield(opening)
    return found


async def _open(core: Core, url: str) -> Holding:
    if not url:
        holding = Holding(core.store.conversations)
        core.on_hint(lambda kind: holding.hear() if kind in ("turn", "any") else None)
        holding.announce = lambda: core.announce("turn")
        core.on_close(holding.close)
        return holding
    if not url.startswith(("redis://", "rediss://", "unix://")):
        raise BadURL(f"the state store is {hide_password(url)}; give redis://HOST, or leave it out for the database")
    try:
        from holdfast.conversations.redis.store import RedisState
    except ImportError:
        raise UsageError("conversations in Redis need redis-py: pip install 'holdfast[redis]'") from None
    store = RedisState(url)
    await store.open()
    holding = Holding(store, has_runs=False, in_order=store.is_in_order)
    await store.listen(holding.hear)
    # Workers tend what is in the database; this process tends what it keeps elsewhere.
    tending = asyncio.create_task(ConversationTender(core, store).forever(), name="holdfast-conversations")

    async def close() -> None:
        tending.cancel()
        await asyncio.gather(tending, return_exceptions=True)
        await holding.close()
        await store.close()

    core.on_close(close)
    return holding
