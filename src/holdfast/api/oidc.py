"""Signing in at an identity provider: the authorisation code flow with PKCE, state and nonce."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode

import httpx
from starlette.requests import Request
from starlette.responses import Response

from holdfast.api import sessions
from holdfast.api.credentials import role_of
from holdfast.api.problems import Refused
from holdfast.api.sessions import Session
from holdfast.api.tokens import Provider
from holdfast.errors import Forbidden, Unauthorised

if TYPE_CHECKING:
    from holdfast.api.server import Server

COOKIE = "holdfast_signing_in"

LENGTH_SECONDS = 600
"""So long somebody may take at the provider."""

SCOPES = "openid profile email"


class Begun(NamedTuple):
    """A sign-in that was begun: where to send the browser, and the cookie that it brings back."""

    address: str
    cookie: str


async def begin(server: Server, redirect_uri: str, then: str) -> Begun:
    """Begin to sign somebody in.

    Args:
        server: the server.
        redirect_uri: where the provider sends them back, as registered there.
        then: the path of the page to go on to.

    Raises:
        Refused: nobody signs in so here, or the provider does not answer.
    """
    provider = _provider(server)
    kept = {name: secrets.token_urlsafe(32) for name in ("state", "nonce", "verifier")}
    challenge = base64.urlsafe_b64encode(hashlib.sha256(kept["verifier"].encode()).digest()).decode().rstrip("=")
    asked = {
        "response_type": "code",
        "client_id": provider.config.client_id,
        "redirect_uri": redirect_uri,
        "scope": SCOPES,
        "state": kept["state"],
        "nonce": kept["nonce"],
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    address = await provider.endpoint("authorization_endpoint")
    document = json.dumps({**kept, "then": then, "uri": redirect_uri}).encode()
    joined = "&" if "?" in address else "?"
    return Begun(f"{address}{joined}{urlencode(asked)}", base64.urlsafe_b64encode(document).decode())


async def finish(server: Server, request: Request) -> tuple[Session, str]:
    """Sign somebody in whom the provider sent back.

    Args:
        server: the server.
        request: with what the provider says, and the cookie.

    Returns:
        The session, and the path of the page to go on to.

    Raises:
        Unauthorised: the provider says no, or this is not the answer to what was asked.
        Forbidden: somebody without a role here, or who is disabled.
        Refused: the provider does not answer.
    """
    provider = _provider(server)
    await server.open()
    address = sessions.address_of(request)
    try:
        kept = _kept(request.cookies.get(COOKIE, ""))
        given = request.query_params
        if not hmac.compare_digest(kept["state"].encode(), given.get("state", "").encode()):
            raise Unauthorised("this is not the answer to a sign-in that was begun here; begin again")
        if "error" in given or "code" not in given:
            raise Unauthorised(f"the identity provider says: {given.get('error', 'nothing')[:100]}")
        token = await _exchange(provider, given["code"], kept)
        claims = await provider.claims(token, provider.config.client_id or "")
        if not hmac.compare_digest(str(claims.get("nonce", "")).encode(), kept["nonce"].encode()):
            raise Unauthorised("the token is not for this sign-in; begin again")
        who = provider.bearer(claims)
        person = await server.credentials.person(who.tenant, who.subject)
        role_of(who.role, person)  # refuses who has none
    except (Unauthorised, Forbidden) as error:
        await sessions.record(server, server.tenant, "oidc", "session.refuse", reason=str(error)[:200], address=address)
        raise
    document: dict[str, Any] = {"by": "oidc", "name": who.name}
    if who.role is not None:
        document["role"] = who.role
    return await sessions.begin(server, who.tenant, who.subject, document, address), str(kept["then"])


def set_cookie(server: Server, request: Request, response: Response, begun: Begun) -> None:
    """Give the browser what it brings back from the provider."""
    response.set_cookie(
        COOKIE,
        begun.cookie,
        max_age=LENGTH_SECONDS,
        path=request.scope.get("root_path") or "/",
        secure=sessions.is_secure(server, request),
        httponly=True,
        samesite="lax",
    )


def drop_cookie(request: Request, response: Response) -> None:
    """Take it from the browser."""
    response.delete_cookie(COOKIE, path=request.scope.get("root_path") or "/", httponly=True, samesite="lax")


def _provider(server: Server) -> Provider:
    if server.provider is None or server.provider.config.client_id is None:
        raise Refused("not-found", "nobody signs in at an identity provider here: oidc.client_id is not set")
    return server.provider


def _kept(cookie: str) -> dict[str, str]:
    try:
        kept = json.loads(base64.urlsafe_b64decode(cookie))
        return {name: str(kept[name]) for name in ("state", "nonce", "verifier", "then", "uri")}
    except (ValueError, KeyError, TypeError):
        raise Unauthorised("the sign-in was not begun in this browser, or too long ago; begin again") from None


async def _exchange(provider: Provider, code: str, kept: dict[str, str]) -> str:
    """The identity token for a code."""
    config = provider.config
    asked = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": kept["uri"],
        "client_id": config.client_id or "",
        "code_verifier": kept["verifier"],
    }
    if config.client_secret is not None:
        asked["client_secret"] = config.client_secret
    address = await provider.endpoint("token_endpoint")
    try:
        response = await provider.http.post(address, data=asked, headers={"Accept": "application/json"})
        found = response.json()
        token = found.get("id_token") if isinstance(found, dict) else None
    except (httpx.HTTPError, ValueError):
        raise Refused("sign-in-unavailable", "the identity provider does not answer as it should") from None
    if response.status_code != 200 or not isinstance(token, str):
        raise Unauthorised("the identity provider did not take the code; begin again")
    return token
