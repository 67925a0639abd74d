"""Artifacts and model calls: in the panel of a step, on a page of their own that never runs them, and compared."""

from __future__ import annotations

from pathlib import Path

import pytest

import holdfast as hf
from tests.web.agent_kit import AGENTS, HAIKU, MARKUP, MINI, OWN, PNG, ended, making, offer, retried, run
from tests.web.browsing import dashboard


async def test_the_panel_of_a_step_has_its_model_calls_with_sums_and_what_it_made(disk_url: str) -> None:
    async with dashboard(disk_url) as shown, hf.Worker(shown.client, AGENTS):
        await run(shown, offer, "ada", id="o/1")
        seen = await shown.get("/runs/o%2F1?entry=0")
        panel = seen.html.partition('id="entry"')[2].partition("</section>")[0]
        assert panel.index(OWN) < panel.index(MINI) < panel.index(HAIKU)
        for words in (
            "Model calls 3 1 failed", "Cost $1.5123 + 1 unpriced", "Tokens in 9,876,743 30 cached", "Tokens out 21",
            "Waited for models 4.50 s", f"{OWN} timeout attempt 1", "no price known 1.50 s for draft",
            "no answer to ada", f"{MINI} ok attempt 2", "$0.0123",
        ):  # fmt: skip
            assert words in seen.text, words
        assert 'title="$1.51230002"' in panel
        assert "draft/prompt.md" in panel
        assert "draft/approved.json" not in panel
        other = await shown.get("/runs/o%2F1?entry=1")
        panel = other.html.partition('id="entry"')[2].partition("</section>")[0]
        assert "Model calls" not in panel
        assert "draft/approved.json" in panel
        assert (await shown.get(other.link("What offer costs"))).status == 200


async def test_a_run_without_models_says_nothing_of_them() -> None:
    async with dashboard() as shown:
        await shown.client.start(offer.options(id="queued"), "ada")
        seen = await shown.get("/runs/queued")
        assert 'id="models"' not in seen.html
        assert 'id="artifacts"' not in seen.html


async def test_the_artifacts_of_a_run_lead_to_what_they_say(disk_url: str) -> None:
    async with dashboard(disk_url) as shown, hf.Worker(shown.client, AGENTS):
        await run(shown, offer, "ada", id="o/1")
        listed = await shown.get("/runs/o%2F1")
        found = (await shown.client.artifact("o/1", "draft/output.json")).artifact
        assert f"application/json {found.size_bytes} bytes {found.sha256[:12]}" in listed.text
        seen = await shown.get(listed.link("draft/output.json"))
        assert seen.status == 200
        assert '"lines": [ "Dear ada", "thank you" ]' in seen.text
        assert found.sha256 in seen.text
        file = await shown.browser.http.get(seen.link("Download"))
        assert file.content == (await shown.client.artifact("o/1", "draft/output.json")).content
        assert file.headers["content-disposition"].startswith("attachment")
        assert (await shown.get(seen.link("0"))).status == 200

        prompt = await shown.get(listed.link("draft/prompt.md"))
        assert MARKUP in prompt.text
        assert MARKUP not in prompt.html


async def test_the_page_of_a_fork_shows_what_it_took_over(disk_url: str) -> None:
    async with dashboard(disk_url) as shown, hf.Worker(shown.client, AGENTS):
        await run(shown, offer, "ada", id="old")
        await shown.client.fork("old", from_step="approve", output="edited", id="new")
        await ended(shown.client, "new")
        listed = await shown.get("/runs/new")
        assert "draft/output.json" in listed.text
        assert "draft/approved.json" not in listed.text
        assert 'id="models"' not in listed.html
        seen = await shown.get(listed.link("draft/prompt.md"))
        assert seen.status == 200
        assert "# Write to ada" in seen.text
        assert "draft/prompt.md" in (await shown.get("/runs/new?entry=0")).html.partition('id="entry"')[2]


