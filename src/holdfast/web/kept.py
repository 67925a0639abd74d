"""What the pages of an application keep for some seconds, so that many viewers cost no more than one."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

from holdfast.api.caching import Fresh

if TYPE_CHECKING:
    from holdfast.web.page import Page

MOST = 500
"""So many values of each age are kept."""


def kept(page: Page, seconds: float) -> Fresh[Hashable, Any]:
    """What is kept for so long. A key has to name the tenant whose it is."""
    state = page.request.app.state
    if not hasattr(state, "kept"):
        state.kept = {}
    shared: dict[float, Fresh[Hashable, Any]] = state.kept
    if seconds not in shared:
        shared[seconds] = Fresh(seconds, MOST)
    return shared[seconds]
