"""Cut-over: two paths compared word by word, the criteria, who answers; publish modes; runs and their messages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import holdfast as hf
from holdfast.model.differing import word_pieces
from holdfast.web.pages import cut_over
from tests.engine.helpers import until
from tests.intake.taking_kit import append, desk, orders, write
from tests.web.browsing import Dashboard, Seen, dashboard
from tests.web.publishing_kit import MARKUP, careful

PAGE = "/cut-over?workflow=desk"


@asynccontextmanager
async def shadowed(folder: Path, **config: Any) -> AsyncIterator[Dashboard]:
    """A dashboard of a desk in shadow that was given four orders, of three of which the other path told something."""
    path = write(folder)
    async with dashboard(**config) as shown:
        await shown.client.roll_back("desk")
        async with hf.Worker(shown.client, [desk], intake=path, drain=0):
            append(folder, [*orders(1, 2, 3), {"id": "o-4", "text": "forbidden"}])

            async def ended() -> bool:
                return (await shown.client.count(workflow="desk", status="succeeded")).runs == 4

            await until(ended)
            await shown.client.record_outcomes("desk", [
                hf.PathOutcome("o-1", "sent", "About: order 1"),
                hf.PathOutcome("o-2", "sent", f"About: your {MARKUP} order 2 [-not a mark-]"),
                hf.PathOutcome("o-4", "withheld"),
                hf.PathOutcome("o-9", "failed"),
            ])  # fmt: skip
            yield shown


def compared(seen: Seen) -> list[str]:
    """How the messages of a page compare."""
    return [part.partition('"')[0] for part in seen.html.split('class="status compared-')[1:]]


async def test_there_is_nothing_to_compare_yet() -> None:
    async with dashboard() as shown:
        seen = await shown.get(PAGE)
        assert "Nothing to compare yet" in seen.text
        assert "This path answers" in seen.text
        assert "nothing came in, so that nothing can be said" in seen.text
        assert (await shown.get("/cut-over")).status == 422


async def test_where_the_other_path_told_nothing_the_criteria_do_not_say_yes(tmp_path: Path) -> None:
    path = write(tmp_path)
    async with dashboard() as shown:
        await shown.client.roll_back("desk")
        async with hf.Worker(shown.client, [desk], intake=path, drain=0):
            append(tmp_path, orders(1))

            async def ended() -> bool:
                return (await shown.client.count(workflow="desk", status="succeeded")).runs == 1

            await until(ended)
        assert not (await shown.client.cutover_criteria("desk")).ready
        assert "Can it be cut over? not yet" in (await shown.get(PAGE)).text
        asked = await shown.get("/cut-over/cut?workflow=desk")
        assert "the other path has told of none of these messages" in asked.text


async def test_what_both_paths_made_is_counted_listed_and_shown_word_by_word(tmp_path: Path) -> None:
    async with shadowed(tmp_path) as shown:
        seen = await shown.get(PAGE)
        assert sorted(compared(seen)) == ["alone", "different", "missing", "same", "same"]
        for label, which in {
            "Same 2 decided alike, in the same words": "same",
            "Different 1 decided or said otherwise": "different",
            "Missing 1 nothing is here": "missing",
            "Alone 1 the other told nothing yet": "alone",
        }.items():
            assert set(compared(await shown.get(seen.link(label)))) == {which}
        assert '<del><span class="away">only the other: </span>your &lt;img' in seen.html
        assert "[-not a mark-]" in seen.text
        assert MARKUP not in seen.html
        assert "The other path answers; this one works in shadow" in seen.text


def test_pieces_are_the_texts_themselves() -> None:
    assert word_pieces("a b c", "a  b c") == []
    assert word_pieces("a b {+x+}", "a c {+x+}") == [
        ("same", "a"), ("removed", "b"), ("added", "c"), ("same", "{+x+}"),
    ]  # fmt: skip


async def test_the_list_goes_on_page_by_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cut_over, "LIST_SHOWN", 2)
    async with shadowed(tmp_path) as shown:
        pages = [await shown.get(PAGE)]
        while pages[-1].has_link("Next page"):
            pages.append(await shown.get(pages[-1].link("Next page")))
        assert [len(compared(one)) for one in pages] == [2, 2, 1]
        assert (await shown.get(f"{PAGE}&before=x")).status == 422


async def test_each_criterion_says_whether_it_holds(tmp_path: Path) -> None:
    async with shadowed(tmp_path) as shown:
        await shown.client.record_outcomes("desk", [hf.PathOutcome("o-3", "review")])
        seen = await shown.get(PAGE)
        assert "Can it be cut over? not yet 4 entries of the last 14 days" in seen.text
        assert "Yes : Every entry has its run each of 4 entries has its run" in seen.text.replace("Yes:", "Yes :")
        assert "No : At least as careful 1 messages would have been sent" in seen.text.replace("No:", "No :")
        assert seen.html.count("criterion-yes") == 4


async def test_a_workflow_is_cut_over_and_rolled_back(tmp_path: Path) -> None:
    async with shadowed(tmp_path) as shown:
        asked = await shown.get((await shown.get(PAGE)).link("Cut over"))
        wrong = await shown.browser.send(asked, "Cut over", window="soon")
        assert wrong.status == 422
        assert "Give a length of time" in wrong.text
        done = await shown.browser.send(wrong, "Cut over", window="3d")
        assert done.path == PAGE
        assert "What comes in from now on is answered here." in done.text
        assert "the other path is given copies of what comes in" in done.text
        setting = (await shown.client.publish_settings())[1]
        assert setting.path == "primary"
        assert setting.copies_until is not None
        assert setting.path_since is not None
        assert (setting.copies_until - setting.path_since).days == 3
        back = await shown.browser.send(await shown.get(done.link("Roll back")), "Let the other path answer")
        assert "is answered by the other path." in back.text
        assert (await shown.client.publish_settings())[1].path == "shadow"


# Publish modes


async def test_the_publish_mode_of_all_and_of_a_workflow_is_set() -> None:
    async with dashboard() as shown:
        seen = await shown.get("/settings/publishing")
        assert "Every workflow with nothing of its own draft" in seen.text
        asked = await shown.get(seen.link("Change"))
        assert dict(asked.form("Set it").values)["mode"] == "draft"
        done = await shown.browser.send(asked, "Set it", mode="auto")
        assert done.path == "/settings/publishing"
        assert "messages are sent by themselves." in done.text
        own = await shown.get(done.link("Set it for a workflow"))
        assert (await shown.browser.send(own, "Set it", mode="loud", workflow="desk")).status == 422
        await shown.browser.send(own, "Set it", mode="off", workflow="desk")
        settings = {one.workflow: one.mode for one in await shown.client.publish_settings()}
        assert settings == {None: "auto", "desk": "off"}
        from_page = await shown.get((await shown.get(PAGE)).link("Publish mode"))
        assert dict(from_page.form("Set it").values)["mode"] == "off"
        back = await shown.browser.send(from_page, "Set it", mode="as")
        assert back.path == PAGE
        assert "in mode auto : messages are sent by themselves" in back.text.replace("auto:", "auto :")
        assert "desk" in (await shown.get("/settings/publishing")).text


async def test_only_an_admin_decides_and_only_for_their_tenant(tmp_path: Path) -> None:
    async with shadowed(tmp_path, auth=True, redact=("text",)) as shown:
        operator, admin = await shown.somebody("operator"), await shown.somebody("admin")
        viewer, theirs = await shown.somebody("viewer"), await shown.somebody("admin", "acme")
        for who in (viewer, operator):
            seen = await who.get(PAGE)
            assert seen.status == 200
            assert not seen.has_link("Cut over")
            assert not seen.has_link("Publish mode")
            assert not (await who.get("/settings/publishing")).has_link("Change")
            for path in ("/cut-over/cut", "/cut-over/back", "/publishing/mode"):
                assert (await who.get(f"{path}?workflow=desk")).status == 403, path
                assert (await who.post(path, {"workflow": "desk", "mode": "off"})).status == 403, path
        assert (await admin.get(PAGE)).has_link("Cut over")
        assert "order 2" in (await operator.get(PAGE)).text
        assert "order 2" not in (await viewer.get(PAGE)).text
        nothing = await theirs.get(PAGE)
        assert "Nothing to compare yet" in nothing.text
        assert "Same 0" in nothing.text
        await theirs.post("/cut-over/cut", {"workflow": "desk", "window": "1d"})
        assert (await shown.client.publish_settings())[1].path == "shadow"


# A run


async def test_a_run_says_that_it_works_in_shadow_and_what_it_published() -> None:
    async with dashboard() as shown, hf.Worker(shown.client, [careful], drain=0):
        for id, shadow in (("plain", False), ("shadowed", True)):
            await (await shown.client.start(careful.options(id=id, shadow=shadow), id)).result(timeout="20s")
        plain, shadowed = await shown.get("/runs/plain"), await shown.get("/runs/shadowed")
        assert "in shadow" in shadowed.text
        assert "in shadow" not in plain.text
        assert "Messages 2 published" in plain.text
        assert (await shown.get(plain.link("looked-at/plain"))).status == 200
        assert shadowed.text.count("published in shadow") >= 1
