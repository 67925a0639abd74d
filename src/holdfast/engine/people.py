"""What a client can do with people and API keys: make, change and list them, check a password, revoke a key."""

from __future__ import annotations

import asyncio
import functools
import secrets
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from holdfast.engine.part import UNSET, Part, Unset, check_whole
from holdfast.errors import HoldfastError, KeyNotFound, UsageError, UserExists, UserNotFound
from holdfast.model.access import Role, checked_role, digest
from holdfast.model.duration import Duration, seconds
from holdfast.model.ids import check_id
from holdfast.model.people import (
    PASSWORD_CHARACTERS,
    Person,
    checked_away,
    checked_capacity,
    checked_email,
    checked_groups,
    checked_name,
    checked_password,
    checked_zone,
    decode_person,
    encode_person,
)
from holdfast.model.run import instant
from holdfast.store.rows import KeyRow, UserRow

if TYPE_CHECKING:
    import argon2

TRIES = 3
"""How often a change is made anew on top of somebody else's."""

PAGE_AT_MOST = 1000

PREFIX_CHARACTERS = string.digits + string.ascii_lowercase
SECRET_CHARACTERS = string.digits + string.ascii_letters


@dataclass(frozen=True, slots=True)
class UserView:
    """A person.

    Attributes:
        id: unique within the tenant.
        email: in lower case; None for none.
        name: to show.
        role: viewer, worker-of-items, operator or admin.
        zone: the IANA name of the time zone they live in.
        manager: the id of whom they report to.
        groups: the names of the groups they are in.
        capacity: how many work items they take on at once; None for any number.
        away: when they are away, as ``{"from": date, "until": date}``, both days included, in order.
        disabled: they cannot sign in.
        has_password: they can sign in with one.
        created_at: when they were made known.
        revision: rises with each change.
    """

    id: str
    email: str | None
    name: str
    role: str
    zone: str
    manager: str | None
    groups: list[str]
    capacity: int | None
    away: list[dict[str, date]]
    disabled: bool
    has_password: bool
    created_at: datetime
    revision: int


@dataclass(frozen=True, slots=True)
class KeyView:
    """An API key, without its secret.

    Attributes:
        prefix: by which it is found; the key begins with ``hf_`` and this.
        name: what it is for.
        role: what it may do.
        created_by: who made it.
        created_at: when.
        expires_at: until when it is good; None for ever.
        revoked_at: since when it is good no more.
        used_at: when it was used last, within a minute or so.
    """

    prefix: str
    name: str
    role: str
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    used_at: datetime | None


@dataclass(frozen=True, slots=True)
class NewKey:
    """An API key that was just made.

    Attributes:
        key: the whole key. It is nowhere else, and cannot be had again.
        view: what is known of it from now on.
    """

    key: str = field(repr=False)
    view: KeyView


