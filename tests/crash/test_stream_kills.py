"""The writer, a reader and the server of a stream are killed again and again: each value is read once and in order."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import holdfast as hf
from holdfast.store.operations import LOST, Batch, Results
from tests.crash import stream_victims
from tests.crash.faulty import FAULTS, Fault
from tests.crash.stream_victims import NAME, tells
from tests.engine.helpers import serving, until


class Processes:
    """A writer, a server and a reader, each in a process of its own."""

    def __init__(self, url: str, folder: Path, nursery: asyncio.subprocess.Process) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = url
        self.log = folder / "log"
        self.running: dict[str, int] = {}
        self.run = ""
        self._nursery = nursery
        self._asking = asyncio.Lock()

    async def begin(self, what: str) -> None:
        """Start the writer, the server or the reader."""
        given = {
            "work": (self.url,),
            "serve": (self.url, str(self.port)),
            "read": (f"http://127.0.0.1:{self.port}", self.run, str(self.log)),
        }[what]
        assert self._nursery.stdin is not None
        assert self._nursery.stdout is not None
        async with self._asking:
            self._nursery.stdin.write(json.dumps([what, *given]).encode() + b"\n")
            self.running[what] = int(await self._nursery.stdout.readline())

    async def end(self, what: str) -> None:
        """Kill it."""
        if self.runs(what):
            os.kill(self.running[what], signal.SIGKILL)
        async with asyncio.timeout(60):
            while self.runs(what):
                await asyncio.sleep(0.01)

    def runs(self, what: str) -> bool:
        """Whether it does."""
        try:
            os.kill(self.running[what], 0)
        except ProcessLookupError:
            return False
        return True

    async def kill(self, what: str) -> None:
        """Kill it, and start another."""
        await self.end(what)
        await self.begin(what)

    def read(self) -> list[list[Any]]:
        """The chunks that were read; one that is being written is none."""
        text = self.log.read_text() if self.log.exists() else ""
        return [json.loads(line) for line in text.rpartition("\n")[0].splitlines()]

    async def served(self) -> None:
        """Wait until the server answers."""
        async with asyncio.timeout(60):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                except OSError:
                    await asyncio.sleep(0.05)
                else:
                    writer.close()
                    return


@pytest.fixture
async def processes(disk_url: str, tmp_path: Path) -> AsyncIterator[Processes]:
    with (tmp_path / "errors").open("ab") as errors:
        nursery = await asyncio.create_subprocess_exec(
            sys.executable, stream_victims.__file__, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            stderr=errors,
        )  # fmt: skip
    found = Processes(disk_url, tmp_path, nursery)
    yield found
    for what in found.running:
        await found.end(what)
    await nursery.communicate(b"")  # it ends with its input


async def through_kills(processes: Processes, values: int, kills: Sequence[Sequence[str]], pause: float) -> None:
    """Have a stream written and read while its processes are killed.

    Args:
        processes: the writer, the server and the reader.
        values: so many are written.
        kills: which of them are killed at the same time, one time after the other, as more and more is read.
        pause: in seconds, after each ten values.
    """
    async with hf.connect(processes.url) as client:
        run = await client.start(tells, values, pause)
        processes.run = run.id
        await processes.begin("serve")
        await processes.begin("work")
        await processes.served()
        await processes.begin("read")
        for number, killed in enumerate(kills, 1):

            async def so_far(enough: int = values * number // (len(kills) + 2)) -> bool:
                return len(processes.read()) > enough

            await until(so_far, 120)
            await asyncio.gather(*(processes.kill(what) for what in killed))
            if "serve" in killed:
                # The reader waits for a server for a while, and is started again where it gave up.
                await processes.served()
        assert await run.result(timeout="120s") == values
        async with asyncio.timeout(120):
            # A reader that begins again writes what is there anew.
            while [kind for _, kind, _ in processes.read()[-1:]] != ["end"]:
                if not processes.runs("read"):
                    await processes.begin("read")
                await asyncio.sleep(0.05)
        await check(client, run.id, values, processes.read())


async def check(client: hf.Client, run_id: str, values: int, seen: list[Any]) -> None:
    """Each value was read once and in order, and stands there so."""
    expected = [[number, "data", number] for number in range(values)] + [[values, "end", None]]
    assert seen == expected
    stored = [[chunk.offset, chunk.kind, chunk.value] async for chunk in client.read_stream(run_id, NAME)]
    assert stored == expected


@pytest.mark.slow
async def test_a_stream_is_read_once_and_in_order_through_kills(processes: Processes) -> None:
    await through_kills(processes, 1000, [("work", "read", "serve")], 0.05)


@pytest.mark.verify
@pytest.mark.timeout(900)
async def test_a_long_stream_is_read_once_and_in_order_through_many_kills(processes: Processes) -> None:
    in_turn = itertools.islice(itertools.cycle([("work",), ("read",), ("serve",)]), 20)
    await through_kills(processes, 100_000, list(in_turn), 0.005)


@hf.workflow
async def short() -> int:
    """As `tells`, at once."""
    out = hf.stream(NAME)
    for number in range(3):
        await out.write(number)
    await said()
    await hf.gather(beside("a"), beside("b"))
    async with out:
        await out.write("last")
    return 3


@hf.step(retry=hf.Retry(max_attempts=9, initial=0.001))
async def said() -> None:
    """Writes anew each time."""
    out = hf.stream(NAME)
    for number in range(3, 6):
        await out.write(number)


@hf.step(retry=hf.Retry(max_attempts=9, initial=0.001))
async def beside(name: str) -> None:
    """Goes on where it was, beside another."""
    out = hf.stream(NAME, resume=True)
    for number in range(await out.written(), 3):
        await out.write([name, number])
        await asyncio.sleep(0)


def faulty(client: hf.Client, fault: Fault, number: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let the N-th commit that has chunks fail; its chunks, if there was such a commit."""
    store, count, done = client.core.store, itertools.count(), list[int]()
    commit = store.commit

    async def commit_or_not(batch: Batch) -> Results:
        if not batch.chunks or next(count) != number:
            return await commit(batch)
        done.append(len(batch.chunks))
        if fault == "refuse":
            raise hf.StoreUnavailable("refused")
        if fault == "die before":
            # What the process wanted for others than the run, such as to claim, it goes on to do.
            lost = await commit(replace(batch, chunks=[], checkpoints=[], settles=[]))
            lost.chunks, lost.settles = [LOST] * len(batch.chunks), [LOST] * len(batch.settles)
            lost.checkpoints = [LOST] * len(batch.checkpoints)
            return await _release(client, lost)
        results = await commit(batch)
        if fault == "forget":
            raise hf.StoreUnavailable("forgotten")
        return await _release(client, results)

    monkeypatch.setattr(store, "commit", commit_or_not)
    return done


