"""What every request passes first: its path and its host are read, its body is bounded, its answer gets headers.

A pure ASGI middleware; it stands around everything that a server answers, pages too.
"""

from __future__ import annotations

import ipaddress
import time
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes, urlsplit

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from holdfast.api.problems import Refused
from holdfast.api.routing import SLASH, STREAMED, WATCHED, get_route_path
from holdfast.engine.tracing import carried
from holdfast.model.trace import format_traceparent, parse_traceparent

if TYPE_CHECKING:
    from holdfast.api.server import Server

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""The content security policy of every answer: nothing inline, nothing from elsewhere."""

HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=()"),
)

NO_STORE = (b"cache-control", b"no-store")


class Gate:
    """The middleware.

    Args:
        app: what it stands around.
        server: what the requests share.
    """

    def __init__(self, app: ASGIApp, server: Server) -> None:
        self._app = app
        self._server = server
        config = server.config
        self._max_body = config.max_body
        self._max_upload = max(config.max_body, config.max_upload)
        self._headers = list(HEADERS)
        if (config.public_url or "").startswith("https:"):
            self._headers.append((b"strict-transport-security", b"max-age=31536000"))
        self._hosts = {host.lower() for host in config.allowed_hosts}
        public = urlsplit(config.public_url or "")
        if public.hostname:
            self._hosts.add(public.hostname.lower())
        self._public_origin = f"{public.scheme}://{public.netloc}".lower() if public.netloc else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer why not."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            elif scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            return
        began = time.perf_counter()
        started = 0

        async def answer(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = message["status"]
                headers = message["headers"] = [*message.get("headers", ()), *self._headers]
                for name, _ in headers:
                    if name == b"cache-control":
                        break
                else:
                    headers.append(NO_STORE)
            await send(message)

        try:
            refusal = self._look(scope)
            if refusal is None:
                receive = self._bounded(scope, receive)
                if scope.get("holdfast.span") is None:
                    await self._app(scope, receive, answer)
                else:
                    await self._in_span(scope, receive, answer)
        except Exception as error:
            if started:
                raise
            refusal = error
        if refusal is not None:
            response = await self._server.refuse(Request(scope), refusal)
            await response(scope, receive, answer)
        self._server.metrics.observe(scope, started, time.perf_counter() - began)

    async def _in_span(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Go on in the span that the request says it is made in."""
        before = carried.set(format_traceparent(*scope["holdfast.span"]))
        try:
            await self._app(scope, receive, send)
        finally:
            carried.reset(before)

    def _look(self, scope: Scope) -> Exception | None:
        """Why a request is not let through."""
        if scope["method"] == "HEAD":  # answered as GET is; the server in front sends no body
            scope["method"] = "GET"
            scope["holdfast.head"] = True
        raw: bytes = scope.get("raw_path") or b""
        try:
            if b"%" in raw:
                _read_path(scope, raw.partition(b"?")[0])
            if "\0" in scope["path"].replace(SLASH, ""):
                raise UnicodeError
            length, host, origin = None, b"", None
            for name, value in scope["headers"]:
                if name == b"content-length":
                    length = value
                elif name == b"host":
                    host = value
                elif name == b"origin":
                    origin = value
                elif name == b"traceparent":
                    scope["holdfast.span"] = parse_traceparent(value.decode("latin-1"))
            if length is not None and not length.isdigit():
                return Refused("malformed-request", "the Content-Length is no number")
            if length is not None and int(length) > (most := self._most(scope)):
                return self._too_large(most)
            if not self._server.config.auth:
                self._check_names(scope, host.decode("latin-1"), None if origin is None else origin.decode("latin-1"))
        except Refused as refused:
            return refused
        except UnicodeError:
            return Refused("malformed-request", "the path is not UTF-8, or holds a NUL character")
        return None

    def _most(self, scope: Scope) -> int:
        """So many bytes may a body have."""
        return self._max_upload if get_route_path(scope) in STREAMED else self._max_body

    def _too_large(self, most: int) -> Refused:
        # The rest of the body is not read, so that the connection is of no more use.
        return Refused(
            "body-too-large",
            f"the body is larger than {most:,} bytes, which is what this server takes",
            headers={"Connection": "close"},
            max_bytes=most,
        )

    def _bounded(self, scope: Scope, receive: Receive) -> Receive:
        """What counts the bytes of a body that does not say how long it is."""
        for name, _ in scope["headers"]:
            if name == b"content-length":
                return receive
        so_far, most = 0, self._most(scope)

        async def counted() -> Message:
            nonlocal so_far
            message = await receive()
            so_far += len(message.get("body", b""))
            if so_far > most:
                raise self._too_large(most)
            return message

        return counted

    def _check_names(self, scope: Scope, host: str, origin: str | None) -> None:
        """Without auth, whatever comes must be meant for this machine: no other name, no other site's page.

        Raises:
            Refused: it is not.
        """
        route = scope["path"].removeprefix(scope.get("root_path", ""))
        if route in WATCHED:
            return
        name = hostname(host)
        if not (name in self._hosts or is_loopback(name)):
            raise Refused(
                "wrong-host",
                f"this server takes no keys, and so answers on this machine only, and not as {name!r}; "
                "serve.allowed_hosts names others, and serve.auth lets others in",
            )
        if origin is None:
            return
        own = {f"http://{host}".lower(), f"https://{host}".lower(), self._public_origin}
        if origin.lower() not in own:
            raise Refused("wrong-origin", f"a page of {origin} may not use this server")


def _read_path(scope: Scope, raw: bytes) -> None:
    """Set the path so that a slash that was sent percent-encoded is told from one that parts names.

    Raises:
        UnicodeError: it is not UTF-8, or holds a NUL.
    """
    parts = [unquote_to_bytes(part).decode() for part in raw.split(b"/")]
    if any(SLASH in part for part in parts):
        raise UnicodeError
    whole = "/".join(parts)
    path: str = scope["path"]
    if path != whole:
        # A server in front may have put the place where we are mounted before the path, and not before the raw one.
        before = path.removesuffix(whole)
        if not path.endswith(whole):
            return
        scope["path"] = before + "/".join(part.replace("/", SLASH) for part in parts)
        return
    scope["path"] = "/".join(part.replace("/", SLASH) for part in parts)


def hostname(host: str) -> str:
    """The name in a Host header, without the port."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.rpartition(":")[0].lower() if ":" in host else host.lower()


@lru_cache(maxsize=1000)
def is_loopback(name: str) -> bool:
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
