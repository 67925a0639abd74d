"""The worker processes of a verification: started, killed, frozen, ended in order, and started again."""

import asyncio
import os
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

ROOT = Path(__file__).parents[2]

UNEXPECTED = ("failed and begins again", "a batch of ", "never retrieved", "never awaited", "nondeterminism")


@dataclass
class Member:
    """A worker's place in the fleet: processes come and go in it.

    Attributes:
        number: of the place.
        url: of the database.
        build: where the code is that it executes; empty for this tree's.
        options: of the process.
        frozen: it is stopped just now.
        leaving: its process was told to end.
    """

    number: int
    url: str
    options: list[str]
    build: str = ""
    process: asyncio.subprocess.Process | None = None
    frozen: bool = False
    leaving: bool = False
    started: int = 0

    @property
    def queue(self) -> str:
        """Which it alone serves."""
        return f"only-{self.number}"

    @property
    def alive(self) -> bool:
        """Whether it has a process that has not ended."""
        return self.process is not None and self.process.returncode is None


@dataclass
class Fleet:
    """All workers of one database.

    Attributes:
        folder: for what they say and note.
        doubts: (process or None for all, from, until): when steps may have been executed by who had no right to any
            more and could not know it, on the machine's monotonic clock.
        deaths: processes that ended without being told to.
        values: how values are stored, see `keeping.values_of`; two out of three seal new ones with the next key.
        migrated: the schema is this build's: an older one is refused by it when it starts.
        refused: how many ended at their start, since the database was away.
    """

    folder: Path
    members: list[Member] = field(default_factory=list)
    doubts: list[tuple[int | None, float, float]] = field(default_factory=list)
    deaths: list[str] = field(default_factory=list)
    refused: int = 0
    lease: float = 1.5
    values: str = ""
    migrated: bool = False

    async def add(self, url: str, random: Random, *, skew: float = 0.0, build: str = "") -> Member:
        """One more worker."""
        options = ["--lease", str(self.lease), "--linger", str(random.choice((0.0, 0.002, 5.0)))]
        options += ["--concurrency", str(random.choice((3, 20, 20))), "--skew", str(skew)]
        options += ["--values", f"{self.values} {random.choice(('old', 'new', 'new'))}"] if self.values else []
        member = Member(len(self.members), url, options, build)
        self.members.append(member)
        await self.start(member)
        return member

    async def start(self, member: Member) -> None:
        """Give it a new process; where the schema is migrated already, one of this build."""
        if self.migrated and member.build:
            member.build = ""
            if "--seed" in member.options:
                del member.options[member.options.index("--seed") :]
        source = os.pathsep.join([member.build, str(ROOT)]) if member.build else str(ROOT)
        paths = [source, *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
        command = [sys.executable, "-m", "tests.verification.worker", member.url, str(self.folder)]
        member.started += 1
        with open(self.folder / f"worker-{member.number}.err", "a") as errors:  # noqa: ASYNC230
            member.process = await asyncio.create_subprocess_exec(
                *command, "--queue", member.queue, *member.options,
                stdin=asyncio.subprocess.DEVNULL, stdout=errors, stderr=errors, cwd=ROOT,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in paths if path)},
            )  # fmt: skip
        member.frozen = member.leaving = False

    async def kill(self, member: Member) -> None:
        """End its process as the kernel does."""
        assert member.process is not None
        if member.alive:
            member.process.kill()
        await member.process.wait()

    async def freeze(self, member: Member, seconds: float) -> None:
        """Stop its process for so long, and let it go on."""
        assert member.process is not None
        process, member.frozen = member.process, True
        process.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        try:
            await asyncio.sleep(seconds)
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGCONT)
            member.frozen = False
            self.doubts.append((process.pid, began, time.monotonic() + self.lease))

    async def leave(self, member: Member) -> int:
        """Tell its process to end, wait until it has, and say how it did."""
        assert member.process is not None
        member.leaving = True
        if member.alive:
            member.process.send_signal(signal.SIGCONT)
            member.process.terminate()
        try:
            return await asyncio.wait_for(member.process.wait(), 30)
        except TimeoutError:
            member.process.kill()
            return await member.process.wait()

    @property
    def here(self) -> list[Member]:
        """Those that were not told to end."""
        return [member for member in self.members if not member.leaving]

    def _up(self) -> set[int]:
        lines = (self.folder / "notes").read_text().splitlines()
        return {int(line[3:]) for line in lines if line.startswith("up\t")}

    async def all_up(self, within: float = 30.0) -> None:
        """Wait until every worker is up, for a while: else faults that follow fast leave nobody to do anything."""
        until = time.monotonic() + within
        while time.monotonic() < until:
            await self.mourn()
            if self._up().issuperset(one.process.pid for one in self.here if one.process is not None):
                return
            await asyncio.sleep(0.1)

    async def mourn(self) -> None:
        """Take down whoever ended without being told to, and start another in the place."""
        for member in self.members:
            if member.process is None or member.process.returncode is None or member.leaving:
                continue
            if member.process.pid in self._up():
                self.deaths.append(f"worker {member.number} ended by itself: {member.process.returncode}")
            else:
                # Whoever starts workers starts it again: it ends where it cannot reach its database at the start.
                said = (self.folder / f"worker-{member.number}.err").read_text().splitlines()[-1:]
                if not any("holdfast.errors.Store" in line for line in said):
                    self.deaths.append(f"worker {member.number} could not start: {said}")
                self.refused += 1
            await self.start(member)

    async def end(self) -> None:
        """End all."""
        for member in self.members:
            if member.alive:
                await self.kill(member)

    def complaints(self) -> list[str]:
        """What workers say only when something went wrong that nobody thought of."""
        lines = [line for path in self.folder.glob("worker-*.err") for line in path.read_text().splitlines()]
        return sorted({f"a worker said: {line}" for line in lines if any(word in line for word in UNEXPECTED)})

    def said(self, most: int = 12_000) -> str:
        """What the workers wrote to stderr, the end of each."""
        files = sorted(self.folder.glob("worker-*.err"))
        return "\n".join(f"--- {path.name}\n{path.read_text(errors='replace')[-most:]}" for path in files)
