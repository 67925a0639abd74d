"""What a verification is to do, and what it did and found."""

from collections import Counter
from dataclasses import dataclass, field

LIVENESS = 5


@dataclass
class Plan:
    """What is to be done.

    Attributes:
        programs: how many.
        faults: kinds of them, of `injector.KINDS`.
        seconds: start no more programs after so long; None for no limit.
        pace: seconds from one fault to the next, on average.
        at_once: so many programs are under way at most.
        patience: for so many seconds nothing may end before it counts as stuck.
        size: operations in a program, at most about so many.
        live: so often every kind of operation has to succeed on every worker when all is healed.
        deadly: see in the end, too, what becomes of a run that kills whatever executes it.
        first: the number of the first program.
        older: the commit whose code the older workers of an upgrade execute.
        keep: leave the folder with database and logs.
    """

    seed: int
    programs: int = 200
    workers: int = 3
    database: str = "sqlite"
    faults: frozenset[str] = frozenset()
    seconds: float | None = None
    pace: float = 0.5
    at_once: int = 60
    patience: float = 90.0
    size: int = 12
    live: int = LIVENESS
    deadly: bool = True
    first: int = 0
    older: str | None = None
    keep: bool = False

    @property
    def command(self) -> str:
        """What does it again."""
        faults = f" --faults {','.join(sorted(self.faults))}" if self.faults else ""
        part = f" --first {self.first}" if self.first else ""
        size = f" --size {self.size} --pace {self.pace:g} --workers {self.workers}"
        return (
            f"python -m tests.verification --seed {self.seed} --database {self.database} "
            f"--programs {self.programs}{part}{faults}{size}"
        )


@dataclass
class Summary:
    """What was done and found.

    Attributes:
        live: how many programs with every kind of operation were executed when all was healed.
        starts: what came from outside beside the programs, by what was made of it.
        wrong: what is not as it should be.
        said: what the workers said, when something is wrong.
    """

    plan: Plan
    ended: int = 0
    live: int = 0
    seconds: float = 0.0
    injected: Counter[str] = field(default_factory=Counter)
    fates: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    starts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    said: str = ""

    def __str__(self) -> str:
        faults = ", ".join(f"{count} {name}" for name, count in sorted(self.injected.items()) if count) or "none"
        fates = ", ".join(f"{count} {name}" for name, count in sorted(self.fates.items()))
        beside = ", ".join(f"{count} {name}" for name, count in sorted(self.starts.items())) or "nothing"
        lines = [
            f"seed {self.plan.seed}, {self.plan.database}: {self.ended} programs in {self.seconds:.0f} s",
            f"  and {self.live} with every kind of operation when all was healed",
            f"  what was done to them: {fates}",
            f"  started beside them: {beside}",
            f"  faults: {faults}",
        ]
        if self.wrong:
            lines += [f"  {len(self.wrong)} WRONG:", *(f"    {one}" for one in self.wrong[:30])]
            lines += [f"  again: {self.plan.command}"]
        return "\n".join(lines)
