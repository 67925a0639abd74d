"""What is told when nothing ends any more: what is open, where it stands, and what the workers do."""

import asyncio
import signal

import holdfast as hf
from tests.crash.faulty import LIVE
from tests.verification.databases import Database
from tests.verification.driver import Driver
from tests.verification.fleet import Fleet

MOST = 20


async def dump(database: Database, driver: Driver, fleet: Fleet) -> str:
    """All that helps to see why."""
    parts = [f"{len(driver.open)} programs are open: {', '.join(sorted(driver.open)[:MOST])}"]
    for member in fleet.members:
        state = "frozen" if member.frozen else "alive" if member.alive else "dead"
        parts.append(f"worker {member.number}: {state}, started {member.started} times")
        if member.alive and member.process is not None:
            # Tasks are told by the event loop; where it does not turn, the threads' stacks say why.
            member.process.send_signal(signal.SIGUSR1)
            member.process.send_signal(signal.SIGUSR2)
    try:
        async with asyncio.timeout(30):
            for run_id in sorted(driver.open)[:MOST]:
                for view in await _open(driver.client, run_id):
                    parts.append(f"run {view.id} is {view.status}: {await driver.client.explain(view.id)}")
            ids = {row["uid"]: row["id"] for row in await database.table("runs")}
            for name in (*LIVE, "workers"):
                rows = await database.table(name)
                parts.append(f"{name}: {len(rows)} rows")
                parts += [f"    {ids.get(row.get('run'), '')} {row}" for row in rows[:MOST]]
    except (hf.HoldfastError, OSError, TimeoutError) as error:
        parts.append(f"the database cannot be asked: {error!r}")
    await asyncio.sleep(1.0)
    return "\n".join([*parts, fleet.said()])


async def _open(client: hf.Client, run_id: str) -> list[hf.RunView]:
    """A run and what descends from it, as far as it has not ended."""
    found, tree = [await client.get(run_id)], list[hf.RunView]()
    while found and len(tree) < MOST:
        view = found.pop()
        if view.status not in ("succeeded", "failed", "cancelled"):
            tree.append(view)
            found += await client.children(view.id)
    return tree
