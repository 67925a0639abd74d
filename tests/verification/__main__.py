"""Programs from a seed, on real worker processes, among real faults: whether what is promised holds.

examples:
  python -m tests.verification                                       200 programs on SQLite, every fault it can suffer
  python -m tests.verification --database postgres --seed 7          what seed 7 does on PostgreSQL
  python -m tests.verification --faults none --seconds 60            one quiet minute
  python -m tests.verification --seed 7 --first 31 --programs 1      one program of a seed, alone
  python -m tests.verification --cut                                 cut the connection at every byte of a commit
  python -m tests.verification --rounds 20                           20 seeds, one after the other

A seed fixes the programs, what is done to their runs, and which faults follow one another. When exactly a fault meets a
program the machine decides: a failure that does not come again at once is looked for with more --rounds of its seed.
"""

import argparse
import asyncio
import logging
import random
import sys
import time

from tests.verification.injector import KINDS
from tests.verification.plan import Plan
from tests.verification.session import verify


def _faults(text: str) -> frozenset[str]:
    found = frozenset() if text == "none" else frozenset(KINDS) if text == "all" else frozenset(text.split(","))
    if unknown := found - set(KINDS):
        raise argparse.ArgumentTypeError(
            f"no fault is called {', '.join(sorted(unknown))}; there are {', '.join(KINDS)}"
        )
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.verification", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, help="what to begin with; a new one unless given, and told")
    parser.add_argument("--programs", type=int, default=200, help="how many (%(default)s)")
    parser.add_argument("--first", type=int, default=0, help="the number of the first (%(default)s)")
    parser.add_argument("--size", type=int, default=12, help="operations in a program, at most about (%(default)s)")
    parser.add_argument("--workers", type=int, default=3, help="worker processes (%(default)s)")
    parser.add_argument("--database", choices=("sqlite", "postgres", "both"), default="sqlite", help="(%(default)s)")
    parser.add_argument(
        "--faults", type=_faults, default=frozenset(KINDS) - {"upgrade"}, metavar="KIND,…",
        help=f"of {', '.join(KINDS)}; or all, or none (all but upgrade)",
    )  # fmt: skip
    parser.add_argument("--pace", type=float, default=0.5, help="seconds from fault to fault on average (%(default)s)")
    parser.add_argument("--at-once", type=int, default=60, help="programs under way at once (%(default)s)")
    parser.add_argument("--seconds", type=float, help="start no more programs after so long")
    parser.add_argument(
        "--patience", type=float, default=90, help="seconds without an end that count as stuck (%(default)s)"
    )
    parser.add_argument("--older", metavar="COMMIT", help="whose code the older workers of an upgrade execute")
    parser.add_argument("--rounds", type=int, default=1, help="verifications, each with the next seed (%(default)s)")
    parser.add_argument("--cut", action="store_true", help="instead: cut a commit's connection at every byte of it")
    parser.add_argument("--every", type=int, default=1, help="with --cut: only at every so many bytes (%(default)s)")
    parser.add_argument("--keep", action="store_true", help="leave the folder with the database and what workers said")
    return parser


def main() -> int:
    given = _parser().parse_args()
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - began:6.1f} s] {text}", file=sys.stderr, flush=True)

    if given.cut:
        from tests.verification.cutting import cut_everywhere

        logging.getLogger("holdfast").setLevel(logging.ERROR)  # each cut is worth a warning to it
        found = asyncio.run(cut_everywhere(given.every, say))
        print(found)
        return 1 if found.wrong else 0
    first = random.SystemRandom().randrange(10**9) if given.seed is None else given.seed
    names = ("sqlite", "postgres") if given.database == "both" else (given.database,)
    failed = 0
    for seed in range(first, first + given.rounds):
        for name in names:
            plan = Plan(
                seed, programs=given.programs, workers=given.workers, database=name, faults=given.faults,
                seconds=given.seconds, pace=given.pace, at_once=given.at_once, patience=given.patience, size=given.size,
                first=given.first, older=given.older, keep=given.keep,
            )  # fmt: skip
            say(plan.command)
            summary = asyncio.run(verify(plan, say))
            if summary.wrong:
                failed += 1
                print(summary.said, file=sys.stderr)
            print(summary, flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
