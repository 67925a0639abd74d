"""Codecs for stored values: compression, encryption with keys that rotate, several in a row, and another server's."""

from holdfast.codecs.aes_gcm import AesGcm
from holdfast.codecs.chain import Chain
from holdfast.codecs.remote import RemoteCodec
from holdfast.codecs.zstd import Zstd

__all__ = ["AesGcm", "Chain", "RemoteCodec", "Zstd"]
