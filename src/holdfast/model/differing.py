"""How two texts differ, word by word, for people."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

MOST_WORDS = 2_000
"""Texts are compared up to so many words: what comes behind them is left out, and that is said."""

AROUND = 5
"""So many words are shown before and after what differs."""


def word_difference(theirs: str, ours: str) -> str:
    """What was left out as ``[-words-]``, what was put in as ``{+words+}``, with a few words around each.

    Args:
        theirs: the text that is there.
        ours: the text beside it.

    Returns:
        Empty where their words are the same.
    """
    left, right = theirs.split(), ours.split()
    if left == right:
        return ""
    cut = max(len(left), len(right)) > MOST_WORDS
    left, right = left[:MOST_WORDS], right[:MOST_WORDS]
    hunks = difflib.SequenceMatcher(None, left, right, autojunk=False).get_grouped_opcodes(AROUND)
    shown: list[str] = []
    end = 0
    for hunk in hunks:
        if hunk[0][1] > end or (not shown and hunk[0][1] > 0):
            shown.append("…")
        shown += _words(hunk, left, right)
        end = hunk[-1][2]
    if end < len(left) or cut:
        shown.append("…")
    if cut:
        shown.append(f"(compared up to {MOST_WORDS:,} words)")
    return " ".join(shown)


def _words(hunk: list[tuple[str, int, int, int, int]], left: list[str], right: list[str]) -> Iterator[str]:
    for tag, from_left, to_left, from_right, to_right in hunk:
        if tag == "equal":
            yield from left[from_left:to_left]
            continue
        if to_left > from_left:
            yield f"[-{' '.join(left[from_left:to_left])}-]"
        if to_right > from_right:
            yield f"{{+{' '.join(right[from_right:to_right])}+}}"