class People(Part):
    """The part of a client that has to do with people and API keys."""

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
        """Make a person known, or change what is given of one; the rest stays as it is.

        Args:
            id: any text; who is assigned work or recorded with a change is named by it.
            email: an address that nobody else of the tenant has; None for none.
            name: to show, at most 200 characters.
            role: viewer, worker-of-items, operator or admin; a new person is a viewer unless given.
            zone: the IANA name of their time zone; UTC unless given.
            manager: the id of whom they report to, whether or not it is known; None for nobody.
            groups: the names of their groups, at most 100.
            capacity: how many work items they take on at once; None for any number.
            away: when they are away: ``{"from": date, "until": date}``, both days included, at most 100.
            disabled: whether they cannot sign in.
            password: 12 to 1,000 characters, stored as an argon2 hash; None takes it away.
            revision: change them only if they stand at this revision; 0: only make them.

        Returns:
            The person as they are now.

        Raises:
            UsageError: a value is out of range, or a password is given and ``argon2-cffi`` is not installed.
            UserExists: another person has the address, or they are not at the revision.
        """
        check_id(id, "the id of a person")
        if revision is not None and (isinstance(revision, bool) or not isinstance(revision, int) or revision < 0):
            raise UsageError(f"revision is {revision!r:.300}; give that of the person, or 0 for a new one")
        address = email if isinstance(email, Unset) or email is None else checked_email(email)
        checks: dict[str, tuple[Any, Callable[[Any], Any]]] = {
            "name": (name, checked_name),
            "role": (role, lambda value: str(checked_role(value))),
            "zone": (zone, checked_zone),
            "manager": (manager, lambda value: None if value is None else check_id(value, "manager")),
            "groups": (groups, checked_groups),
            "capacity": (capacity, checked_capacity),
            "away": (away, checked_away),
            "disabled": (disabled, _checked_flag),
        }
        changes = {what: check(value) for what, (value, check) in checks.items() if not isinstance(value, Unset)}
        hashed = password if isinstance(password, Unset) or password is None else await _hashed(password)

        def change(stored: UserRow | None) -> UserRow:
            row = stored or UserRow(self.tenant, id, None, None, encode_person(Person()), self.core.now_us(), 0)
            person = msgspec.structs.replace(decode_person(row.document), **changes)
            return row._replace(
                email=row.email if isinstance(address, Unset) else address,
                password=row.password if isinstance(hashed, Unset) else hashed,
                document=encode_person(person),
            )

        row, changed = await self._change_user(id, revision, change)
        if changed:
            shown = {**changes, **({} if isinstance(address, Unset) else {"email": address})}
            shown = {what: "none" if value is None else value for what, value in shown.items()}
            if not isinstance(hashed, Unset):
                shown["password"] = "removed" if hashed is None else "set"
            await self._record("user.put", id, **shown)
        return _user_view(row)

    async def _change_user(
        self, id: str, revision: int | None, change: Callable[[UserRow | None], UserRow]
    ) -> tuple[UserRow, bool]:
        """Store what becomes of a person on top of what they are; whether it is anything else."""
        for _ in range(TRIES):
            stored = await self._patiently(self.reads.find_user(self.tenant, id=id))
            stands = 0 if stored is None else stored.revision
            if revision is not None and revision != stands:
                how = f"was changed meanwhile and is at revision {stands}" if stands else "does not exist"
                raise UserExists(f"person {id!r} {how if revision or not stands else 'exists'}; look and try again")
            row = change(stored)
            if row == stored:
                return row, False
            row = row._replace(revision=stands + 1)
            became = await self._patiently(self.core.store.put_user(row))
            if became == "done":
                return row, True
            if became == "email":
                raise UserExists(f"another person of tenant {self.tenant!r} has the address {row.email!r}")
        raise UserExists(f"person {id!r} is changed by others at the same time; look and try again")

    async def get_user(self, id: str) -> UserView:
        """A person as they are now.

        Raises:
            UserNotFound: the tenant has no person of this id.
        """
        row = await self._patiently(self.reads.find_user(self.tenant, id=check_id(id, "the id of a person")))
        if row is None:
            raise UserNotFound(f"tenant {self.tenant!r} has no person {id!r}")
        return _user_view(row)

    async def users(self, *, limit: int = 50, after: str | None = None) -> list[UserView]:
        """The tenant's people, by id.

        Args:
            limit: at most so many, 1 to 1,000.
            after: only those behind this id, the last of the page before.

        Raises:
            UsageError: a limit out of range.
        """
        check_whole(limit, "limit", PAGE_AT_MOST)
        behind = None if after is None else check_id(after, "after")
        rows = await self._patiently(self.reads.list_users(self.tenant, limit=limit, after=behind))
        return [_user_view(row) for row in rows]

    async def delete_user(self, id: str) -> bool:
        """Forget a person and sign them out everywhere; what is recorded of what they did stays.

        Returns:
            Whether there was one of this id.
        """
        done = await self._patiently(self.core.store.delete_user(self.tenant, check_id(id, "the id of a person")))
        if done:
            await self._record("user.delete", id)
        return done

    async def check_password(self, email_or_id: str, password: str) -> UserView | None:
        """Whose password it is. It takes as long for people that are not known as for others.

        Args:
            email_or_id: as somebody typed it; any text at all.
            password: as somebody typed it.

        Returns:
            The person; None when nobody has this address or id, it is another password, or they are disabled.

        Raises:
            UsageError: ``argon2-cffi`` is not installed.
        """
        # Both are always looked for, so that nobody learns from the time what there is; no id or address is empty.
        by_id = await self._patiently(
            self.reads.find_user(self.tenant, id=_or_nothing(lambda text: check_id(text, "id"), email_or_id))
        )
        address = _or_nothing(checked_email, email_or_id)
        by_address = await self._patiently(self.reads.find_user(self.tenant, email=address))
        row = by_id or by_address
        typed = _typed(password)
        good, renewed = await asyncio.to_thread(_verify, None if row is None else row.password, typed)
        if row is None or not good or decode_person(row.document).disabled:
            return None
        if renewed is not None:
            # Somebody who changes the person meanwhile wins; it is renewed the next time.
            row = row._replace(password=renewed, revision=row.revision + 1)
            await self._patiently(self.core.store.put_user(row))
        return _user_view(row)

    # API keys

    async def create_key(self, name: str, *, role: Role | str = Role.VIEWER, expires: Duration | None = None) -> NewKey:
        """Make an API key for the tenant.

        Args:
            name: what it is for, 1 to 200 characters.
            role: what it may do: viewer, worker-of-items, operator or admin.
            expires: how long it is good; for ever unless given.

        Returns:
            The key, which is shown this once: only its digest is stored.

        Raises:
            UsageError: no such role, or a value out of range.
        """
        if not checked_name(name, "the name of a key"):
            raise UsageError("the name of a key is empty; say what it is for")
        chosen = str(checked_role(role))
        length = None if expires is None else seconds(expires, what="expires")
        if length == 0:
            raise UsageError("expires is 0; a key that is never good is not made")
        now = self.core.now_us()
        until = None if length is None else now + int(length * 1e6)
        for _ in range(TRIES):
            prefix = "".join(secrets.choice(PREFIX_CHARACTERS) for _ in range(8))
            key = f"hf_{prefix}_{''.join(secrets.choice(SECRET_CHARACTERS) for _ in range(40))}"
            by = self.actor or "local"
            row = KeyRow(prefix, self.tenant, digest(key), name, chosen, by, now, until, None, None)
            if await self._patiently(self.core.store.add_key(row)):
                view = _key_view(row)
                until_text = None if view.expires_at is None else view.expires_at.isoformat()
                await self._record("key.create", prefix, name=name, role=chosen, expires_at=until_text)
                return NewKey(key, view)
        raise HoldfastError("no free prefix was found for a key; try again")

    async def get_key(self, prefix: str) -> KeyView:
        """An API key as it is now.

        Raises:
            KeyNotFound: the tenant has no key of this prefix.
        """
        row = await self._patiently(self.reads.find_key(check_id(prefix, "the prefix of a key")))
        if row is None or row.tenant != self.tenant:
            raise KeyNotFound(f"tenant {self.tenant!r} has no API key {prefix!r}")
        return _key_view(row)

    async def keys(self, *, search: str = "", limit: int = 50, after: str | None = None) -> list[KeyView]:
        """The tenant's API keys, by prefix, those that are good no more included.

        Args:
            search: only those whose prefix begins with this; a whole key, or the beginning of one, will do.
            limit: at most so many, 1 to 1,000.
            after: only those behind this prefix, the last of the page before.

        Raises:
            UsageError: a limit out of range.
        """
        check_whole(limit, "limit", PAGE_AT_MOST)
        wanted = check_id(search, "search") if search else ""
        if wanted.startswith("hf_"):
            wanted = wanted[3:].partition("_")[0]
        behind = None if after is None else check_id(after, "after")
        rows = await self._patiently(self.reads.list_keys(self.tenant, limit=limit, after=behind, search=wanted))
        return [_key_view(row) for row in rows]

    async def revoke_key(self, prefix: str) -> bool:
        """Let an API key be good no more, at once.

        Returns:
            Whether the tenant has a key of this prefix.
        """
        check_id(prefix, "the prefix of a key")
        done = await self._patiently(self.core.store.revoke_key(self.tenant, prefix, self.core.now_us()))
        if done:
            await self._record("key.revoke", prefix)
        return done


