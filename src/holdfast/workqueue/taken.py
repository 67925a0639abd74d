"""Whose places with a definition are taken: read in order along with the subjects, a page at a time."""

from __future__ import annotations

from holdfast.workqueue.part import WorkPart

PAGE = 10_000


class TakenPlaces:
    """The subjects whose place with a definition is taken, for stretches of ids that rise.

    Args:
        part: whose.
        definition: the definition.
        now: at which instant.
    """

    def __init__(self, part: WorkPart, definition: str, now: int) -> None:
        self._part = part
        self._definition = definition
        self._now = now
        self._known: set[str] = set()
        self._last: str | None = None
        self._whole = False

    async def between(self, first: str, last: str) -> set[str]:
        """Those from one id to another, and maybe some beyond them.

        Args:
            first: not before that of the call before.
            last: not before ``first``.
        """
        if self._last is None:
            # A text that sorts before the first, with as little as possible between them.
            await self._read(first[:-1])
        while not self._whole and (self._last or "") < last:
            self._known = {one for one in self._known if one >= first}
            await self._read(self._last or "")
        return self._known

    async def _read(self, after: str) -> None:
        part = self._part
        page = await part._patiently(
            part._work.taken_places(part.tenant, self._definition, self._now, after=after, limit=PAGE)
        )
        self._known.update(page)
        self._whole = len(page) < PAGE
        self._last = page[-1] if page else after
