"""Who may come in: API keys, passwords, sessions and their token, attempts that are counted, rates."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import argon2
import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response

from holdfast.api import sessions
from holdfast.api.access import Principal
from holdfast.api.config import OIDCConfig, ServeConfig, WebhookConfig
from holdfast.api.limits import Limits
from holdfast.api.problems import Refused
from holdfast.engine import people
from holdfast.errors import Forbidden, Unauthorised, UsageError
from holdfast.model.access import Role
from tests.api.kit import V1, Served, problem, serving

PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def quick_passwords(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Hashes that cost next to nothing."""
    people._nobodys.cache_clear()
    hasher = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr(people, "_hasher", lambda: hasher)
    yield
    people._nobodys.cache_clear()


@pytest.fixture
async def anna(guarded: Served) -> Served:
    """A server with a person who has a password."""
    await guarded.local().put_user("anna", email="anna@example.com", name="Anna", role="operator", password=PASSWORD)
    return guarded


async def signed_in(served: Served, user: str = "anna") -> httpx.AsyncClient:
    session = await sessions.sign_in(served.server, "default", user, PASSWORD, "10.0.0.1")
    http = served.http()
    http.cookies.set(sessions.COOKIE, session.token)
    return http


async def audited(served: Served) -> list[tuple[str, str]]:
    return [(one.action, one.actor) for one in reversed(await served.local().audit(limit=100))]


# Keys


async def test_a_key_is_shown_once_and_works_until_it_is_revoked(guarded: Served) -> None:
    admin = guarded.http(await guarded.key("admin"))
    made = (await admin.post(f"{V1}/keys", json={"name": "ci", "role": "operator", "expires": "1h"})).json()
    assert re.fullmatch(r"hf_[0-9a-z]{8}_[0-9A-Za-z]{40}", made["key"])
    http = guarded.http(made["key"])
    assert (await http.get(f"{V1}/me")).json() == {
        "actor": f"key:{made['prefix']}",
        "name": "ci",
        "tenant": "default",
        "role": "operator",
        "shared": True,
    }
    listed = (await admin.get(f"{V1}/keys", params={"search": made["prefix"]})).json()["items"]
    assert [one["prefix"] for one in listed] == [made["prefix"]]
    assert made["key"] not in (await admin.get(f"{V1}/keys")).text
    assert (await admin.delete(f"{V1}/keys/{made['prefix']}")).status_code == 204
    found = problem(await http.get(f"{V1}/me"), 401, "unauthorised")
    assert "revoked" in found["detail"]
    problem(await admin.delete(f"{V1}/keys/aaaaaaaa"), 404, "key-not-found")


@pytest.mark.slow
async def test_a_key_that_is_revoked_elsewhere_is_refused_within_a_second(guarded: Served) -> None:
    made = await guarded.local().create_key("ci", role="viewer")
    http = guarded.http(made.key)
    assert (await http.get(f"{V1}/me")).status_code == 200
    await guarded.local().revoke_key(made.view.prefix)  # past this server, as at another one
    await asyncio.sleep(1.1)
    problem(await http.get(f"{V1}/me"), 401, "unauthorised")


