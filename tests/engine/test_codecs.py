"""Sealed values through workers: nothing readable is stored, keys change, and what cannot be opened loses nothing."""

from __future__ import annotations

import asyncio
import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

import holdfast as hf
from holdfast.agents.recording import record_artifact
from holdfast.codecs import AesGcm
from holdfast.engine import dispatcher, isolation, recorded
from holdfast.engine.durable import sleep
from holdfast.engine.streams import stream
from holdfast.errors import CodecError, CodecUnavailable, KeyMissing
from holdfast.intake.tending import run_intake
from holdfast.model.start_rules import Batch, Debounce
from holdfast.store.values import codec as calls
from holdfast.store.values.values import Values
from tests.engine.codec_kit import KEYS, places_of, sealed, values, where
from tests.engine.helpers import ONCE, QUICK, outcome, until, until_status
from tests.intake.taking_kit import append, write

WORD = "Xanthippe"

tries: list[str] = []


@hf.step(retry=ONCE)
async def greet(name: str) -> str:
    return f"hello {name}"


@hf.step(retry=QUICK)
async def fails_twice(name: str) -> str:
    tries.append(name)
    if len(tries) % 3:
        raise ValueError(f"not yet, {name}")
    content = f"about {name}".encode()
    record_artifact("about.txt", "text/plain", len(content), hashlib.sha256(content).digest(), content=content)
    out = stream("from-a-step")
    await out.write({"token": name})
    return name


@hf.step(retry=ONCE)
async def refuses(name: str) -> str:
    raise ValueError(f"no, {name}")


@hf.workflow
async def child(name: str) -> str:
    return f"child of {name}"


@hf.workflow
async def failing(name: str) -> str:
    await refuses(name)
    return ""


@hf.workflow
async def everything(name: str) -> list[str]:
    """Every way in which a run takes, gives and records values."""
    out = stream("tokens")
    await out.write(name)
    given = [await greet(name), await fails_twice(name), await child(name)]
    try:
        await refuses(name)
    except ValueError as error:
        given.append(str(error))
    given += await hf.gather(greet(f"{name} 1"), greet(f"{name} 2"))
    given += await hf.map(child, [f"{name} {number}" for number in range(3)])
    given.append(await hf.wait_for_event("told", key="k"))
    await hf.publish("replies", {"to": name}, key="k")
    await sleep(0.01)
    return given


@hf.workflow
async def again(name: str, left: int = 1) -> str:
    if left:
        hf.continue_as_new(f"{name} again", left - 1)
    return await greet(name)


@hf.workflow
async def waits() -> str:
    got: str = await hf.wait_for_event("told", key="w")
    return got


@hf.workflow(debounce=Debounce("1h", longest="2h", key="name"))
async def calm(name: str, text: str) -> str:
    return text


@hf.workflow(batch=Batch(100, within="1h"))
async def many(items: list[str]) -> int:
    return len(items)


@hf.workflow
async def takes_in(message: hf.Incoming) -> str:
    return f"read {message.data['text']}"


EXPECTED = [
    f"hello {WORD}", WORD, f"child of {WORD}", f"no, {WORD}", f"hello {WORD} 1", f"hello {WORD} 2",
    f"child of {WORD} 0", f"child of {WORD} 1", f"child of {WORD} 2", f"event for {WORD}",
]  # fmt: skip


