"""Under which keys conversations are kept.

All keys of a conversation share a hash tag, and so a slot of a Redis Cluster. The indexes span conversations and lie
wherever they fall.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b

FREED = "hf:freed"
"""The channel on which it is said that a conversation may be free."""

EXPIRY = "hf:expiry"
"""Index of all conversations by when they expire."""

UNSETTLED = "hf:unsettled"
"""Index of those whose handover is to be done, by when that was noted."""

_PARTS = ("state", "turns", "hold", "line", "seen", "gone")
"""In the order in which begin.lua names them."""


def conversation_keys(tenant: str, id: str) -> list[str]:
    """The keys of a conversation, in the order in which the scripts take them.

    Returns:
        Of its state; its turns; who has it; who waits, in order; until when each waits; and what is remembered of it
        once it has expired.
    """
    tag = _digest(tenant, id)
    return [f"hf:{{{tag}}}:{part}" for part in _PARTS]


def index_key(tenant: str, kind: str = "", value: str = "") -> str:
    """The key of an index of a tenant's conversations by when they changed.

    Args:
        kind: ``user`` or ``item`` for those of one; else all.
        value: of which one.
    """
    return f"hf:changed:{_digest(tenant, kind, value)}"


@lru_cache(4096)  # A turn, and what is noted of it, asks for the same again and again.
def _digest(*texts: str) -> str:
    # No name that is stored holds a NUL. One that is only looked for may hold anything, and is not found then.
    return blake2b("\0".join(texts).encode(errors="surrogatepass"), digest_size=16).hexdigest()
