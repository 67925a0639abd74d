"""What depends on the database beside the routes: repeated requests, sessions, attempts, uses of keys, followers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import argon2
import pytest
from starlette.requests import Request

from holdfast.api import sessions
from holdfast.api.access import Principal
from holdfast.api.problems import Refused
from holdfast.engine import people
from holdfast.errors import Unauthorised
from holdfast.model.access import Role
from tests.api.kit import V1, Served, problem, serving, working

PASSWORD = "correct horse battery"


@pytest.fixture
async def shop(disk_url: str) -> AsyncIterator[Served]:
    async with serving(disk_url, auth=True) as made, working(made):
        yield made


@pytest.mark.slow
async def test_requests_at_the_same_time_are_done_once(shop: Served) -> None:
    http = shop.http(await shop.key("operator"))
    body = {"input": {"order_id": "o-1"}, "queue": "nobody"}

    async def start(key: str) -> Any:
        return await http.post(f"{V1}/workflows/checkout/runs", json=body, headers={"Idempotency-Key": key})

    answers = await asyncio.gather(*(start("k-1") for _ in range(20)))
    assert len({one.content for one in answers if one.status_code == 201}) == 1
    for one in answers:
        if one.status_code != 201:
            problem(one, 409, "request-under-way")
    again = await start("k-1")
    assert again.headers["idempotent-replayed"] == "true"
    assert (await http.get(f"{V1}/runs:count")).json()["runs"] == 1
    event = {"name": "shipped", "key": "x"}
    problem(await http.post(f"{V1}/events", json=event, headers={"Idempotency-Key": "k-1"}), 422, "request-differs")


@pytest.mark.slow
async def test_people_sign_in_and_out_and_attempts_are_counted(shop: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    hasher = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr(people, "_hasher", lambda: hasher)
    monkeypatch.setattr(sessions, "ATTEMPTS_FOR_ACCOUNT", 3)
    people._nobodys.cache_clear()
    await shop.local().put_user("anna", email="anna@example.com", role="operator", password=PASSWORD)
    session = await sessions.sign_in(shop.server, "default", "Anna@example.com", PASSWORD, "10.0.0.1")
    http = shop.http()
    http.cookies.set(sessions.COOKIE, session.token)
    assert (await http.get(f"{V1}/me")).json()["actor"] == "anna"
    cookie = f"{sessions.COOKIE}={session.token}".encode()
    await sessions.sign_out(shop.server, Request({"type": "http", "method": "POST", "headers": [(b"cookie", cookie)]}))
    problem(await http.get(f"{V1}/me"), 401, "unauthorised")
    tries = [sessions.sign_in(shop.server, "default", "anna", "x" * 12, "10.0.0.2") for _ in range(8)]
    found = await asyncio.gather(*tries, return_exceptions=True)
    assert [type(one) for one in found].count(Unauthorised) == 3
    assert [type(one) for one in found].count(Refused) == 5
    people._nobodys.cache_clear()


@pytest.mark.slow
async def test_the_use_of_keys_is_noted_and_revoked_ones_are_refused(shop: Served) -> None:
    made = await shop.local().create_key("k", role="viewer")
    http = shop.http(made.key)
    assert (await http.get(f"{V1}/me")).status_code == 200
    await shop.server.credentials.write_uses()
    assert (await shop.local().get_key(made.view.prefix)).used_at is not None
    await shop.local().revoke_key(made.view.prefix)
    shop.server.credentials.forget()
    problem(await http.get(f"{V1}/me"), 401, "unauthorised")


@pytest.mark.slow
async def test_a_run_is_followed_under_the_tenants_policy(shop: Served) -> None:
    client = shop.local("acme")
    await client.start_named("checkout", {"order_id": "o-1"}, id="r")
    ours, theirs = (Principal("x", "x", tenant, Role.VIEWER) for tenant in ("acme", "mallory"))
    with pytest.raises(Exception, match="no run"):
        await shop.server.live.follow_run(theirs, "r", None)
    follower, subject = await shop.server.live.follow_run(ours, "r", None)
    seen = b""
    async with asyncio.timeout(20):
        while b'"succeeded"' not in seen:
            seen += await follower.take(1) or b""
    assert seen.count(b"event: entry") >= 1
    subject.leave(follower)
    assert "r" not in str(await _first_page(shop, theirs))


async def _first_page(shop: Served, who: Principal) -> list[str]:
    found = await shop.server.client(who).page_of_runs()
    return [run.id for run in found.items]