async def test_nothing_that_a_run_takes_gives_or_records_can_be_read_in_the_database(
    disk_url: str, tmp_path: Path
) -> None:
    tries.clear()
    how = values()
    async with sealed(disk_url, how, everything, child, failing, again, waits, takes_in) as client:
        run = await client.start(everything, WORD)
        await client.send_event("told", f"event for {WORD}", key="k")
        assert await run.result("60s") == EXPECTED
        # Errors, and going on with another input.
        failed = await client.start(failing, WORD)
        with pytest.raises(hf.RunFailed):
            await failed.result("60s")
        assert WORD in (await client.get(failed.id)).error["message"]  # type: ignore[index]
        assert await outcome(client, again, WORD) == f"hello {WORD} again"
        # Events that are kept, and one that is waited for in vain.
        await client.send_event("kept", f"kept for {WORD}")
        # Schedules, forks with edits, and a step tried aside.
        await client.schedule("nightly", child, input=[WORD], every="100d")
        assert (await client.get_schedule("nightly")).input == {"name": WORD}
        forked = await client.fork(run.id, from_step=greet, input={"name": f"{WORD} edited"})
        await client.send_event("told", f"event for {WORD}", key="k")
        view = await until_status(client, forked, "succeeded")
        assert view.output[0] == f"hello {WORD} edited"
        told = await client.fork(run.id, from_step=greet, output=f"{WORD} told")
        await client.send_event("told", f"event for {WORD}", key="k")
        assert (await until_status(client, told, "succeeded")).output[0] == f"{WORD} told"
        tried = await client.replay_step(run.id, greet)
        assert tried.output == tried.recorded == f"hello {WORD}"
        # What is told to others, and what comes in.
        [message] = [one for one in await client.messages() if one.run == run.id]
        assert (await client.message(message.id)).body == {"to": WORD}
        await client.publish("replies", {"to": WORD})
        write(tmp_path, '[sources.orders]\nkind = "jsonl"\npath = "orders.jsonl"\nworkflow = "takes_in"\nid = "id"\n')
        append(tmp_path, [{"id": "o-1", "text": WORD}, {"id": "o-2", "text": WORD, "more": [WORD] * 50}])
        [report] = await run_intake(client, tmp_path / "intake.toml", once=True)
        assert report.runs == 2

        async def all_read() -> bool:
            return {one.output for one in await client.list(workflow="takes_in")} == {f"read {WORD}"}

        await until(all_read)
        # Artifacts and streams.
        [artifact] = await client.artifacts(run.id)
        assert (await client.artifact(run.id, artifact.name)).content == f"about {WORD}".encode()
        assert [chunk.value async for chunk in client.read_stream(run.id, "tokens")] == [WORD]
        assert [chunk.value async for chunk in client.read_stream(run.id, "from-a-step")] == [{"token": WORD}]
        history = await client.history(run.id)
        assert any(entry.failed_attempts and WORD in entry.failed_attempts[0].error["message"] for entry in history)
    assert await places_of(disk_url, WORD) == set()


async def test_starts_that_are_put_together_are_sealed_too(disk_url: str) -> None:
    async with sealed(disk_url, values(), calm, many) as client:
        first = await client.start(calm, "k", f"first {WORD}")
        second = await client.start(calm, "k", f"second {WORD}")
        assert second.way == "merged"
        await client.start(many, [f"one {WORD}"])
        await client.start(many, [f"two {WORD}"])
        assert (await client.get(first.id)).input["name"] == "k"
        found = await client.diversions(workflow="calm")
        inputs = [(await client.diversion(one.id)).input for one in found]
        assert f"second {WORD}" in [given["text"] for given in inputs if given is not None]
    assert await places_of(disk_url, WORD) == set()


async def test_what_is_searched_or_named_is_not_sealed(disk_url: str) -> None:
    """As the documents say: whoever needs these hidden keeps the words out of them."""
    async with sealed(disk_url, values(), child) as client:
        await outcome(client, child, "x")
        await client.start(child.options(id=f"id-{WORD}", attributes={"customer": WORD}), "x")
    found = await places_of(disk_url, WORD)
    assert "runs.id" in found
    assert {place.partition(".")[0] for place in found} <= {"runs", "facts", "attributes", "run_facts"}


async def test_without_a_codec_the_word_is_found(disk_url: str) -> None:
    """The search of the other tests finds what is there."""
    async with sealed(disk_url, None, child) as client:
        await outcome(client, child, WORD)
    assert {"runs.input", "runs.output"} <= await places_of(disk_url, WORD)


@pytest.mark.parametrize("compressed", [True, False])
async def test_keys_change_and_old_values_are_read(disk_url: str, compressed: bool) -> None:
    async with sealed(disk_url, values("2026-10", compressed=compressed), waits, child) as client:
        old = await client.start(waits)
        assert await outcome(client, child, "before") == "child of before"
        await until_status(client, old.id, "waiting")
    async with sealed(disk_url, values("2026-11", "2026-10", compressed=compressed), waits, child) as client:
        await client.send_event("told", "after", key="w")
        assert await (await client.start(waits.options(id=old.id))).result("60s") == "after"
        assert {run.output for run in await client.list()} == {"child of before", "after"}
    # The old key is gone: what needs it is told, and what does not is read.
    async with hf.connect(disk_url, values=values("2026-11", compressed=compressed)) as client:
        shown = [run.output for run in await client.list()]
        assert "after" in shown
        [lost] = [one for one in shown if one != "after"]
        assert lost["sealed_by"] == "2026-10"
        assert "'2026-11'" in lost["why"]


