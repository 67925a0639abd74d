"""Positions: where in a run's code a durable call stands, as bytes that sort in call order.

A position is a path of numbers, one per nested fan-out: ``4`` is the fifth durable call of a
run, ``4.0.2`` the third call of the first branch of a fan-out that stands there. Each number is
written so that byte order is number order: below 224 as itself; else one byte ``0xDF + n`` and
the number in n big-endian bytes. A path sorts before the paths inside it.
"""

from __future__ import annotations

from holdfast.errors import UsageError

_SMALL = 224
_BYTES = [bytes([n]) for n in range(_SMALL)]


def encode_number(number: int) -> bytes:
    """One component of a position.

    Args:
        number: 0 or more, below 2**256.

    Returns:
        1 to 33 bytes; ``encode_number(a) < encode_number(b)`` exactly when ``a < b``.
    """
    if number < _SMALL:
        return _BYTES[number]
    length = (number.bit_length() + 7) // 8
    return bytes([_SMALL - 1 + length]) + number.to_bytes(length, "big")


def numbers_of(position: bytes) -> tuple[int, ...]:
    """The numbers of a position: of a call, of a branch of it, of a call in that, and so on."""
    numbers: list[int] = []
    index = 0
    while index < len(position):
        first = position[index]
        index += 1
        if first < _SMALL:
            numbers.append(first)
        else:
            length = first - _SMALL + 1
            numbers.append(int.from_bytes(position[index : index + length], "big"))
            index += length
    return tuple(numbers)


def format_position(position: bytes) -> str:
    """A position as people read it: ``4.0.2``."""
    return ".".join(map(str, numbers_of(position)))


def parse_position(text: str) -> bytes:
    """What `format_position` gave, as it was.

    Raises:
        UsageError: it is no position.
    """
    parts = text.split(".") if isinstance(text, str) else [""]
    if len(parts) > 100 or not all(part.isascii() and part.isdecimal() and len(part) < 40 for part in parts):
        raise UsageError(f"the position is {text!r:.100}; write it as in 4 or 4.0.2")
    return b"".join(encode_number(int(part)) for part in parts)