@pytest.mark.parametrize(
    ("media_type", "content", "words"),
    [
        ("text/html", MARKUP.encode(), MARKUP),
        ("image/svg+xml", f"<svg>{MARKUP}</svg>".encode(), MARKUP),
        ("application/json; charset=utf-8", b'{"a":0.1000000000000000055,"b":[1e999]}', '"a": 0.1000000000000000055'),
        ("application/json", b'{"a": ', '{"a":'),
        ("application/json", b"[" * 100_000, "[[["),
        ("text/plain", b"\xff\xfe", "Its bytes are no text."),
        ("text/plain", b"", "It is empty."),
        ("text/plain", b"x" * 500_000, "The first 400,000 of 500,000 characters."),
        ("text/plain", b"y" * 4_000_001, "It is too large to be shown here."),
        ("application/zip", b"PK", "It is nothing that is shown here."),
        ("application/octet-stream", MARKUP.encode(), "It is nothing that is shown here."),
        ("image/tiff", b"II", "It is nothing that is shown here."),
        ("<script>", b"a", "It is nothing that is shown here."),
    ],
)
async def test_nothing_is_run_and_what_is_no_text_is_to_be_had_as_a_file(
    media_type: str, content: bytes, words: str
) -> None:
    async with dashboard() as shown, hf.Worker(shown.client, AGENTS):
        await run(shown, making, f"{MARKUP}.x", media_type, content.hex(), id="r")
        seen = await shown.get((await shown.get("/runs/r")).link(f"{MARKUP}.x"))
        assert seen.status == 200
        assert words in seen.text
        assert MARKUP not in seen.html
        assert "<svg>" not in seen.html
        assert "<img" not in seen.html.partition("<main")[2]
        assert "unsafe" not in seen.response.headers["content-security-policy"]
        file = await shown.browser.http.get(seen.link("Download"))
        assert file.content == content
        assert not any(word in file.headers["content-type"] for word in ("html", "svg", "xml", "script"))


async def test_a_picture_is_shown_as_one() -> None:
    async with dashboard() as shown, hf.Worker(shown.client, AGENTS):
        await run(shown, making, "plan.png", "image/png", PNG.hex(), id="r")
        seen = await shown.get("/artifact?run=r&name=plan.png")
        address = seen.html.partition('class="picture"><img src="')[2].partition('"')[0].replace("&amp;", "&")
        drawn = await shown.browser.http.get(address)
        assert drawn.content == PNG
        assert drawn.headers["content-type"] == "image/png"
        assert drawn.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("becomes", ["other bytes", "longer", "gone"])
async def test_a_file_that_was_changed_or_is_gone_is_told(tmp_path: Path, becomes: str) -> None:
    path = tmp_path / "plan.txt"
    async with dashboard(workspaces=(str(tmp_path),)) as shown, hf.Worker(shown.client, AGENTS):
        await run(shown, making, "plan.txt", "text/plain", b"the plan".hex(), str(path), id="r")
        seen = await shown.get("/artifact?run=r&name=plan.txt")
        assert "the plan" in seen.text
        assert str(path) in seen.text
        if becomes == "gone":
            path.unlink()
        else:
            path.write_bytes(b"the PLAN" if becomes == "other bytes" else b"the plan and more")
        seen = await shown.get("/artifact?run=r&name=plan.txt")
        assert seen.status == 200
        assert ("the file is gone" if becomes == "gone" else "is not what was recorded") in seen.text
        assert 'role="alert"' in seen.html
        assert "the PLAN" not in seen.text
        assert "and more" not in seen.text
        assert not seen.has_link("Download")
        compared = await shown.get("/artifact/compare?run=r&name=plan.txt&name2=plan.txt&run2=r")
        assert compared.status == 200
        assert 'role="alert"' in compared.html


async def test_a_file_outside_of_the_workspaces_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "secret.txt"
    async with dashboard() as shown, hf.Worker(shown.client, AGENTS):
        await run(shown, making, "secret.txt", "text/plain", b"the secret".hex(), str(path), id="r")
        seen = await shown.get("/artifact?run=r&name=secret.txt")
        assert seen.status == 200
        assert "the secret" not in seen.text
        assert "serve.workspaces" in seen.text


# Compared


async def test_what_was_approved_is_compared_with_what_was_given(disk_url: str) -> None:
    async with dashboard(disk_url) as shown, hf.Worker(shown.client, AGENTS):
        await run(shown, offer, "ada", id="o/1")
        seen = await shown.get((await shown.get("/runs/o%2F1")).link("compare with what was approved"))
        assert seen.status == 200
        assert "1 removed (−), 1 added (+)" in seen.text
        line = '</span></td><td class="diff-text">'
        assert f"removed{line}<del>  &#34;closing&#34;: &#34;Yours&#34;,</del>" in seen.html
        assert f"added{line}<ins>  &#34;closing&#34;: &#34;Sincerely yours&#34;,</ins>" in seen.html
        assert "3 lines that are the same" in seen.text
        assert "thank you" in seen.text
        assert '"to": "ada"' not in seen.text
        whole = await shown.get(seen.link("Show all lines"))
        assert '"to": "ada"' in whole.text
        assert "are the same" not in whole.text


async def test_an_artifact_is_compared_with_another_of_its_run_and_of_another_run() -> None:
    async with dashboard() as shown, hf.Worker(shown.client, AGENTS):
        await run(shown, offer, "ada", id="a/1")
        await run(shown, offer, "grace", id="b")
        page = await shown.get("/artifact?run=a/1&name=draft/prompt.md")
        same_run = await shown.browser.send(page, "Compare", other="0 draft/output.json")
        assert "# Write to ada" in same_run.text
        assert '"to": "ada"' in same_run.text
        other = await shown.browser.send(page, "Compare with that run", run2="b")
        assert other.status == 200
        assert "<del># Write to ada</del>" in other.html
        assert "<ins># Write to grace</ins>" in other.html
        assert MARKUP not in other.html
        same = await shown.get("/artifact/compare?run=b&name=draft/output.json&name2=draft/output.json")
        assert "They are the same, byte for byte." in same.text
        for run2, name2 in (("none", "draft/prompt.md"), ("b", "none")):
            missing = await shown.browser.send(page, "Compare with that run", run2=run2, name2=name2)
            assert missing.status == 404