async def _release(client: hf.Client, results: Results) -> Results:
    """The worker is taken for dead: its runs are rescued, and what it hears is that it has lost them."""
    for run, execution in list(client.core.executions.items()):
        await client.core.store.crashed(run, execution.run.epoch)
        client.core.announce("ready")
    return results


@pytest.mark.parametrize("fault", FAULTS)
async def test_whichever_write_fails_each_value_holds_once(
    fault: Fault, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    number, happened = 0, True
    while happened and number < 40:
        async with serving(store_url, short) as client:
            with monkeypatch.context() as patch:
                done = faulty(client, fault, number, patch)
                run = await client.start(short)
                assert await run.result(timeout="30s") == 3
                happened = bool(done)
            chunks = [chunk async for chunk in client.read_stream(run.id, NAME)]
            assert [chunk.offset for chunk in chunks] == list(range(len(chunks)))
            held = [chunk.value for chunk in hf.valid_chunks(chunks)]
            assert held[:6] == list(range(6))
            assert held[-1] == "last"
            for name in ("a", "b"):
                assert [value for value in held[6:-1] if value[0] == name] == [[name, n] for n in range(3)]
            assert len(held) == 13
            assert chunks[-1].kind == "end"
            assert fault != "refuse" or "reset" not in {chunk.kind for chunk in chunks}
        number += 1
    assert number > 3
