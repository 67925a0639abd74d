"""One verification: a database, workers, programs and faults, from one seed; and what is looked at in the end."""

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from random import Random

import holdfast as hf
from holdfast.store.values.values import Values
from tests.verification import checking, promises
from tests.verification.builds import older_build
from tests.verification.databases import Database, PostgresDatabase, make_database, skews
from tests.verification.drawing import Case, draw, every_kind
from tests.verification.driver import Driver
from tests.verification.fleet import Fleet
from tests.verification.injector import Injector
from tests.verification.keeping import WAYS, values_of
from tests.verification.plan import Plan, Summary
from tests.verification.proxy import Proxy
from tests.verification.rules import deadly
from tests.verification.stuck import dump
from tests.verification.traffic import Traffic

CHANNELS = """
[channels.paper]
type = "file"
folder = "box"
attempts = 1000
backoff = { initial = "50ms", maximum = "200ms" }
"""

INTAKE = """
[sources.lines]
kind = "jsonl"
path = "lines.jsonl"
workflow = "comes_in"
id = "id"
poll = "200ms"
"""


async def verify(plan: Plan, say: Callable[[str], None] = lambda _: None) -> Summary:
    """Do what a plan says."""
    folder = Path(tempfile.mkdtemp(prefix="holdfast-verify-", dir=os.environ.get("PYTEST_DEBUG_TEMPROOT")))
    began = time.monotonic()
    summary = Summary(plan)
    database = make_database(plan.database, folder, small="disk" in plan.faults)
    session = _Session(plan, folder, database, summary, say)
    try:
        await database.open()
        await session.run()
    finally:
        await session.fleet.end()
        await database.close()
        summary.seconds = time.monotonic() - began
        if plan.keep:
            say(f"kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return summary


class _Session:
    def __init__(
        self, plan: Plan, folder: Path, database: Database, summary: Summary, say: Callable[[str], None]
    ) -> None:
        self.plan = plan
        self.folder = folder
        self.database = database
        self.summary = summary
        self.say = say
        self.random = Random(f"{plan.seed}/faults")
        self.fleet = Fleet(folder)
        if "upgrade" not in plan.faults:
            self.fleet.values = self.random.choice(WAYS)
        self.numbers = range(plan.first, plan.first + plan.programs)
        self.cases: list[Case] = []

    async def run(self) -> None:
        (self.folder / "notes").touch()
        (self.folder / "lines.jsonl").touch()
        (self.folder / "channels.toml").write_text(CHANNELS)
        (self.folder / "intake.toml").write_text(INTAKE)
        if "upgrade" in self.plan.faults:
            await self._begin_with_older()
        async with AsyncExitStack() as stack:
            values = values_of(self.fleet.values)
            client = await stack.enter_async_context(await self._connect(values))
            self.fleet.migrated = True
            await client.set_publish_mode("auto")
            driver = await stack.enter_async_context(Driver(client, self.folder, self.plan.at_once))
            other = await stack.enter_async_context(hf.connect(self.database.url, tenant="other", values=values))
            self.traffic = Traffic({"default": client, "other": other}, self.folder, driver.surely)
            if "upgrade" not in self.plan.faults:
                await self.database.watch_limits()
            proxy = await self._proxy(stack)
            self.url = proxy.url(self.database.url) if proxy is not None else self.database.url
            clocks = skews(self.database, self.random, self.plan.workers) if "clock" in self.plan.faults else []
            for number in range(len(self.fleet.members), self.plan.workers):
                await self.fleet.add(self.url, self.random, skew=clocks[number] if clocks else 0.0)
            kinds = set(self.plan.faults)
            injector = Injector(self.random, self.database, self.fleet, proxy, kinds, self.plan.pace)
            if await self._drive(driver, injector):
                await self._look(driver)
            self.summary.wrong += [*driver.faults, *self.traffic.wrong, *self.fleet.deaths, *self.fleet.complaints()]
        if self.summary.wrong and not self.summary.said:
            self.summary.said = self.fleet.said()

    async def _connect(self, values: Values | None) -> AbstractAsyncContextManager[hf.Client]:
        """Migrate the schema; where it cannot be done beside those who work on it, again, as a person would."""
        client = hf.connect(self._migrated(), values=values)
        for _ in range(10):
            try:
                async with hf.connect(self._migrated(), values=values):
                    return client
            except hf.StoreError as error:
                self.say(f"the schema cannot be migrated just now: {error}")
                self.summary.injected["migration refused"] += 1
        return client

    def _migrated(self) -> str:
        sign = "&" if "?" in self.database.url else "?"
        return f"{self.database.url}{sign}migrate=auto" if self.database.name == "postgres" else self.database.url

    async def _proxy(self, stack: AsyncExitStack) -> Proxy | None:
        if not isinstance(self.database, PostgresDatabase) or "proxy" not in self.plan.faults:
            return None
        proxy = Proxy(self.database.upstream)
        await proxy.start()
        stack.push_async_callback(proxy.close)
        return proxy

    async def _begin_with_older(self) -> None:
        """Workers of an older build make the database and take programs; those on PostgreSQL stay for a while."""
        build, name = await asyncio.to_thread(older_build, self.folder / "older", self.plan.older)
        self.say(f"the older build: {name}")
        for number in range(self.plan.workers):
            member = await self.fleet.add(self.database.url, self.random, build=str(build))
            if number == 0:
                some = self.numbers[: max(1, self.plan.programs // 4)]
                member.options += ["--seed", str(self.plan.seed), "--size", str(self.plan.size)]
                member.options += ["--start", f"{some.start}-{some.stop}"]
                await self.fleet.kill(member)
                await self.fleet.start(member)
                await self._until(self._has_begun)
        await self.fleet.all_up()
        if self.database.name == "sqlite":
            # On a file, all stop before the first of the new ones opens it.
            for member in self.fleet.members:
                await self.fleet.kill(member)
            self.summary.injected["older workers stopped"] += len(self.fleet.members)
            self.fleet.migrated = True
            for member in self.fleet.members:
                await self.fleet.start(member)

    async def _has_begun(self) -> bool:
        return len(checking.read_notes(self.folder)) > 20

    async def _replace_older(self, driver: Driver) -> None:
        """One after the other is told to end, and a worker of this build comes in its place."""
        for member in self.fleet.members:
            if not member.build:
                continue
            enough = driver.ended + self.plan.programs // (2 * self.plan.workers)
            await self._until(lambda enough=enough: driver.ended >= enough)  # type: ignore[misc]
            if not member.build:
                continue  # it was killed meanwhile
            await self.fleet.leave(member)
            await self.fleet.start(member)
            self.summary.injected["older worker replaced"] += 1

    async def _drive(self, driver: Driver, injector: Injector) -> bool:
        """Execute all programs among faults; whether they ended."""
        deadline = None if self.plan.seconds is None else time.monotonic() + self.plan.seconds
        injecting = asyncio.create_task(injector.forever())
        replacing = asyncio.create_task(self._replace_older(driver))
        open_: set[asyncio.Task[None]] = set()
        if "upgrade" not in self.plan.faults:
            starts = self.traffic.run(self.plan.programs // 4, Random(f"{self.plan.seed}/traffic"))
            open_.add(asyncio.create_task(starts))
        numbers = iter(self.numbers)
        said = time.monotonic()
        try:
            while True:
                while len(open_) < self.plan.at_once and (deadline is None or time.monotonic() < deadline):
                    number = next(numbers, None)
                    if number is None:
                        break
                    case = draw(self.plan.seed, number, self.plan.size, older="upgrade" in self.plan.faults)
                    self.cases.append(case)
                    self.summary.fates[case.fate] += 1
                    self.summary.kinds.update(case.kinds)
                    open_.add(asyncio.create_task(driver.drive(case)))
                if not open_:
                    break
                _, open_ = await asyncio.wait(open_, timeout=1.0, return_when=asyncio.FIRST_COMPLETED)
                if time.monotonic() - said > 5:
                    said = time.monotonic()
                    self.say(f"{driver.ended} of {len(self.numbers)} programs, {injector.counts.total()} faults")
                if not await self._moves(driver):
                    return False
        finally:
            await injector.stop(injecting)
            for task in (replacing, *open_):
                task.cancel()
            await asyncio.gather(replacing, *open_, return_exceptions=True)
            self.summary.injected += injector.counts
            self.summary.injected["worker refused at its start"] += self.fleet.refused
            self.summary.ended, self.summary.starts = driver.ended, self.traffic.done
        return True

    async def _moves(self, driver: Driver) -> bool:
        """Whether anything has ended in a while; else it is told what is open."""
        if time.monotonic() - max(driver.ended_at, self.traffic.ended_at) < self.plan.patience:
            return True
        self.summary.wrong.append(f"STUCK: nothing has ended for {self.plan.patience:g} s")
        self.summary.said = await dump(self.database, driver, self.fleet)
        return False

    async def _look(self, driver: Driver) -> None:
        """All is healed: everything works on every worker, nothing is left, lost or doubled."""
        live = [
            every_kind(f"live-{member.number}-{n}", 10**6 + 100 * member.number + n, member.queue)
            for member in self.fleet.members
            for n in range(self.plan.live)
        ]
        working = [asyncio.create_task(driver.drive(case)) for case in live]
        driver.ended_at = time.monotonic()
        while working:
            _, pending = await asyncio.wait(working, timeout=1.0)
            working = list(pending)
            if not await self._moves(driver):
                for task in working:
                    task.cancel()
                await asyncio.gather(*working, return_exceptions=True)
                return

        self.summary.live = len(live)

        async def settled() -> bool:
            return not await checking.left_over(self.database)

        if not await self._until(settled, 30.0):
            self.summary.wrong += await checking.left_over(self.database)
        sealing = driver.client.core.sealed.sealing
        self.summary.wrong += await promises.wrong_messages(sealing, self.database, self.folder)
        for member in self.fleet.members:
            status = await self.fleet.leave(member)
            if status:
                self.summary.wrong.append(f"worker {member.number} was told to end, and did with {status}")
        cases = [*self.cases, *live]
        self.summary.wrong += await checking.wrong_effects(self.database, sealing, self.folder, cases, driver.cancelled)
        self.summary.wrong += promises.wrong_executions(self.folder, self.traffic)
        self.summary.wrong += promises.too_many_of_a_share(self.folder, self.fleet.doubts)
        if "upgrade" not in self.plan.faults:
            self.summary.wrong += await promises.wrong_rates(self.database)
        self.summary.wrong += await checking.wrong_streams(driver.client, self.database, cases, driver.cancelled)
        self.summary.wrong += checking.two_in_a_lane(self.folder, self.fleet.doubts)
        if self.plan.deadly and self.fleet.members:
            await self._see_what_is_deadly(driver)

    async def _see_what_is_deadly(self, driver: Driver) -> None:
        """A run that kills whatever executes it is held in the end, and its worker does everything else meanwhile."""
        member = self.fleet.members[0]
        member.options.append("--suspicious")
        await self.fleet.start(member)
        deaths = len(self.fleet.deaths)
        configured = deadly.options(id="deadly", queue=member.queue)
        handle = await driver.surely(lambda: driver.client.start(configured))
        beside = asyncio.create_task(driver.drive(every_kind("beside-what-is-deadly", 10**6 - 1, member.queue)))

        async def held() -> bool:
            await self.fleet.mourn()
            return (await driver.surely(handle.view)).status == "held"

        driver.releases = False
        if not await self._until(held, 300.0):
            self.summary.wrong.append("a run that kills what executes it is not held")
        await driver.surely(lambda: driver.client.cancel("deadly"))
        driver.releases = True
        self.fleet.deaths[deaths:] = [one for one in self.fleet.deaths[deaths:] if not one.endswith(": -9")]
        await asyncio.wait((beside,), timeout=self.plan.patience)
        if not beside.done():
            self.summary.wrong.append("nothing goes on beside a run that kills what executes it")
            beside.cancel()
        await self.fleet.leave(member)

    async def _until(self, condition: Callable[[], object], within: float = 120.0) -> bool:
        try:
            async with asyncio.timeout(within):
                while True:
                    found = condition()
                    if await found if asyncio.iscoroutine(found) else found:
                        return True
                    await asyncio.sleep(0.1)
        except TimeoutError:
            return False
