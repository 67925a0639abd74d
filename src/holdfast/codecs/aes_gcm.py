"""`hf.AesGcm`: values are encrypted with AES-GCM (NIST SP 800-38D), under keys with ids, of which new ones follow.

A sealed value is ``hfA1``, the length of the key's id in one byte, the id, a random nonce of 12 bytes, and the
ciphertext with its tag of 16. Everything before the nonce is authenticated with it: a value is never opened with
another key than it was sealed with, and no changed byte goes unnoticed.

With random nonces one key is good for 2^32 values; make a new one before.
"""

from __future__ import annotations

import base64
import binascii
import os
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from holdfast.codecs.threads import needs_extra, work
from holdfast.engine.secrets import REFERENCE, secret
from holdfast.errors import CodecError, KeyMissing, UsageError
from holdfast.model.sealed import AES_GCM, key_of

NONCE_BYTES = 12
TAG_BYTES = 16
KEY_BYTES = (16, 24, 32)
LONGEST_ID = 64


class AesGcm:
    """Encrypts values.

    Args:
        keys: by id; ids are 1 to 64 printable ASCII characters. A key is bytes (16, 24 or 32), or where it is:
            ``env:NAME`` or ``file:PATH``, in base64, as `new_key` gives it.
        key: the id of the one that new values are sealed with; may be left out where there is one.

    Raises:
        UsageError: no key, a key of another length, an id that is none, or ``cryptography`` is not installed. No
            message has a key in it.
    """

    def __init__(self, keys: Mapping[str, bytes | str], key: str | None = None) -> None:
        if not isinstance(keys, Mapping) or not keys:
            raise UsageError(f'hf.AesGcm has no keys; give some by their ids: {{"2026-11": {REFERENCE!r}}}')
        try:
            from cryptography.exceptions import InvalidTag
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        except ModuleNotFoundError as error:
            needs_extra(error)
        self._invalid = InvalidTag
        self._ciphers: dict[str, Any] = {check_key_id(id): AESGCM(key_bytes(id, given)) for id, given in keys.items()}
        if key is None and len(keys) > 1:
            raise UsageError(f"hf.AesGcm has {len(keys)} keys; say with key= which one seals new values: {self._said}")
        self.key = next(iter(keys)) if key is None else key
        if self.key not in self._ciphers:
            raise UsageError(f"hf.AesGcm is to seal with key {self.key!r}, and has {self._said}")
        self._head = AES_GCM + bytes([len(self.key)]) + self.key.encode("ascii")

    @staticmethod
    def new_key() -> str:
        """A new key of 32 random bytes in base64, for a variable or a file."""
        return base64.b64encode(secrets.token_bytes(32)).decode("ascii")

    @property
    def known(self) -> tuple[str, ...]:
        """The ids of the keys, sorted."""
        return tuple(sorted(self._ciphers))

    @property
    def _said(self) -> str:
        return ", ".join(map(repr, self.known))

    async def encode(self, payloads: Sequence[bytes]) -> list[bytes]:
        """Encrypt each with the newest key."""
        return await work(self._encode, payloads)

    async def decode(self, payloads: Sequence[bytes]) -> list[bytes]:
        """Decrypt each with the key that it names.

        Raises:
            KeyMissing: that key is not there; says which, and which are.
            CodecError: one was not encrypted by this, or was changed, or its key is another one of that id.
        """
        return await work(self._decode, payloads)

    def _encode(self, payloads: Sequence[bytes]) -> list[bytes]:
        encrypt, head = self._ciphers[self.key].encrypt, self._head
        drawn = os.urandom(NONCE_BYTES * len(payloads))
        nonces = (drawn[at : at + NONCE_BYTES] for at in range(0, len(drawn), NONCE_BYTES))
        return [head + nonce + encrypt(nonce, payload, head) for nonce, payload in zip(nonces, payloads, strict=True)]

    def _decode(self, payloads: Sequence[bytes]) -> list[bytes]:
        own, end = self._head, len(self._head)
        ours = self._ciphers[self.key]
        found = []
        for payload in payloads:
            if payload.startswith(own):
                head, cipher, at = own, ours, end
            else:
                head, cipher, at = self._other(payload)
            if len(payload) < at + NONCE_BYTES + TAG_BYTES:
                raise CodecError("a value", "its sealed bytes are cut off")
            nonce = payload[at : at + NONCE_BYTES]
            try:
                found.append(cipher.decrypt(nonce, payload[at + NONCE_BYTES :], head))
            except self._invalid:
                raise CodecError(
                    "a value",
                    f"it cannot be opened with key {key_of(payload)!r}: its bytes were changed, or the key that is "
                    "here under this id is another one",
                ) from None
        return found

    def _other(self, payload: bytes) -> tuple[bytes, Any, int]:
        """Of bytes that are not sealed with the newest key: what stands before the nonce, the cipher, and its end."""
        if payload[:4] != AES_GCM:
            raise CodecError("a value", "it was not sealed by hf.AesGcm")
        id = key_of(payload)
        if id is None:
            raise CodecError("a value", "its sealed bytes are cut off or changed: they name no key")
        if id not in self._ciphers:
            raise KeyMissing(
                "a value",
                f"it is sealed by key {id!r}, and there is {self._said}: configure that key too",
                needed=id,
                known=self.known,
            )
        end = 5 + payload[4]
        return payload[:end], self._ciphers[id], end


def check_key_id(id: object) -> str:
    """The id of a key, or an error.

    Raises:
        UsageError: it is not 1 to 64 printable ASCII characters.
    """
    if not isinstance(id, str) or not 1 <= len(id) <= LONGEST_ID or not (id.isascii() and id.isprintable()):
        raise UsageError(f"the id of a key is {id!r}; give 1 to {LONGEST_ID} printable ASCII characters")
    return id


def key_bytes(id: str, given: object) -> bytes:
    """The bytes of a key.

    Args:
        id: the key's id, for messages.
        given: the bytes, or where they are in base64.

    Raises:
        UsageError: it is not there, is no base64, or has another length.
    """
    what = f"key {id!r}"
    if isinstance(given, str):
        reference = secret(given, what)
        try:
            given = base64.b64decode(reference.reveal(what).strip(), validate=True)
        except (binascii.Error, ValueError):
            said = f"{what}: what stands at {reference} is not base64; `holdfast codec new-key` makes one"
            raise UsageError(said) from None
    if not isinstance(given, bytes):
        raise UsageError(f"{what} is a {type(given).__name__}; give bytes, or {REFERENCE}")
    if len(given) not in KEY_BYTES:
        raise UsageError(f"{what} has {len(given)} bytes; AES takes 16, 24 or 32: `holdfast codec new-key` makes one")
    return given
