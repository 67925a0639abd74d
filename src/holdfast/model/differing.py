"""How two texts differ, word by word, for people."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Literal

MOST_WORDS = 1_000
"""Texts are compared up to so many words: what comes behind them is left out, and that is said."""

AROUND = 5
"""So many words are shown before and after what differs."""


Piece = tuple[Literal["same", "removed", "added", "left_out"], str]
"""Words that both have, that only the first or only the second has; or a note that some are left out."""


def word_pieces(theirs: str, ours: str) -> list[Piece]:
    """How two texts differ, as pieces in their order, with a few words around each difference.

    Args:
        theirs: the text that is there.
        ours: the text beside it.

    Returns:
        Nothing where their words are the same.
    """
    left, right = theirs.split(), ours.split()
    if left == right:
        return []
    cut = max(len(left), len(right)) > MOST_WORDS
    left, right = left[:MOST_WORDS], right[:MOST_WORDS]
    # Words that are everywhere in a long text are no places to begin with: else a text of few words takes minutes.
    hunks = difflib.SequenceMatcher(None, left, right, autojunk=True).get_grouped_opcodes(AROUND)
    shown: list[Piece] = []
    end = 0
    for hunk in hunks:
        if hunk[0][1] > end or (not shown and hunk[0][1] > 0):
            shown.append(("left_out", "…"))
        shown += _pieces(hunk, left, right)
        end = hunk[-1][2]
    if end < len(left) or cut:
        shown.append(("left_out", "…"))
    if cut:
        shown.append(("left_out", f"(compared up to {MOST_WORDS:,} words)"))
    return shown


def word_difference(theirs: str, ours: str) -> str:
    """The same as a text: what was left out as ``[-words-]``, what was put in as ``{+words+}``.

    Args:
        theirs: the text that is there.
        ours: the text beside it.

    Returns:
        Empty where their words are the same.
    """
    return " ".join(_MARKS[kind].format(words) for kind, words in word_pieces(theirs, ours))


_MARKS = {"same": "{}", "left_out": "{}", "removed": "[-{}-]", "added": "{{+{}+}}"}


def _pieces(hunk: list[tuple[str, int, int, int, int]], left: list[str], right: list[str]) -> Iterator[Piece]:
    for tag, from_left, to_left, from_right, to_right in hunk:
        if tag == "equal":
            yield "same", " ".join(left[from_left:to_left])
            continue
        if to_left > from_left:
            yield "removed", " ".join(left[from_left:to_left])
        if to_right > from_right:
            yield "added", " ".join(right[from_right:to_right])
