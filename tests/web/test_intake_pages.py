"""Intake: how sources are doing, their entries by what became of them; dead ones taken in after all, or discarded."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import holdfast as hf
from holdfast.web.pages import intake
from tests.engine.helpers import until
from tests.intake.taking_kit import append, desk, orders, write
from tests.web.browsing import Dashboard, Seen, dashboard
from tests.web.publishing_kit import MARKUP

BROKEN = f'{{"id": "o-9", "card": "4111-1111", "text": "{MARKUP}'


@asynccontextmanager
async def taking(folder: Path, **config: Any) -> AsyncIterator[Dashboard]:
    """A dashboard with a source that has three orders, one that the workflow does not take, and one that is broken."""
    path = write(folder, when="entry.text != 'spam'")
    append(folder, [*orders(1, 2, 3), {"id": "o-4", "text": "spam"}, BROKEN])
    async with dashboard(**config) as shown, hf.Worker(shown.client, [desk], intake=path, drain=0):

        async def read() -> bool:
            return [(one.runs, one.filtered, one.dead) for one in await shown.client.sources()] == [(3, 1, 1)]

        await until(read)
        yield shown


def places(seen: Seen) -> list[str]:
    """Where the entries of a page's table stood."""
    return [link.text.strip() for link in seen.links if link.href.startswith("/entry?id=")]


async def test_there_is_none_yet() -> None:
    async with dashboard() as shown:
        assert "No source was read yet" in (await shown.get("/intake")).text
        assert "No entries yet" in (await shown.get("/entries")).text
        assert (await shown.get("/source?name=none")).status == 404
        assert (await shown.get("/entry?id=" + "0" * 32)).status == 404
        assert (await shown.get("/entry?id=x")).status == 422


async def test_a_source_says_how_far_it_is_read_and_each_number_leads_to_its_entries(tmp_path: Path) -> None:
    async with taking(tmp_path) as shown:
        seen = await shown.get("/intake")
        read = (tmp_path / "orders.jsonl").stat().st_size
        for said in ("orders", "jsonl", "desk", f"{read:,} bytes of its file"):
            assert said in seen.text
        source = await shown.get(seen.link("orders"))
        for label, many in {
            "Became runs 3": 3, "Filtered 1 not for the workflow": 1, "Known before 0 no second run": 0,
            "Dead 1 could not be read": 1,
        }.items():  # fmt: skip
            assert len(places(await shown.get(source.link(label)))) == many, label
        assert "offset" in source.text
        assert len(places(source)) == 5
        part = await shown.get("/source?name=orders", fragment="now")
        assert "Became runs 3" in part.text
        assert not places(part)


async def test_entries_are_found_by_source_message_and_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with taking(tmp_path) as shown:
        [entry] = await shown.client.entries(message_id="o-2")
        for query, many in {
            "": 5, "source=orders": 5, "source=others": 0, "message=o-2": 1, f"run={entry.run_id}": 1,
            "outcome=dead": 1, "outcome=nothing": 5, "source=orders&outcome=filtered": 1,
        }.items():  # fmt: skip
            assert len(places(await shown.get(f"/entries?{query}"))) == many, query
        refused = await shown.get("/entries?before=x")
        assert refused.status == 422
        assert "32 hexadecimal digits" in refused.text
        monkeypatch.setattr(intake, "LIST_SHOWN", 2)
        pages = [await shown.get("/entries")]
        while pages[-1].has_link("Next page"):
            pages.append(await shown.get(pages[-1].link("Next page")))
        assert [len(places(one)) for one in pages] == [2, 2, 1]
        assert len({place for one in pages for place in places(one)}) == 5


async def test_an_entry_leads_to_its_run_and_a_dead_one_says_why(tmp_path: Path) -> None:
    async with taking(tmp_path) as shown:
        [entry] = await shown.client.entries(message_id="o-1")
        seen = await shown.get(f"/entry?id={entry.id}")
        assert not seen.has_link("Discard")
        assert entry.run_id is not None
        assert (await shown.get(seen.link(entry.run_id))).status == 200
        [dead] = await shown.client.entries(outcome="dead")
        seen = await shown.get(f"/entry?id={dead.id}")
        assert "Why it is dead" in seen.text
        assert MARKUP in seen.text
        assert MARKUP not in seen.html


