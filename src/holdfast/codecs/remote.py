"""`hf.RemoteCodec`: another server encodes and decodes, so that this process has no keys; see `holdfast codec serve`.

Values are sent in portions, in base64, with a time limit; no redirect is followed, and no more is read of an answer
than values may have. A server of pages may ask in the name of whoever reads: see `reading`.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

import httpx
import msgspec

from holdfast.engine.secrets import secret
from holdfast.errors import CodecError, CodecUnavailable, KeyMissing, UsageError
from holdfast.model.sealed import key_of

MOST_VALUES = 500
"""So many values are asked for at once."""

MOST_BYTES = 4 * 1024 * 1024
"""So many bytes are, unless a single value has more."""

LARGEST_ANSWER_BYTES = 128 * 1024 * 1024
ANSWER_SECONDS = 10.0
LONGEST_REASON = 300


@dataclass(frozen=True, slots=True)
class Reader:
    """In whose name values are read.

    Attributes:
        actor: who.
        tenant: whose values.
        authorization: the header that they sent; None where they sent none.
    """

    actor: str
    tenant: str
    authorization: str | None


reading: ContextVar[Reader | None] = ContextVar("holdfast_reader", default=None)
"""Who reads in this task; None where it is the process itself, or what is read is shown to several."""


class Payloads(msgspec.Struct):
    """What is asked."""

    payloads: list[str]


class Fault(msgspec.Struct, omit_defaults=True):
    """Why one value could not be encoded or decoded: in words, and the key that is needed where that is missing."""

    why: str
    key: str | None = None
    known: list[str] | None = None


class Answer(msgspec.Struct, omit_defaults=True):
    """What is answered: for each its value, or None where ``faults`` says by its number why there is none."""

    payloads: list[str | None]
    faults: dict[str, Fault] = {}


class RemoteCodec:
    """Asks a codec endpoint.

    Args:
        url: where it is; ``/encode`` and ``/decode`` are below it.
        key: where the key is that it asks for: ``env:NAME`` or ``file:PATH``; None for none.
        forward: send the ``Authorization`` header of whoever reads instead of the key, and open nothing where nobody
            in particular does.
        patient: an endpoint that does not answer is asked again and again, as a database is. Without, what it does
            not open is given as a value that cannot be opened, with the reason.
        seconds: so long it may take for one portion.
        transport: how it is reached, for those who have it in their own process.

    Raises:
        UsageError: no such address, or the key is not where it should be.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        forward: bool = False,
        patient: bool = True,
        seconds: float = ANSWER_SECONDS,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        parts = urlsplit(url) if isinstance(url, str) else urlsplit("")
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise UsageError("the address of a codec endpoint begins with http:// or https://, and has no query")
        if parts.username is not None or parts.password is not None:
            raise UsageError("the address of a codec endpoint has a password in it; give key= instead, as env:NAME")
        self.url = url.rstrip("/")
        self._key = None if key is None else secret(key, "the key of the codec endpoint").reveal("the key")
        self._forward = forward
        self._patient = patient
        self._seconds = seconds
        self._transport = transport

    async def encode(self, payloads: Sequence[bytes]) -> list[bytes]:
        """Have each encoded.

        Raises:
            CodecError: the endpoint refuses a value.
            CodecUnavailable: it does not answer as it should.
        """
        made = []
        for one in await self._ask("encode", payloads, self._own()):
            if isinstance(one, CodecError):
                raise one
            made.append(one)
        return made

    async def decode(self, payloads: Sequence[bytes]) -> list[bytes | CodecError]:
        """Have each decoded; what cannot be is given as the error that says why.

        Raises:
            CodecUnavailable: the endpoint does not answer as it should, and this is patient.
        """
        try:
            headers = self._reader() if self._forward else self._own()
            return await self._ask("decode", payloads, headers)
        except CodecUnavailable as error:
            if self._patient:
                raise
            return [CodecError("a value", f"{_by(one)}and {error}") for one in payloads]
        except CodecError as error:
            return [error for _ in payloads]

    async def answers(self) -> bool:
        """Whether the endpoint answers just now, to a question for nothing. With this, values that it takes too long
        for are told from an endpoint that is away."""
        try:
            async with self._client({} if self._forward else self._own()) as client:
                asked = await client.post(f"{self.url}/decode", json={"payloads": []})
        except httpx.HTTPError:
            return False
        return asked.status_code < 500

    def _client(self, headers: dict[str, str]) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            transport=self._transport, timeout=self._seconds, follow_redirects=False, trust_env=False, headers=headers
        )

    def _own(self) -> dict[str, str]:
        headers = {} if self._key is None else {"Authorization": f"Bearer {self._key}"}
        reader = reading.get()
        if reader is not None:
            # Told, not proven: the endpoint trusts the key.
            headers |= {"Holdfast-Reader": quote(reader.actor), "Holdfast-Tenant": quote(reader.tenant)}
        return headers

    def _reader(self) -> dict[str, str]:
        reader = reading.get()
        if reader is None:
            raise CodecError("a value", "it is sealed, and opened in the name of whoever loads it: load this anew")
        if reader.authorization is None:
            raise CodecError("a value", "it is sealed, and the request that reads it has no Authorization to forward")
        return {
            "Authorization": reader.authorization,
            "Holdfast-Reader": quote(reader.actor),
            "Holdfast-Tenant": quote(reader.tenant),
        }

    async def _ask(self, what: str, payloads: Sequence[bytes], headers: dict[str, str]) -> list[bytes | CodecError]:
        found: list[bytes | CodecError] = []
        async with self._client(headers) as client:
            for portion in _portions(payloads):
                found += await self._answered(client, what, portion)
        return found

    async def _answered(self, client: httpx.AsyncClient, what: str, portion: list[bytes]) -> list[bytes | CodecError]:
        body = await self._post(client, what, portion)
        if body is not None:
            return _read(body, portion)
        if len(portion) == 1:
            # It would be refused again and again, and everything that is written with it would wait.
            said = f"its {len(portion[0]):,} bytes, or what becomes of them, are too many for the codec endpoint"
            return [CodecError("a value", said)]
        middle = len(portion) // 2
        first = await self._answered(client, what, portion[:middle])
        return first + await self._answered(client, what, portion[middle:])

    async def _post(self, client: httpx.AsyncClient, what: str, portion: list[bytes]) -> bytes | None:
        """The body of the answer; None if what is asked, or the answer, is too much."""
        content = msgspec.json.encode(Payloads([base64.b64encode(one).decode("ascii") for one in portion]))
        address = f"{self.url}/{what}"
        try:
            async with client.stream(
                "POST", address, content=content, headers={"Content-Type": "application/json"}
            ) as response:
                if response.status_code == 413:
                    return None
                if response.status_code != 200:
                    raise CodecUnavailable(f"the codec endpoint {address} answers {response.status_code}")
                body = bytearray()
                async for part in response.aiter_bytes():
                    body += part
                    if len(body) > LARGEST_ANSWER_BYTES:
                        return None
                return bytes(body)
        except httpx.TimeoutException as error:
            many = f"{len(portion)} values" if len(portion) != 1 else "a value"
            said = f"the codec endpoint {address} does not answer within {self._seconds:g} s for {many}"
            raise CodecUnavailable(said, timed_out=True) from error
        except httpx.HTTPError as error:
            said = str(error) or type(error).__name__
            raise CodecUnavailable(f"the codec endpoint {address} cannot be used: {said}") from error


