"""Sessions of the dashboard: signing in by password, the cookie, the token against forged requests, signing out."""

from __future__ import annotations

import base64
import hashlib
import secrets
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from holdfast.api.problems import Refused
from holdfast.api.routing import address_of as address_of
from holdfast.errors import Unauthorised, UsageError
from holdfast.model.access import digest
from holdfast.model.ids import check_id, check_owner, uuid7
from holdfast.store.operations import Audit
from holdfast.store.rows import SessionRow

if TYPE_CHECKING:
    from holdfast.api.server import Server

COOKIE = "holdfast_session"

LENGTH_SECONDS = 12 * 3600
"""How long a session lasts."""

WINDOW_SECONDS = 900
"""Attempts are counted in stretches of so long."""

ATTEMPTS_FOR_ACCOUNT = 10
"""So many attempts for one account in a stretch; signing in begins anew."""

ATTEMPTS_FROM_ADDRESS = 100
"""So many attempts from one address in a stretch, whether they succeed or not."""

LONGEST = 1000
"""Neither a name nor a password is longer."""


class Session(NamedTuple):
    """Somebody who signed in. ``token``: the cookie's value, known to nobody else."""

    token: str
    tenant: str
    user: str
    expires_at: int


def csrf_token(token: str) -> str:
    """What forms of a session must bring: derived from its token, which it does not give away."""
    made = hashlib.sha256(b"csrf|" + token.encode()).digest()
    return base64.urlsafe_b64encode(made[:24]).decode()


async def sign_in(server: Server, tenant: str, email_or_id: str, password: str, address: str) -> Session:
    """Sign a person in by their password.

    Args:
        server: the server.
        tenant: whose person it is.
        email_or_id: as they typed it.
        password: as they typed it.
        address: from where.

    Raises:
        Unauthorised: no such person, another password, or a person who is disabled.
        Refused: too many attempts.
    """
    try:
        check_owner(tenant, "the tenant")
        check_id(email_or_id, "the name")
        if not 0 < len(password) <= LONGEST:
            raise UsageError("no password")
    except UsageError:
        raise Unauthorised("no such person, or another password") from None
    account = _counter("account", tenant, email_or_id.lower())
    tries = [(account, ATTEMPTS_FOR_ACCOUNT), (_counter("address", address), ATTEMPTS_FROM_ADDRESS)]
    for key, most in tries:
        # Counted before the password is looked at, so that many at a time do not get through.
        if await server.core.store.count_failure(key, WINDOW_SECONDS * 1_000_000) > most:
            await record(server, tenant, email_or_id, "session.refuse", reason="too many attempts", address=address)
            raise Refused(
                "too-many-requests",
                "too many attempts to sign in; wait a quarter of an hour",
                headers={"Retry-After": str(WINDOW_SECONDS)},
            )
    person = await server.local_client(tenant).check_password(email_or_id, password)
    if person is None or person.disabled:
        await record(server, tenant, email_or_id, "session.refuse", reason="wrong name or password", address=address)
        raise Unauthorised("no such person, or another password")
    await server.core.store.clear_failures(account)
    return await begin(server, tenant, person.id, {"by": "password"}, address)


async def begin(server: Server, tenant: str, user: str, document: dict[str, Any], address: str) -> Session:
    """Make a session for somebody who is known to be who they say.

    Args:
        server: the server.
        tenant: whose.
        user: the person's id.
        document: kept with it: how they signed in; name and role where those come from elsewhere.
        address: from where.
    """
    now = server.core.now_us()
    session = Session(secrets.token_urlsafe(32), tenant, user, now + LENGTH_SECONDS * 1_000_000)
    row = SessionRow(digest(session.token), tenant, user, msgspec.json.encode(document), now, session.expires_at)
    await server.core.store.add_session(row)
    await record(server, tenant, user, "session.begin", by=document.get("by"), address=address)
    return session


async def sign_out(server: Server, request: Request) -> None:
    """End the session of a request, if it has one."""
    token = request.cookies.get(COOKIE)
    if token:
        row = await server.core.store.find_session(digest(token))
        if row is not None:
            await server.core.store.end_session(digest(token))
            await record(server, row.tenant, row.user, "session.end")
        server.credentials.forget()


def set_cookie(server: Server, request: Request, response: Response, session: Session) -> None:
    """Give the session to the browser."""
    response.set_cookie(
        COOKIE,
        session.token,
        max_age=LENGTH_SECONDS,
        path=request.scope.get("root_path") or "/",
        secure=is_secure(server, request),
        httponly=True,
        samesite="lax",
    )


def drop_cookie(request: Request, response: Response) -> None:
    """Take the session from the browser."""
    response.delete_cookie(COOKIE, path=request.scope.get("root_path") or "/", httponly=True, samesite="lax")


def is_secure(server: Server, request: Request) -> bool:
    """Whether the browser speaks to us over https."""
    return request.url.scheme == "https" or (server.config.public_url or "").startswith("https:")


def _counter(*parts: str) -> bytes:
    return hashlib.sha256("\0".join(("sign-in", *parts)).encode("utf-8", "surrogatepass")).digest()


async def record(server: Server, tenant: str, actor: str, action: str, **detail: Any) -> None:
    """Record that somebody signed in or out, or did not."""
    now = server.core.now_us()
    said = msgspec.json.encode({name: value for name, value in detail.items() if value is not None})
    audit = Audit(uuid7(now, secrets.token_bytes(10)), tenant, actor, action, actor, said, now)
    await server.core.committer.submit("audits", audit)
