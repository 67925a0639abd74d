"""Brings faults about, one after the other, as a seed says, and heals each."""

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from random import Random

from holdfast.store.sqlite import turnstile
from tests.verification.databases import Database, PostgresDatabase
from tests.verification.fleet import Fleet, Member
from tests.verification.proxy import Proxy

KINDS = ("kill", "stop", "restart", "proxy", "clock", "disk", "upgrade")

FURTHEST_US = 8_000_000
"""The database's clock is moved between nothing and so far ahead."""


class Injector:
    """Faults of the kinds that are wanted.

    Args:
        random: what comes when, and for how long.
        kinds: of `KINDS`; what the database cannot suffer is left out.
        pace: seconds from one fault to the next, on average.

    Attributes:
        counts: how many there were of each.
    """

    def __init__(
        self, random: Random, database: Database, fleet: Fleet, proxy: Proxy | None, kinds: set[str], pace: float
    ) -> None:
        self._random = random
        self._database = database
        self._fleet = fleet
        self._proxy = proxy
        self._pace = pace
        self.counts: Counter[str] = Counter()
        self._ahead_us = 0
        self._over = asyncio.Event()
        faults: dict[str, Callable[[], Awaitable[str]]] = {"kill": self._kill, "stop": self._stop, "clock": self._clock}
        faults["restart"] = self._restart if isinstance(database, PostgresDatabase) else self._kill_in_a_write
        if proxy is not None:
            faults["proxy"] = self._network
        faults["disk"] = self._fill if database.disk is not None and database.disk.mounted else self._forbid
        if isinstance(database, PostgresDatabase) and faults["disk"] == self._forbid:
            del faults["disk"]
        self._faults = [faults[kind] for kind in KINDS if kind in kinds and kind in faults]

    async def forever(self) -> None:
        """Bring faults about until told to stop."""
        while self._faults and not self._over.is_set():
            try:
                await asyncio.wait_for(self._over.wait(), self._random.expovariate(1 / self._pace))
            except TimeoutError:
                pass
            else:
                break
            name = await self._random.choice(self._faults)()
            self.counts[name] += 1
            await self._fleet.all_up()

    async def stop(self, injecting: asyncio.Task[None]) -> None:
        """Let the fault that is under way be the last, and leave nothing as it should not be."""
        self._over.set()
        await injecting
        if self._ahead_us:
            await self._database.move_clock(0)
        await self._fleet.mourn()

    def _one(self) -> Member:
        return self._random.choice(self._fleet.here)

    async def _kill(self) -> str:
        here = self._fleet.here
        some = self._random.sample(here, self._random.choice((1, 1, 1, len(here))))
        for member in some:
            await self._fleet.kill(member)
            await self._fleet.start(member)
        return "worker killed" if len(some) == 1 else "all workers killed"

    async def _stop(self) -> str:
        long = self._random.random() < 0.5
        lease = self._fleet.lease
        seconds = self._random.uniform(1.2, 2.0) * lease if long else self._random.uniform(0.1, 0.6) * lease
        await self._fleet.freeze(self._one(), seconds)
        return "worker frozen past its lease" if long else "worker frozen within its lease"

    async def _restart(self) -> str:
        assert isinstance(self._database, PostgresDatabase)
        crash = self._random.random() < 0.5
        await self._database.stop("immediate" if crash else "fast")
        await asyncio.sleep(self._random.choice((0.0, 0.0, 1.0, self._fleet.lease * 1.5)))
        await self._database.start()
        return "database crashed" if crash else "database stopped"

    async def _kill_in_a_write(self) -> str:
        """Kill, or freeze for a while, whoever writes to the file just now."""
        path = str(self._database.path)  # type: ignore[union-attr]
        until = time.monotonic() + 2.0
        while time.monotonic() < until:
            pid, _ = turnstile.holder(path) or (0, 0.0)
            found = [one for one in self._fleet.here if one.process is not None and one.process.pid == pid]
            if found and found[0].alive:
                return await self._hit(found[0], path)
            await asyncio.sleep(0.001)
        return "nobody wrote"

    async def _hit(self, member: Member, path: str) -> str:
        assert member.process is not None
        pid = member.process.pid
        member.process.send_signal(signal.SIGSTOP)
        # Only a process that stands still is known to be inside its write, or next in line for one.
        held = turnstile.holder(path)
        inside = held is not None and held[0] == pid
        if self._random.random() < 0.3:
            await self._fleet.freeze(member, self._random.uniform(0.2, 1.5) * self._fleet.lease)
            return "worker frozen inside a write" if inside else "worker frozen"
        await self._fleet.kill(member)
        await self._fleet.start(member)
        return "worker killed inside a write" if inside else "worker killed"

    async def _network(self) -> str:
        proxy, seconds = self._proxy, self._random.uniform(0.3, 2.0)
        assert proxy is not None
        match self._random.choice(("all", "one", "after", "delay", "dumb", "closed")):
            case "all":
                for line in list(proxy.lines):
                    line.cut()
                return "all connections cut"
            case "one":
                for line in self._random.sample(
                    sorted(proxy.lines, key=lambda one: one.port), min(3, len(proxy.lines))
                ):
                    line.cut()
                return "connections cut"
            case "after":
                for line in list(proxy.lines):
                    line.left[self._random.choice(("request", "response"))] = self._random.randint(0, 3000)
                return "connections cut in the middle"
            case "delay":
                proxy.delay_seconds = self._random.uniform(0.01, 0.3)
                try:
                    await asyncio.sleep(seconds)
                finally:
                    proxy.delay_seconds = 0.0
                return "network slow"
            case "dumb":
                dumb = list(proxy.lines)
                for line in dumb:
                    line.dumb = True
                try:
                    await asyncio.sleep(seconds)
                finally:
                    # Half of them go on late, half are found to be gone.
                    for line in dumb:
                        if self._random.random() < 0.5:
                            line.cut()
                        line.dumb = False
                return "connections half open"
            case _:
                proxy.admits = False
                for line in list(proxy.lines):
                    line.cut()
                try:
                    await asyncio.sleep(seconds)
                finally:
                    proxy.admits = True
                return "network gone"

    async def _clock(self) -> str:
        before, self._ahead_us = self._ahead_us, self._random.randint(0, FURTHEST_US)
        await self._database.move_clock(self._ahead_us)
        if self._ahead_us > before:
            # Leases are over at once, and their owners hear of it at their next beat.
            self._fleet.doubts.append((None, time.monotonic() - 1.0, time.monotonic() + 2 * self._fleet.lease))
            return "clock forward"
        return "clock back"

    async def _fill(self) -> str:
        disk = self._database.disk
        assert disk is not None
        await asyncio.to_thread(disk.fill)
        try:
            await asyncio.sleep(self._random.uniform(0.2, 2.0))
        finally:
            disk.free()
        return "disk full"

    async def _forbid(self) -> str:
        """Where no file system can be mounted: a worker may not let its files grow for a while."""
        import resource

        member = self._one()
        if member.process is None or not hasattr(resource, "prlimit"):
            return "nothing"
        size = os.path.getsize(self._database.path)  # type: ignore[union-attr]
        before = resource.prlimit(member.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(member.process.pid, resource.RLIMIT_FSIZE, (min(size, 4096), before[1]))
        await asyncio.sleep(self._random.uniform(0.2, 2.0))
        if member.alive:
            resource.prlimit(member.process.pid, resource.RLIMIT_FSIZE, before)
        return "files may not grow"
