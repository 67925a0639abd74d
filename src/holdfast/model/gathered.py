"""The input of a run that is made of several starts: the lists that they bring, one behind the other.

Each start of a batch has a whole input, ``{"docs": [a, b]}``. Where all of them are plain JSON (first byte 1), the
run's input is too. Where some are not, as those that a codec sealed, nobody here can join them: they stand in the
run's input as they are. Its first byte is 4; then comes a line of JSON, ``{"lengths": [31, 58]}``, and behind the line
the inputs, so many bytes each. Whoever opens it opens each of them and joins those.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from holdfast.model.payload import HEADER

JOINED = b"\x04"
"""The first byte of inputs that stand one behind the other."""


class _Line(msgspec.Struct):
    lengths: list[int]


_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_line = msgspec.json.Decoder(_Line).decode


def join_inputs(inputs: Sequence[bytes]) -> bytes:
    """One input of several, at least one."""
    parts = [part for given in inputs for part in split_inputs(given)]
    if len(parts) == 1:
        return parts[0]
    if any(part[:1] != HEADER for part in parts):
        line = msgspec.json.encode(_Line([len(part) for part in parts]))
        return b"".join([JOINED, line, b"\n", *parts])
    items: list[bytes] = []
    for part in parts:
        [(name, value)] = _fields(part[1:]).items()  # the only argument, a list
        inside = bytes(value).strip()[1:-1].strip()
        if inside:
            items.append(inside)
    return b"".join([HEADER, b"{", msgspec.json.encode(name), b":[", b",".join(items), b"]}"])


def split_inputs(given: bytes) -> list[bytes]:
    """The inputs that an input is made of: itself, unless others stand in it."""
    if given[:1] != JOINED:
        return [given]
    end = given.index(b"\n")
    parts, first = [], end + 1
    for length in _line(given[1:end]).lengths:
        parts.append(given[first : first + length])
        first += length
    return parts
