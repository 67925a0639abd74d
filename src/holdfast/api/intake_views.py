"""Entries and comparisons as those may see them who may only look.

What comes in is text of others, and what is answered is words of a run: which of it repeats a field that is hidden,
nothing tells. From whom fields are hidden, it is hidden as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from holdfast.api.redaction import HIDDEN, Redactor
from holdfast.engine.intake_views import EntryView
from holdfast.engine.path_views import ComparedView


def entries(views: Iterable[EntryView], redactor: Redactor | None) -> list[EntryView]:
    """Entries without their contents, and without what is said of these.

    Args:
        views: of entries.
        redactor: hides fields; None for whom nothing is hidden.
    """
    if redactor is None:
        return list(views)
    return [
        replace(view, reason=HIDDEN if view.reason else "", content=None if view.content is None else HIDDEN)
        for view in views
    ]


def compared(views: Iterable[ComparedView], redactor: Redactor | None) -> list[ComparedView]:
    """Comparisons without the words that were compared."""
    if redactor is None:
        return list(views)
    return [
        replace(
            view,
            text=None if view.text is None else HIDDEN,
            their_text=HIDDEN if view.their_text else "",
            difference=HIDDEN if view.difference else "",
        )
        for view in views
    ]
