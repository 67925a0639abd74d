"""A worker for tests that kill it: ``python asking_victim.py URL`` serves a run that asks, until it is killed."""

import asyncio
import sys

import holdfast as hf


@hf.step
async def note(text: str) -> str:
    return text


@hf.workflow(name="asks-a-person")
async def asks(order: str) -> list[str]:
    before = await note("before")
    answer = await hf.ask(f"Approve {order}", assignee="maria", form=str)
    return [before, answer, await note("after")]


async def main(url: str) -> None:
    async with hf.Worker(url, [asks], lease=1.0, beat=0.2):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
