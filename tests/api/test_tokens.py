"""Bearer tokens and sign-in at an identity provider, which is a real one, of the tests' own, on loopback."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OKPKey, RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from holdfast.api import oidc, sessions, tokens
from holdfast.api.config import OIDCConfig
from holdfast.api.problems import Refused
from holdfast.errors import Forbidden, Unauthorised, UsageError
from tests.api.kit import V1, Served, listening, problem, serving

FIRST, SECOND, OTHER = (
    RSAKey.generate_key(2048, {"kid": kid, "use": "sig"}) for kid in ("first", "second", "other")
)  # fmt: skip
CURVE, EDWARDS = ECKey.generate_key("P-256", {"kid": "curve"}), OKPKey.generate_key("Ed25519", {"kid": "edwards"})


class Identity:
    """An identity provider."""

    def __init__(self) -> None:
        self.keys = [FIRST]
        self.asked = 0
        self.down = False
        self.issuer = ""
        self.codes: dict[str, dict[str, str]] = {}
        self.claims: dict[str, Any] = {}
        routes = [
            Route("/.well-known/openid-configuration", self.discovery),
            Route("/jwks", self.jwks),
            Route("/token", self.token, methods=["POST"]),
        ]
        self.app = Starlette(routes=routes)

    async def discovery(self, request: Request) -> Response:
        if self.down:
            return Response(status_code=500)
        return JSONResponse(
            {
                "issuer": self.issuer,
                "jwks_uri": f"{self.issuer}/jwks",
                "authorization_endpoint": f"{self.issuer}/authorize?flow=1",
                "token_endpoint": f"{self.issuer}/token",
            }
        )

    async def jwks(self, request: Request) -> Response:
        self.asked += 1
        return JSONResponse(KeySet(list(self.keys)).as_dict(private=False))

    async def token(self, request: Request) -> Response:
        form = await request.form()
        asked = self.codes.pop(str(form["code"]), None)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(str(form["code_verifier"]).encode()).digest())
        if (
            asked is None
            or asked["code_challenge"] != challenge.decode().rstrip("=")
            or asked["redirect_uri"] != form["redirect_uri"]
            or form["client_secret"] != "s3cr3t"
        ):
            return JSONResponse({"error": "invalid_grant"}, 400)
        return JSONResponse({"id_token": self.signed(aud="us", nonce=asked["nonce"], **self.claims)})

    def signed(self, key: Any = FIRST, alg: str = "RS256", **claims: Any) -> str:
        now = int(time.time())
        whole = {
            "iss": self.issuer, "aud": "holdfast", "sub": "anna", "exp": now + 60, "tenant": "acme", "role": "operator",
            "name": "Anna", **claims,
        }  # fmt: skip
        return jwt.encode(
            {"alg": alg, "kid": key.kid}, {k: v for k, v in whole.items() if v is not None}, key, algorithms=[alg]
        )


@pytest.fixture
async def identity() -> AsyncIterator[Identity]:
    made = Identity()
    async with listening(made.app) as address:
        made.issuer = address
        yield made


@pytest.fixture
async def shop(identity: Identity) -> AsyncIterator[Served]:
    config = OIDCConfig(identity.issuer, audience="holdfast", client_id="us", client_secret="s3cr3t")
    async with serving(auth=True, oidc=config) as made:
        yield made


async def test_a_token_says_who_of_which_tenant_and_what_they_may(shop: Served, identity: Identity) -> None:
    http = shop.http(identity.signed())
    assert (await http.get(f"{V1}/me")).json() == {
        "actor": "anna",
        "name": "Anna",
        "tenant": "acme",
        "role": "operator",
        "shared": False,
    }
    await http.put(f"{V1}/views/runs/x", json={"query": "y"})
    assert [one.actor for one in await shop.local("acme").audit()] == ["anna"]
    problem(await http.get(f"{V1}/keys"), 403, "forbidden")


@pytest.mark.parametrize("key", [(CURVE, "ES256"), (EDWARDS, "Ed25519"), (FIRST, "PS256")], ids=["EC", "OKP", "PSS"])
async def test_other_signatures_are_good_too(shop: Served, identity: Identity, key: Any) -> None:
    identity.keys = [FIRST, CURVE, EDWARDS]
    response = await shop.http(identity.signed(*key)).get(f"{V1}/me")
    assert response.status_code == 200, response.text


async def test_keys_that_are_rotated_are_fetched_and_not_too_often(
    shop: Served, identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await shop.http(identity.signed()).get(f"{V1}/me")).status_code == 200
    assert identity.asked == 1
    identity.keys = [SECOND]
    again = identity.signed(SECOND, sub="bob")
    # Just after they were fetched they are not fetched again, however many unknown keys come.
    for _ in range(3):
        problem(await shop.http(again).get(f"{V1}/me"), 401, "unauthorised")
    assert identity.asked == 1
    monkeypatch.setattr(tokens, "AGAIN_SECONDS", 0.0)
    found = await asyncio.gather(*(shop.http(again).get(f"{V1}/me") for _ in range(5)))
    assert {one.status_code for one in found} == {200}
    # And what was taken away is good no more.
    problem(await shop.http(identity.signed(sub="carl")).get(f"{V1}/me"), 401, "unauthorised")


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": 1},
        {"exp": None},
        {"nbf": 4_000_000_000},
        {"iss": "http://elsewhere"},
        {"iss": None},
        {"aud": "others"},
        {"aud": None},
        {"sub": None},
        {"sub": ""},
        {"sub": 5},
        {"sub": "x" * 600},
        {"tenant": ""},
        {"tenant": 5},
    ],
)
async def test_claims_that_are_not_for_us_are_refused(shop: Served, identity: Identity, claims: dict[str, Any]) -> None:
    problem(await shop.http(identity.signed(**claims)).get(f"{V1}/me"), 401, "unauthorised")


@pytest.mark.parametrize("claims", [{"tenant": None}, {"role": None}, {"role": "guest"}, {"role": []}])
async def test_without_a_tenant_or_a_role_nothing_may_be_done(
    shop: Served, identity: Identity, claims: dict[str, Any]
) -> None:
    problem(await shop.http(identity.signed(**claims)).get(f"{V1}/me"), 403, "forbidden")


async def test_of_several_roles_the_highest_counts(shop: Served, identity: Identity) -> None:
    token = identity.signed(role=["viewer", "guest", "admin", "operator"], aud=["x", "holdfast"])
    assert (await shop.http(token).get(f"{V1}/me")).json()["role"] == "admin"


async def test_a_role_may_come_from_the_person_who_is_known(shop: Served, identity: Identity) -> None:
    await shop.local("acme").put_user("anna", role="viewer")
    assert (await shop.http(identity.signed(role=None)).get(f"{V1}/me")).json()["role"] == "viewer"
    await shop.local("acme").put_user("anna", disabled=True)
    shop.server.credentials.forget()
    problem(await shop.http(identity.signed()).get(f"{V1}/me"), 403, "forbidden")


async def test_nothing_else_is_a_signature(shop: Served, identity: Identity) -> None:
    good = identity.signed()
    head, body, signature = good.split(".")

    def part(value: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    # The public key, which everybody knows, taken for a shared secret.
    signed = f"{part({'alg': 'HS256', 'kid': 'first'})}.{body}"
    mac = hmac.digest(FIRST.as_pem(private=False), signed.encode(), "sha256")
    shared = f"{signed}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"
    for bad in (
        f"{part({'alg': 'none'})}.{body}.",
        f"{part({'alg': 'RS256', 'kid': 'first'})}.{body}.",
        f"{head}.{part({'sub': 'root'})}.{signature}",
        f"{head}.{body}",
        "..",
        "a.b.c",
        shared,
        identity.signed(OTHER),
        identity.signed(OTHER).replace(OTHER.kid or "", "first"),
        "x" * 20_000,
        f"{head}.{base64.urlsafe_b64encode(b'[1]').decode()}.{signature}",
    ):
        problem(await shop.http(bad).get(f"{V1}/me"), 401, "unauthorised")


async def test_a_provider_that_is_away_is_said_so(shop: Served, identity: Identity) -> None:
    identity.down = True
    response = await shop.http(identity.signed()).get(f"{V1}/me")
    problem(response, 502, "sign-in-unavailable")
    assert response.headers["retry-after"] == "10"
    # Keys go on being good meanwhile.
    assert (await shop.http(await shop.key("viewer")).get(f"{V1}/me")).status_code == 200


async def test_a_provider_that_is_somebody_else_is_not_trusted(shop: Served, identity: Identity) -> None:
    token = identity.signed()
    identity.issuer = "http://127.0.0.1:1"
    problem(await shop.http(token).get(f"{V1}/me"), 502, "sign-in-unavailable")


async def test_everybody_may_belong_to_one_tenant(identity: Identity) -> None:
    config = OIDCConfig(identity.issuer, audience="holdfast", tenant_claim="", role_claim="realm_access.roles")
    async with serving(auth=True, oidc=config, tenant="mine") as made:
        token = identity.signed(role=None, realm_access={"roles": ["operator"]})
        me = (await made.http(token).get(f"{V1}/me")).json()
        assert (me["tenant"], me["role"]) == ("mine", "operator")


async def test_without_an_audience_no_token_is_taken(identity: Identity) -> None:
    async with serving(auth=True, oidc=OIDCConfig(identity.issuer)) as made:
        problem(await made.http(identity.signed()).get(f"{V1}/me"), 401, "unauthorised")


def test_a_provider_is_reached_safely() -> None:
    with pytest.raises(UsageError):
        tokens.Provider(OIDCConfig("http://identity.example.com"), "default")


# Signing in


def coming_back(cookie: str, **query: str) -> Request:
    sent = "&".join(f"{name}={value}" for name, value in query.items())
    headers = [(b"cookie", f"{oidc.COOKIE}={cookie}".encode())]
    return Request({"type": "http", "headers": headers, "query_string": sent.encode(), "client": ("10.0.0.9", 1)})


async def begun(shop: Served, identity: Identity, **claims: Any) -> tuple[oidc.Begun, str, str]:
    """A sign-in that was begun, its state, and the code that the provider gives."""
    made = await oidc.begin(shop.server, "http://localhost/sign-in/back", "/runs")
    asked = {name: values[0] for name, values in parse_qs(urlsplit(made.address).query).items()}
    assert asked["response_type"] == "code"
    assert asked["code_challenge_method"] == "S256"
    assert asked["flow"] == "1"
    identity.codes["c-1"] = asked
    identity.claims = claims
    return made, asked["state"], "c-1"


async def test_a_person_signs_in_at_the_provider(shop: Served, identity: Identity) -> None:
    made, state, code = await begun(shop, identity)
    session, then = await oidc.finish(shop.server, coming_back(made.cookie, state=state, code=code))
    assert (session.user, session.tenant, then) == ("anna", "acme", "/runs")
    http = shop.http()
    http.cookies.set(sessions.COOKIE, session.token)
    me = (await http.get(f"{V1}/me")).json()
    assert (me["actor"], me["name"], me["role"]) == ("anna", "Anna", "operator")
    assert [one.action for one in await shop.local("acme").audit()] == ["session.begin"]
    with pytest.raises(Unauthorised):  # a code is good once
        await oidc.finish(shop.server, coming_back(made.cookie, state=state, code=code))


async def test_an_answer_to_something_else_is_refused(shop: Served, identity: Identity) -> None:
    made, state, code = await begun(shop, identity)
    other = await oidc.begin(shop.server, "http://localhost/sign-in/back", "/runs")
    for request in (
        coming_back(made.cookie, state="x", code=code),
        coming_back(made.cookie, code=code),
        coming_back(other.cookie, state=state, code=code),
        coming_back("", state=state, code=code),
        coming_back("e30=", state=state, code=code),
        coming_back("???", state=state, code=code),
        coming_back(made.cookie, state=state),
        coming_back(made.cookie, state=state, error="access_denied"),
        coming_back(made.cookie, state=state, code="c-2"),
    ):
        with pytest.raises(Unauthorised):
            await oidc.finish(shop.server, request)
    assert {one.action for one in await shop.local().audit()} == {"session.refuse"}


async def test_a_code_of_another_sign_in_is_refused(shop: Served, identity: Identity) -> None:
    mine, state, _ = await begun(shop, identity)
    _, _, theirs = await begun(shop, identity)  # the attacker's own, whose code is slipped in
    with pytest.raises(Unauthorised):
        await oidc.finish(shop.server, coming_back(mine.cookie, state=state, code=theirs))


async def test_a_token_of_another_sign_in_is_refused(shop: Served, identity: Identity) -> None:
    made, state, code = await begun(shop, identity)
    identity.codes[code]["nonce"] = "another"
    with pytest.raises(Unauthorised, match="not for this sign-in"):
        await oidc.finish(shop.server, coming_back(made.cookie, state=state, code=code))


async def test_somebody_without_a_role_does_not_sign_in(shop: Served, identity: Identity) -> None:
    made, state, code = await begun(shop, identity, role=None)
    with pytest.raises(Forbidden):
        await oidc.finish(shop.server, coming_back(made.cookie, state=state, code=code))


async def test_without_a_client_nobody_signs_in_there(guarded: Served) -> None:
    with pytest.raises(Refused):
        await oidc.begin(guarded.server, "http://localhost", "/")


async def test_the_cookie_is_short_lived_and_out_of_reach(shop: Served, identity: Identity) -> None:
    made, _, _ = await begun(shop, identity)
    request = Request(
        {"type": "http", "headers": [], "scheme": "https", "server": ("x", 443), "path": "/", "query_string": b""}
    )
    response = Response()
    oidc.set_cookie(shop.server, request, response, made)
    cookie = response.headers["set-cookie"].lower()
    for part in ("httponly", "samesite=lax", "secure", "max-age=600"):
        assert part in cookie


async def test_tokens_are_not_verified_again_at_each_request(
    shop: Served, identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    http = shop.http(identity.signed())
    assert (await http.get(f"{V1}/me")).status_code == 200

    async def fails(*arguments: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(tokens.Provider, "verify", fails)
    assert (await http.get(f"{V1}/me")).status_code == 200


async def test_a_browser_goes_there_and_comes_back_signed_in(shop: Served, identity: Identity) -> None:
    http = shop.http()
    there = await http.get(f"{V1}/session/oidc", params={"next": "/runs?q=a%20b"})
    assert there.status_code == 303
    asked = {name: values[0] for name, values in parse_qs(urlsplit(there.headers["location"]).query).items()}
    assert asked["redirect_uri"] == "http://localhost/sign-in/back"
    identity.codes["c-1"] = asked
    back = await http.get("/sign-in/back", params={"state": asked["state"], "code": "c-1", "session_state": "theirs"})
    assert (back.status_code, back.headers["location"]) == (303, "/runs?q=a%20b")
    assert (await http.get(f"{V1}/me")).json()["actor"] == "anna"
    problem(await http.get("/sign-in/back", params={"state": asked["state"], "code": "c-1"}), 401, "unauthorised")


@pytest.mark.parametrize(
    "there", ["http://evil.example/", "//evil.example", "/\\evil.example", "evil", "", "/a\nb", "javascript:alert(1)"]
)
async def test_nobody_is_sent_elsewhere(shop: Served, identity: Identity, there: str) -> None:
    http = shop.http()
    sent = await http.get(f"{V1}/session/oidc", params={"next": there})
    asked = {name: values[0] for name, values in parse_qs(urlsplit(sent.headers["location"]).query).items()}
    identity.codes["c-1"] = asked
    back = await http.get("/sign-in/back", params={"state": asked["state"], "code": "c-1"})
    assert (back.status_code, back.headers["location"]) == (303, "/")


async def test_without_a_provider_there_is_nowhere_to_go(guarded: Served) -> None:
    problem(await guarded.http().get(f"{V1}/session/oidc"), 404, "not-found")
