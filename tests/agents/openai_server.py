"""A server on this machine that speaks the wire format of OpenAI's chat completions, and fails in any way it is told.

In a test: ``async with OpenAIServer() as server``, and ``server.plan += ["429:2", "ok"]``. For tests that kill what
calls it, as a process of its own: ``python -m tests.agents.openai_server --port-file FILE --log FILE``; it writes its
port into the one and a line of JSON for each call into the other, before it answers.

What it does with a call is the next of its plan, then ``ok``:

- ``ok``: what its ``answer`` gives, else ``It is done.`` or the least value that fits the schema
- ``say:TEXT``: that answer
- ``429:SECONDS``, ``429:date``, or any other status: refuses, with a body that names the key it was given;
  ``400:long``: at length
- ``garbage``, ``html``, ``nothing``: 200 with a body that is no JSON, of another type, or empty
- ``body:JSON``: 200 with that body, or that as the only event of a stream
- ``empty``, ``null``, ``nul``, ``big``: an answer without text, without content, with a NUL, of 5 MB
- ``huge``: a body larger than anybody should read
- ``length``, ``filter``, ``refusal``: an answer that was cut, filtered or refused
- ``half``, ``half-clean``: half of the answer, then the connection breaks, or ends as if that were all
- ``cut:BYTES``: so many bytes of the whole response, then the connection ends
- ``close``, ``reset``: ends or breaks the connection without an answer
- ``slow:SECONDS``: waits before it answers; ``held``: until ``release`` is set
- ``endless``: a stream without end
- ``hang``: never answers; ``half-hang``: sends half, and then nothing
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import socket
import struct
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

from tests.agents.openai_wire import BIG, HUGE, USAGE, Call, Cut, chunk, head, least, reason, send, text_of


class OpenAIServer:
    """The server; ``calls`` are those that it got."""

    def __init__(self, *, log: Path | None = None) -> None:
        self.plan: deque[str] = deque()
        self.answer: Callable[[dict[str, Any]], str | None] = lambda body: None
        self.calls: list[Call] = []
        self.gone = asyncio.Event()
        """Set when a caller left while it had no answer yet."""
        self.release = asyncio.Event()
        self.connections = 0
        """So many are open."""
        self.port = 0
        self._log = log

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    async def __aenter__(self) -> OpenAIServer:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Refuse connections from now on."""
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.connections += 1
        try:
            while await self._serve(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # cancelled by stop only
        finally:
            self.connections -= 1
            writer.close()
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one call; whether the connection goes on."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        except asyncio.IncompleteReadError:
            return False
        pairs = (line.partition(":") for line in head[1:] if line)
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        body = json.loads(await reader.readexactly(int(headers.get("content-length", 0))) or b"{}")
        call = Call(self.plan.popleft() if self.plan else "ok", body, headers)
        self.calls.append(call)
        if self._log is not None:
            with self._log.open("a", encoding="utf-8") as file:
                said = {"at": time.time(), "act": call.act, "model": body.get("model"), "said": call.said}
                file.write(json.dumps(said) + "\n")
                file.flush()
                os.fsync(file.fileno())
        return await self._act(call, reader, writer)

    async def _act(self, call: Call, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        act, _, told = call.act.partition(":")
        if act == "slow":
            await asyncio.sleep(float(told))
            act = "ok"
        if act == "cut":
            call = call._replace(act="ok")
            await self._act(call, reader, Cut(writer, int(told)))
            return False
        if act == "held":
            await self.release.wait()
            act = "ok"
        if act == "close":
            return False
        if act == "reset":
            raw = writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        if act == "hang":
            await self._until_gone(reader)
            return False
        if act.isdigit():
            extra = {}
            if told and told != "long":
                later = datetime.now(UTC) + timedelta(seconds=3600)
                extra = {"Retry-After": format_datetime(later, usegmt=True) if told == "date" else told}
            key = call.headers.get("authorization", "").removeprefix("Bearer ")
            words = "no " * 1000 if told == "long" else ""
            error = {"message": f"No: {act}, with the key {key} {words}", "type": "some_error", "code": None}
            return await send(writer, json.dumps({"error": error}), status=int(act), extra=extra)
        if act in ("garbage", "html", "nothing"):
            bodies = {"garbage": '{"id": "x", "choices": [', "html": "<html>Bad gateway</html>", "nothing": ""}
            kind = "text/html" if act == "html" else "text/event-stream" if call.streams else "application/json"
            return await send(writer, f"data: {bodies[act]}\n\n" if call.streams else bodies[act], kind=kind)
        if act == "body":
            if call.streams:
                return await send(writer, f"data: {told}\n\ndata: [DONE]\n\n", kind="text/event-stream")
            return await send(writer, told)
        if act == "huge":
            return await send(writer, " " * HUGE)
        answers = {"say": told, "empty": "", "null": None, "nul": "a\0b", "big": "x" * BIG, "refusal": None}
        text = answers[act] if act in answers else self._answer(call)
        if call.streams:
            return await self._stream(call, act, text, reader, writer)
        message: dict[str, Any] = {"role": "assistant", "content": text}
        if act == "refusal":
            message["refusal"] = "I will not say that."
        elif "tools" in call.body and text is not None:
            function = {"name": call.body["tools"][0]["function"]["name"], "arguments": text}
            message |= {"content": None, "tool_calls": [{"id": "1", "type": "function", "function": function}]}
        choice = {"index": 0, "message": message, "finish_reason": reason(act)}
        whole = json.dumps(head(call, "chat.completion") | {"choices": [choice], "usage": USAGE})
        if act == "half":
            await send(writer, whole[: len(whole) // 2], size=len(whole))
            return False
        return await send(writer, whole)

    async def _stream(
        self, call: Call, act: str, text: str | None, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        whole = text or ""
        size = max(1, min(100_000, len(whole) // 4))
        pieces = [whole[at : at + size] for at in range(0, len(whole), size)]
        if act.startswith("half"):
            pieces = pieces[: max(1, len(pieces) // 2)]
        for piece in pieces:
            delta: dict[str, Any] = {"role": "assistant", "content": piece}
            if "tools" in call.body:
                name = call.body["tools"][0]["function"]["name"] if piece is pieces[0] else None
                function = {"name": name, "arguments": piece}
                delta = {"tool_calls": [{"index": 0, "id": "1", "type": "function", "function": function}]}
            await chunk(writer, head(call, "chat.completion.chunk") | {"choices": [{"index": 0, "delta": delta}]})
        while act == "endless":
            delta = {"content": "x" * 10_000}
            await chunk(writer, head(call, "chat.completion.chunk") | {"choices": [{"index": 0, "delta": delta}]})
        if act == "half-hang":
            await self._until_gone(reader)
            return False
        if act == "half":
            return False
        if act != "half-clean":
            delta = {"refusal": "I will not say that."} if act == "refusal" else {}
            last = {"index": 0, "delta": delta, "finish_reason": reason(act)}
            await chunk(writer, head(call, "chat.completion.chunk") | {"choices": [last], "usage": USAGE})
            await chunk(writer, None)
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True

    async def _until_gone(self, reader: asyncio.StreamReader) -> None:
        await reader.read()
        self.gone.set()

    def _answer(self, call: Call) -> str:
        said = self.answer(call.body)
        if said is not None:
            return said
        schema = call.body.get("response_format", {}).get("json_schema", {}).get("schema")
        if "tools" in call.body:
            schema = call.body["tools"][0]["function"]["parameters"]
        return "It is done." if schema is None else json.dumps(least(schema, schema))


@contextlib.asynccontextmanager
async def started(*options: str, folder: Path) -> AsyncIterator[tuple[str, Path]]:
    """The server as a process of its own: its address, and the file with its calls."""
    port, log = folder / "openai.port", folder / "openai.calls"
    log.touch()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", __spec__.name, "--port-file", str(port), "--log", str(log), *options,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    try:
        while not port.exists():
            if process.returncode is not None:
                raise RuntimeError("the server did not start")
            await asyncio.sleep(0.02)
        yield f"http://127.0.0.1:{port.read_text()}/v1", log
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


def calls_in(log: Path) -> list[dict[str, Any]]:
    """The calls that a server wrote down."""
    return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]


async def _main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port-file", type=Path, required=True)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--plan", default="", help="separated by commas")
    parser.add_argument("--answers", type=Path, help="JSON: by words of the last message, what is answered")
    options = parser.parse_args()
    server = OpenAIServer(log=options.log)
    server.port = options.port
    server.plan.extend(filter(None, options.plan.split(",")))
    if options.answers:
        answers = json.loads(options.answers.read_text(encoding="utf-8"))

        def answer(body: dict[str, Any]) -> str | None:
            last = text_of(body["messages"][-1]["content"])
            return next((said for words, said in answers.items() if words in last), None)

        server.answer = answer
    async with server:
        new = options.port_file.with_suffix(".new")
        new.write_text(str(server.port))
        new.rename(options.port_file)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_main())
