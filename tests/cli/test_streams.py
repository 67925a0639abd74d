"""`holdfast runs stream` and `streams`: on a database, followed to the end or not."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

import holdfast as hf
from tests.cli.tool import inside


@hf.step(retry=hf.Retry(max_attempts=2, initial=0.001))
async def stumbles() -> None:
    out = hf.stream("tokens")
    await out.write({"attempt": hf.current().attempt})
    if hf.current().attempt == 1:
        raise ConnectionError("once more")


@hf.workflow
async def talk() -> None:
    await stumbles()
    async with hf.stream("tokens") as out:
        await out.write("a \x1b[31m text")
        await out.write([1, "ä"])


@hf.workflow
async def never() -> None:
    await hf.stream("tokens").write("begun")
    await hf.wait_for_event("nothing")


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database with a run that has ended, and one that waits."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOLDFAST_URL", "sqlite:///talk.db")

    async def runs() -> None:
        async with hf.connect("sqlite:///talk.db") as client, hf.Worker(client, [talk, never], drain=0):
            await (await client.start(talk.options(id="r"))).result(timeout="30s")
            waiting = await client.start(never.options(id="open"))
            async with asyncio.timeout(30):
                assert (await anext(waiting.stream("tokens"))).value == "begun"

    asyncio.run(runs())
    return "sqlite:///talk.db"


@pytest.mark.usefixtures("url")
def test_a_stream_is_printed_a_value_on_each_line() -> None:
    out, errors = inside("runs", "stream", "r", "tokens")
    assert out.splitlines() == ['{"attempt": 1}', '{"attempt": 2}', "a \\x1b[31m text", '[1, "ä"]']
    assert "withdrawn: 0" in errors
    assert inside("runs", "stream", "r", "tokens", "--after", "3")[0].splitlines() == ['[1, "ä"]']
    out, errors = inside("runs", "stream", "r", "other")
    assert out == ""
    assert "the run has written to no stream 'other', but to tokens" in errors
    out, errors = inside("runs", "stream", "r", "tokens", "--after", "70")
    assert out == ""
    assert "nothing stands behind offset 70: the stream has 6 chunks" in errors
    chunks = [json.loads(line) for line in inside("runs", "stream", "r", "tokens", "--json")[0].splitlines()]
    assert [(one["offset"], one["kind"], one["value"]) for one in chunks] == [
        (0, "data", {"attempt": 1}), (1, "reset", [[0, 0]]), (2, "data", {"attempt": 2}),
        (3, "data", "a \x1b[31m text"), (4, "data", [1, "ä"]), (5, "end", None),
    ]  # fmt: skip


@pytest.mark.usefixtures("url")
def test_what_is_there_is_printed_without_waiting() -> None:
    assert inside("runs", "stream", "open", "tokens", "--no-follow")[0] == "begun\n"


@pytest.mark.usefixtures("url")
def test_the_streams_of_a_run_are_listed() -> None:
    out, _ = inside("runs", "streams", "r")
    assert out.splitlines()[2].split() == ["tokens", "6", "ended"]
    assert json.loads(inside("runs", "streams", "open", "--json")[0]) == [
        {"name": "tokens", "next_offset": 1, "ended": False}
    ]
    assert "no run 'nobody'" in inside("runs", "streams", "nobody", code=3)[1]
    assert "after is -2" in inside("runs", "stream", "r", "tokens", "--after", "-2", code=2)[1]
