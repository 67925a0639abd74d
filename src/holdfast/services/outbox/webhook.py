"""An address on the web as a channel: messages are posted as they are, signed as Standard Webhooks says.

Each request tells the message's id, twice: as that of a webhook, and as an idempotency key, by which a receiver knows a
message that it is given again.
"""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import re
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.request import getproxies, proxy_bypass

import httpx
import msgspec

from holdfast.engine.secrets import Secret
from holdfast.errors import UsageError
from holdfast.services.outbox.outgoing import NOT_BEGUN, DeliveryFailed, Outgoing, said
from holdfast.services.outbox.terms import ChannelTerms, Webhook

if TYPE_CHECKING:
    import httpcore

ANSWER_BYTES = 64 * 1024
"""So much of an answer is read."""

LONGEST_PAUSE_SECONDS = 86_400.0
"""A receiver can ask for so long a pause, and no longer one."""

AGAIN = frozenset({408, 425, 429})
"""Refusals that are for now; so are all of 500 and above."""

UNKNOWING = frozenset({502, 504})
"""What stands between us and the receiver says so, which may not know what became of the message."""

_PRINTABLE = re.compile(r"[\x20-\x7e]+")


class WebhookChannel:
    """Posts messages to an address.

    Args:
        terms: of the channel.
        means: the address.

    Raises:
        UsageError: the library that signs is not installed.
    """

    def __init__(self, terms: ChannelTerms, means: Webhook) -> None:
        if means.secret is not None:
            try:
                import standardwebhooks  # noqa: F401 - what is missing is told before anything is sent
            except ImportError:
                raise UsageError(
                    f'channel {terms.name!r} signs by standardwebhooks: pip install "holdfast[publish]"'
                ) from None
        self._terms = terms
        self._means = means
        self._idle: list[httpx.AsyncHTTPTransport] = []
        self._trusted: asyncio.Future[ssl.SSLContext] | None = None

    async def send(self, message: Outgoing) -> str:
        """Post a message; see `Channel.send`."""
        content = message.json
        try:
            url = self._revealed(self._means.url, "url")
            headers = self._headers(message)
        except UsageError as error:
            raise DeliveryFailed(str(error)) from None
        secrets = [*headers.secrets, *([url] if isinstance(self._means.url, Secret) else [])]
        sent = False
        opened: list[httpcore.AsyncNetworkStream] = []

        async def heed(event: str, about: Mapping[str, Any]) -> None:
            nonlocal sent
            sent = sent or ".send_request_" in event
            if event.endswith(".connect_tcp.complete"):
                opened.append(about["return_value"])

        seconds = self._terms.timeout_seconds
        extensions = {"timeout": dict.fromkeys(("connect", "read", "write", "pool"), seconds), "trace": heed}
        try:
            async with asyncio.timeout(seconds), self._connection(url) as connection:
                request = httpx.Request("POST", url, headers=headers.all, content=content, extensions=extensions)
                try:
                    response = await connection.handle_async_request(request)
                except BaseException:
                    for stream in opened:  # the library forgets it if it is cancelled before TLS has begun
                        await stream.aclose()
                    raise
                async with contextlib.aclosing(response):
                    body = await _read(response)
        except asyncio.CancelledError:
            if sent:
                raise
            raise DeliveryFailed(NOT_BEGUN) from None
        except (TimeoutError, httpx.TimeoutException):
            raise DeliveryFailed(f"there was no whole answer within {seconds:g} s", doubt=sent) from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            reason = said(error, secrets) or type(error).__name__
            raise DeliveryFailed(f"it cannot be posted: {reason}", doubt=sent) from None
        return self._judged(response, body, secrets)

    async def close(self) -> None:
        """Close the connections."""
        while self._idle:
            await self._idle.pop().aclose()

    @contextlib.asynccontextmanager
    async def _connection(self, url: str) -> AsyncIterator[httpx.AsyncHTTPTransport]:
        """A connection that nobody else uses meanwhile, and which is used again unless something fails.

        Each is a transport of its own: one with many connections looks through all of them at each request. A client
        would follow what it is told, keep cookies, and log addresses.
        """
        if self._trusted is None:
            # In a thread, and once: to read the certificates that are trusted takes a moment.
            self._trusted = asyncio.ensure_future(asyncio.to_thread(httpx.create_ssl_context))
        trusted = await asyncio.shield(self._trusted)
        connection = self._idle.pop() if self._idle else _made(httpx.URL(url), trusted)
        try:
            yield connection
        except BaseException:
            await connection.aclose()
            raise
        self._idle.append(connection)

    def _judged(self, response: httpx.Response, body: bytes | None, secrets: list[str]) -> str:
        """What the receiver said, if it took the message."""
        status = response.status_code
        answer = f"{status} {said(body.decode('utf-8', 'replace'), secrets) if body else ''}".strip()
        if self._means.accept is None:
            taken = 200 <= status < 300
        else:
            headers = {name: value for name, value in response.headers.items() if value.isprintable()}
            taken = self._means.accept.holds(status, _value(body), headers)
        if taken:
            return answer
        if 300 <= status < 400:
            raise DeliveryFailed(f"it redirects ({status}), and redirects are not followed", final=True)
        pause = _pause(response.headers.get("retry-after"))
        if status in AGAIN or status >= 500:
            raise DeliveryFailed(f"it was refused for now: {answer}", retry_after=pause, doubt=status in UNKNOWING)
        if 200 <= status < 300:
            larger = "" if body is not None else f", of which more than {ANSWER_BYTES // 1024} KiB were not read"
            raise DeliveryFailed(f"the answer does not say that it was taken{larger}: {answer}", retry_after=pause)
        raise DeliveryFailed(f"it was refused: {answer}", final=True)

    def _headers(self, message: Outgoing) -> _Headers:
        found = _Headers()
        found.all["Content-Type"] = "application/json"
        found.all["Accept"] = "*/*"
        found.all["User-Agent"] = "holdfast"
        for name, value in self._means.headers.items():
            told = self._revealed(value, f"header {name}")
            if isinstance(value, Secret):
                found.secrets.append(told)
                if _PRINTABLE.fullmatch(told) is None:
                    raise UsageError(f"header {name} of channel {self._terms.name!r} is nothing that a header takes")
            found.all = {key: one for key, one in found.all.items() if key.lower() != name.lower()}
            found.all[name] = told
        found.all["Idempotency-Key"] = message.name
        if message.draft:
            found.all["X-Holdfast-Draft"] = "yes"
        if self._means.secret is not None:
            secret = self._revealed(self._means.secret, "secret")
            found.secrets.append(secret)
            found.all |= _signed(secret, message, f"the secret of channel {self._terms.name!r}")
        return found

    def _revealed(self, value: str | Secret, what: str) -> str:
        return value.reveal(f"the {what} of channel {self._terms.name!r}") if isinstance(value, Secret) else value


