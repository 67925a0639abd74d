"""The command: runs the cases, prints what they found, and says which requirements were missed.

It ends with a status other than 0 only when a case could not be measured.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import os
import sys
import tempfile
import time
import traceback
from contextlib import ExitStack
from pathlib import Path

from benchmarks.backends import Backend, backend, check_durable
from benchmarks.child import Child
from benchmarks.machine import describe, filesystem
from benchmarks.report import Row, as_json, missed, table
from benchmarks.sizes import FULL, QUICK, Sizes

CASES = (
    "throughput",
    "alone",
    "claim",
    "latency",
    "memory",
    "neighbours",
    "kill",
    "lanes",
    "asleep",
    "long",
    "retention",
    "pressure",
    "http",
    "pages",
    "live",
    "work",
    "turns",
    "phases",
    "outbox",
    "intake",
    "replay",
    "codec",
    "flow",
    "fairness",
    "streams",
)
BACKENDS = ("sqlite", "postgres")


def main() -> int:
    """Run what the arguments ask for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--full", action="store_true", help="full size: a million rows; takes long")
    parser.add_argument("--only", nargs="+", choices=CASES, default=CASES, metavar="NAME", help=", ".join(CASES))
    parser.add_argument("--rounds", type=int, metavar="N", help="so often the contenders take turns; 3 unless given")
    parser.add_argument("--backend", choices=BACKENDS, action="append", help="only this one")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything there")
    parser.add_argument("--dir", type=Path, default=None, help="where the databases are made, on a disk")
    arguments = parser.parse_args()
    folder = arguments.dir or _folder()
    folder.mkdir(parents=True, exist_ok=True)
    machine = dict(describe(folder))
    for what, value in machine.items():
        print(f"{what:10} {value}")
    rows: list[Row] = []
    errors: list[str] = []
    sizes = FULL if arguments.full else QUICK
    if arguments.rounds is not None:
        sizes = dataclasses.replace(sizes, rounds=max(arguments.rounds, 1))
    for name in arguments.backend or BACKENDS:
        with ExitStack() as stack:
            try:
                database = stack.enter_context(backend(name, folder))
                machine[name] = f"{database.version}; {_durable(database)}"
            except Exception:
                errors.append(f"{name}: {traceback.format_exc()}")
                continue
            print(f"{name:10} {machine[name]}", flush=True)
            for case in arguments.only:
                _measure(case, database, sizes, rows, errors)
    machine["load_after"] = round(os.getloadavg()[0], 2)
    print(f"\n{table(rows)}\n\n{missed(rows)}")
    for error in errors:
        print(f"\nFAILED: {error}", file=sys.stderr)
    if arguments.json:
        arguments.json.write_text(as_json(machine, rows, errors))
    return 1 if errors else 0


def _measure(case: str, database: Backend, sizes: Sizes, rows: list[Row], errors: list[str]) -> None:
    began = time.monotonic()
    print(f"{database.name}: {case} …", end="", file=sys.stderr, flush=True)
    try:
        rows += importlib.import_module(f"benchmarks.cases.{case}").run(database, sizes)
    except Exception:
        errors.append(f"{case}, {database.name}: {traceback.format_exc()}")
        print(" FAILED", file=sys.stderr, flush=True)
    else:
        print(f" {time.monotonic() - began:.1f} s", file=sys.stderr, flush=True)


def _durable(database: Backend) -> str:
    """How commits reach the disk, read back from the database by ours and by the limit."""
    with (
        database.database() as limit_url,
        database.database() as our_url,
        database.limit(limit_url) as limit,
        Child("benchmarks.ours:Ours", url=our_url, in_flight=1) as ours,
    ):
        found = {"ours": str(ours.call("durable")), "limit": str(limit.call("durable"))}
    check_durable(found)
    return ", ".join(f"{who}: {settings}" for who, settings in found.items())


def _folder() -> Path:
    """Where temporary files go, unless that is in memory, where nothing waits for a disk."""
    usual = Path(tempfile.gettempdir())
    return Path("/var/tmp") if filesystem(usual) in ("tmpfs", "ramfs") else usual


if __name__ == "__main__":
    sys.exit(main())
