"""A process that replays for another one: it is told the database and the code, then which runs, page after page.

Both sides send frames, four bytes of length and msgpack. The process ends when there is nobody to tell it more.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
import sys
from collections.abc import Sequence
from typing import Any

import msgspec

from holdfast.engine.isolation import called, names_of
from holdfast.engine.replaying.checking import Checker
from holdfast.engine.replaying.paging import replay_page
from holdfast.engine.replaying.reports import RunReplay
from holdfast.engine.workflow import Workflow
from holdfast.errors import HoldfastError, UsageError

CODE = "from holdfast.engine.replaying.serving import main; main()"
"""What a fresh Python is given to become such a process."""


class Code(msgspec.Struct):
    """Where a workflow is found."""

    module: str
    file: str | None
    name: str
    version: str


class Job(msgspec.Struct):
    """What a process is told first.

    Attributes:
        url: the database.
        tenant: whose runs.
        timeout: how long the replay of one run may take, in seconds.
        path: where modules are imported from.
        code: the workflows.
        values: what makes the `Values` of the database, see `holdfast.engine.isolation`.
        built_in: whether runs of holdfast's own are replayed, too.
    """

    url: str
    tenant: str
    timeout: float
    path: list[str]
    code: list[Code]
    values: tuple[str, str] | None
    built_in: bool


class Page(msgspec.Struct):
    """Runs to be replayed. ``singly``: with a reply after each, so that it is known which one the process died of."""

    runs: list[bytes]
    singly: bool = False


class Reply(msgspec.Struct):
    """What became of runs, in their order, without those that are gone; the first says that the database is open.
    ``error``: its type and text."""

    reports: list[RunReplay] = []
    error: tuple[str, str] | None = None


def framed(message: msgspec.Struct) -> bytes:
    """A message as it is sent."""
    body = msgspec.msgpack.encode(message)
    return len(body).to_bytes(4, "big") + body


async def receive(stream: asyncio.StreamReader) -> bytes:
    """The next message.

    Raises:
        EOFError: there is none any more.
        ConnectionError: the other side has died.
    """
    length = int.from_bytes(await stream.readexactly(4), "big")
    return await stream.readexactly(length)


def serve(ours: socket.socket, workflows: Sequence[Workflow[Any, Any]] | None = None) -> None:
    """Replay for whoever is at the other end, until it closes that.

    Args:
        ours: this end.
        workflows: the code, if it is here already.
    """
    # Its end is its parent's business, which a signal to the whole group reaches too.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A replay makes little that refers to itself, and a page is a hundred thousand objects.
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)
    asyncio.run(_serve(ours, workflows))


async def _serve(ours: socket.socket, workflows: Sequence[Workflow[Any, Any]] | None) -> None:
    from holdfast.engine.connecting import connect

    orders, replies = await asyncio.open_connection(sock=ours, limit=1 << 20)
    try:
        job = msgspec.msgpack.decode(await receive(orders), type=Job)
        try:
            code = workflows if workflows is not None else _found(job)
            values = None if job.values is None else called(*job.values)
            async with (
                connect(job.url, tenant=job.tenant, values=values) as client,
                Checker(code, timeout=job.timeout) as checker,
            ):
                reader = client._reader(built_in=job.built_in)
                await reader.steps([])  # connects what reads, too
                replies.write(framed(Reply()))
                while True:
                    page = msgspec.msgpack.decode(await receive(orders), type=Page)
                    for runs in [[run] for run in page.runs] if page.singly else [page.runs]:
                        replies.write(framed(Reply(await replay_page(checker, reader, runs))))
                        await replies.drain()
                    sys.stdout.flush()
        except HoldfastError as error:
            replies.write(framed(Reply(error=(type(error).__name__, str(error)))))
            await replies.drain()
    except (EOFError, ConnectionError):
        pass


def _found(job: Job) -> list[Workflow[Any, Any]]:
    found: list[Workflow[Any, Any]] = []
    places = {(code.module, code.file) for code in job.code}
    names = {place: names_of(*place, job.path) for place in places}
    for code in job.code:
        for value in names[code.module, code.file].values():
            if isinstance(value, Workflow) and (value.name, value.version) == (code.name, code.version):
                found.append(value)
                break
        else:
            raise UsageError(
                f"a process that replays does not find workflow {code.name!r} in {code.file or code.module}: replay in "
                "this process alone, with processes=1"
            )
    return found


def main() -> None:
    """The process, as a fresh Python: its end of the connection is its first argument."""
    serve(socket.socket(fileno=int(sys.argv[1])))
