"""Requests to a server: what is safe to repeat is repeated, for so long as a client is patient."""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec

from holdfast.engine.part import PATIENCE_SECONDS
from holdfast.engine.remote.refusals import Refusal, refusal_of
from holdfast.engine.remote.wire import PREFIX
from holdfast.engine.tracing import caller
from holdfast.errors import BadURL, StoreUnavailable, UsageError

log = logging.getLogger("holdfast.remote")

FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 1.0

CONNECT_SECONDS = 5.0
"""Between two tries, so long is waited for a connection."""

PASSING = ("unavailable", "request-under-way", "too-many-requests", "too-slow")
"""Problems that a moment later may be none."""

_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)

SILENT_SECONDS = 45.0
"""A server that is followed and says nothing for so long, three times what it should, is taken to be gone."""

UPLOAD_SECONDS = 3600.0
"""So long a server may take to store a body that is sent piece by piece."""

NOT_OURS = 500
"""From here on, an answer without a problem is that of a proxy, or of a server that is being stopped."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered.

    Attributes:
        status: below 400.
        body: as it came.
        etag: of what is shown, if it has one.
    """

    status: int
    body: bytes
    etag: str | None


class Transport:
    """The connections to one server.

    Args:
        address: ``https://host``, with a path if the server is mounted below one.
        key: an API key or a token; None where the server asks for none.
        tenant: whose data, where there is no key to say it.

    Raises:
        BadURL: not the address of a server.
        UsageError: a key or a tenant that no header can hold.
    """

    def __init__(self, address: str, key: str | None, tenant: str) -> None:
        self.shown = checked_address(address)
        headers = {"Accept": "application/json, application/problem+json", "User-Agent": "holdfast"}
        if key is not None:
            if not key.isascii() or not key.isprintable() or not key.strip():
                raise UsageError("the key is no API key: it holds characters that none has")
            headers["Authorization"] = f"Bearer {key.strip()}"
        elif not tenant.isascii() or not tenant.isprintable():
            raise UsageError(f"tenant {tenant!r} cannot be named in a header; use a key of the tenant")
        else:
            headers["Holdfast-Tenant"] = tenant
        self._http = httpx.AsyncClient(
            base_url=self.shown + PREFIX,
            headers=headers,
            timeout=httpx.Timeout(PATIENCE_SECONDS, connect=CONNECT_SECONDS),
            limits=httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=30),
        )

    async def close(self) -> None:
        """Leave the server."""
        await self._http.aclose()

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        named: bool = True,
        wait_seconds: float = 0.0,
    ) -> Answer:
        """Send a request until it is answered.

        Args:
            method: GET, POST, PUT, PATCH or DELETE.
            path: behind the API's prefix, its parts percent-encoded.
            body: made JSON; None for none.
            query: parameters; those that are None are left out.
            headers: further ones.
            named: for POST: the request gets an ``Idempotency-Key``, so that it may be repeated; False for one that
                may be repeated without.
            wait_seconds: so long the server may think about it, beyond what is usual.

        Raises:
            Refusal: the server refuses it.
            StoreUnavailable: it could not be reached, or is not ready, for as long as a client is patient.
        """
        sent = {} if headers is None else dict(headers)
        if method == "POST" and named:
            sent["Idempotency-Key"] = secrets.token_hex(16)
        span = caller()
        if span is not None:
            sent["traceparent"] = span
        content = None
        if body is not None:
            sent["Content-Type"] = "application/json"
            content = _encoded(body)
        parameters = {name: value for name, value in (query or {}).items() if value is not None}
        began = time.monotonic()
        deadline = began + PATIENCE_SECONDS + wait_seconds
        perhaps_done, pause = False, FIRST_PAUSE_SECONDS
        while True:
            again: float | None = None
            try:
                left = max(deadline - time.monotonic(), 1.0)
                response = await self._http.request(
                    method,
                    path,
                    content=content,
                    params=parameters or None,
                    headers=sent,
                    timeout=httpx.Timeout(left, connect=min(left, CONNECT_SECONDS), pool=None),
                )
            except httpx.InvalidURL as error:
                raise BadURL(f"{self.shown}: {error}") from None
            except httpx.RequestError as error:
                trouble = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
                failure = StoreUnavailable(f"{self.shown} cannot be reached ({trouble}); trying again is safe")
                perhaps_done = perhaps_done or not isinstance(error, _NOT_SENT)
            else:
                if response.status_code < 300:
                    return Answer(response.status_code, response.content, response.headers.get("etag"))
                refusal = refusal_of(response.status_code, response.headers.get("content-type", ""), response.content)
                if refusal.kind not in PASSING and not (not refusal.kind and refusal.status >= NOT_OURS):
                    refusal.perhaps_done = perhaps_done
                    raise refusal
                perhaps_done = perhaps_done or not refusal.kind
                again = _after(response)
                failure = StoreUnavailable(f"{self.shown}: {refusal.detail}")
            pause = min(LONGEST_PAUSE_SECONDS, 2 * pause)
            wait = max(again or 0.0, pause * random.uniform(0.5, 1.0))
            if time.monotonic() + wait > deadline:
                raise failure from None
            log.debug("%s %s is tried again in %.2f s: %s", method, path, wait, failure)
            await asyncio.sleep(wait)

    async def follow(self, path: str, query: Mapping[str, Any]) -> AsyncGenerator[tuple[str, bytes], None]:
        """Follow a stream of events, until the server ends it or the line breaks.

        Args:
            path: behind the API's prefix.
            query: parameters.

        Yields:
            The type and the data of each event.

        Raises:
            Refusal: the server refuses it.
            StoreUnavailable: it could not be reached, or says nothing any more.
        """
        timeout = httpx.Timeout(SILENT_SECONDS, connect=CONNECT_SECONDS, pool=None)
        try:
            async with self._http.stream(
                "GET", path, params=query, headers={"Accept": "text/event-stream"}, timeout=timeout
            ) as response:
                if response.status_code >= 300:
                    kind = response.headers.get("content-type", "")
                    refusal = refusal_of(response.status_code, kind, await response.aread())
                    if refusal.kind in PASSING or (not refusal.kind and refusal.status >= NOT_OURS):
                        raise StoreUnavailable(f"{self.shown}: {refusal.detail}; trying again is safe")
                    raise refusal
                kind, rest = "", bytearray()
                async for piece in response.aiter_bytes():
                    # Lines end with one character alone: a value may hold others that elsewhere end one.
                    rest += piece
                    *lines, left = rest.split(b"\n") if b"\n" in piece else (rest,)
                    rest = bytearray(left) if lines else rest
                    for line in lines:
                        name, _, value = line.partition(b": ")
                        if name == b"event":
                            kind = value.decode()
                        elif name == b"data":
                            yield kind, bytes(value)
        except httpx.InvalidURL as error:
            raise BadURL(f"{self.shown}: {error}") from None
        except httpx.RequestError as error:
            trouble = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            raise StoreUnavailable(f"{self.shown} cannot be reached ({trouble}); trying again is safe") from None

    async def upload(
        self, path: str, pieces: AsyncIterator[bytes], media_type: str, *, query: Mapping[str, Any] | None = None
    ) -> Answer:
        """Send a body that may be larger than memory, once: what it stores may be sent again.

        Args:
            path: behind the API's prefix.
            pieces: of the body.
            media_type: what it is.
            query: parameters; those that are None are left out.

        Raises:
            Refusal: the server refuses it.
            StoreUnavailable: it could not be reached, or the line broke.
        """
        parameters = {name: value for name, value in (query or {}).items() if value is not None}
        try:
            response = await self._http.request(
                "POST",
                path,
                content=pieces,
                params=parameters or None,
                headers={"Content-Type": media_type},
                timeout=httpx.Timeout(UPLOAD_SECONDS, connect=CONNECT_SECONDS, pool=None),
            )
        except httpx.InvalidURL as error:
            raise BadURL(f"{self.shown}: {error}") from None
        except httpx.RequestError as error:
            trouble = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            raise StoreUnavailable(
                f"{self.shown} cannot be reached ({trouble}); a part may be stored, and trying again is safe"
            ) from None
        if response.status_code < 300:
            return Answer(response.status_code, response.content, response.headers.get("etag"))
        refusal = refusal_of(response.status_code, response.headers.get("content-type", ""), response.content)
        if refusal.kind in PASSING or (not refusal.kind and refusal.status >= NOT_OURS):
            raise StoreUnavailable(f"{self.shown}: {refusal.detail}; a part may be stored, and trying again is safe")
        raise refusal