class _Headers:
    """The headers of a request, and what in them is secret."""

    def __init__(self) -> None:
        self.all: dict[str, str] = {}
        self.secrets: list[str] = []


def _made(url: httpx.URL, trusted: ssl.SSLContext) -> httpx.AsyncHTTPTransport:
    proxy = None if proxy_bypass(url.host) else getproxies().get(url.scheme)
    return httpx.AsyncHTTPTransport(verify=trusted, proxy=proxy, limits=httpx.Limits(max_connections=1))


async def _read(response: httpx.Response) -> bytes | None:
    """The answer's body; None if it is too large, then it is read no further."""
    body = bytearray()
    async for part in response.aiter_raw():
        body += part
        if len(body) > ANSWER_BYTES:
            return None
    return bytes(body)


def _value(body: bytes | None) -> Any:
    """What an answer says: JSON, else its text."""
    if body is None:
        return None
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return body.decode("utf-8", "replace")


def _signed(secret: str, message: Outgoing, what: str) -> dict[str, str]:
    """The headers by which a receiver knows who sent it; of several secrets, apart by blanks, each signs."""
    from standardwebhooks import Webhook as Signing
    from standardwebhooks.webhooks import EmptyWebhookSecretError

    at = datetime.fromtimestamp(int(time.time()), UTC)
    try:
        signatures = [Signing(one).sign(message.name, at, message.json.decode()) for one in secret.split()]
    except (ValueError, EmptyWebhookSecretError):
        raise UsageError(f'{what} is none of Standard Webhooks; give "whsec_" and 24 to 64 bytes in base64') from None
    return {
        "webhook-id": message.name, "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }  # fmt: skip


def _pause(header: str | None) -> float | None:
    """For how long the receiver asks to be left alone: seconds, or until an instant."""
    if header is None:
        return None
    if re.fullmatch(r"[0-9]{1,9}", header.strip()) is not None:
        return min(float(header), LONGEST_PAUSE_SECONDS)
    try:
        until = email.utils.parsedate_to_datetime(header)
    except ValueError:
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return min(max(0.0, until.timestamp() - time.time()), LONGEST_PAUSE_SECONDS)
