"""The same module, changed."""

import holdfast as hf


@hf.step
async def weigh(cents: int) -> int:
    raise AssertionError("a step is executed in a replay")


@hf.workflow
async def checkout(cents: int) -> str:
    return str(await weigh(cents))
