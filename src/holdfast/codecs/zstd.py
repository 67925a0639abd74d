"""`hf.Zstd`: values are compressed with Zstandard (RFC 8878).

A compressed value is ``hfZ1`` or ``hfZ0``, four bytes of CRC-32 of all else, and the rest: one frame, or the value
as it is where compressing gains nothing. The frame says how large its content is; more than the limit is not
decompressed.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Sequence

from holdfast.codecs.threads import needs_extra, work
from holdfast.errors import CodecError, UsageError
from holdfast.store.values.values import LARGEST_VALUE

FRAME, PLAIN = b"hfZ1", b"hfZ0"
_SUMS = {FRAME: zlib.crc32(FRAME), PLAIN: zlib.crc32(PLAIN)}
_HEAD = 8

USUAL_LEVELS = 5
SLOW = 50
"""Levels above the usual ones take up to so many times as long."""


class Zstd:
    """Compresses values.

    Args:
        level: 1, fast, to 22, small; 3 is a good middle.
        at_least: values of fewer bytes are left as they are.
        most: a value of more bytes is left as it is, and one that claims to have more is not decompressed.

    Raises:
        UsageError: an argument is out of range, or ``zstandard`` is not installed.
    """

    def __init__(self, level: int = 3, *, at_least: int = 128, most: int = LARGEST_VALUE) -> None:
        if isinstance(level, bool) or not isinstance(level, int) or not 1 <= level <= 22:
            raise UsageError(f"the level of hf.Zstd is {level!r}; give a whole number from 1 to 22")
        for name, given in (("at_least", at_least), ("most", most)):
            if isinstance(given, bool) or not isinstance(given, int) or given < 0:
                raise UsageError(f"{name} of hf.Zstd is {given!r}; give a number of bytes")
        try:
            import zstandard
        except ModuleNotFoundError as error:
            needs_extra(error)
        self._zstandard = zstandard
        self._level = level
        self._at_least = at_least
        self._most = most
        # One of each for each thread: they are made for one at a time, and reused.
        self._tools = threading.local()

    async def encode(self, payloads: Sequence[bytes]) -> list[bytes]:
        """Compress each."""
        return await work(self._encode, payloads, slow=SLOW if self._level > USUAL_LEVELS else 1)

    async def decode(self, payloads: Sequence[bytes]) -> list[bytes]:
        """Decompress each.

        Raises:
            CodecError: one was not compressed by this, is damaged, or is larger than the limit.
        """
        return await work(self._decode, payloads)

    def _encode(self, payloads: Sequence[bytes]) -> list[bytes]:
        compressor = getattr(self._tools, "compressor", None)
        if compressor is None:
            compressor = self._tools.compressor = self._zstandard.ZstdCompressor(level=self._level)
        compress, crc, least = compressor.compress, zlib.crc32, self._at_least
        made = []
        for payload in payloads:
            mark, body = PLAIN, payload
            if least <= len(payload) <= self._most:
                small = compress(payload)
                if len(small) < len(payload):
                    mark, body = FRAME, small
            made.append(mark + crc(body, _SUMS[mark]).to_bytes(4, "big") + body)
        return made

    def _decode(self, payloads: Sequence[bytes]) -> list[bytes]:
        decompressor = getattr(self._tools, "decompressor", None)
        if decompressor is None:
            decompressor = self._tools.decompressor = self._zstandard.ZstdDecompressor()
        decompress, crc, size_of = decompressor.decompress, zlib.crc32, self._zstandard.frame_content_size
        found = []
        for payload in payloads:
            mark, body = payload[:4], payload[_HEAD:]
            if mark not in (FRAME, PLAIN):
                raise CodecError("a value", "it was not compressed by hf.Zstd")
            if len(payload) < _HEAD or crc(body, _SUMS[mark]).to_bytes(4, "big") != payload[4:_HEAD]:
                raise CodecError("a value", "its compressed bytes are damaged: their checksum differs")
            if mark == PLAIN:
                found.append(body)
                continue
            try:
                size = size_of(body)
                if not 0 <= size <= self._most:
                    said = f"{size:,} bytes" if size >= 0 else "an unknown number of bytes"
                    raise CodecError("a value", f"it decompresses to {said}, and at most {self._most:,} are taken")
                found.append(decompress(body, max_output_size=self._most))
            except self._zstandard.ZstdError as error:
                raise CodecError("a value", f"its compressed bytes cannot be read: {error}") from None
        return found
