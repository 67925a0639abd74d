"""What the parts of a remote client share: the server they ask, and how its refusals become exceptions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from holdfast.engine.part import check_whole
from holdfast.engine.remote.refusals import Refusal
from holdfast.engine.remote.wire import Page, path, read
from holdfast.errors import RunNotFound, UsageError
from holdfast.model.ids import check_id

if TYPE_CHECKING:
    from holdfast.engine.remote.transport import Answer, Transport

T = TypeVar("T")
V = TypeVar("V")

AT_ONCE = 1000
"""So many items of a list are asked for at a time."""


class RemotePart:
    """What every part of a remote client builds on.

    Attributes:
        server: who is asked.
        tenant: whose data.
    """

    server: Transport
    tenant: str

    async def _call(self, method: str, address: str, body: Any = None, **more: Any) -> Answer:
        """Ask the server something.

        Raises:
            HoldfastError: what it refuses, as the exception that a local client raises.
        """
        try:
            return await self.server.ask(method, address, body, **more)
        except Refusal as refusal:
            raise refusal.error() from None

    async def _get(self, address: str, kind: type[T], /, **query: Any) -> T:
        return read((await self._call("GET", address, query=query)).body, kind)

    async def _post(self, address: str, body: Any, kind: type[T], **more: Any) -> T:
        return read((await self._call("POST", address, body, **more)).body, kind)

    async def _deleted(self, address: str, *missing: str) -> bool:
        """Delete something; whether it was there.

        Args:
            address: of it.
            missing: the problems that say that it was not.
        """
        try:
            await self.server.ask("DELETE", address)
        except Refusal as refusal:
            if refusal.kind not in missing:
                raise refusal.error() from None
            return refusal.perhaps_done
        return True

    async def _every(self, address: str, kind: type[V], /, *, at_once: int = AT_ONCE, **query: Any) -> list[V]:
        """Everything that a list has."""
        found: list[V] = []
        behind: str | None = None
        while True:
            page = await self._get(address, Page[kind], limit=at_once, cursor=behind, **query)  # type: ignore[valid-type]
            found += page.items
            behind = page.next
            if behind is None:
                return found

    async def _first(self, address: str, kind: type[V], limit: int) -> list[V]:
        """The first of a list, more than a page if need be."""
        found: list[V] = []
        behind: str | None = None
        while True:
            at_once = min(limit - len(found), AT_ONCE)
            page = await self._get(address, Page[kind], limit=at_once, cursor=behind)  # type: ignore[valid-type]
            found += page.items
            behind = page.next
            if behind is None or len(found) >= limit:
                return found

    async def _some(self, address: str, kind: type[V], limit: int, most: int = AT_ONCE, /, **query: Any) -> list[V]:
        """A part of a list."""
        check_whole(limit, "limit", most)
        page = await self._get(address, Page[kind], limit=limit, **query)  # type: ignore[valid-type]
        return page.items

    async def _whole(self, address: str, kind: type[V]) -> list[V]:
        """A list that comes whole."""
        page = await self._get(address, Page[kind])  # type: ignore[valid-type]
        return page.items


def run_path(run_id: object, *more: str) -> str:
    """The path of a run.

    Raises:
        UsageError: not an id.
    """
    return path("runs", check_id(run_id, "the id of a run"), *more)


def no_run(tenant: str, run_id: str) -> RunNotFound:
    """What is raised for a run that is not there."""
    return RunNotFound(f"tenant {tenant!r} has no run {run_id!r}", run_id=run_id)


def not_from_here(what: str, instead: str) -> NoReturn:
    """Refuse what takes the database itself.

    Raises:
        UsageError: always.
    """
    raise UsageError(f"{what} cannot be done through a server: {instead}")


def check_revision(revision: object, of: str) -> None:
    """Refuse what is no revision.

    Raises:
        UsageError: it is none.
    """
    if revision is not None and (isinstance(revision, bool) or not isinstance(revision, int) or revision < 0):
        raise UsageError(f"revision is {revision!r:.300}; give that of {of}, or 0 for a new one")


def without_none(**given: Any) -> dict[str, Any]:
    """Arguments for a body; those that are None are left to their defaults."""
    return {name: value for name, value in given.items() if value is not None}
