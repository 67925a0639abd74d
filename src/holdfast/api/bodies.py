"""Bodies of requests: JSON, read strictly, so that nothing is taken for what it is not."""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections.abc import AsyncIterator
from email.message import Message as Headers
from itertools import accumulate
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.types import Message, Receive

from holdfast.api.problems import Place, Refused

MAX_DEPTH = 100
"""So many lists and objects may lie in one another."""

SLOW_SECONDS = 60.0
"""A body has to be there so long after the head of its request."""

LARGE_BYTES = 1_000_000
"""From here on a body is read in a thread, so that other requests go on meanwhile."""

_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_NOT_BRACKETS = bytes(one for one in range(256) if one not in b"[]{}")
_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}


def _malformed(detail: str, **more: Any) -> Refused:
    return Refused("malformed-body", detail, errors=[Place(detail, pointer="", **more)])


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise _malformed(f"the name {twice!r} stands twice in one object")
    return made


def _no_constant(name: str) -> Any:
    raise _malformed(f"{name} is no JSON; numbers are finite")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise _malformed(f"the number {text[:30]} is larger than a float can be")
    return number


_decoder = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite)


def parse(data: bytes) -> Any:
    """The value of a JSON text.

    Raises:
        Refused: it is none, or is one that other readers would take for something else: names that stand twice,
            numbers that are not finite, halves of surrogate pairs, or what lies too deep.
    """
    if data.count(b"[") + data.count(b"{") > MAX_DEPTH:
        _check_depth(data)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise _malformed(f"the body is not UTF-8: at byte {error.start}", position=error.start) from None
    if text.startswith("\ufeff"):
        raise _malformed("the body begins with a byte order mark; leave it out")
    try:
        # The decoder skips no space in front, where json.loads does.
        value, end = _decoder.raw_decode(text, len(text) - len(text.lstrip(" \t\r\n")))
    except json.JSONDecodeError as error:
        raise _malformed(f"the body is not JSON: {error}", position=error.pos) from None
    except ValueError as error:
        raise _malformed(f"the body has a number that is not read: {str(error).partition(';')[0]}") from None
    except RecursionError:
        raise _malformed(f"the body has lists and objects more than {MAX_DEPTH} deep") from None
    rest = text[end:].lstrip(" \t\r\n")
    if rest:
        raise _malformed(f"the body goes on after its JSON: {rest[:20]!r}", position=len(text) - len(rest))
    if "\\u" in text:
        _check_surrogates(value)
    return value


def _check_depth(data: bytes) -> None:
    brackets = _STRINGS.sub(b"", data).translate(None, _NOT_BRACKETS)
    if max(accumulate(map(_STEPS.__getitem__, brackets)), default=0) > MAX_DEPTH:
        raise _malformed(f"the body has lists and objects more than {MAX_DEPTH} deep")


def _check_surrogates(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise _malformed("the body has half of a surrogate pair (\\ud800 to \\udfff)") from None


async def parsed(data: bytes) -> Any:
    """The same, in a thread if the text is long."""
    return parse(data) if len(data) < LARGE_BYTES else await asyncio.to_thread(parse, data)


def media_type(header: str) -> tuple[str, str | None]:
    """The media type of a Content-Type header, and its charset, both in lower case."""
    if header == "application/json":
        return header, None
    message = Headers()
    message["content-type"] = header
    charset = message.get_param("charset")
    return message.get_content_type(), charset.lower() if isinstance(charset, str) else None


def check_json(header: str | None) -> None:
    """Refuse a body whose header says that it is something else than JSON in UTF-8.

    Raises:
        Refused: it does.
    """
    if header == "application/json":
        return
    kind, charset = media_type(header) if header else ("", None)
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        said = f"is {header!r}" if header else "is missing"
        raise Refused("unsupported-media-type", f"the Content-Type {said}; send JSON, as application/json")
    if charset not in (None, "utf-8", "utf8", "us-ascii"):
        raise Refused("unsupported-media-type", f"the body is in {charset!r}; send UTF-8")


async def read(request: Request) -> bytes:
    """The body of a request.

    Raises:
        Refused: it is too large, or did not come.
    """
    if hasattr(request, "_body"):
        return request._body
    try:
        first = await request.receive()
        if first["type"] == "http.request" and not first.get("more_body"):
            # Nearly all of them: a timer would cost more than the rest of this.
            body: bytes = first.get("body", b"")
            request._body = body
            return body
        request._receive = _again(first, request.receive)
        async with asyncio.timeout(SLOW_SECONDS):
            return await request.body()
    except TimeoutError:
        raise Refused(
            "too-slow", f"the body was not there after {SLOW_SECONDS:g} s", headers={"Connection": "close"}
        ) from None
    except ClientDisconnect:
        raise Refused("malformed-request", "the client went away before its body was there") from None


async def pieces(request: Request) -> AsyncIterator[bytes]:
    """The body of a request as it comes, so that it may be larger than memory.

    Raises:
        Refused: no more of it came, or it is too large.
    """
    coming = request.stream()
    while True:
        try:
            async with asyncio.timeout(SLOW_SECONDS):
                piece = await anext(coming)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise Refused(
                "too-slow", f"nothing of the body came for {SLOW_SECONDS:g} s", headers={"Connection": "close"}
            ) from None
        except ClientDisconnect:
            raise Refused("malformed-request", "the client went away before its body was there") from None
        if piece:
            yield piece


def _again(first: Message, receive: Receive) -> Receive:
    """What gives a message that was taken already, and then those that follow."""
    taken = [first]

    async def again() -> Message:
        return taken.pop() if taken else await receive()

    return again


async def read_json(request: Request) -> None:
    """Read the body and keep what it says with the request, where FastAPI finds it. An empty body is left alone.

    Raises:
        Refused: as `parse`, `check_json` and `read`.
    """
    data = await read(request)
    if data:
        check_json(request.headers.get("content-type"))
        request._json = await parsed(data)
