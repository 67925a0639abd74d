"""Agents side by side: three look at one text, one of them fails, and an editor takes what the others found."""

from __future__ import annotations

import asyncio

from pydantic import BaseModel

import holdfast as hf

TEXT = "The very old bridge was built in 1803. It is very long."


class Remarks(BaseModel):
    """What somebody has to say of the text."""

    remarks: list[str]


class Edited(BaseModel):
    """What the editor makes of it."""

    text: str
    not_heard: list[str]


def style(text: str) -> Remarks:
    return Remarks(remarks=["very"] * text.count("very"))


def length(text: str) -> Remarks:
    return Remarks(remarks=[f"{len(text.split())} words"])


def facts(text: str) -> Remarks:
    raise ConnectionError("the archive is closed")


def editor(found: dict[str, Remarks], work: hf.Work) -> Edited:
    """Is given what those side by side gave, by name; who failed is in ``work.failures``."""
    text: str = work.task
    for word in found["style"].remarks:
        text = text.replace(f"{word} ", "", 1)
    return Edited(text=text, not_heard=list(work.failures))


readers = hf.ParallelPipeline(
    [style, length, hf.agent(facts, continue_on_error=True, retry=hf.Retry(max_attempts=1))],
    name="readers",
)
pipeline = hf.SequentialPipeline([readers, editor], name="editing", takes=str)


async def main() -> None:
    result = await pipeline.run(TEXT)
    for step in result.steps:
        print(f"{step.name}: {step.error or step.output}")


if __name__ == "__main__":
    asyncio.run(main())
