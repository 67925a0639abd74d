"""Whose request it is: by API key, by bearer token, by a session's cookie; without auth, whoever is on this machine."""

from __future__ import annotations

import hmac
import time
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.requests import HTTPConnection, Request

from holdfast.api.access import Principal
from holdfast.api.caching import Fresh
from holdfast.api.problems import Refused
from holdfast.api.sessions import COOKIE, csrf_token
from holdfast.errors import Forbidden, Unauthorised, UsageError
from holdfast.model.access import KEY_FORM, Role, checked_role, digest
from holdfast.model.ids import check_id
from holdfast.store.rows import KeyRow, SessionRow, UserRow

if TYPE_CHECKING:
    from holdfast.api.server import Server

FRESH_SECONDS = 1.0
"""A key, a session or a person is looked up again after so long: what is revoked is refused within it."""

KNOWN_SECONDS = 0.5
"""So much of that a key may be old already when it is looked at: the two together make the second."""

SAFE = ("GET", "HEAD", "OPTIONS")

TENANT_HEADER = "holdfast-tenant"

_UNKNOWN = "no good credentials: send an API key or a token as Authorization: Bearer …, or sign in"


class Credentials:
    """Tells who makes a request."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._keys: Fresh[str, KeyRow | None] = Fresh(KNOWN_SECONDS)
        self._sessions: Fresh[bytes, SessionRow | None] = Fresh(FRESH_SECONDS)
        self._users: Fresh[tuple[str, str], UserRow | None] = Fresh(FRESH_SECONDS)
        self._known: Fresh[str, Principal] = Fresh(FRESH_SECONDS)
        self._here = Principal("local", "local", server.tenant, Role.ADMIN, shared=True)
        self._used: dict[str, int] = {}

    async def principal(self, request: HTTPConnection) -> Principal:
        """Who makes a request.

        Raises:
            Unauthorised: nobody that is known.
            Forbidden: somebody who may do nothing here, or a request by cookie without its token.
        """
        if not self._server.config.auth:
            return self._local(request)
        header = request.headers.get("authorization")
        if header is not None:
            scheme, _, given = header.partition(" ")
            if scheme.lower() != "bearer":
                raise Unauthorised(_UNKNOWN)
            given = given.strip()
            return await (self._by_key(given) if given.startswith("hf_") else self._by_token(given))
        token = request.cookies.get(COOKIE)
        if token:
            return await self._by_session(request, token)
        raise Unauthorised(_UNKNOWN)

    def known(self, authorization: str | None) -> Principal | None:
        """Who shows a key that was looked up a moment ago; without auth, whoever is on this machine."""
        if not self._server.config.auth:
            return self._here
        if authorization is None or not authorization.startswith("Bearer hf_"):
            return None
        known = self._known.peek(authorization[7:])
        if known is not None:
            self._used[known.actor.removeprefix("key:")] = self._server.core.now_us()
        return known

    def _local(self, request: HTTPConnection) -> Principal:
        named = request.headers.get(TENANT_HEADER)
        if named is None:
            return self._here
        try:
            tenant = check_id(named, f"the header {TENANT_HEADER}")
        except UsageError as error:
            raise Refused("malformed-request", str(error)) from None
        return Principal("local", "local", tenant, Role.ADMIN, shared=True)

    async def _by_key(self, key: str) -> Principal:
        now = self._server.core.now_us()
        known = self._known.peek(key)
        if known is not None:
            self._used[known.actor.removeprefix("key:")] = now
            return known
        found = KEY_FORM.fullmatch(key)
        if found is None:
            raise Unauthorised(_UNKNOWN)
        prefix = found[1]
        row = await self._keys.get(prefix, lambda: self._server.core.store.find_key(prefix))
        if row is None or not hmac.compare_digest(row.digest, digest(key)):
            raise Unauthorised(_UNKNOWN)
        if row.revoked_at is not None or (row.expires_at is not None and row.expires_at <= now):
            raise Unauthorised(f"the key {prefix} {'was revoked' if row.revoked_at is not None else 'has expired'}")
        self._used[prefix] = now
        shared = self._shared(row.tenant)
        principal = Principal(f"key:{prefix}", row.name or prefix, row.tenant, Role(row.role), shared)
        if row.expires_at is None or row.expires_at > now + 1_000_000:
            self._known.keep(key, principal, time.monotonic() - KNOWN_SECONDS)
        return principal

    async def _by_token(self, token: str) -> Principal:
        provider = self._server.provider
        if provider is None:
            raise Unauthorised(_UNKNOWN)
        known = self._known.peek(token)
        if known is not None:
            return known
        who = await provider.verify(token)
        person = await self.person(who.tenant, who.subject)
        principal = Principal(who.subject, who.name, who.tenant, role_of(who.role, person), self._shared(who.tenant))
        if who.expires_at > time.time() + FRESH_SECONDS:
            self._known.keep(token, principal, time.monotonic())
        return principal

    async def _by_session(self, request: HTTPConnection, token: str) -> Principal:
        key = digest(token)
        row = await self._sessions.get(key, lambda: self._server.core.store.find_session(key))
        if row is None or row.expires_at <= self._server.core.now_us():
            raise Unauthorised("the session is over; sign in again")
        said = msgspec.json.decode(row.document)
        person = await self.person(row.tenant, row.user)
        if person is None and "role" not in said:
            raise Unauthorised("the person of this session is no more; sign in again")
        role = role_of(said.get("role"), person)
        known = _document(person) if person is not None else {}
        name = str(said.get("name") or known.get("name") or row.user)
        principal = Principal(row.user, name, row.tenant, role, self._shared(row.tenant), csrf_token(token))
        await self._check_csrf(request, principal)
        return principal

    async def _check_csrf(self, request: HTTPConnection, principal: Principal) -> None:
        if request.scope.get("method", "GET") in SAFE:
            return
        given = request.headers.get("x-csrf-token")
        if given is None and isinstance(request, Request):
            kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind in ("application/x-www-form-urlencoded", "multipart/form-data"):
                field = (await request.form()).get("csrf")
                given = field if isinstance(field, str) else None
        if given is None or not hmac.compare_digest(given.encode(), (principal.csrf or "").encode()):
            raise Refused(
                "csrf", "a request by cookie that changes something needs the session's token: reload the page"
            )

    async def person(self, tenant: str, id: str) -> UserRow | None:
        """The tenant's person of an id, a moment old at most."""
        return await self._users.get((tenant, id), lambda: self._server.core.store.find_user(tenant, id=id))

    def _shared(self, tenant: str) -> bool:
        return tenant in self._server.config.shared_tenants

    def forget(self) -> None:
        """Look everybody up anew: something was changed here."""
        for cache in (self._keys, self._sessions, self._users, self._known):
            cache.clear()

    async def write_uses(self) -> None:
        """Note in the database when keys were used last."""
        used, self._used = self._used, {}
        if used:
            await self._server.core.store.used_keys(list(used.items()))


def _document(person: UserRow) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(person.document)
    return found


def role_of(named: str | None, person: UserRow | None) -> Role:
    """The role that a token or a session names, else the person's.

    Raises:
        Forbidden: there is none, or the person is disabled.
    """
    known = _document(person) if person is not None else {}
    if known.get("disabled"):
        raise Forbidden("this person is disabled here")
    role = named or known.get("role")
    if role is None:
        raise Forbidden("nobody gave this person a role here")
    return checked_role(role)