async def test_a_key_that_has_expired_is_refused(guarded: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    http = guarded.http(await guarded.key("viewer", expires="1h"))
    assert (await http.get(f"{V1}/me")).status_code == 200
    core = guarded.server.core
    monkeypatch.setattr(core, "offset_us", core.offset_us + 3_600_000_000)
    guarded.server.credentials.forget()
    found = problem(await http.get(f"{V1}/me"), 401, "unauthorised")
    assert "expired" in found["detail"]


async def test_keys_are_looked_up_once_in_a_while(guarded: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    looked = 0
    find = guarded.server.core.store.find_key

    async def counted(prefix: str) -> Any:
        nonlocal looked
        looked += 1
        return await find(prefix)

    monkeypatch.setattr(guarded.server.core.store, "find_key", counted)
    http = guarded.http(await guarded.key("viewer"))
    found = await asyncio.gather(*(http.get(f"{V1}/me") for _ in range(50)))
    assert {one.status_code for one in found} == {200}
    assert looked == 1


async def test_the_last_use_of_a_key_is_noted(guarded: Served) -> None:
    key = await guarded.key("viewer")
    await guarded.http(key).get(f"{V1}/me")
    assert (await guarded.local().keys())[0].used_at is None  # in a batch, later
    await guarded.server.credentials.write_uses()
    assert (await guarded.local().keys())[0].used_at is not None


async def test_changes_are_recorded_with_who_made_them(guarded: Served) -> None:
    made = await guarded.local().create_key("ci", role="admin")
    http = guarded.http(made.key)
    await http.put(f"{V1}/queues/default", json={"total": 3})
    await http.put(f"{V1}/users/bob", json={"role": "viewer"})
    actor = f"key:{made.view.prefix}"
    assert await audited(guarded) == [("queue.set", actor), ("user.put", actor)]
    shown = (await http.get(f"{V1}/audit", params={"action": "user"})).json()["items"]
    assert [(one["action"], one["actor"], one["target"]) for one in shown] == [("user.put", actor, "bob")]


# Sessions


async def test_a_person_signs_in_and_out(anna: Served) -> None:
    for name in ("anna", "anna@example.com", "ANNA@example.com"):
        http = await signed_in(anna, name)
        me = (await http.get(f"{V1}/me")).json()
        assert (me["actor"], me["name"], me["role"]) == ("anna", "Anna", "operator")
    token = next(cookie.value for cookie in http.cookies.jar)
    scope = {"type": "http", "method": "POST", "headers": [(b"cookie", f"{sessions.COOKIE}={token}".encode())]}
    await sessions.sign_out(anna.server, Request(scope))
    problem(await http.get(f"{V1}/me"), 401, "unauthorised")
    assert [action for action, _ in await audited(anna)] == ["session.begin"] * 3 + ["session.end"]


@pytest.mark.parametrize(
    ("tenant", "name", "password"),
    [
        ("default", "anna", "wrong horse battery"),
        ("default", "nobody", PASSWORD),
        ("other", "anna", PASSWORD),
        ("default", "anna", ""),
        ("default", "", PASSWORD),
        ("default", "a\0", PASSWORD),
        ("default", "anna", "x" * 100_000),
        ("", "anna", PASSWORD),
        ("default", "\ud800", PASSWORD),
    ],
)
async def test_nobody_else_does(anna: Served, tenant: str, name: str, password: str) -> None:
    with pytest.raises(Unauthorised) as refused:
        await sessions.sign_in(anna.server, tenant, name, password, "10.0.0.1")
    assert str(refused.value) == "no such person, or another password"


async def test_somebody_who_is_disabled_does_not(anna: Served) -> None:
    http = await signed_in(anna)
    await anna.local().put_user("anna", disabled=True)
    anna.server.credentials.forget()
    problem(await http.get(f"{V1}/me"), 403, "forbidden")
    with pytest.raises(Unauthorised):
        await sessions.sign_in(anna.server, "default", "anna", PASSWORD, "10.0.0.1")


async def test_a_role_that_changes_changes_at_once(anna: Served) -> None:
    http = await signed_in(anna)
    admin = anna.http(await anna.key("admin"))
    assert (await http.get(f"{V1}/me")).json()["role"] == "operator"
    await admin.put(f"{V1}/users/anna", json={"role": "viewer"})
    assert (await http.get(f"{V1}/me")).json()["role"] == "viewer"
    await admin.delete(f"{V1}/users/anna")
    problem(await http.get(f"{V1}/me"), 401, "unauthorised")


@pytest.mark.slow
async def test_attempts_for_an_account_are_limited(anna: Served) -> None:
    for _ in range(sessions.ATTEMPTS_FOR_ACCOUNT):
        with pytest.raises(Unauthorised):
            await sessions.sign_in(anna.server, "default", "Anna", "wrong horse battery", "10.0.0.1")
    with pytest.raises(Refused) as refused:
        await sessions.sign_in(anna.server, "default", "anna", PASSWORD, "10.0.0.2")  # though it is right
    assert refused.value.problem.kind == "too-many-requests"
    assert refused.value.problem.headers["Retry-After"] == "900"
    actions = [action for action, _ in await audited(anna)]
    assert actions == ["session.refuse"] * (sessions.ATTEMPTS_FOR_ACCOUNT + 1)


async def test_attempts_at_the_same_time_are_limited(anna: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "ATTEMPTS_FOR_ACCOUNT", 3)
    checked = 0

    async def wrong(self: Any, name: str, password: str) -> None:
        nonlocal checked
        checked += 1
        await asyncio.sleep(0.01)

    monkeypatch.setattr("holdfast.engine.client.Client.check_password", wrong)
    tries = [sessions.sign_in(anna.server, "default", "anna", "x" * 12, "10.0.0.1") for _ in range(20)]
    await asyncio.gather(*tries, return_exceptions=True)
    assert checked == 3


async def test_attempts_from_an_address_are_limited(anna: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "ATTEMPTS_FROM_ADDRESS", 3)
    for name in ("a", "b", "c"):
        with pytest.raises(Unauthorised):
            await sessions.sign_in(anna.server, "default", name, "wrong horse battery", "10.0.0.1")
    with pytest.raises(Refused):
        await sessions.sign_in(anna.server, "default", "anna", PASSWORD, "10.0.0.1")
    assert (await sessions.sign_in(anna.server, "default", "anna", PASSWORD, "10.0.0.2")).user == "anna"


async def test_signing_in_begins_to_count_anew(anna: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "ATTEMPTS_FOR_ACCOUNT", 2)
    for _ in range(4):
        with pytest.raises(Unauthorised):
            await sessions.sign_in(anna.server, "default", "anna", "wrong horse battery", "10.0.0.1")
        await sessions.sign_in(anna.server, "default", "anna", PASSWORD, "10.0.0.1")


async def test_what_changes_something_by_cookie_needs_the_token(anna: Served) -> None:
    http = await signed_in(anna)
    token = next(cookie.value for cookie in http.cookies.jar)
    assert token is not None
    csrf = sessions.csrf_token(token)
    assert token not in csrf
    for given in (None, "", "x", token, "é"):
        headers = [] if given is None else [(b"X-CSRF-Token", given.encode())]
        response = await http.post(f"{V1}/events", json={"name": "x"}, headers=headers)
        problem(response, 403, "csrf")
        problem(await http.put(f"{V1}/queues/default", json={"total": 1}, headers=headers), 403, "csrf")
        problem(await http.delete(f"{V1}/schedules/x", headers=headers), 403, "csrf")
    good = {"X-CSRF-Token": csrf}
    assert (await http.post(f"{V1}/events", json={"name": "x"}, headers=good)).status_code == 200
    assert (await http.get(f"{V1}/runs")).status_code == 200  # looking needs none
    # A key needs none either, whatever cookie comes along.
    http.headers["Authorization"] = f"Bearer {await anna.key('operator')}"
    assert (await http.post(f"{V1}/events", json={"name": "x"})).status_code == 200


async def test_a_form_brings_the_token_in_a_field(anna: Served) -> None:
    session = await sessions.sign_in(anna.server, "default", "anna", PASSWORD, "10.0.0.1")

    def request(body: bytes, kind: bytes = b"application/x-www-form-urlencoded") -> Request:
        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        headers = [(b"cookie", f"{sessions.COOKIE}={session.token}".encode()), (b"content-type", kind)]
        scope = {"type": "http", "method": "POST", "headers": headers, "query_string": b"", "path": "/"}
        return Request(scope, receive)  # type: ignore[arg-type]

    form = f"a=1&csrf={sessions.csrf_token(session.token)}".encode()
    principal = await anna.server.principal(request(form))
    assert (principal.actor, principal.csrf) == ("anna", sessions.csrf_token(session.token))
    for body, kind in ((b"a=1", None), (b"csrf=x", None), (form, b"text/plain"), (b"", None)):
        with pytest.raises(Refused):
            await anna.server.principal(request(body, *([kind] if kind else [])))


async def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(anna: Served) -> None:
    session = await sessions.sign_in(anna.server, "default", "anna", PASSWORD, "10.0.0.1")
    scope = {"type": "http", "method": "GET", "headers": [], "scheme": "http", "server": ("x", 80), "path": "/"}
    for scheme, secure in (("http", False), ("https", True)):
        response = Response()
        sessions.set_cookie(anna.server, Request({**scope, "scheme": scheme}), response, session)
        cookie = response.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=lax" in cookie
        assert ("secure" in cookie) == secure
        assert f"max-age={sessions.LENGTH_SECONDS}" in cookie


async def test_a_session_ends_by_itself(anna: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    http = await signed_in(anna)
    assert (await http.get(f"{V1}/me")).status_code == 200
    core = anna.server.core
    monkeypatch.setattr(core, "offset_us", core.offset_us + sessions.LENGTH_SECONDS * 1_000_000)
    problem(await http.get(f"{V1}/me"), 401, "unauthorised")


# Without auth


async def test_without_auth_a_tenant_may_be_named(served: Served) -> None:
    http = served.http()
    assert (await http.get(f"{V1}/me")).json()["tenant"] == "default"
    me = (await http.get(f"{V1}/me", headers={"Holdfast-Tenant": "acme"})).json()
    assert me == {"actor": "local", "name": "local", "tenant": "acme", "role": "admin", "shared": True}
    problem(await http.get(f"{V1}/me", headers={"Holdfast-Tenant": ""}), 400, "malformed-request")


async def test_with_auth_no_tenant_is_named(guarded: Served) -> None:
    http = guarded.http(await guarded.key("admin"))
    me = (await http.get(f"{V1}/me", headers={"Holdfast-Tenant": "acme"})).json()
    assert me["tenant"] == "default"


# What somebody may


@pytest.mark.parametrize("role", list(Role))
def test_a_role_includes_those_before_it(role: Role) -> None:
    who = Principal("x", "x", "t", role)
    for other in Role:
        if list(Role).index(other) <= list(Role).index(role):
            who.need(other)
            assert who.may(other)
            assert not who.may(other, shared=True)
            with pytest.raises(Forbidden):
                who.need(other, shared=True)
        else:
            with pytest.raises(Forbidden):
                who.need(other)


# Rates


def test_a_bucket_fills_at_the_rate() -> None:
    limits = Limits(2)
    for at in (0.0, 0.0, 0.0, 0.0, 0.5, 1.0):
        limits.take("a", at)
    with pytest.raises(Refused) as refused:
        limits.take("a", 1.1)
    assert refused.value.problem.headers["Retry-After"] == "1"
    limits.take("b", 1.1)
    limits.take("a", 1.6)
    Limits(0).take("a", 0)


def test_buckets_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.api.limits.MOST", 10)
    limits = Limits(1)
    for number in range(100):
        limits.take(f"{number}", 0.0)
    assert len(limits._buckets) <= 10


async def test_too_many_requests_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(auth=True, rate=1) as served:
        http, other = served.http(await served.key("viewer")), served.http(await served.key("viewer"))
        assert [(await http.get(f"{V1}/me")).status_code for _ in range(2)] == [200, 200]
        response = await http.get(f"{V1}/me")
        problem(response, 429, "too-many-requests")
        assert int(response.headers["retry-after"]) >= 1
        assert (await other.get(f"{V1}/me")).status_code == 200
        # Those without good credentials are counted by address, and watchers not at all.
        nobody = served.http()
        assert [(await nobody.get(f"{V1}/me")).status_code for _ in range(3)] == [401, 401, 429]
        assert {(await nobody.get("/healthz")).status_code for _ in range(5)} == {200}


def test_a_configuration_that_cannot_be_is_refused() -> None:
    for broken in ({"max_body": 0}, {"rate": -1}, {"rate": float("nan")}):
        with pytest.raises(UsageError):
            ServeConfig(**broken)  # type: ignore[arg-type]
    for more in ({}, {"event": "a", "workflow": "b"}):
        with pytest.raises(UsageError):
            WebhookConfig(secret="x", **more)
    with pytest.raises(UsageError):
        WebhookConfig(secret=" ", event="a")


def test_secrets_are_not_shown() -> None:
    shown = repr(WebhookConfig(secret="whsec_abc", event="a")) + repr(OIDCConfig("https://x", client_secret="s3cr3t"))
    assert "abc" not in shown
    assert "s3cr3t" not in shown
