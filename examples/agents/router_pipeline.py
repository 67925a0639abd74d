"""The agent that fits: a letter goes to the one that its kind asks for, and that may be a pipeline itself."""

from __future__ import annotations

import asyncio

from pydantic import BaseModel

import holdfast as hf


class Letter(BaseModel):
    """What somebody wrote, and what it is."""

    kind: str
    text: str


class Answer(BaseModel):
    """What they are answered."""

    text: str


def reader(text: str) -> Letter:
    """A model would say what a letter is; here a word does."""
    return Letter(kind="complaint" if "broken" in text else "question", text=text)


def kind_of(letter: Letter) -> str:
    """Decides from what it is given and nothing else: in a run it is asked again after a crash."""
    return letter.kind


def look_up(letter: Letter) -> str:
    return "We are open from nine to five."


def apologise(letter: Letter) -> str:
    return "We are sorry that it is broken."


def compensate(apology: str) -> Answer:
    return Answer(text=f"{apology} You get your money back.")


desk = hf.SequentialPipeline(
    [
        reader,
        hf.RouterPipeline(
            route=kind_of,
            agents={"question": look_up, "complaint": hf.SequentialPipeline([apologise, compensate], name="complaint")},
            name="desk",
        ),
    ],
    name="letters",
    takes=str,
)
letters = desk.workflow()


async def main() -> None:
    async with hf.connect("sqlite:///letters.db") as client, hf.Worker(client, [letters]):
        for number, text in enumerate(("When may I come?", "The lamp came broken."), start=1):
            run = await client.start(letters.options(id=f"letter-{number}"), text)
            result = await run.result()
            print([step.name for step in result.steps], result.review)


if __name__ == "__main__":
    asyncio.run(main())
