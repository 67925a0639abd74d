"""`hf.stream`: what runs write is read once and in order, and what cannot be written or read is refused."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

import holdfast as hf
from holdfast.engine import stream_waiting
from holdfast.engine.chunks import CHUNK_BYTES
from holdfast.engine.stream_reading import chunk_of
from holdfast.store.streams import ChunkRow
from tests.engine.helpers import cause, serving, until
from tests.engine.streaming import everything, forget, gate, kinds, slow_talk, values


@pytest.fixture(autouse=True)
def nothing_tried() -> None:
    forget()


@dataclass
class Part:
    text: str
    n: int


@hf.step
async def speak(words: list[str]) -> int:
    out = hf.stream("tokens")
    for word in words:
        await out.write({"text": word})
    return len(words)


@hf.step
def speak_in_a_thread(words: list[str]) -> int:
    with hf.stream("tokens") as out:
        for word in words:
            out.write_now(word)
        assert out.written_now() == len(words)
    return len(words)


@hf.workflow
async def talk(words: list[str]) -> int:
    out = hf.stream("tokens")
    await out.write("begin")
    count = await speak(words)
    await out.write(Part("end", count))
    await out.close()
    return count


@hf.workflow
async def in_a_thread(words: list[str]) -> int:
    return await speak_in_a_thread(words)


async def test_what_a_workflow_and_its_step_write_is_read_in_order(store_url: str) -> None:
    async with serving(store_url, talk) as client:
        run = await client.start(talk, ["a", "b"])
        chunks = [chunk async for chunk in run.stream("tokens")]
        assert [chunk.value for chunk in chunks] == [
            "begin", {"text": "a"}, {"text": "b"}, {"text": "end", "n": 2}, None
        ]  # fmt: skip
        assert kinds(chunks) == "dddde"
        assert [chunk.at for chunk in chunks] == sorted(chunk.at for chunk in chunks)
        assert await run.result(timeout="20s") == 2
        assert await client.streams(run.id) == [hf.StreamView("tokens", 5, True)]
        assert await everything(client, run.id, after=2) == chunks[3:]
        assert await everything(client, run.id, after=4) == []
        assert await everything(client, run.id, "other") == []


async def test_a_plain_step_writes_from_its_thread(store_url: str) -> None:
    words = [f"word {n}" for n in range(1000)]
    async with serving(store_url, in_a_thread) as client:
        run = await client.start(in_a_thread, words)
        chunks = await everything(client, run.id)
        assert [chunk.value for chunk in chunks] == [*words, None]
        assert kinds(chunks[-2:]) == "de"


async def test_a_reader_has_a_chunk_while_the_run_goes_on_and_ends_with_it(store_url: str) -> None:
    async with serving(store_url, slow_talk) as client:
        run = await client.start(slow_talk)
        reading = client.read_stream(run.id, "tokens")
        async with asyncio.timeout(30):
            assert (await anext(reading)).value == "first"
            assert [chunk.value for chunk in await everything(client, run.id, follow=False)] == ["first"]
            gate("go").set()
            assert (await anext(reading)).value == "second"
            with pytest.raises(StopAsyncIteration):
                await anext(reading)
        assert await client.streams(run.id) == [hf.StreamView("tokens", 2, False)]


async def test_a_stream_that_nobody_writes_to_is_waited_for_as_long_as_the_run_is_open(store_url: str) -> None:
    async with serving(store_url, slow_talk) as client:
        run = await client.start(slow_talk)
        waiting = asyncio.create_task(everything(client, run.id, "never"))
        beyond = asyncio.create_task(everything(client, run.id, after=70))
        async with asyncio.timeout(30):
            assert (await anext(client.read_stream(run.id, "tokens"))).value == "first"
        assert await everything(client, run.id, "never", follow=False) == []
        assert not waiting.done()
        assert not beyond.done()
        gate("go").set()
        assert await waiting == []
        assert await beyond == []


async def test_many_readers_are_looked_after_together(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_waiting, "POLL_SECONDS", 0.2)
    async with serving(store_url, slow_talk) as client:
        run, other = await client.start(slow_talk), await client.start(slow_talk)
        reading = [asyncio.create_task(values(client, one.id)) for one in (run, other) for _ in range(20)]
        hub = stream_waiting.StreamHub.of(client.core)

        async def all_wait() -> bool:
            return len(hub._waiting) == 40

        await until(all_wait)
        gate("go").set()
        assert [await task for task in reading] == [["first", "second"]] * 40


# Values and misuse


@hf.workflow
async def writes(kind: str) -> None:
    out = hf.stream("tokens")
    await out.write(1)
    if kind == "nan":
        await out.write({"a": [float("nan")]})
    if kind == "large":
        await out.write("x" * CHUNK_BYTES)
    if kind == "closed":
        await out.close()
        await out.close()
        await out.write(2)
    if kind == "name":
        hf.stream("a\0b")
    if kind == "resume":
        hf.stream("tokens", resume=True)
    if kind == "written":
        await out.written()
    if kind == "now":
        out.write_now(2)
    if kind == "task":
        await asyncio.create_task(elsewhere(out))


async def elsewhere(out: hf.Stream) -> None:
    await out.write(2)


@pytest.mark.parametrize(
    ("kind", "error", "said"),
    [
        ("nan", hf.PayloadError, r"stream 'tokens'\[1\]\['a'\]\[0\]: .*NaN|stream 'tokens'\[1\]"),
        ("large", hf.PayloadError, r"stream 'tokens'\[1\]: takes 1,048,5\d\d bytes"),
        ("closed", hf.UsageError, "stream 'tokens' of run .* is closed"),
        ("name", hf.UsageError, "the name of a stream"),
        ("resume", hf.UsageError, "goes on where it was by itself"),
        ("written", hf.UsageError, "left out by themselves"),
        ("now", hf.UsageError, r"use await write\(…\)"),
        ("task", hf.NotDurable, "from a task that holdfast did not start"),
    ],
)
async def test_what_cannot_be_written_is_refused_with_its_place(kind: str, error: type[Exception], said: str) -> None:
    async with serving("memory://", writes) as client:
        found = await cause(client, writes, kind)
        assert isinstance(found, error)
        (run,) = await client.list()
        with pytest.raises(error, match=said):
            raise found
        assert await values(client, run.id) == [1]


async def test_what_is_no_place_to_read_from_is_refused() -> None:
    with pytest.raises(hf.UsageError, match=r"hf\.stream outside a run: .* client.read_stream"):
        hf.stream("tokens")
    async with serving("memory://", talk) as client:
        run = await client.start(talk, [])
        for after in (-2, True, "1", 2**70):
            with pytest.raises(hf.UsageError, match=r"^after is"):
                await everything(client, run.id, after=after)
        with pytest.raises(hf.UsageError, match="the name of a stream"):
            await anext(client.read_stream(run.id, ""))
        with pytest.raises(hf.RunNotFound):
            await anext(client.read_stream("nobody", "tokens"))
        with pytest.raises(hf.RunNotFound):
            await client.streams("nobody")


kept: dict[str, hf.Stream] = {}


@hf.step
async def leaves_it() -> None:
    kept["out"] = hf.stream("tokens")
    await kept["out"].write(1)


@hf.workflow
async def lets_it_go() -> None:
    await leaves_it()


async def test_a_step_that_is_over_writes_nothing_more() -> None:
    async with serving("memory://", lets_it_go) as client:
        run = await client.start(lets_it_go)
        await run.result(timeout="20s")
        for call in (lambda: kept["out"].write(2), kept["out"].close, kept["out"].written):
            with pytest.raises(hf.UsageError, match="is used when step 'leaves_it' had ended"):
                await call()
        assert await values(client, run.id) == [1]


async def test_whoever_waits_is_told_of_each_commit_with_chunks(store_url: str) -> None:
    async with serving(store_url, slow_talk) as client:
        told: list[str] = []
        client.core.on_hint(told.append)
        run = await client.start(slow_talk)

        async def written() -> bool:
            return "stream" in told

        await until(written)
        gate("go").set()
        await run.result(timeout="20s")


def test_what_holds_is_the_data_that_no_reset_names() -> None:
    rows = [
        ChunkRow(0, "data", b"\x01" + b'"a"', 1), ChunkRow(1, "data", b"\x01" + b'"b"', 2),
        ChunkRow(2, "reset", b"[[1, 1], [7, 9]]", 3), ChunkRow(3, "data", b"\x01" + b'"c"', 4),
        ChunkRow(4, "end", b"", 5),
    ]  # fmt: skip
    chunks = [chunk_of(row, "tokens") for row in rows]
    assert [chunk.value for chunk in hf.valid_chunks(chunks)] == ["a", "c"]
