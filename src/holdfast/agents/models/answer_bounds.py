"""How much of an answer is read: a server that sends without end takes no memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx2

BODY_BYTES = 8 * 1024 * 1024
"""The body of an answer is at most as large; each character may take six bytes there."""

STREAM_BYTES = 256 * 1024 * 1024
"""The body of a stream, which says much around each piece of a text."""


class AnswerTooLarge(Exception):
    """The body of an answer is larger than what is read."""


def bound_bodies(model: Any) -> None:
    """Have the answers of a model's provider be read up to a limit, where its client is one that can be told so."""
    hooks = getattr(getattr(model.provider, "_own_http_client", None), "event_hooks", None)
    if isinstance(hooks, dict) and _bound not in hooks["response"]:
        hooks["response"].append(_bound)


async def _bound(response: Any) -> None:
    if isinstance(response.stream, httpx2.AsyncByteStream):
        streams = response.headers.get("content-type", "").startswith("text/event-stream")
        response.stream = _Bounded(response.stream, STREAM_BYTES if streams else BODY_BYTES)


class _Bounded(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream, limit: int) -> None:
        self._stream = stream
        self._left = limit

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._stream:
            self._left -= len(chunk)
            if self._left < 0:
                raise AnswerTooLarge("the body of the answer is larger than what is read")
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()