async def test_what_an_earlier_attempt_of_the_run_made_is_there_to_be_compared(disk_url: str, tmp_path: Path) -> None:
    async with dashboard(disk_url) as shown, hf.Worker(shown.client, AGENTS):
        view = await run(shown, retried, "same", str(tmp_path / "there"), id="r")
        assert view.status == "failed"
        (tmp_path / "there").touch()
        await shown.client.retry("r")
        await ended(shown.client, "r", "succeeded")
        page = await shown.get("/artifact?run=r&name=plan.txt")
        assert "of the second attempt" in page.text
        seen = await shown.get(page.link("with that of attempt 1 of the run"))
        assert "<del>of the first attempt</del>" in seen.html
        assert "<ins>of the second attempt</ins>" in seen.html
        first = await shown.get(seen.link("plan.txt"))
        assert "of the first attempt" in first.text
        assert (await shown.get("/artifact?run=r&name=plan.txt&at=0&generation=9")).status == 404


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("run=none&name=x", 404),
        ("run=r&name=none", 404),
        ("run=r&name=plan.txt&at=7", 404),
        ("run=r", 422),
        ("name=x", 422),
        ("run=r&name=plan.txt&at=first", 422),
        ("run=r&name=plan.txt&at=0&generation=one", 422),
        ("run=r&name=plan.txt&generation=1", 422),
    ],
)
async def test_artifacts_that_are_not_there_are_told(query: str, status: int) -> None:
    async with dashboard() as shown, hf.Worker(shown.client, AGENTS):
        await run(shown, making, "plan.txt", "text/plain", b"plan".hex(), id="r")
        assert (await shown.get(f"/artifact?{query}")).status == status
        assert (await shown.get(f"/artifact/compare?{query}&run2=r&name2=plan.txt")).status == status


async def test_long_texts_are_not_compared_to_their_end() -> None:
    async with dashboard() as shown, hf.Worker(shown.client, AGENTS):
        lines = [f"line {number}" for number in range(60_000)]
        await run(shown, making, "a.txt", "text/plain", "\n".join(lines).encode().hex(), id="a")
        await run(shown, making, "a.txt", "text/plain", "\n".join(["first", *lines, "last"]).encode().hex(), id="b")
        seen = await shown.get("/artifact/compare?run=a&name=a.txt&run2=b&name2=a.txt")
        assert seen.status == 200
        assert "<ins>first</ins>" in seen.html
        assert "not compared to their end" in seen.text
        assert len(seen.html) < 100_000


# Who sees what


async def test_another_tenants_artifacts_are_not_there_and_a_viewer_sees_their_own() -> None:
    async with dashboard(auth=True) as shown, hf.Worker(shown.client, AGENTS):
        await run(shown, offer, "ada", id="o")
        viewer, other = await shown.somebody("viewer"), await shown.somebody("admin", tenant="other")
        assert (await viewer.get("/artifact?run=o&name=draft/output.json")).status == 200
        for path in (
            "/artifact?run=o&name=draft/output.json", "/artifact/compare?run=o&name=draft/output.json&name2=x",
        ):  # fmt: skip
            seen = await other.get(path)
            assert seen.status == 404
            assert "ada" not in seen.text


async def test_what_is_hidden_from_viewers_is_hidden_in_artifacts_and_calls_too(tmp_path: Path) -> None:
    async with dashboard(auth=True, redact=("who", "to")) as shown, hf.Worker(shown.client, AGENTS):
        await run(shown, offer, "adalovelace", id="o")
        await run(shown, making, "page.html", "text/html", b"about adalovelace".hex(), id="m")
        viewer, operator = await shown.somebody("viewer"), await shown.somebody("operator")
        for path in (
            "/runs/o?entry=0", "/artifact?run=o&name=draft/output.json", "/artifact?run=o&name=draft/prompt.md",
            "/artifact/compare?run=o&name=draft/output.json&name2=draft/approved.json&all=yes",
            "/artifact?run=m&name=page.html",
        ):  # fmt: skip
            assert "adalovelace" in (await operator.get(path)).text, path
            seen = await viewer.get(path)
            assert seen.status == 200, path
            assert "adalovelace" not in seen.text, path
        assert "may tell what is hidden" in (await viewer.get("/artifact?run=m&name=page.html")).text