async def test_plain_values_are_read_beside_sealed_ones(store_url: str) -> None:
    if store_url == "memory://":
        store_url = "memory://plain-and-sealed"
    async with sealed(store_url, values(), child) as client:
        assert await outcome(client, child, "sealed") == "child of sealed"
    if store_url.startswith("memory"):
        return
    async with sealed(store_url, None, child) as client:
        assert await outcome(client, child, "plain") == "child of plain"
    async with sealed(store_url, values(), child) as client:
        assert {run.output for run in await client.list()} == {"child of sealed", "child of plain"}


@pytest.mark.parametrize("there", ["none", "other", "wrong"])
async def test_a_run_whose_values_a_worker_cannot_open_is_held_and_goes_on_where_the_key_is(
    disk_url: str, there: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with sealed(disk_url, values("2026-10"), waits) as client:
        run = await client.start(waits)
        await until_status(client, run.id, "waiting")
    async with hf.connect(disk_url, values=values("2026-10")) as client:
        await client.send_event("told", "news", key="w")
    wrong = Values(codec=AesGcm({"2026-10": KEYS["2026-11"]}))
    how = {"none": None, "other": values("2026-11"), "wrong": wrong}[there]
    async with sealed(disk_url, how, waits) as client:
        view = await until_status(client, run.id, "held")
        assert "2026-10" in view.error["message"]  # type: ignore[index]
    assert f"run {run.id} is held: " in caplog.text
    async with sealed(disk_url, values("2026-10", "2026-11"), waits) as client:
        await client.release(run.id)
        assert (await until_status(client, run.id, "succeeded")).output == "news"


async def test_a_run_in_memory_that_is_given_what_it_cannot_open_is_held(sqlite_url: str) -> None:
    async with sealed(sqlite_url, None, misses) as client:
        run = await client.start(misses)
        view = await until_status(client, run.id, "held")
        assert "sealed by key 'k'" in view.error["message"]  # type: ignore[index]


@pytest.mark.parametrize("what", ["recorded", "large", "published", "event"])
async def test_a_run_is_held_for_what_it_recorded_or_is_told_too(
    disk_url: str, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its input is plain: what it recorded, or the event's payload, is what cannot be opened."""
    monkeypatch.setattr(recorded, "FETCH_BYTES", 0)
    right = values(compressed=False, apart_over=1024)
    async with hf.connect(disk_url) as client:
        run = await client.start(greets_and_waits, what)
    async with sealed(disk_url, right, greets_and_waits) as client:
        await until_status(client, run.id, "waiting")
    async with hf.connect(disk_url, values=right if what == "event" else None) as client:
        await client.send_event("told", "news", key="g")
    wrong = Values(codec=AesGcm({"2026-11": KEYS["2026-10"]}))
    async with sealed(disk_url, None if what == "event" else wrong, greets_and_waits) as client:
        view = await until_status(client, run.id, "held")
        assert "2026-11" in view.error["message"]  # type: ignore[index]
    async with sealed(disk_url, right, greets_and_waits) as client:
        await client.release(run.id)
        assert (await until_status(client, run.id, "succeeded")).output[1] == "news"


async def test_a_result_that_cannot_be_opened_is_refused_and_shown_as_what_it_is(disk_url: str) -> None:
    async with sealed(disk_url, values(), child, failing) as client:
        await outcome(client, child, WORD)
        run, failed = await client.start(child, WORD), await client.start(failing, WORD)
        await run.result("60s")
        with pytest.raises(hf.RunFailed):
            await failed.result("60s")
    async with hf.connect(disk_url) as client:
        view = await client.get(run.id)
        assert view.input["sealed_by"] == view.output["sealed_by"] == "2026-11"
        assert view.output["size_bytes"] > 40
        assert "no key is configured here" in (await client.get(failed.id)).error["message"]  # type: ignore[index]
        known = await client.start_named("child", {"name": WORD}, id="new")
        assert known.created
        with pytest.raises(KeyMissing) as told:
            await client.start(child.options(id=run.id), WORD)
        assert (told.value.needed, told.value.known) == ("2026-11", ())


class Troubled:
    """A codec that is away as long as it is told to be, and turns bytes around."""

    def __init__(self) -> None:
        self.how = ""
        self.failed = 0

    async def encode(self, payloads: Any) -> Any:
        if any(b"forbidden" in one for one in payloads):
            raise CodecError("a value", "it has a word in it that is not to be stored")
        return await self._answer(payloads)

    async def decode(self, payloads: Any) -> Any:
        return await self._answer(payloads)

    async def _answer(self, payloads: Any) -> Any:
        self.failed += bool(self.how)
        if self.how == "raises":
            raise OSError("the key service is away")
        if self.how == "hangs":
            await asyncio.Event().wait()
        if self.how == "fewer":
            return payloads[1:]
        if self.how == "texts":
            return ["text" for _ in payloads]
        return [one[::-1] for one in payloads]


@pytest.mark.parametrize("how", ["raises", "hangs", "fewer", "texts"])
async def test_while_a_codec_is_in_trouble_nothing_is_lost_and_everything_goes_on_after(
    store_url: str, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls.seal, "__defaults__", (0.2,))
    monkeypatch.setattr(calls.unseal, "__defaults__", (0.2,))
    codec = Troubled()
    async with sealed(store_url, Values(codec=codec), child, waits) as client:
        waiting = await client.start(waits)
        await until_status(client, waiting.id, "waiting")
        codec.how = how
        starting = asyncio.create_task(client.start(child, "later"))

        async def tried() -> bool:
            return codec.failed >= 3

        await until(tried)
        assert not starting.done()
        codec.how = ""
        assert await (await starting).result("60s") == "child of later"
        await client.send_event("told", "news", key="w")
        assert await waiting.result("60s") == "news"


async def test_a_value_that_a_codec_refuses_fails_alone_and_is_told_by_its_place(store_url: str) -> None:
    async with sealed(store_url, Values(codec=Troubled()), greeting, careful) as client:
        runs = await client.start_many(greeting, [(f"person {n}" if n != 5 else "forbidden",) for n in range(10)][:5])
        bad = asyncio.create_task(client.start(greeting, "forbidden"))
        fine = await client.start(greeting, "fine")
        with pytest.raises(CodecError, match="not to be stored"):
            await bad
        assert await fine.result("60s") == "hello fine"
        assert [await run.result("60s") for run in runs] == [f"hello person {n}" for n in range(5)]
        # A step whose result is refused fails; its run can go on.
        assert "step 'whispers' is refused by the codec" in await outcome(client, careful)


@hf.workflow
async def greeting(name: str) -> str:
    return await greet(name)


@hf.step(retry=ONCE)
async def whispers() -> str:
    return "forbidden"


@hf.workflow
async def greets_and_waits(what: str) -> list[str]:
    said = await greet("you" * (1000 if what == "large" else 1)) if what in ("recorded", "large") else ""
    if what == "published":
        await hf.publish("replies", {"to": "you"})
    told: str = await hf.wait_for_event("told", key="g")
    return [said, told]


@hf.workflow
async def misses() -> None:
    raise KeyMissing("the payload", "it is sealed by key 'k'", needed="k")


@hf.workflow
async def careful() -> str:
    try:
        return await whispers()
    except hf.PayloadError as error:
        return str(error)


async def test_a_start_waits_for_a_codec_no_longer_than_a_client_waits_for_a_database(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    codec = Troubled()
    async with hf.connect(sqlite_url, values=Values(codec=codec)) as client:
        codec.how = "raises"
        with pytest.raises((CodecUnavailable, TimeoutError, hf.StoreUnavailable)):
            async with asyncio.timeout(2):
                await client.start(child, "x")


@pytest.mark.parametrize("described", [True, False])
async def test_a_child_process_that_executes_a_run_alone_opens_its_values_or_is_not_used(
    sqlite_url: str, described: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(dispatcher, "RESCUES_ISOLATED", 0)
    monkeypatch.setattr(isolation, "values", ("tests.engine.codec_kit:in_child", "2026-11") if described else None)
    children: list[Any] = []
    start = isolation._Child.start

    async def noted() -> Any:
        children.append(await start())
        return children[-1]

    monkeypatch.setattr(isolation._Child, "start", noted)
    async with sealed(sqlite_url, values(), where) as client:
        run = await client.start(where, WORD)
        await until_status(client, run.id, "waiting")
        await client.send_event("go", f"go, {WORD}")
        given, told, pid = await run.result("60s")
        assert (given, told) == (WORD, f"go, {WORD}")
        assert (pid == os.getpid()) is not described
        assert ("executes among the others" in caplog.text) is not described
    assert await places_of(sqlite_url, WORD) == set()