async def test_a_dead_entry_is_mended_and_taken_in_after_all(tmp_path: Path) -> None:
    async with taking(tmp_path) as shown:
        [dead] = await shown.client.entries(outcome="dead")
        asked = await shown.get((await shown.get(f"/entry?id={dead.id}")).link("Take it in after all"))
        again = await shown.browser.send(asked, "Take it in")
        assert again.status == 422
        assert "is no JSON that can be read" in again.text
        done = await shown.browser.send(again, "Take it in", content='{"id": "o-9",\r\n "text": "order 9"}')
        assert done.path.startswith("/runs/orders%2F")
        assert "became this run" in done.text
        [run] = [one for one in await shown.client.list(workflow="desk") if dead.id in one.id]
        assert run.input["message"]["data"] == {"id": "o-9", "text": "order 9"}
        late = await shown.browser.send(asked, "Take it in")
        assert late.status == 422
        assert "is not dead" in late.text


async def test_what_was_kept_is_taken_in_as_it_was_where_nothing_was_changed() -> None:
    from holdfast.web.pages.intake_levers import _changed

    assert _changed("a\nb", "a\r\nb") is None
    assert _changed("a\r\nb", "a\r\nb") is None
    assert _changed("a\nb", "a\r\nc") == "a\nc"
    assert _changed("a\r\nb", "a\r\nc") == "a\r\nc"
    assert _changed(None, "a\r\nb") == "a\nb"
    assert _changed("a", None) is None


async def test_a_dead_entry_is_discarded_with_a_reason(tmp_path: Path) -> None:
    async with taking(tmp_path) as shown:
        assert (await shown.get("/")).link("1 dead entry") == "/entries?outcome=dead"
        letters = await shown.get("/dead-letters")
        assert "Dead entries 1 that came in and could not be read" in letters.text
        [place] = places(letters)
        asked = await shown.get((await shown.get(letters.link(place))).link("Discard"))
        assert (await shown.browser.send(asked, "Discard it", reason="")).status == 422
        done = await shown.browser.send(asked, "Discard it", reason="nobody's order")
        assert "It is discarded." in done.text
        assert "Why it was discarded nobody's order" in done.text
        assert not done.has_link("Discard")
        assert [one.dead for one in await shown.client.sources()] == [0]


async def test_a_source_is_read_anew_and_makes_no_second_runs(tmp_path: Path) -> None:
    async with taking(tmp_path) as shown:
        asked = await shown.get((await shown.get("/source?name=orders")).link("Read it anew"))
        for fields, said in (
            ({"to": "position", "position": "["}, "this is not JSON"),
            ({"to": "position", "position": "7"}, "Give a position as the source&#39;s page shows it"),
            ({"to": "nowhere"}, "Choose one of these."),
        ):
            refused = await shown.browser.send(asked, "Read it from there", **fields)
            assert refused.status == 422
            assert said in refused.html

        async def rewound() -> bool:
            done = await shown.browser.send(asked, "Read it from there", to="beginning")
            return done.status == 200 and "entries that it knows make no second run" in done.text

        await until(rewound)  # it is refused while the source is read on

        async def known() -> bool:
            [source] = await shown.client.sources()
            return source.repeated >= 3

        await until(known)
        assert (await shown.client.count(workflow="desk")).runs == 3


async def test_a_viewer_has_no_levers_and_sees_no_contents_and_another_tenant_nothing(tmp_path: Path) -> None:
    async with taking(tmp_path, auth=True, redact=("card",)) as shown:
        viewer, operator = await shown.somebody("viewer"), await shown.somebody("operator")
        theirs = await shown.somebody("admin", "acme")
        [dead] = await shown.client.entries(outcome="dead")
        seen = await viewer.get(f"/entry?id={dead.id}")
        assert "4111-1111" not in seen.html
        assert "4111-1111" in (await operator.get(f"/entry?id={dead.id}")).html
        for path in ("/entries?outcome=dead", "/source?name=orders"):
            assert dead.reason[:20] in (await operator.get(path)).text
            assert dead.reason[:20] not in (await viewer.get(path)).text
        assert not seen.has_link("Discard")
        assert not seen.has_link("Take it in after all")
        assert not (await viewer.get("/source?name=orders")).has_link("Read it anew")
        assert "Its position" in (await operator.get("/source?name=orders")).text
        assert "Its position" not in (await viewer.get("/source?name=orders")).text
        paths = (f"/entry/retry?id={dead.id}", f"/entry/discard?id={dead.id}", "/source/rewind?name=orders")
        for path in paths:
            assert (await viewer.get(path)).status == 403, path
            assert (await viewer.post(path.partition("?")[0], {"id": dead.id, "name": "orders"})).status == 403, path
            assert (await theirs.get(path)).status == 404, path
        assert "No source was read yet" in (await theirs.get("/intake")).text
        assert "No entries yet" in (await theirs.get("/entries")).text
        assert (await theirs.get(f"/entry?id={dead.id}")).status == 404
        refused = await theirs.post("/entry/discard", {"id": dead.id, "reason": "x"})
        assert refused.status == 404
        assert (await shown.client.entry(dead.id)).outcome == "dead"
