"""People and API keys through a server."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any

import msgspec

from holdfast.engine.part import UNSET, Unset
from holdfast.engine.people import KeyView, NewKey, People, UserView, _checked_flag
from holdfast.engine.remote.part import RemotePart, check_revision, not_from_here, without_none
from holdfast.engine.remote.refusals import Refusal
from holdfast.engine.remote.wire import cursor, path, read
from holdfast.errors import HoldfastError, KeyNotFound, UserExists
from holdfast.model.access import Role, checked_role
from holdfast.model.duration import Duration, seconds
from holdfast.model.ids import check_id
from holdfast.model.people import (
    checked_away,
    checked_capacity,
    checked_email,
    checked_groups,
    checked_name,
    checked_password,
    checked_zone,
)


class _MadeKey(msgspec.Struct):
    key: str | None
    prefix: str


class RemotePeople(RemotePart, People):
    """The part of a remote client that has to do with people and API keys."""

    # People

    async def put_user(
        self,
        id: str,
        *,
        email: str | Unset | None = UNSET,
        name: str | Unset = UNSET,
        role: Role | str | Unset = UNSET,
        zone: str | Unset = UNSET,
        manager: str | Unset | None = UNSET,
        groups: Sequence[str] | Unset = UNSET,
        capacity: int | Unset | None = UNSET,
        away: Sequence[Mapping[str, date | str]] | Unset = UNSET,
        disabled: bool | Unset = UNSET,
        password: str | Unset | None = UNSET,
        revision: int | None = None,
    ) -> UserView:
        """See `Client.put_user`."""
        given: dict[str, tuple[Any, Callable[[Any], Any]]] = {
            "email": (email, lambda value: None if value is None else checked_email(value)),
            "name": (name, checked_name),
            "role": (role, lambda value: str(checked_role(value))),
            "zone": (zone, checked_zone),
            "manager": (manager, lambda value: None if value is None else check_id(value, "manager")),
            "groups": (groups, checked_groups),
            "capacity": (capacity, checked_capacity),
            "away": (away, _days),
            "disabled": (disabled, _checked_flag),
            "password": (password, lambda value: None if value is None else checked_password(value)),
        }
        body = {what: check(value) for what, (value, check) in given.items() if not isinstance(value, Unset)}
        check_revision(revision, "the person")
        headers: dict[str, str] = {}
        try:
            if revision == 0:
                headers["If-None-Match"] = "*"
            elif revision is not None:
                headers["If-Match"] = await self._standing(id, revision)
            answer = await self.server.ask("PUT", _person(id), body, headers=headers)
        except Refusal as refusal:
            if refusal.kind in ("changed", "user-not-found"):
                raise UserExists(f"{refusal.detail}; look and try again") from None
            raise refusal.error() from None
        return read(answer.body, UserView)

    async def _standing(self, id: str, revision: int) -> str:
        """The ETag of a person who stands at a revision.

        Raises:
            UserExists: they do not.
        """
        answer = await self.server.ask("GET", _person(id))
        stands = read(answer.body, UserView).revision
        if stands != revision:
            raise UserExists(f"person {id!r} was changed meanwhile and is at revision {stands}; look and try again")
        return answer.etag or "*"

    async def get_user(self, id: str) -> UserView:
        """See `Client.get_user`."""
        return await self._get(_person(id), UserView)

    async def users(self, *, limit: int = 50, after: str | None = None) -> list[UserView]:
        """See `Client.users`."""
        behind = None if after is None else cursor(check_id(after, "after"))
        return await self._some("/users", UserView, limit, cursor=behind)

    async def delete_user(self, id: str) -> bool:
        """See `Client.delete_user`."""
        return await self._deleted(_person(id), "user-not-found")

    async def check_password(self, email_or_id: str, password: str) -> UserView | None:
        """Not through a server: people give their passwords to the server itself, where they sign in.

        Raises:
            UsageError: always.
        """
        not_from_here("checking a password", "people sign in at the server; or connect to its database")

    # API keys

    async def create_key(self, name: str, *, role: Role | str = Role.VIEWER, expires: Duration | None = None) -> NewKey:
        """See `Client.create_key`."""
        length = None if expires is None else seconds(expires, what="expires")
        body = {"name": name, "role": str(checked_role(role)), **without_none(expires=length)}
        made = await self._post("/keys", body, _MadeKey)
        if made.key is None:
            raise HoldfastError(
                f"key {made.prefix} was made, and the answer with its secret was lost on the way: revoke it and make "
                "another"
            )
        return NewKey(made.key, await self.get_key(made.prefix))

    async def get_key(self, prefix: str) -> KeyView:
        """See `Client.get_key`."""
        found = await self.keys(search=check_id(prefix, "the prefix of a key"), limit=10)
        same = [key for key in found if key.prefix == prefix]
        if not same:
            raise KeyNotFound(f"tenant {self.tenant!r} has no API key {prefix!r}")
        return same[0]

    async def keys(self, *, search: str = "", limit: int = 50, after: str | None = None) -> list[KeyView]:
        """See `Client.keys`."""
        behind = None if after is None else cursor(check_id(after, "after"))
        # Of a whole key only what it is found by is sent.
        wanted = check_id(search, "search").removeprefix("hf_").partition("_")[0] if search else None
        return await self._some("/keys", KeyView, limit, search=wanted, cursor=behind)

    async def revoke_key(self, prefix: str) -> bool:
        """See `Client.revoke_key`."""
        check_id(prefix, "the prefix of a key")
        if not (len(prefix) == 8 and prefix.isascii() and prefix.isalnum() and prefix == prefix.lower()):
            return False
        return await self._deleted(path("keys", prefix), "key-not-found")


def _person(id: str) -> str:
    return path("users", check_id(id, "the id of a person"))


def _days(away: Sequence[Mapping[str, date | str]]) -> list[dict[str, Any]]:
    return [{"from": first.isoformat(), "until": last.isoformat()} for first, last in checked_away(away)]
