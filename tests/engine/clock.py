"""Moving a database's clock, and with it the process's idea of it."""

import time
from datetime import datetime
from typing import Any

import holdfast as hf
from holdfast.model.run import microseconds
from holdfast.store.sqlite.rows import executing

LONG_LEASE = "1000d"
"""A lease that outlives what the tests move the clock by."""


async def move(client: hf.Client, seconds: float) -> None:
    """Set a database's clock forward, or back."""
    store: Any = client.core.store
    by = int(seconds * 1e6)
    if store.name == "postgres":
        await store._tend(lambda it: it.execute("UPDATE holdfast.clock SET offset_us = offset_us + $1", by))
    else:
        await store._transaction(executing("UPDATE clock SET offset_us = offset_us + ?", (by,)))
    client.core.offset_us = await store.now() - time.time_ns() // 1000


async def move_to(client: hf.Client, at: datetime) -> None:
    """Set a database's clock to an instant, from which it goes on."""
    await move(client, (microseconds(at) - await client.core.store.now()) / 1e6)
