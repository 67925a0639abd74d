"""What a client can do with the record of changes, and with the searches that its actor keeps."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from holdfast.engine.part import Part, check_whole
from holdfast.errors import UsageError
from holdfast.model.ids import check_id
from holdfast.model.run import instant
from holdfast.store.rows import AuditRow, SavedViewRow

PAGE_AT_MOST = 1000
QUERY_CHARACTERS = 4000


@dataclass(frozen=True, slots=True)
class AuditView:
    """A change that was recorded.

    Attributes:
        id: in hexadecimal; ids sort by time.
        actor: who: a person's id, ``key:`` and the prefix of an API key, or ``local``.
        action: what, as ``run.cancel``.
        target: to what, such as a run's id.
        detail: more of it, plain JSON; no inputs and no secrets.
        at: when.
    """

    id: str
    actor: str
    action: str
    target: str
    detail: dict[str, Any]
    at: datetime


@dataclass(frozen=True, slots=True)
class SavedView:
    """A search that somebody keeps.

    Attributes:
        page: the page that it belongs to.
        name: unique among those of the page.
        query: the search.
    """

    page: str
    name: str
    query: str


class Auditing(Part):
    """The part of a client that has to do with what was changed, and with kept searches."""

    async def audit(
        self,
        *,
        limit: int = 50,
        before: str | None = None,
        actor: str | None = None,
        action: str | None = None,
        target: str | None = None,
    ) -> list[AuditView]:
        """What was changed in the tenant by clients with an actor, newest first.

        Args:
            limit: at most so many, 1 to 1,000.
            before: only what is older than the change of this id, the last of the page before.
            actor: only what this one changed.
            action: only this, or what begins with it: ``run`` for ``run.cancel`` and the like.
            target: only what was changed of this, such as a run's id.

        Raises:
            UsageError: a limit out of range, or no id.
        """
        check_whole(limit, "limit", PAGE_AT_MOST)
        wanted = {
            what: None if value is None else check_id(value, what)
            for what, value in (("actor", actor), ("action", action), ("target", target))
        }
        rows = await self._patiently(
            self.reads.list_audit(self.tenant, limit=limit, before=None if before is None else _uid(before), **wanted)
        )
        return [_view(row) for row in rows]

    async def record(self, action: str, target: str, /, **detail: Any) -> None:
        """Record that the client's actor did something that no method of the client does; nothing if it has none.

        Args:
            action: what, as ``session.begin``.
            target: to what: any text, of which the first 512 characters are kept.
            detail: more of it, plain JSON, never with a secret in it.

        Raises:
            UsageError: not the name of an action.
        """
        await self._record(check_id(action, "the action"), target, **detail)

    # Kept searches

    async def saved_views(self, page: str) -> list[SavedView]:
        """The searches that the client's actor keeps for a page, by name."""
        rows = await self._patiently(self.reads.list_views(self.tenant, self._owner(), check_id(page, "the page")))
        return [SavedView(row.page, row.name, row.query) for row in rows]

    async def put_view(self, page: str, name: str, query: str) -> None:
        """Keep a search for a page; one of the same name is replaced.

        Args:
            page: the page that it belongs to.
            name: 1 to 512 characters.
            query: at most 4,000 characters.

        Raises:
            UsageError: a value out of range.
        """
        if not isinstance(query, str) or len(query) > QUERY_CHARACTERS or not _is_sound(query):
            raise UsageError(
                f"the query of a view is {query!r:.300}; give a text of at most {QUERY_CHARACTERS} characters, "
                "without NUL and half pairs of surrogates"
            )
        row = SavedViewRow(
            self.tenant, self._owner(), check_id(page, "the page"), check_id(name, "the name of a view"), query
        )
        await self._patiently(self.core.store.put_view(row))
        await self._record("view.put", f"{page}/{name}", query=query)

    async def delete_view(self, page: str, name: str) -> bool:
        """Forget a kept search.

        Returns:
            Whether there was one of this name.
        """
        check_id(page, "the page")
        check_id(name, "the name of a view")
        done = await self._patiently(self.core.store.delete_view(self.tenant, self._owner(), page, name))
        if done:
            await self._record("view.delete", f"{page}/{name}")
        return done

    def _owner(self) -> str:
        return self.actor or "local"


def _is_sound(text: str) -> bool:
    return "\0" not in text and not any("\ud800" <= one <= "\udfff" for one in text)


def _uid(text: str) -> bytes:
    try:
        uid = bytes.fromhex(text)
    except (TypeError, ValueError):
        uid = b""
    if len(uid) != 16:
        raise UsageError(f"before is {text!r:.300}; give the id of a change, 32 hexadecimal digits")
    return uid


def _view(row: AuditRow) -> AuditView:
    return AuditView(row.uid.hex(), row.actor, row.action, row.target, msgspec.json.decode(row.detail), instant(row.at))
