"""Model calls, artifacts, costs and phases over HTTP; what viewers do not see of them, and what no browser runs."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

import holdfast as hf
from holdfast.agents.recording import record_requests
from holdfast.api.artifact_bodies import media_type
from holdfast.api.redaction import HIDDEN
from tests.api.kit import V1, Served, listening, problem, serving
from tests.engine.spending_kit import HAIKU, MINI, WORKFLOWS, files, letter, order, phase_file, put, request

CARD = "4111-1111-1111"


@hf.step
async def dun(card: str) -> None:
    record_requests("dun", [request(MINI, None, "malformed", error=f"no JSON: {card}")])
    put("a.json", f'{{"card": "{card}", "text": "of {card}", "n": 1}}'.encode(), "application/json")
    put("b.md", f"Pay with {card}, please.\n".encode())
    put("c.csv", f"card\n{card}\n".encode(), "text/csv")
    put("d.json", f"not {card} JSON".encode(), "application/json")
    put("e.md", b"\xff\xfe", "text/markdown")


@hf.workflow
async def dunning(card: str) -> None:
    await dun(card)


@hf.step
async def print_page(media: str) -> None:
    put('pages/a "page" ü.html', b"<script>steal()</script>", media)


@hf.workflow
async def page(media: str) -> None:
    await print_page(media)


@contextlib.asynccontextmanager
async def shop(**config: Any) -> AsyncIterator[Served]:
    """A server and a worker."""
    async with serving(**config) as made, hf.Worker(made.url, [*WORKFLOWS, dunning, page]):
        yield made


async def done(served: Served, workflow: Any, *args: Any, tenant: str = "default") -> str:
    run = await served.local(tenant).start(workflow.options(id="r/1"), *args)
    await run.result("60s")
    return f"{V1}/runs/r%2F1"


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    """A client of a server that has a letter as run ``r/1``."""
    async with shop() as served:
        await done(served, letter, "Ada")
        yield served.http()


RUN = f"{V1}/runs/r%2F1"


async def test_model_calls_come_in_pages(http: httpx.AsyncClient) -> None:
    whole = (await http.get(f"{RUN}/model-calls")).json()
    assert whole["next"] is None
    assert [(one["model"], one["outcome"], one["cost"]) for one in whole["items"]] == [
        (MINI, "timeout", None),
        (MINI, "malformed", "0.0123"),
        (HAIKU, "ok", "1.5"),
        (MINI, "ok", "2E-8"),
    ]
    found, cursor = [], None
    while True:
        query = {"limit": 3} if cursor is None else {"limit": 3, "cursor": cursor}
        part = (await http.get(f"{RUN}/model-calls", params=query)).json()
        found += part["items"]
        cursor = part["next"]
        if cursor is None:
            break
    assert found == whole["items"]
    behind = (await http.get(f"{RUN}/model-calls", params={"cursor": "999999999999"})).json()
    assert behind == {"items": [], "next": None}
    problem(await http.get(f"{V1}/runs/none/model-calls"), 404, "run-not-found")


async def test_an_artifact_is_sent_as_a_file_with_its_digest(http: httpx.AsyncClient) -> None:
    listed = (await http.get(f"{RUN}/artifacts", params={"limit": 2})).json()
    assert [one["name"] for one in listed["items"]] == ["draft/output.json", "draft/prompt.md"]
    assert listed["next"] == "2"
    response = await http.get(f"{RUN}/artifacts/draft%2Fprompt.md", params={"position": "0"})
    assert response.content == b"# Write to Ada\n"
    assert response.headers["content-type"] == "text/markdown; charset=utf-8"
    digest = hashlib.sha256(response.content).hexdigest()
    assert response.headers["etag"] == f'"{digest}"'
    assert response.headers["cache-control"] == "private, no-cache"
    again = await http.get(
        f"{RUN}/artifacts/draft%2Fprompt.md", params={"position": "0"}, headers={"If-None-Match": f'"{digest}"'}
    )
    assert (again.status_code, again.content) == (304, b"")
    assert (await http.get(f"{RUN}/artifacts/draft%2Fprompt.md")).content == b"# Again\n"
    problem(await http.get(f"{RUN}/artifacts/draft%2Fnone.md"), 404, "artifact-not-found")
    problem(await http.get(f"{RUN}/artifacts/draft%2Fprompt.md?position=7"), 404, "artifact-not-found")
    problem(await http.get(f"{RUN}/artifacts/draft%2Fprompt.md?position=x"), 422, "invalid-request")


@pytest.mark.parametrize(
    "media", ["text/html", "image/svg+xml", "Text/HTML; charset=utf-8", "application/javascript", "text/plain"]
)
async def test_what_a_browser_might_run_comes_as_plain_text(media: str) -> None:
    async with shop() as served:
        run = await done(served, page, media)
        [artifact] = (await served.http().get(f"{run}/artifacts")).json()["items"]
        assert artifact["media_type"] == media
        response = await served.http().get(f"{run}/artifacts/{quote(artifact['name'], safe='')}")
        assert response.content == b"<script>steal()</script>"
        assert response.headers["content-type"] == "text/plain; charset=utf-8"
        assert response.headers["content-disposition"] == (
            "attachment; filename=\"a__page___.html\"; filename*=UTF-8''a%20%22page%22%20%C3%BC.html"
        )
        assert "sandbox; default-src 'none'" in response.headers.get_list("content-security-policy")
        assert "nosniff" in response.headers.get_list("x-content-type-options")


def test_a_media_type_that_is_none_is_not_sent() -> None:
    for recorded in ("", "text", "text/plain\r\nSet-Cookie: a=b", "a/b\0", "t\u00e9xt/plain", "/" * 9):
        assert media_type(recorded) == "application/octet-stream"
    assert media_type("Application/JSON; charset=utf-8") == "application/json"


async def test_files_are_read_below_the_folders_that_are_configured(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    plan = tmp_path / "work" / "plan.txt"
    async with shop(workspaces=(str(tmp_path / "work"),)) as served:
        run = await done(served, files, str(plan), "first this\n")
        assert (await served.http().get(f"{run}/artifacts/plan.txt")).content == b"first this\n"
        plan.write_text("first that\n")
        refused = problem(await served.http().get(f"{run}/artifacts/plan.txt"), 409, "artifact-changed")
        assert refused["location"] == str(plan)
    plan.write_text("first this\n")
    async with shop() as served:
        run = await done(served, files, str(plan), "first this\n", False)
        refused = problem(await served.http().get(f"{run}/artifacts/plan.txt"), 409, "artifact-elsewhere")
        assert refused["location"] == str(plan)
        assert "serve.workspaces" in refused["detail"]


async def test_costs_are_told_by_what_is_asked(http: httpx.AsyncClient) -> None:
    march = {"since": "2026-03-01", "until": "2026-03-02"}
    found = (await http.get(f"{V1}/model-costs", params={**march, "by": "model,day"})).json()
    assert found["by"] == ["day", "model"]
    assert [(one["day"], one["model"], one["cost"]) for one in found["rows"]] == [
        ("2026-03-01", HAIKU, "1.5"),
        ("2026-03-01", MINI, "0.0123"),
        ("2026-03-02", MINI, "2E-8"),
    ]
    assert (found["total"]["cost"], found["total"]["calls"], found["total"]["unpriced"]) == ("1.51230002", 4, 1)
    assert [one["phase"] for one in (await http.get(f"{V1}/model-costs", params=march)).json()["rows"]] == [
        "draft",
        "review",
    ]
    turned = {"since": "2026-03-05", "until": "2026-03-04", "by": ""}
    empty = (await http.get(f"{V1}/model-costs", params=turned)).json()
    assert (empty["rows"], empty["total"]["cost"], empty["since"]) == ([], "0", "2026-03-04")
    for wrong in ({"by": "step"}, {"since": "yesterday"}, {"by": "day,,phase"}):
        problem(await http.get(f"{V1}/model-costs", params=wrong), 422, "invalid-request")


async def test_costs_are_told_of_the_runs_that_a_search_finds() -> None:
    async with shop() as served:
        for id, key, who in (("1", "o-1", "Ada"), ("2", "o-2", "Bob"), ("3", "o-1", "Cid")):
            await (await served.local().start(order.options(id=id), key, who)).result("60s")
        http = served.http()
        found = (await http.get(f"{V1}/model-costs", params={"where": "lane = 'order=o-1'"})).json()
        assert (found["runs"], found["more"], found["since"]) == (2, False, "1970-01-01")
        assert [(one["phase"], one["calls"], one["cost"]) for one in found["rows"]] == [
            ("draft", 12, "6.0492"),
            ("review", 4, "8E-8"),
        ]
        second = {"where": "lane = 'order=o-2'", "since": "2026-03-02", "until": "2026-03-02", "by": ""}
        assert (await http.get(f"{V1}/model-costs", params=second)).json()["total"]["calls"] == 2
        nothing = (await http.get(f"{V1}/model-costs", params={"where": "id = 'none'"})).json()
        assert (nothing["runs"], nothing["rows"]) == (0, [])
        whole = (await http.get(f"{V1}/model-costs", params={"since": "2026-03-01"})).json()
        assert (whole["runs"], whole["more"], whole["total"]["calls"]) == (None, False, 24)
        told = problem(await http.get(f"{V1}/model-costs", params={"where": "lane = o"}), 422, "search-unreadable")
        assert "in single quotes" in told["detail"]


async def test_costs_do_not_tell_what_is_hidden() -> None:
    async with shop(auth=True, redact=("who",)) as served:
        await (await served.local().start(order.options(id="1"), "o-1", "Ada")).result("60s")
        looks, operates = [served.http(await served.key(role)) for role in ("viewer", "operator")]
        by_hidden = {"where": "attributes.who = 'Ada'"}
        problem(await looks.get(f"{V1}/model-costs", params=by_hidden), 403, "forbidden")
        assert (await operates.get(f"{V1}/model-costs", params=by_hidden)).json()["runs"] == 1
        assert (await looks.get(f"{V1}/model-costs", params={"where": "lane = 'order=o-1'"})).json()["runs"] == 1


async def test_phases_in_force_have_their_version_as_an_etag(http: httpx.AsyncClient) -> None:
    [listed] = (await http.get(f"{V1}/phases")).json()["items"]
    assert [one["prompt"] for one in listed["phases"]] == [None, None]
    response = await http.get(f"{V1}/phases/letters")
    found = response.json()
    assert found["version"] == phase_file().version
    assert (found["phases"][1]["system"], found["phases"][1]["budget"]["cost"]) == ("You write.", "0.1")
    assert "A_KEY" not in response.text
    unchanged = await http.get(f"{V1}/phases/letters", headers={"If-None-Match": response.headers["etag"]})
    assert unchanged.status_code == 304
    problem(await http.get(f"{V1}/phases/letters", params={"version": "0"}), 404, "phases-not-found")
    problem(await http.get(f"{V1}/phases/others"), 404, "phases-not-found")


async def test_another_tenant_has_none_of_it() -> None:
    async with shop(auth=True) as served:
        await done(served, letter, "Ada", tenant="acme")
        ours, theirs = [served.http(await served.key("viewer", tenant)) for tenant in ("acme", "mallory")]
        for path in ("model-calls", "artifacts", "artifacts/draft%2Fprompt.md"):
            assert (await ours.get(f"{RUN}/{path}")).status_code == 200
            problem(await theirs.get(f"{RUN}/{path}"), 404, "run-not-found")
        assert (await ours.get(f"{V1}/phases/letters")).status_code == 200
        problem(await theirs.get(f"{V1}/phases/letters"), 404, "phases-not-found")
        costs = await theirs.get(f"{V1}/model-costs", params={"since": "2026-03-01"})
        assert costs.json()["total"]["calls"] == 0
        costs = await theirs.get(f"{V1}/model-costs", params={"where": "id = 'r/1'"})
        assert (costs.json()["runs"], costs.json()["rows"]) == (0, [])


async def test_those_who_only_look_do_not_see_what_is_hidden() -> None:
    async with shop(auth=True, redact=("card",)) as served:
        run = await done(served, dunning, CARD)
        looks, operates = [served.http(await served.key(role)) for role in ("viewer", "operator")]
        [call] = (await looks.get(f"{run}/model-calls")).json()["items"]
        assert call["error"] == f"no JSON: {HIDDEN}"
        shown = await looks.get(f"{run}/artifacts/a.json")
        assert shown.json() == {"card": HIDDEN, "text": f"of {HIDDEN}", "n": 1}
        assert shown.headers["etag"].startswith('"redacted.')
        assert (await looks.get(f"{run}/artifacts/b.md")).text == f"Pay with {HIDDEN}, please.\n"
        for name in ("c.csv", "d.json", "e.md"):
            told = problem(await looks.get(f"{run}/artifacts/{name}"), 403, "forbidden")
            assert CARD not in str(told)
        viewer = await served.key("viewer")
        async with listening(served.app) as address, hf.connect(address, key=viewer) as remote:
            found = await remote.artifact("r/1", "b.md")
        assert found.content == f"Pay with {HIDDEN}, please.\n".encode()
        assert found.artifact.size_bytes == len(f"Pay with {CARD}, please.\n")
        for name in ("a.json", "b.md", "c.csv", "d.json"):
            response = await operates.get(f"{run}/artifacts/{name}")
            assert CARD in response.text
            assert response.headers["etag"] == f'"{hashlib.sha256(response.content).hexdigest()}"'
