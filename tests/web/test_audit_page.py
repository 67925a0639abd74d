"""Audit: who did what, when, to what; narrowed down, paged, with links to what was changed."""

import pytest

import holdfast as hf
from tests.web.browsing import dashboard

MARKUP = "<script>alert(1)</script>"


@hf.workflow
async def sell(order: str) -> str:
    return await hf.wait_for_event("paid", key=order)


async def test_nothing_was_changed_yet() -> None:
    async with dashboard() as shown:
        assert "Nothing was changed yet" in (await shown.get("/audit")).text


async def test_what_a_page_does_is_recorded_with_who_did_it() -> None:
    async with dashboard() as shown:
        asked = await shown.get("/queue/limits")
        await shown.browser.send(asked, "Set the limits", name="mail", total="3")
        seen = await shown.get("/audit")
        for words in ("local", "queue.set", "mail", "total 3"):
            assert words in seen.text
        assert seen.link("mail") == "/queues"
        assert seen.link("queue.set") == "/audit?action=queue.set"


async def test_changes_are_narrowed_down_by_who_what_and_to_what() -> None:
    async with dashboard() as shown:
        ann = hf.Client(shown.client.core, "default", actor="ann")
        bob = hf.Client(shown.client.core, "default", actor="bob")
        run = await ann.start(sell.options(id="a/b c"), "o-1")
        await bob.hold(run.id, reason=MARKUP)
        await bob.set_queue("mail", total=1)
        seen = await shown.get("/audit")
        assert seen.text.index("queue.set") < seen.text.index("run.hold") < seen.text.index("run.start")
        assert MARKUP not in seen.html
        assert (await shown.get(seen.link("a/b c"))).status == 200
        for narrowed, there, gone in (
            ({"actor": "ann"}, "run.start", "run.hold"),
            ({"action": "run"}, "run.hold", "queue.set"),
            ({"target": "a/b c"}, "run.hold", "queue.set"),
            ({"actor": "bob", "action": "queue"}, "queue.set", "run.hold"),
        ):
            found = await shown.browser.send(seen, "Narrow down", **narrowed)
            assert there in found.text, narrowed
            assert gone not in found.text, narrowed
        assert "No change is like this" in (await shown.get("/audit?actor=nobody")).text


async def test_pages_follow_each_other() -> None:
    async with dashboard() as shown:
        ann = hf.Client(shown.client.core, "default", actor="ann")
        for n in range(120):
            await ann.set_queue(f"q{n:03}", total=1)
        seen, names = await shown.get("/audit?actor=ann"), []
        while True:
            names += [
                one.text.strip() for one in seen.links if one.text.strip().startswith("q") and one.href == "/queues"
            ]
            if not seen.has_link("Next page"):
                break
            seen = await shown.get(seen.link("Next page"))
        assert names == [f"q{n:03}" for n in reversed(range(120))]
        assert (await shown.get(seen.link("First page"))).text.count("queue.set") == 50


@pytest.mark.parametrize(
    "query", ["before=zz", "actor=%00", "target=" + "x" * 600, "action=" + "x" * 600, "before=" + "0" * 31]
)
async def test_what_cannot_be_is_said(query: str) -> None:
    async with dashboard() as shown:
        seen = await shown.get(f"/audit?{query}")
        assert seen.status == 422
        assert 'role="alert"' in seen.html


async def test_viewers_and_other_tenants_see_none_of_it() -> None:
    async with dashboard(auth=True) as shown:
        ann = hf.Client(shown.client.core, "default", actor="ann")
        await ann.start(sell.options(id="secret-run"), "o-1")
        viewer = await shown.somebody("viewer")
        assert (await viewer.get("/audit")).status == 403
        assert not (await viewer.get("/")).has_link("Audit")
        assert (await (await shown.somebody("operator")).get("/")).has_link("Audit")
        assert "secret-run" in (await (await shown.somebody("operator")).get("/audit")).text
        assert "secret-run" not in (await (await shown.somebody("admin", "acme")).get("/audit")).text
