"""`hf.Chain`: several codecs in a row, as compression before encryption."""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.codecs.aes_gcm import AesGcm
from holdfast.codecs.zstd import Zstd
from holdfast.errors import CodecError, UsageError
from holdfast.store.values.codec import PayloadCodec


class Chain:
    """Codecs in the order in which they encode; they decode in reverse.

    Args:
        codecs: one or more.

    Raises:
        UsageError: none, or one that is no codec; or compression behind encryption, where it gains nothing.
    """

    def __init__(self, *codecs: PayloadCodec) -> None:
        if not codecs:
            raise UsageError("hf.Chain is given no codec; give one or more, as in hf.Chain(hf.Zstd(), hf.AesGcm(…))")
        for codec in codecs:
            check_codec(codec, "a codec of hf.Chain")
        kinds = [type(one) for one in codecs]
        if AesGcm in kinds and Zstd in kinds[kinds.index(AesGcm) :]:
            raise UsageError(
                "hf.Chain compresses what is encrypted, which gains nothing: give hf.Zstd before hf.AesGcm"
            )
        self.codecs = codecs

    async def encode(self, payloads: Sequence[bytes]) -> list[bytes]:
        """Encode with each codec, the first one first."""
        made = list(payloads)
        for codec in self.codecs:
            made = await codec.encode(made)
        return made

    async def decode(self, payloads: Sequence[bytes]) -> list[bytes]:
        """Decode with each codec, the last one first.

        Raises:
            CodecError: one of them cannot.
        """
        found = list(payloads)
        for codec in reversed(self.codecs):
            given = await codec.decode(found)
            for one in given:
                if isinstance(one, CodecError):
                    raise one
            found = [one for one in given if not isinstance(one, CodecError)]
        return found

    async def answers(self) -> bool | None:
        """Whether those that ask a server get answers from it just now; None if none of them can tell."""
        asked = [await one.answers() for one in self.codecs if hasattr(one, "answers")]
        known = [one for one in asked if one is not None]
        return all(known) if known else None


def check_codec(codec: object, what: str) -> PayloadCodec:
    """A codec, or an error.

    Raises:
        UsageError: it lacks one of the methods, or is a class.
    """
    if isinstance(codec, type) or not isinstance(codec, PayloadCodec):
        raise UsageError(f"{what} is {codec!r}; give an object with async methods encode and decode of lists of bytes")
    return codec
