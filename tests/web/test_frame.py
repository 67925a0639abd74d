"""What every page shares: who sees what, what went wrong, zones and themes, where it is mounted, what is served."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

import holdfast as hf
from holdfast.errors import StoreUnavailable
from holdfast.web import create_app
from holdfast.web.assets import asset
from holdfast.web.navigation import NAVIGATION
from tests.web.browsing import HOST, Browser, Dashboard, dashboard
from tests.web.shop import WORKFLOWS, checkout, echo

SECRET = "4111-1111-1111-1111"


async def run_of(shown: Dashboard, workflow: Any, *args: Any, **options: Any) -> str:
    handle = await shown.client.start(workflow.options(**options), *args)
    return str(handle.id)


# Who sees what


async def test_a_viewer_sees_no_actions_and_may_do_none() -> None:
    async with dashboard(auth=True) as shown, hf.Worker(shown.client, WORKFLOWS):
        run_id = await run_of(shown, checkout, "o-1", 5, "ok", 1, "wait", id="o-1")
        while (await shown.client.get(run_id)).status != "waiting":
            pass
        viewer, operator = await shown.somebody("viewer"), await shown.somebody("operator")
        seen = await viewer.get("/runs/o-1")
        assert seen.status == 200
        assert "Waits for event shipped" in seen.text
        assert not seen.has_link("Cancel")
        assert (await operator.get("/runs/o-1")).has_link("Cancel")
        assert "Start a run" not in (await viewer.get("/runs")).text
        for path in ("/runs/o-1?do=cancel", "/start", "/bulk?action=cancel"):
            assert (await viewer.get(path)).status == 403
        refused = await viewer.post("/runs/o-1?do=cancel", {})
        assert refused.status == 403
        assert "takes the role operator" in refused.text
        assert (await viewer.post("/bulk?action=cancel", {})).status == 403
        assert (await viewer.post("/start?workflow=echo", {})).status == 403
        assert (await shown.client.get(run_id)).status == "waiting"


async def test_another_tenants_runs_are_not_there() -> None:
    async with dashboard(auth=True) as shown:
        await run_of(shown, echo, "mine", id="mine")
        other = await shown.somebody("admin", tenant="other")
        assert (await other.get("/runs/mine")).status == 404
        assert (await other.post("/runs/mine?do=cancel", {})).status == 404
        assert "No runs yet" in (await other.get("/runs")).text
        assert "you see runs of tenant other only" in (await other.get("/runs?q=tenant:default")).text.lower()


async def test_what_is_hidden_is_hidden_everywhere_from_those_who_only_look() -> None:
    @hf.step(retry=hf.Retry(max_attempts=1))
    async def pay(card: str) -> str:
        raise ValueError(f"card {card} is refused")

    @hf.workflow
    async def paying(card: str) -> str:
        hf.progress(1, 2, f"paying with {card}")
        return await pay(card)

    async with dashboard(auth=True, redact=("card",)) as shown, hf.Worker(shown.client, [paying]):
        await run_of(shown, paying, SECRET, id="p", attributes={"card": SECRET, "shop": "north"})
        while (await shown.client.get("p")).status != "failed":
            pass
        viewer, operator = await shown.somebody("viewer"), await shown.somebody("operator")
        for path in ("/runs", "/runs/p", "/runs/p?entry=0", "/runs?columns=id,input,attr.card,about"):
            assert SECRET not in (await viewer.get(path)).html, path
            assert SECRET in (await operator.get(path)).html, path
        assert "[redacted]" in (await viewer.get("/runs/p")).text
        assert (await viewer.get(f"/runs?q=attr.card:{SECRET}")).status == 403
        assert (await operator.get(f"/runs?q=attr.card:{SECRET}")).status == 200
        assert (await viewer.get("/runs?q=attr.shop:north")).status == 200


# Signing in


async def test_who_is_not_signed_in_is_asked_to_and_comes_back() -> None:
    async with dashboard(auth=True) as shown:
        await shown.client.put_user(
            "ada", email="ada@example.com", name="Ada", role="operator", password="correct horse"
        )
        await run_of(shown, echo, 1, id="mine")
        asked = await shown.get("/runs/mine?entry=0")
        assert asked.status == 401
        assert "Error id" in asked.text
        wrong = await shown.browser.send(asked, "Sign in", name="ada@example.com", password="wrong")
        assert wrong.status == 422
        assert "No such person, or another password." in wrong.text
        assert dict(wrong.form("Sign in").values)["password"] == ""
        done = await shown.browser.send(wrong, "Sign in", password="correct horse")
        assert done.path == "/runs/mine?entry=0"
        assert "Ada" in done.text
        cookie = next(one for one in shown.browser.http.cookies.jar if one.name == "holdfast_session")
        assert cookie.has_nonstandard_attr("HttpOnly")

        # A form of another session, or of none, is refused.
        forged = await shown.browser.post("/runs/mine?do=cancel", {"csrf": "forged"})
        assert forged.status == 403
        assert (await shown.browser.post("/runs/mine?do=cancel", {})).status == 403
        assert (await shown.client.get("mine")).status == "queued"
        asked = await shown.get(done.link("Cancel"))
        gone = await shown.browser.send(asked, "Cancel the run", reason="by Ada")
        assert "is to be cancelled" in gone.text
        [change, *_] = await shown.client.audit(action="run.cancel")
        assert (change.actor, change.target) == ("ada", "mine")

        out = await shown.browser.send(gone, "Sign out")
        assert out.path == "/sign-in"
        assert (await shown.get("/runs")).status == 401


@pytest.mark.parametrize(
    "to", ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)", "runs"]
)
async def test_nobody_is_sent_elsewhere_after_signing_in(to: str) -> None:
    async with dashboard(auth=True) as shown:
        await shown.client.put_user("ada", role="viewer", password="correct horse")
        answer = await shown.browser.http.post(
            "/sign-in", data={"name": "ada", "password": "correct horse", "tenant": "default", "next": to}
        )
        assert (answer.status_code, answer.headers["location"]) == (303, "/")


# What went wrong


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/runs/none", 404, "No such run"),
        ("/none", 404, "There is no page at this address."),
        ("/runs/x/y", 404, "There is no page"),
        ("/runs/none?do=dance", 422, "there is no action 'dance'"),
        ("/runs?before=none", 200, "is gone; this is the first page"),
        ("/start?workflow=none", 404, "no worker has registered"),
        ("/bulk?action=dance", 422, "there is no action 'dance'"),
        ("/bulk?action=cancel&q=status:lost", 422, "cannot be read"),
        ("/runs/%FF", 400, "not UTF-8"),
    ],
)
async def test_what_went_wrong_is_a_page_with_its_id_and_a_way_on(path: str, status: int, words: str) -> None:
    async with dashboard() as shown:
        seen = await shown.get(path)
        assert seen.status == status
        assert words in seen.text
        if status >= 400:
            assert re.search(r"Error id [0-9a-f]{12}", seen.text)
            assert seen.has_link("Overview")
        api = await shown.browser.http.get(f"/api/v1{path}" if path.startswith("/runs/none") else "/api/v1/none")
        assert api.headers["content-type"] == "application/problem+json"


async def test_an_error_that_nobody_foresaw_is_told_by_its_id_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    async def broken(*args: object, **kwargs: object) -> None:
        raise RuntimeError("the secret inside")

    async with dashboard() as shown:
        monkeypatch.setattr(hf.Client, "workflows", broken)
        seen = await shown.get("/runs")
        assert seen.status == 500
        assert "the secret inside" not in seen.html
        found = re.search(r"Error id ([0-9a-f]{12})", seen.text)
        assert found is not None
        assert found[1] in caplog.text


async def test_a_database_that_is_away_is_told_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*args: object, **kwargs: object) -> None:
        raise StoreUnavailable("the database does not answer")

    async with dashboard() as shown:
        monkeypatch.setattr(hf.Client, "list", away)
        seen = await shown.get("/runs")
        assert seen.status == 503
        assert "trying again is safe" in seen.text
        assert seen.response.headers["retry-after"]
        assert (await shown.get("/runs", fragment="rows")).status == 503


async def test_a_part_that_a_page_does_not_have_is_refused() -> None:
    async with dashboard() as shown:
        assert (await shown.get("/runs", fragment="nothing")).status == 422
        part = await shown.get("/runs", fragment="rows")
        assert part.status == 200
        assert "<html" not in part.html
        assert "No runs yet" in part.text


# Zones, themes, messages


async def test_times_are_in_the_viewers_zone_once_it_is_known() -> None:
    async with dashboard() as shown:
        await run_of(shown, echo, 1, id="timed")
        created = (await shown.client.get("timed")).created_at
        shown.browser.http.cookies.set("holdfast_zone", "Asia/Kolkata")
        seen = await shown.get("/runs/timed")
        local = f"{created:%Y-%m-%d}"
        assert f'datetime="{created.isoformat().replace("+00:00", "Z")}"' in seen.html
        assert "IST (" in seen.html
        assert local[:7] in seen.text
        for zone in ("No/Where", "../../etc/passwd", "x" * 500):
            shown.browser.http.cookies.set("holdfast_zone", zone)
            assert (await shown.get("/runs/timed")).status == 200


async def test_the_theme_is_kept_without_scripts() -> None:
    async with dashboard() as shown:
        seen = await shown.get("/runs?q=status:failed")
        assert "data-theme" not in seen.html.partition("<body")[0]
        dark = await shown.browser.post("/theme", {"theme": "dark", "next": "/runs?q=status:failed"})
        assert dark.path == "/runs?q=status:failed"
        assert '<html lang="en" data-theme="dark">' in dark.html
        assert (await shown.browser.post("/theme", {"theme": "x", "next": "//evil.example"})).path == "/"


async def test_keys_of_one_letter_are_turned_off() -> None:
    async with dashboard() as shown:
        seen = await shown.get("/keys")
        off = await shown.browser.send(seen, "Turn the keys off")
        assert 'data-keys="off"' in off.html
        assert 'data-keys="off"' not in (await shown.browser.send(off, "Turn the keys on")).html


async def test_a_message_is_said_once_and_never_run() -> None:
    async with dashboard() as shown:
        name = "<script>alert(1)</script>"
        kept = await shown.browser.post("/views", {"name": name, "q": "status:failed"})
        assert f"The search is kept as {name}." in kept.text
        assert name not in kept.html
        assert "is kept as" not in (await shown.get("/runs")).text
        for cookie in ("x", "eyJ4IjoxfQ==", "W10=", "WyJ4IiwgInkiXQ=="):
            shown.browser.http.cookies.set("holdfast_said", cookie)
            assert (await shown.get("/runs")).status == 200


# What is served, and where


async def test_every_answer_forbids_what_is_inline_or_from_elsewhere() -> None:
    async with dashboard() as shown:
        for entry in NAVIGATION:
            seen = await shown.get(entry.path)
            policy = seen.response.headers["content-security-policy"]
            assert "script-src 'self'" in policy
            assert "unsafe" not in policy
            assert seen.response.headers["cache-control"] == "no-store"
            assert " style=" not in seen.html
            assert not re.search(r"<script(?! type=\"module\" src=)", seen.html)
            assert not re.search(r"\son[a-z]+=", re.sub(r"<[^>]*data-[^>]*>", "", seen.html))


async def test_static_files_are_kept_for_good_under_their_digest() -> None:
    async with dashboard() as shown:
        answer = await shown.browser.http.get(asset("app.js"))
        assert answer.headers["content-type"].startswith("text/javascript")
        assert "immutable" in answer.headers["cache-control"]
        old = await shown.browser.http.get("/static/000000000000/app.js")
        assert (old.status_code, old.headers["cache-control"]) == (200, "no-store")
        for name in ("none.js", "..%2Fapp.py", "%2e%2e%2fpage.py"):
            assert (await shown.browser.http.get(f"/static/x/{name}")).status_code == 404


async def test_the_dashboard_is_mounted_in_another_application() -> None:
    inner = create_app("memory://")
    outer = FastAPI()
    outer.mount("/ops/holdfast", inner)
    try:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(outer), base_url=HOST) as http:
            browser = Browser(outer)
            browser.http = http
            seen = await browser.get("/ops/holdfast/runs?q=status:failed")
            assert seen.status == 200
            assert all(link.href.startswith(("/ops/holdfast", "#")) for link in seen.links)
            assert all(form.action.startswith("/ops/holdfast") for form in seen.forms)
            for address in re.findall(r'(?:src|href)="([^"]*/static/[^"]*)"', seen.html):
                assert (await http.get(address)).status_code == 200
            client = inner.state.holdfast.local_client("default")
            await client.start(echo.options(id="a/b"), 1)
            shown = await browser.get((await browser.get("/ops/holdfast/runs")).link("a/b"))
            assert shown.status == 200
            assert shown.path == "/ops/holdfast/runs/a%2Fb"
            asked = await browser.get(shown.link("Cancel"))
            done = await browser.send(asked, "Cancel the run")
            assert done.path == "/ops/holdfast/runs/a%2Fb"
            assert "is to be cancelled" in done.text
    finally:
        await inner.state.holdfast.close()
