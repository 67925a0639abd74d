"""Codecs as the store calls them: whole lists, with a time limit, and no answer believed that cannot be right.

What a codec says decides what becomes of a value:

- `CodecError` while encoding refuses a value for good: its operation fails, and no other.
- Any other exception, no answer in time, or an answer that is none (another number of values, no bytes) is trouble that
  may pass: `CodecUnavailable`, which is a `StoreUnavailable`, so that whoever writes or reads tries again.
- `CodecError` while decoding is about a value, which is asked for alone then: what cannot be opened is given as
  `holdfast.model.sealed.unopened`, and everything else is opened.
- A list that takes too long is halved, since it may be too long, or one of its values too slow. A single value that
  takes too long again and again, while the codec answers otherwise, is as one that is refused, or cannot be opened:
  else whoever wants it would wait for ever. A codec that answers nothing at all is trouble that may pass.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeAlias, runtime_checkable

from holdfast.errors import CodecError, CodecUnavailable, KeyMissing, StoreError
from holdfast.model.sealed import SEALED, Unopened, key_of, sealed_of, unopened

log = logging.getLogger("holdfast.codec")

ANSWER_SECONDS = 30.0
"""So long a codec may take for one list."""

TRIES = 3
"""So often a single value may take too long."""

MOST_SILENT = 2
"""After so many values that took too long, with no answer to anything, the codec is taken to be away."""


@runtime_checkable
class PayloadCodec(Protocol):
    """What makes stored bytes of values, and values of stored bytes: compression, encryption, or both.

    Lists are whole batches, so that a codec that asks a server asks once. Both methods give as many results as they
    were given payloads, in their order. A codec that asks a server may have a method `answers` without arguments: true
    while the server answers, whatever it takes too long for.
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


_Method: TypeAlias = Callable[[Sequence[bytes]], Awaitable[Sequence[bytes | CodecError]]]


async def seal(codec: PayloadCodec, payloads: Sequence[bytes], seconds: float = ANSWER_SECONDS) -> list[bytes]:
    """Encode payloads; each gets the first byte of what is sealed. What could not be opened is given as it was stored.

    Raises:
        CodecError: the codec refuses a value, or takes too long for it.
        CodecUnavailable: it cannot be used just now.
    """
    plain = [one for one in payloads if not isinstance(one, Unopened)]
    made = iter(await _Asking("encode", codec, plain, seconds).answers() if plain else ())
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
    given = await _Asking("decode", codec, [one[1:] for one in sealed], seconds).answers() if sealed else []
    return [unopened(was, one) if isinstance(one, CodecError) else one for was, one in zip(sealed, given, strict=True)]


def _nothing_here(sealed: bytes) -> CodecError:
    key = key_of(sealed[1:])
    if key is None:
        return CodecError("a value", "it is sealed by a codec, and none is configured here")
    return KeyMissing("a value", f"it is sealed by key {key!r}, and no key is configured here", needed=key)


class _Asking:
    """A list that a codec is asked for: as a whole, and where that does not do in halves, down to single values."""

    def __init__(self, what: str, codec: PayloadCodec, payloads: list[bytes], seconds: float) -> None:
        self._what = what
        self._codec = codec
        self._method: _Method = codec.encode if what == "encode" else codec.decode
        self._payloads = payloads
        self._seconds = seconds
        self._found: dict[int, bytes | CodecError] = {}
        self._slow: dict[int, str] = {}

    async def answers(self) -> list[bytes | CodecError]:
        """For each payload its answer, or why there is none.

        Raises:
            CodecError: encoding is refused.
            CodecUnavailable: the codec cannot be used just now.
        """
        open_parts = [(0, len(self._payloads))]
        while open_parts:
            begin, end = open_parts.pop()
            if not await self._part(begin, end):
                middle = (begin + end) // 2
                open_parts += [(middle, end), (begin, middle)]
        if self._slow:
            await self._check_alive()
            for n, said in self._slow.items():
                self._found[n] = CodecError("a value", f"{_by(self._payloads[n])}{said}, {TRIES} times in a row")
        return [self._found[n] for n in range(len(self._payloads))]

    async def _part(self, begin: int, end: int) -> bool:
        """Whether part of the list is done with; if not, it is to be halved."""
        for attempt in range(1, TRIES + 1):
            try:
                given = await _ask(self._what, self._method, self._payloads[begin:end], self._seconds)
            except CodecError as error:
                if self._what == "encode":
                    raise
                if end - begin == 1:
                    self._found[begin] = error
                return end - begin == 1
            except CodecUnavailable as error:
                alive = await self._alive() if error.timed_out else False
                if alive is False:
                    raise
                if end - begin > 1:
                    log.warning("%s; it is asked for half of them", error)
                    return False
                if attempt == TRIES and alive is None and not self._found and len(self._slow) + 1 == MOST_SILENT:
                    raise
                if attempt == TRIES:
                    self._slow[begin] = str(error)
            else:
                self._found |= dict(zip(range(begin, end), given, strict=True))
                break
        return True

    async def _check_alive(self) -> None:
        """See that the codec answers to other things than what it took too long for.

        Raises:
            CodecUnavailable: it does not.
        """
        alive = await self._alive()
        if alive is None:
            known = next((n for n, one in self._found.items() if not isinstance(one, CodecError)), None)
            if known is not None:
                await _ask(self._what, self._method, [self._payloads[known]], self._seconds)
                alive = True
        if not alive:
            raise CodecUnavailable(f"the codec did not {self._what} a value within {self._seconds:g} s", timed_out=True)

    async def _alive(self) -> bool | None:
        """Whether a codec that asks a server gets answers from it just now; None if this codec cannot tell."""
        answers: Callable[[], Awaitable[bool | None]] | None = getattr(self._codec, "answers", None)
        if answers is None:
            return None
        try:
            async with asyncio.timeout(self._seconds):
                return await answers()
        except Exception:
            return False


def _by(payload: bytes) -> str:
    key = key_of(payload)
    return "" if key is None else f"it is sealed by key {key!r}, and "


async def _ask(what: str, method: _Method, payloads: list[bytes], seconds: float) -> Sequence[bytes | CodecError]:
    try:
        async with asyncio.timeout(seconds):
            given = await method(payloads)
    except (CodecError, StoreError):
        raise
    except TimeoutError as error:
        many = f"{len(payloads)} values" if len(payloads) != 1 else "a value"
        said = f"the codec did not {what} {many} within {seconds:g} s"
        raise CodecUnavailable(said, timed_out=True) from error
    except Exception as error:
        raise CodecUnavailable(f"the codec failed to {what}: {type(error).__name__}: {error}") from error
    if not isinstance(given, list) or len(given) != len(payloads):
        said = f"{len(given)} values" if isinstance(given, list) else f"a {type(given).__name__}"
        raise CodecUnavailable(f"the codec's {what} was given {len(payloads)} values and gave {said}: a fault in it")
    for one in given:
        if type(one) is not bytes and not isinstance(one, CodecError):
            raise CodecUnavailable(f"the codec's {what} gave a {type(one).__name__} instead of bytes: a fault in it")
    return given