def checked_address(address: str) -> str:
    """The address of a server, without the slash at its end.

    Raises:
        BadURL: it is none.
    """
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError as error:
        raise BadURL(f"the server's address cannot be read: {error}") from None
    if parts.scheme.lower() not in ("http", "https") or not parts.hostname or port == 0:
        raise BadURL(f"{address.partition('@')[2] or address!r} is no address of a server; give https://host")
    if parts.username is not None or parts.password is not None:
        raise BadURL("the server's address holds a user or a password; give the key as key=… or by HOLDFAST_KEY")
    if parts.query or parts.fragment:
        raise BadURL(f"{address!r}: the address of a server takes no options")
    return address.rstrip("/")


def _encoded(body: Any) -> bytes:
    try:
        return msgspec.json.encode(body)
    except UnicodeEncodeError as error:
        raise UsageError(f"a text holds half of a surrogate pair at {error.start}; leave it out") from None
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"what is given cannot be sent as JSON: {error}") from None


def _after(response: httpx.Response) -> float | None:
    """When the server wants to be asked again."""
    try:
        return min(max(float(response.headers.get("retry-after", "")), 0.0), PATIENCE_SECONDS)
    except ValueError:
        return None


__all__ = ["Answer", "Refusal", "Transport", "checked_address"]
