"""``Idempotency-Key``: a request that names itself is done once, and answered the same however often it comes.

The answer is kept for a day, for each tenant and actor; that of a request that failed on our side is not.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from holdfast.api.problems import Place, Refused
from holdfast.errors import StoreError
from holdfast.store.rows import ReplyRow

if TYPE_CHECKING:
    from holdfast.api.access import Principal
    from holdfast.api.server import Server

log = logging.getLogger("holdfast.api")

HEADER = "idempotency-key"
REPLAYED = "Idempotent-Replayed"

LONGEST_KEY = 255

KEPT_SECONDS = 24 * 3600

STALE_SECONDS = 60
"""A request that was begun so long ago and has no answer is taken to have crashed with its server: it is done again."""

PASSING = (408, 429)
"""Answers that would be others a moment later: they are not kept."""

_KEPT_HEADERS = ("content-type", "location", "etag")


def key_of(request: Request) -> str | None:
    """What a request calls itself; with or without the quotes of the standard's draft.

    Raises:
        Refused: it is no such name.
    """
    header = request.headers.get(HEADER)
    if header is None:
        return None
    key = header[1:-1] if len(header) > 1 and header[0] == header[-1] == '"' else header
    if not key or len(key) > LONGEST_KEY or not key.isprintable() or not key.isascii():
        said = f"the {HEADER} header must be 1 to {LONGEST_KEY} printable ASCII characters"
        raise Refused("malformed-request", said, errors=[Place(said, parameter="Idempotency-Key")])
    return key


def derived_id(principal: Principal, path: str, key: str) -> str:
    """An id for what a request makes that follows from its key: if it is done twice after all, it is made once."""
    parts = (principal.tenant, principal.actor, path, key)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


async def once(
    server: Server, principal: Principal, request: Request, key: str, work: Callable[[], Awaitable[Response]]
) -> Response:
    """Do what a request asks unless it was done; the answer in both cases.

    Args:
        server: the server.
        principal: who asks.
        request: with its body read.
        key: what it calls itself.
        work: does it; raises nothing.

    Raises:
        Refused: the key belongs to another request, or the same one is still worked on.
    """
    store = server.core.store
    raw: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    parts = (request.method.encode(), raw, request.scope["query_string"], await request.body())
    fingerprint = hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).digest()
    now = server.core.now_us()
    name = hashlib.sha256(f"{principal.actor}\0{key}".encode()).hexdigest()
    row = ReplyRow(principal.tenant, name, fingerprint, now, now + KEPT_SECONDS * 1_000_000, None, None, None)
    found = await store.reserve_reply(row, now - STALE_SECONDS * 1_000_000)
    if found is not None:
        return _replay(found, fingerprint)
    response = await work()
    try:
        if response.status_code >= 500 or response.status_code in PASSING:
            await store.drop_reply(principal.tenant, name, now)
        else:
            kept = {name: value for name, value in response.headers.items() if name in _KEPT_HEADERS}
            body = getattr(response, "kept_body", None)
            await store.store_reply(
                principal.tenant,
                name,
                now,
                response.status_code,
                msgspec.json.encode(kept),
                bytes(response.body) if body is None else body,
            )
    except StoreError as error:
        # What was asked is done; a repetition finds the reservation stale, and what it makes by its derived id.
        log.warning("the answer to a request that named itself cannot be kept: %s", error)
    return response


def _replay(found: ReplyRow, fingerprint: bytes) -> Response:
    if found.fingerprint != fingerprint:
        raise Refused("request-differs", "another request was sent with this Idempotency-Key; choose a new one")
    if found.status is None:
        raise Refused(
            "request-under-way",
            "a request with this Idempotency-Key is still worked on; ask again in a moment",
            headers={"Retry-After": "1"},
        )
    headers = msgspec.json.decode(found.headers or b"{}", type=dict[str, str])
    return Response(found.body or b"", found.status, {**headers, REPLAYED: "true"})
