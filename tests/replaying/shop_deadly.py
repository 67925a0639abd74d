"""The same module, changed so that some runs are the end of whoever replays them, or take for ever."""

import os
import signal
import time
from pathlib import Path

import holdfast as hf


@hf.step
async def charge(cents: int) -> str:
    raise AssertionError("a step is executed in a replay")


@hf.workflow
async def checkout(cents: int) -> str:
    if cents == 30:
        os.kill(os.getpid(), signal.SIGKILL)
    if "HOLDFAST_TEST_LINGER" in os.environ:
        Path(os.environ["HOLDFAST_TEST_LINGER"], str(os.getpid())).touch()
        while True:
            time.sleep(0.01)  # noqa: ASYNC251
    return await charge(cents)
