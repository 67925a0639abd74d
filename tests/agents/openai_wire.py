"""OpenAI's chat completions on the wire: what `tests.agents.openai_server` reads and writes."""

from __future__ import annotations

import asyncio
import json
from typing import Any, NamedTuple

USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 10,
    "total_tokens": 110,
    "prompt_tokens_details": {"cached_tokens": 20},
}
BIG = 5_000_000
HUGE = 20_000_000


class Call(NamedTuple):
    """A call as it came."""

    act: str
    body: dict[str, Any]
    headers: dict[str, str]

    @property
    def streams(self) -> bool:
        return bool(self.body.get("stream"))

    @property
    def said(self) -> list[str]:
        """What each of its messages says, the system's too."""
        return [text_of(one.get("content")) for one in self.body["messages"]]


class Cut(asyncio.StreamWriter):
    """Writes so many bytes, and then ends the connection."""

    def __init__(self, writer: asyncio.StreamWriter, left: int) -> None:
        self._writer = writer
        self._left = left

    def __del__(self) -> None:
        pass  # the connection is another's

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._writer.write(data[: self._left])
        self._left = max(0, self._left - len(data))

    async def drain(self) -> None:
        await self._writer.drain()
        if not self._left:
            raise ConnectionAbortedError("cut")


def least(schema: dict[str, Any], root: dict[str, Any]) -> Any:
    """The least value that fits a schema of the plain kind."""
    if "$ref" in schema:
        return least(root["$defs"][schema["$ref"].rpartition("/")[2]], root)
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    if "enum" in schema:
        return schema["enum"][0]
    if "anyOf" in schema:
        return least(schema["anyOf"][0], root)
    if schema.get("type") == "object":
        return {name: least(schema["properties"][name], root) for name in schema.get("required", [])}
    least_of = {"string": "x", "integer": 1, "number": 1.5, "boolean": True, "array": [], "null": None}
    return least_of[schema["type"]]


def reason(act: str) -> str:
    return {"length": "length", "filter": "content_filter"}.get(act, "stop")


def head(call: Call, kind: str) -> dict[str, Any]:
    return {"id": "c-1", "object": kind, "created": 1, "model": call.body.get("model", "")}


def text_of(content: Any) -> str:
    if isinstance(content, list):
        return "".join(part.get("text", "") for part in content)
    return content or ""


async def send(
    writer: asyncio.StreamWriter,
    body: str,
    *,
    status: int = 200,
    kind: str = "application/json",
    size: int | None = None,
    extra: dict[str, str] | None = None,
) -> bool:
    data = body.encode()
    headers = {"Content-Type": kind, "Content-Length": str(size or len(data)), **(extra or {})}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    writer.write(f"HTTP/1.1 {status} Said\r\n{head}\r\n".encode() + data)
    await writer.drain()
    return True


async def chunk(writer: asyncio.StreamWriter, said: dict[str, Any] | None) -> None:
    data = b"data: " + (b"[DONE]" if said is None else json.dumps(said).encode()) + b"\n\n"
    writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
    await writer.drain()
