"""Codecs as the store calls them: whole lists, with a time limit, and no answer believed that cannot be right.

What a codec says decides what becomes of a value:

- `CodecError` while encoding refuses a value for good: its operation fails, and no other.
- Any other exception, no answer in time, or an answer that is none (another number of values, no bytes) is trouble that
  may pass: `CodecUnavailable`, which is a `StoreUnavailable`, so that whoever writes or reads tries again.
- `CodecError` while decoding is about a value, which is asked for alone then: what cannot be opened is given as
  `holdfast.model.sealed.unopened`, and everything else is opened.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, runtime_checkable

from holdfast.errors import CodecError, CodecUnavailable, KeyMissing, StoreError
from holdfast.model.sealed import SEALED, Unopened, key_of, sealed_of, unopened

ANSWER_SECONDS = 30.0
"""So long a codec may take for one list."""


@runtime_checkable
class PayloadCodec(Protocol):
    """What makes stored bytes of values, and values of stored bytes: compression, encryption, or both.

    Lists are whole batches, so that a codec that asks a server asks once. Both methods give as many results as they
    were given payloads, in their order.
    """

    async def encode(self, payloads: Sequence[bytes]) -> list[bytes]:
        """The bytes to store.

        Raises:
            CodecError: a value cannot be encoded, now or later. Anything else is taken for trouble that passes.
        """

    async def decode(self, payloads: Sequence[bytes]) -> Sequence[bytes | CodecError]:
        """The bytes that were encoded; in place of one that cannot be decoded there may be the error that says why.

        Raises:
            KeyMissing: a key is needed that is not there.
            CodecError: the bytes are damaged, or another codec's.
        """


async def seal(codec: PayloadCodec, payloads: Sequence[bytes], seconds: float = ANSWER_SECONDS) -> list[bytes]:
    """Encode payloads; each gets the first byte of what is sealed. What could not be opened is given as it was stored.

    Raises:
        CodecError: the codec refuses a value.
        CodecUnavailable: it cannot be used just now.
    """
    plain = [one for one in payloads if not isinstance(one, Unopened)]
    made = iter(await _ask("encode", codec.encode, plain, seconds) if plain else ())
    return [sealed_of(one) if isinstance(one, Unopened) else SEALED + _good(next(made)) for one in payloads]


def _good(body: bytes | CodecError) -> bytes:
    if isinstance(body, CodecError):
        raise body
    return body


async def unseal(codec: PayloadCodec | None, sealed: Sequence[bytes], seconds: float = ANSWER_SECONDS) -> list[bytes]:
    """Decode what `seal` gave.

    Args:
        codec: None where there is none: nothing can be opened then.
        sealed: stored bytes, first byte included.
        seconds: so long the codec may take.

    Returns:
        For each its payload, or what stands for one that cannot be opened.

    Raises:
        CodecUnavailable: the codec cannot be used just now.
    """
    if codec is None:
        return [unopened(one, _nothing_here(one)) for one in sealed]
    try:
        given = await _ask("decode", codec.decode, [one[1:] for one in sealed], seconds)
        return [
            unopened(was, one) if isinstance(one, CodecError) else one for was, one in zip(sealed, given, strict=True)
        ]
    except CodecError as error:
        if len(sealed) == 1:
            return [unopened(sealed[0], error)]
    middle = len(sealed) // 2
    return await unseal(codec, sealed[:middle], seconds) + await unseal(codec, sealed[middle:], seconds)


def _nothing_here(sealed: bytes) -> CodecError:
    key = key_of(sealed[1:])
    if key is None:
        return CodecError("a value", "it is sealed by a codec, and none is configured here")
    return KeyMissing("a value", f"it is sealed by key {key!r}, and no key is configured here", needed=key)


async def _ask(
    what: str,
    method: Callable[[Sequence[bytes]], Awaitable[Sequence[bytes | CodecError]]],
    payloads: list[bytes],
    seconds: float,
) -> Sequence[bytes | CodecError]:
    try:
        async with asyncio.timeout(seconds):
            given = await method(payloads)
    except (CodecError, StoreError):
        raise
    except TimeoutError as error:
        raise CodecUnavailable(f"the codec did not {what} {len(payloads)} values within {seconds:g} s") from error
    except Exception as error:
        raise CodecUnavailable(f"the codec failed to {what}: {type(error).__name__}: {error}") from error
    if not isinstance(given, list) or len(given) != len(payloads):
        said = f"{len(given)} values" if isinstance(given, list) else f"a {type(given).__name__}"
        raise CodecUnavailable(f"the codec's {what} was given {len(payloads)} values and gave {said}: a fault in it")
    for one in given:
        if type(one) is not bytes and not isinstance(one, CodecError):
            raise CodecUnavailable(f"the codec's {what} gave a {type(one).__name__} instead of bytes: a fault in it")
    return given
