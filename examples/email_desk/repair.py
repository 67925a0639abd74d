"""Repairs of the breakages that mail is full of and that leave a message readable all the same."""

from __future__ import annotations

import re

_HEADER = re.compile(rb"[!-9;-~]+[ \t]*:")
_BOUNDARY = re.compile(rb'(?im)^((?:content-type:|[ \t])[^\r\n]*?\bboundary=)([^\s;"]*=[^\s;"]*)')
_BLANK = re.compile(rb"\r?\n\r?\n")


def header_block(raw: bytes) -> bytes:
    """The bytes before the first empty line."""
    blank = _BLANK.search(raw)
    return raw[: blank.start()] if blank else raw


def drop_stray_lines(raw: bytes) -> bytes:
    """The message without the lines in its headers that are no header.

    A parser takes the first such line for the start of the body, and the sender below it is lost.
    """
    head = header_block(raw)
    return pick_headers(head) + raw[len(head) :]


def pick_headers(head: bytes, *names: bytes) -> bytes:
    """The lines of the headers of these names, in lower case; without names, of all that are a header."""
    kept: list[bytes] = []
    good = False
    for line in head.splitlines(keepends=True):
        if not line.startswith((b" ", b"\t")):  # a folded line shares the fate of the one it continues
            found = _HEADER.match(line)
            good = bool(found) and (not names or line.partition(b":")[0].strip().lower() in names)
        if good:
            kept.append(line)
    return b"".join(kept)


def quote_boundaries(raw: bytes) -> bytes:
    """The message with quotes around boundaries that need them: ``boundary=--=_x`` reads as ``--`` without."""
    return _BOUNDARY.sub(rb'\1"\2"', raw)
