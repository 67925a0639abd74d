"""What the parts of a remote work queue share: paths, and changes that are made only on top of what was seen."""

from __future__ import annotations

from typing import Any, TypeVar

from holdfast.engine.remote.part import RemotePart, check_revision
from holdfast.engine.remote.refusals import Refusal
from holdfast.engine.remote.transport import Answer
from holdfast.engine.remote.wire import Page, path, read
from holdfast.errors import HoldfastError, ItemChanged, WorkChanged
from holdfast.model.ids import check_id
from holdfast.workqueue.views import ItemView

V = TypeVar("V")

ROWS_AT_ONCE = 2000
"""So many rows are sent in one request."""

BYTES_AT_ONCE = 2_000_000
"""Or fewer, if they are large."""


class RemoteWork(RemotePart):
    """What every part of a remote work queue builds on."""

    async def _ask_move(
        self, id: str, move: str, body: dict[str, Any] | None = None, revision: int | None = None, method: str = "POST"
    ) -> ItemView:
        """Move an item; with a revision, only if it stands there.

        Raises:
            ItemChanged: it does not.
            HoldfastError: what the server refuses.
        """
        address = item_path(id)
        check_revision(revision, "the item")
        headers: dict[str, str] = {}
        try:
            if revision is not None:
                stands = await self.server.ask("GET", address)
                view = read(stands.body, ItemView)
                if view.revision != revision:
                    raise ItemChanged(
                        f"item {id!r} was changed meanwhile and is at revision {view.revision}; look and try again",
                        item_id=id,
                    )
                headers["If-Match"] = stands.etag or "*"
            answer = await self.server.ask(method, f"{address}/{move}", body, headers=headers)
        except Refusal as refusal:
            if refusal.kind == "changed":
                raise ItemChanged(f"item {id!r} was changed meanwhile; look and try again", item_id=id) from None
            raise refusal.error() from None
        return read(answer.body, ItemView)

    async def _changed(
        self,
        method: str,
        address: str,
        body: Any,
        kind: type[V],
        *,
        revision: int | None,
        field: str,
        moved_on: str,
        more: str = "",
        always: bool = False,
    ) -> V:
        """Change something; with a revision, only if it stands there.

        Args:
            method: of the request.
            address: of the thing.
            body: of the request.
            kind: what is answered.
            revision: at which it must stand; 0 for something new.
            field: where the thing says its revision.
            moved_on: what is said if it stands at another.
            more: what follows the address, for the change.
            always: whether the thing is always there, at revision 0 at first.
        """
        headers: dict[str, str] = {}
        try:
            if revision == 0 and not always:
                headers["If-None-Match"] = "*"
            elif revision is not None:
                stands = await self.server.ask("GET", address)
                found = getattr(read(stands.body, kind), field)
                if found != revision:
                    raise WorkChanged(f"{moved_on}: it is at revision {found}; look and try again")
                headers["If-Match"] = stands.etag or "*"
            answer = await self.server.ask(method, address + more, body, headers=headers)
        except Refusal as refusal:
            raise self._refused(refusal, revision, moved_on) from None
        return read(answer.body, kind)

    def _items(self, answer: Answer, kind: type[V]) -> list[V]:
        """The items of a page."""
        page = read(answer.body, Page[kind])  # type: ignore[valid-type]
        return page.items

    def _refused(self, refusal: Refusal, revision: int | None, moved_on: str) -> HoldfastError:
        gone = refusal.kind in ("subject-not-found", "definition-not-found") and revision
        if refusal.kind == "changed" or gone:
            return WorkChanged(f"{moved_on}: {refusal.detail}")
        return refusal.error()


def item_path(id: object, *more: str) -> str:
    """The path of an item.

    Raises:
        UsageError: not an id.
    """
    return path("items", check_id(id, "the id of an item"), *more)
