"""An intake process for tests that kill it: ``python -m tests.intake.taking_victim URL FOLDER NAME [DEATH]``.

It takes in the sources of FOLDER/intake.toml until it is killed; where FOLDER/reckless is, without asking whether
somebody else does. With DEATH, ``before`` or ``after``, it dies before it commits for the third time, or after that.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import holdfast as hf
from holdfast.intake.tending import run_intake
from holdfast.store.intake_rows import TakeIn, TakenIn
from tests.intake.taking_kit import eager


def let_die(client: hf.Client, death: str) -> None:
    """Die at the third commit."""
    intake = client.core.store.intake
    take_in, commits = intake.take_in, 0

    async def last(asked: TakeIn) -> TakenIn:
        nonlocal commits
        commits += 1
        if (commits, death) == (3, "before"):
            os.kill(os.getpid(), signal.SIGKILL)
        done = await take_in(asked)
        if commits == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    intake.take_in = last  # type: ignore[method-assign]


async def main() -> None:
    url, folder, name, *death = sys.argv[1], Path(sys.argv[2]), *sys.argv[3:]
    async with hf.connect(url) as client:
        if death:
            let_die(client, death[0])
        (folder / f"ready-{name}").touch()
        if (folder / "reckless").exists():
            await eager(client, folder).forever()
        else:
            await run_intake(client, folder / "intake.toml")


if __name__ == "__main__":
    asyncio.run(main())
