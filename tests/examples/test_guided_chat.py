"""The guided chat: guests talk to the end, once each, and the run that comes of it is right."""

import asyncio
import sys
from pathlib import Path

import pytest

import holdfast as hf
from examples.guided_chat.assistant import Assistant, heard
from examples.guided_chat.desk import engine, renewal
from examples.guided_chat.guests import GUESTS, talk

ROOT = Path(__file__).parents[2]


async def test_guests_talk_side_by_side_and_each_contract_is_renewed_once(store_url: str) -> None:
    async with hf.connect(store_url) as client, hf.Worker(client, [renewal]):
        chats = await hf.open_conversations(client, [engine])
        for _ in range(2):  # a second time, all of it has happened
            turns = await asyncio.gather(*(talk(chats, user, said) for user, said in GUESTS.items()))
        ended = {turn.messages[-1].content: turn.progress.percent_complete for turn in turns}
        assert ended == {
            "Thank you, it is on its way.": 100,
            "Is there anything else that we should know?": 50,
        }
        runs = {run: await client.handle(run, renewal) for turn in turns for run in turn.started}
        assert (await client.count("workflow = 'renewal'")).runs == len(runs) == 3
        work = hf.work_queue(client)
        while not (items := await work.list(kind="ask")):
            await asyncio.sleep(0.01)
        assert "Renew 650 seats of Cedar Foods" in items[0].title
        await work.complete(items[0].id, {"answer": True})
        assert {await run.result(timeout="60s") for run in runs.values()} == {
            "Alder Mills has 20 seats for another year, at 960.00 dollars",
            "Birch & Sons has 30 seats for another year, at 1440.00 dollars",
            "Cedar Foods has 650 seats for another year, at 23868.00 dollars",
        }


async def test_a_large_contract_is_not_renewed_against_a_person_s_will(store_url: str) -> None:
    async with hf.connect(store_url) as client, hf.Worker(client, [renewal]):
        run = await client.start(renewal, "Cedar Foods", 650)
        work = hf.work_queue(client)
        while not (items := await work.list(kind="ask")):
            await asyncio.sleep(0.01)
        await work.complete(items[0].id, {"answer": False})
        assert await run.result(timeout="60s") == "Cedar Foods is not renewed"


async def test_only_large_companies_are_asked_for_their_contract() -> None:
    async def asked(*said: str) -> str:
        answer = await Assistant()(hf.Query("", [hf.Message("user", one) for one in said], {}))
        return str(answer["message"])

    assert await asked("for Elm Works, 249 people") == "How many seats do you need?"
    assert await asked("for Elm Works, 250 people") == "When does the contract end?"
    assert await asked("for Elm Works, 250 people", "2027-01-01, standard") == "How many seats do you need?"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("It is about Alder Mills", {"company": "Alder Mills"}),
        ("we are Birch & Sons, 80 people", {"company": "Birch & Sons", "people": 80}),
        ("nothing", {"note": None}),
        ("hello there", {}),
    ],
)
def test_what_is_heard(text: str, found: dict[str, object]) -> None:
    assert heard(text, {}) == found


async def test_the_command_talks_with_whoever_types(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "examples.guided_chat", "--url", f"sqlite:///{tmp_path}/chat.db",
        cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    told, _ = await asyncio.wait_for(process.communicate(b"It is Elm Works, 5 people\n4 seats\nnothing\nyes\n"), 60)
    assert process.returncode == 0
    assert told.decode().endswith("    Elm Works has 4 seats for another year, at 192.00 dollars\n")
