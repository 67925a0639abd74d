"""A user's module, as it was when runs were recorded."""

import holdfast as hf


@hf.step
async def charge(cents: int) -> str:
    return f"r-{cents}"


@hf.workflow
async def checkout(cents: int) -> str:
    return await charge(cents)


@hf.workflow
async def refuses(cents: int) -> str:
    raise ValueError(f"no {await charge(cents)}")