def _portions(payloads: Sequence[bytes]) -> Iterator[list[bytes]]:
    portion: list[bytes] = []
    size = 0
    for one in payloads:
        if portion and (len(portion) == MOST_VALUES or size + len(one) > MOST_BYTES):
            yield portion
            portion, size = [], 0
        portion.append(one)
        size += len(one)
    if portion:
        yield portion


def _read(body: bytes, portion: list[bytes]) -> list[bytes | CodecError]:
    try:
        answer = msgspec.json.decode(body, type=Answer)
    except msgspec.DecodeError as error:
        raise CodecUnavailable(f"the codec endpoint gave no answer that can be read: {error}") from None
    if len(answer.payloads) != len(portion):
        raise CodecUnavailable(f"the codec endpoint was given {len(portion)} values and gave {len(answer.payloads)}")
    found: list[bytes | CodecError] = []
    for number, one in enumerate(answer.payloads):
        if one is None:
            found.append(_fault(answer.faults.get(str(number)), portion[number]))
            continue
        try:
            found.append(base64.b64decode(one, validate=True))
        except (binascii.Error, ValueError):
            raise CodecUnavailable("the codec endpoint gave a value that is no base64") from None
    return found


def _fault(fault: Fault | None, payload: bytes) -> CodecError:
    why = "the codec endpoint does not say why" if fault is None else fault.why[:LONGEST_REASON]
    if fault is not None and fault.key is not None and fault.known is not None:
        return KeyMissing("a value", why, needed=fault.key, known=tuple(fault.known))
    return CodecError("a value", f"{_by(payload)}and it cannot be opened: {why}")


def _by(payload: bytes) -> str:
    key = key_of(payload)
    return "it is sealed, " if key is None else f"it is sealed by key {key!r}, "
