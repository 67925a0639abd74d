"""How two answers differ: line by line, and word by word."""

from __future__ import annotations

import difflib
import re

WORDS_AT_MOST = 2000
"""Lines that changed are compared by words up to so many on either side; more are told as gone and come as a whole."""

_WORDS = re.compile(r"\n|\S+")


def by_lines(then: str, now: str) -> str:
    """The lines that differ, as ``diff -u`` tells them; empty for none."""
    return "\n".join(difflib.unified_diff(_lines(then), _lines(now), "recorded", "now", lineterm=""))


def by_words(then: str, now: str) -> str:
    """The text as it is now, with what came between ``{+`` and ``+}``, and what went between ``[-`` and ``-]``.

    In lines that changed, one blank stands for any number of them.
    """
    before, after = _lines(then), _lines(now)
    told: list[str] = []
    for how, first, last, begin, end in difflib.SequenceMatcher(None, before, after).get_opcodes():
        if how == "equal":
            told += after[begin:end]
        else:
            told.append(_marked("\n".join(before[first:last]), "\n".join(after[begin:end])))
    return "\n".join(told)


def _lines(text: str) -> list[str]:
    return text.split("\n") if text else []


def _marked(then: str, now: str) -> str:
    before, after = _WORDS.findall(then), _WORDS.findall(now)
    if max(len(before), len(after)) > WORDS_AT_MOST:
        return f"{_went(before)}\n{_came(after)}"
    told = []
    for how, first, last, begin, end in difflib.SequenceMatcher(None, before, after).get_opcodes():
        if how == "equal":
            told.append(_joined(after[begin:end]))
            continue
        if first < last:
            told.append(_went(before[first:last]))
        if begin < end:
            told.append(_came(after[begin:end]))
    return _joined(told)


def _went(words: list[str]) -> str:
    return f"[-{_joined(words)}-]"


def _came(words: list[str]) -> str:
    return f"{{+{_joined(words)}+}}"


def _joined(words: list[str]) -> str:
    return re.sub(r" ?\n ?", "\n", " ".join(words))
