"""How the values of a verification are stored: as they are, apart where they are large, sealed by a codec, or both."""

from holdfast.codecs.aes_gcm import AesGcm
from holdfast.codecs.chain import Chain
from holdfast.codecs.zstd import Zstd
from holdfast.store.values.values import Values

KEYS = {"old": bytes(range(32)), "new": bytes(range(32, 64))}

WAYS = ("", "apart", "sealed", "apart sealed")
"""Words, of which a verification has some."""


def values_of(words: str) -> Values | None:
    """How values are stored.

    Args:
        words: of ``apart``, ``sealed``, and the id of the key that seals new values: ``old`` unless given.
    """
    found = set(words.split())
    if not found & {"apart", "sealed"}:
        return None
    codec = Chain(Zstd(), AesGcm(KEYS, "new" if "new" in found else "old")) if "sealed" in found else None
    return Values(codec=codec, apart_over="1KiB" if "apart" in found else "256KiB")