def _or_nothing(check: Callable[[str], str], typed: Any) -> str:
    try:
        return check(typed)
    except UsageError:
        return ""


def _typed(password: Any) -> bytes:
    """A password as somebody typed it; nothing, which fits no hash, for what can be no password."""
    if not isinstance(password, str) or len(password) > PASSWORD_CHARACTERS[1]:
        return b""
    try:
        return password.encode()
    except UnicodeEncodeError:
        return b""


def _checked_flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise UsageError(f"disabled is {value!r:.300}; give True or False")
    return value


def _away(times: Sequence[tuple[date, date]]) -> list[dict[str, date]]:
    return [{"from": first, "until": last} for first, last in times]


def _user_view(row: UserRow) -> UserView:
    person = decode_person(row.document)
    return UserView(
        id=row.id,
        email=row.email,
        name=person.name,
        role=person.role,
        zone=person.zone,
        manager=person.manager,
        groups=person.groups,
        capacity=person.capacity,
        away=_away(person.away),
        disabled=person.disabled,
        has_password=row.password is not None,
        created_at=instant(row.created_at),
        revision=row.revision,
    )


def _key_view(row: KeyRow) -> KeyView:
    return KeyView(
        prefix=row.prefix,
        name=row.name,
        role=row.role,
        created_by=row.created_by,
        created_at=instant(row.created_at),
        expires_at=None if row.expires_at is None else instant(row.expires_at),
        revoked_at=None if row.revoked_at is None else instant(row.revoked_at),
        used_at=None if row.used_at is None else instant(row.used_at),
    )


# Passwords


@functools.cache
def _hasher() -> argon2.PasswordHasher:
    try:
        import argon2
    except ImportError:
        raise UsageError("passwords need argon2-cffi: pip install 'holdfast[server]'") from None
    return argon2.PasswordHasher()


@functools.cache
def _nobodys() -> str:
    """A hash that no password fits, to be checked where there is none."""
    return _hasher().hash(secrets.token_bytes(32))


async def _hashed(password: str) -> str:
    checked = checked_password(password)
    return await asyncio.to_thread(lambda: _hasher().hash(checked.encode()))


def _verify(stored: str | None, password: bytes) -> tuple[bool, str | None]:
    """Whether it is the password, and its hash by today's parameters if it was stored by others."""
    hasher, nobodys = _hasher(), _nobodys()
    from argon2.exceptions import InvalidHashError, VerificationError

    try:
        hasher.verify(stored if stored is not None else nobodys, password)
    except (VerificationError, InvalidHashError):
        return False, None
    assert stored is not None
    return True, hasher.hash(password) if hasher.check_needs_rehash(stored) else None
