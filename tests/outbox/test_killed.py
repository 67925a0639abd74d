"""Processes that send are killed at any moment: nothing is lost, and what may have come twice is told of.

A webhook's receiver is given each id at least once, and keeps each once. A mail is taken by the server once, or not at
all; if nobody knows which of the two, the message is dead and in doubt, and a person decides.
"""

import asyncio
import os
import random
import signal
import sys
from asyncio.subprocess import PIPE
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

import holdfast as hf
from holdfast.store.outbox_rows import MessageFilter, MessageRow
from tests.freezing import freeze
from tests.outbox import victims
from tests.outbox.kit import TENANT, channels_file, set_mode, until_status
from tests.outbox.receivers import Reply, Request, post, web

pytestmark = [pytest.mark.slow]


async def test_no_message_is_lost_when_processes_are_killed(disk_url: str, tmp_path: Path) -> None:
    await kill(disk_url, tmp_path, hooks=240, mails=30, kills=5, seed=8)


@pytest.mark.verify
@pytest.mark.timeout(3000)
async def test_no_message_of_ten_thousand_is_lost_in_a_hundred_kills(disk_url: str, tmp_path: Path) -> None:
    await kill(disk_url, tmp_path, hooks=9_000, mails=1_000, kills=100, seed=9)


async def test_a_mail_of_a_process_that_was_frozen_is_told_as_sent(disk_url: str, tmp_path: Path) -> None:
    async with post() as server, hf.connect(disk_url) as client:
        held, came = asyncio.Event(), asyncio.Event()

        async def hold(envelope: object) -> None:
            came.set()
            await held.wait()

        server.on_data = hold
        file = channels_file(
            tmp_path,
            f'[channels.mail]\ntype = "smtp"\nhost = "127.0.0.1"\nport = {server.port}\nsecurity = "none"\n'
            f'sender = "d@shop.example"\n',
        )
        await set_mode(client, "auto")
        await client.publish("mail", hf.Mail(to="a@b.example", subject="s", text="x"), id="m")
        async with launched(disk_url, file, tmp_path) as begin:
            frozen = await begin()
            async with asyncio.timeout(60):
                await came.wait()
            await freeze(frozen, disk_url)
            await begin()  # it finds that the lease of the other is over
            row = await until_status(client, "m", "dead")
            assert row.doubt
            os.kill(frozen, signal.SIGCONT)
            held.set()
            row = await until_status(client, "m", "sent")
            assert not row.doubt
    assert len(server.taken) == 1


async def kill(url: str, folder: Path, *, hooks: int, mails: int, kills: int, seed: int) -> None:
    """Send so many messages while processes that do it are killed so often."""
    dice = random.Random(seed)
    kept: set[str] = set()

    def answer(request: Request) -> Reply:
        kept.add(request.headers["idempotency-key"])
        return Reply()

    async with web() as receiver, post() as server, hf.connect(url) as client:
        receiver.usual = answer
        receiver.slowness = 0.02

        async def slowly(envelope: object) -> None:
            await asyncio.sleep(0.02)

        server.on_data = slowly
        file = channels_file(
            folder,
            f'[channels.crm]\ntype = "webhook"\nurl = "{receiver.url}"\nconcurrency = 20\n'
            f'[channels.mail]\ntype = "smtp"\nhost = "127.0.0.1"\nport = {server.port}\nsecurity = "none"\n'
            f'sender = "d@shop.example"\n',
        )
        await set_mode(client, "auto")
        # A fifth of them in order, by ten keys.
        calls = [
            client.publish("crm", n, id=f"crm/{n}", key=f"k{n % 10}" if n % 50 < 10 else None) for n in range(hooks)
        ]
        calls += [
            client.publish("mail", hf.Mail(to="a@b.example", subject=f"{n}", text="x"), id=f"mail/{n}")
            for n in range(mails)
        ]
        await asyncio.gather(*calls)
        async with launched(url, file, folder) as begin:
            running = [await begin() for _ in range(2)]
            for _ in range(kills):
                # Each time something has been sent before.
                came, more = len(receiver.requests) + server.tried, dice.randrange(hooks // kills)
                async with asyncio.timeout(60):
                    while len(receiver.requests) + server.tried <= came + more and await undecided(client):
                        await asyncio.sleep(0.002)
                os.kill(running.pop(0), signal.SIGKILL)
                running.append(await begin())
            async with asyncio.timeout(60 + (hooks + mails) / 20):
                while await undecided(client):
                    await asyncio.sleep(0.05)
        rows = await everything(client)
    check(rows, hooks, mails, kept, receiver.ids, [str(read(one)) for one in server.taken])


def check(
    rows: dict[str, MessageRow], hooks: int, mails: int, kept: set[str], ids: list[str], taken: list[str]
) -> None:
    assert len(rows) == hooks + mails
    wanted = {f"crm/{n}" for n in range(hooks)}
    assert {rows[id].status for id in wanted} == {"sent"}
    assert kept == set(ids) == wanted
    times = Counter(taken)
    assert max(times.values()) == 1, "no mail is sent a second time by itself"
    for n in range(mails):
        row = rows[f"mail/{n}"]
        if row.status == "sent":
            assert times[row.id] == 1
            assert not row.doubt
        else:
            assert (row.status, row.doubt) == ("dead", True), "what nobody knows is told"


def read(envelope: object) -> str:
    """The id of the message that a mail is."""
    content: bytes = envelope.content  # type: ignore[attr-defined]
    [line] = [one for one in content.splitlines() if one.startswith(b"X-Holdfast-Message-Id: ")]
    return line.split()[1].decode()


@asynccontextmanager
async def launched(url: str, file: Path, folder: Path) -> AsyncIterator[Callable[[], Awaitable[int]]]:
    """What begins processes that send; none of them is left at the end."""
    with (folder / "errors").open("w") as errors:
        launcher = await asyncio.create_subprocess_exec(
            sys.executable, "-m", victims.__name__, url, str(file), stdin=PIPE, stdout=PIPE, stderr=errors
        )
    assert launcher.stdin is not None
    assert launcher.stdout is not None
    writer, reader = launcher.stdin, launcher.stdout

    async def begin() -> int:
        writer.write(b"+")
        line = await reader.readline()
        assert line, (folder / "errors").read_text()
        return int(line)

    try:
        yield begin
    finally:
        writer.close()
        await launcher.wait()


async def undecided(client: hf.Client) -> int:
    which = MessageFilter(statuses=("pending", "sending", "failed"))
    return await client.core.store.outbox.count_messages(TENANT, which, cap=100_000)


async def everything(client: hf.Client) -> dict[str, MessageRow]:
    found: dict[str, MessageRow] = {}
    before: bytes | None = None
    while rows := await client.core.store.outbox.messages(TENANT, MessageFilter(), limit=1000, before=before):
        found |= {row.id: row for row in rows}
        before = rows[-1].uid
    return found
