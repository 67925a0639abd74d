"""Diverted starts: found by filters, why each made no run, started after all; told of where its run is looked for."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import holdfast as hf
from holdfast.web.pages import diversions
from tests.engine.helpers import until
from tests.intake.taking_kit import ORDERS, append, write
from tests.web.browsing import Dashboard, Seen, dashboard

MARKUP = "<script>alert('d')</script>"
CARD = "4111-1111-1111"


@hf.workflow(rate_limit=hf.RateLimit(1, per="1h", key="customer", excess="drop"))
async def remind(customer: str, card: str = "") -> str:
    return customer


@hf.workflow(rate_limit=hf.RateLimit(1, per="1h"))
async def slowly() -> None:
    pass


@hf.workflow(debounce=hf.Debounce("1h", longest="2h", key="doc"))
async def index(doc: str, text: str = "") -> str:
    return text


@hf.workflow(singleton=hf.Singleton(key="order"))
async def check(order: str) -> Any:
    return await hf.wait_for_event("checked", key=order)


@hf.workflow(batch=hf.Batch(5, within="1h"))
async def gather(items: list[int]) -> int:
    return len(items)


@hf.workflow(rate_limit=hf.RateLimit(1, per="1h", excess="drop"))
async def desk(message: hf.Incoming) -> str:
    return message.id


@hf.workflow(debounce=hf.Debounce("1h", longest="1h"))
async def quiet_desk(message: hf.Incoming) -> str:
    return message.id


SERVED = [remind, slowly, index, check, gather, desk, quiet_desk]


def listed(seen: Seen) -> list[str]:
    """The starts in a page's table."""
    return [link.text.strip() for link in seen.links if link.href.startswith("/diversion?id=")]


async def divert(client: hf.Client) -> None:
    """Starts of every kind; of each the first makes a run."""
    for number in range(2):
        await client.start(remind.options(id=f"r-{number}"), "ada", CARD)
        await client.start(slowly.options(id=f"s-{number}"))
        await client.start(index.options(id=f"i-{number}"), "d-1", f"text {number}")
        await client.start(check.options(id=f"c-{number}"), "o-1")
        await client.start(gather.options(id=f"g-{number}"), [number])


async def at(shown: Dashboard, asked: str) -> Seen:
    """The page of the start that asked for an id."""
    [found] = await shown.client.diversions(id=asked)
    return await shown.get(f"/diversion?id={found.id}")


async def test_there_are_none_yet() -> None:
    async with dashboard() as shown:
        assert "No start was diverted" in (await shown.get("/diversions")).text
        assert (await shown.get("/diversion?id=" + "0" * 32)).status == 404
        for path in ("/diversion?id=x", "/diversion", "/diversion/start?id=x"):
            seen = await shown.get(path)
            assert seen.status == 422, path
            assert "32 hexadecimal digits" in seen.text


async def test_they_are_listed_newest_first_and_found_by_all_that_they_have() -> None:
    async with dashboard() as shown:
        await divert(shown.client)
        everything = await shown.get("/diversions")
        assert listed(everything) == ["g-1", "c-1", "i-1", "s-1", "r-1", "g-0", "i-0"]
        for query, ids in {
            "workflow=remind": ["r-1"], "key=ada": ["r-1"], "key=d-1&workflow=index": ["i-1", "i-0"],
            "way=merged": ["g-1", "i-1"], "rule=singleton": ["c-1"], "run=g-0": ["g-1", "g-0"], "asked=s-1": ["s-1"],
            "way=nothing": listed(everything), "rule=batch&way=delayed": ["g-0"],
        }.items():  # fmt: skip
            assert listed(await shown.get(f"/diversions?{query}")) == ids, query
        assert listed(await shown.get(everything.link("Dropped"))) == ["c-1", "r-1"]
        narrowed = await shown.browser.send(everything, "Find", {"asked": ""}, workflow="check")
        assert listed(narrowed) == ["c-1"]
        assert listed(await shown.get(narrowed.link("All diverted starts"))) == listed(everything)
        assert "No diverted start is found" in (await shown.get("/diversions?key=nobody")).text
        part = await shown.get("/diversions?way=dropped", fragment="rows")
        assert listed(part) == ["c-1", "r-1"]
        assert "<html" not in part.html


@pytest.mark.parametrize(("query", "said"), [("before=x", "32 hexadecimal"), ("workflow=%00", "NUL")])
async def test_filters_that_cannot_be_used_say_why(query: str, said: str) -> None:
    async with dashboard() as shown:
        seen = await shown.get(f"/diversions?{query}")
        assert seen.status == 422
        assert said in seen.text
        assert "These filters cannot be used" in seen.text


async def test_pages_follow_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diversions, "LIST_SHOWN", 2)
    async with dashboard() as shown:
        await shown.client.start_many(remind, [("ada",)] * 6, ids=[f"r-{number}" for number in range(6)])
        pages = [await shown.get("/diversions?workflow=remind")]
        while pages[-1].has_link("Next page"):
            pages.append(await shown.get(pages[-1].link("Next page")))
        found = [listed(one) for one in pages]
        assert [len(one) for one in found] == [2, 2, 1]
        assert sorted(id for one in found for id in one) == [f"r-{number}" for number in range(1, 6)]
        assert listed(await shown.get(pages[-1].link("First page"))) == found[0]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("r-1", "The rate limit of its workflow (key ada) dropped it: at most 1 run of 'ada' starts in 1 h."),
        ("r-1", "Its input is kept: it can be started after all, past the rule."),
        ("c-1", "The singleton of its workflow (key o-1) dropped it: run 'c-0' of 'o-1' is open."),
        ("c-1", "It was dropped because of this run: c-0"),
        ("i-1", "The debounce of its workflow (key d-1) merged it"),
        ("i-1", "It went into this run: i-0"),
        ("g-1", "The batch of its workflow"),
        ("s-1", "Why it starts later"),
        ("s-1", "It is a run of its own. It was to start at"),
    ],
)
async def test_one_says_in_words_what_became_of_it(asked: str, said: str) -> None:
    async with dashboard() as shown:
        await divert(shown.client)
        seen = await at(shown, asked)
        assert seen.status == 200
        assert said in seen.text.replace(" UTC", "")
        assert seen.has_link("Start it after all") == (asked in ("r-1", "c-1"))
        assert f'"text": "{"text 1"}"' in seen.text or asked != "i-1", "the input that was replaced is kept"


async def test_one_leads_to_its_run_and_that_back_to_it(disk_url: str) -> None:
    async with dashboard(disk_url) as shown:
        await divert(shown.client)
        run = await shown.get((await at(shown, "g-1")).link("g-0"))
        assert run.path == "/runs/g-0"
        assert "Collects a batch: 2 starts so far" in run.text
        assert listed(await shown.get(run.link("1 more went into it"))) == ["g-1", "g-0"]
        assert (await shown.get("/runs/c-0")).link("1 dropped because of it") == "/diversions?run=c-0"
        assert "went into it" not in (await shown.get("/runs/s-0")).text
        assert "Waits for its rate limit" in (await shown.get("/runs/s-1")).text
        assert "+00:00" not in (await at(shown, "s-1")).text, "instants are shown as on all pages"


async def test_starts_of_a_run_are_counted_to_a_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.web.diversion_parts.COUNTED", 3)
    async with dashboard() as shown:
        await shown.client.start_many(check, [("o-1",)] * 6, ids=[f"c-{number}" for number in range(6)])
        assert (await shown.get("/runs/c-0")).has_link("3+ dropped because of it")


async def test_what_was_dropped_is_started_after_all_once_and_that_is_in_the_audit(disk_url: str) -> None:
    async with dashboard(disk_url) as shown, hf.Worker(shown.client, SERVED, drain=0):
        await divert(shown.client)
        asked = await shown.get((await at(shown, "r-1")).link("Start it after all"))
        assert "Start r-1 after all?" in asked.text
        done = await shown.browser.send(asked, "Start it")
        assert done.path == "/runs/r-1"
        assert "The start that was dropped became this run." in done.text
        assert (await shown.browser.send(asked, "Start it")).path == "/runs/r-1"
        assert await (await shown.client.handle("r-1", remind)).result("20s") == "ada"
        seen = await at(shown, "r-1")
        assert not seen.has_link("Start it after all")
        assert "There is a run of its id now: r-1" in seen.text
        audit = await shown.get(seen.link("Its changes"))
        assert audit.text.count("diversion.start") == 1


async def test_what_was_not_dropped_or_is_taken_is_refused_in_words() -> None:
    async with dashboard() as shown, hf.Worker(shown.client, SERVED, drain=0):
        await divert(shown.client)
        for asked, why in (("g-1", "was merged into run"), ("s-1", "was delayed")):
            [found] = await shown.client.diversions(id=asked)
            seen = await shown.browser.post("/diversion/start", {"id": found.id})
            assert seen.path == f"/diversion?id={found.id}"
            assert why in seen.text
        await shown.client.start(gather.options(id="c-1"), [1, 2, 3, 4, 5])
        [found] = await shown.client.diversions(id="c-1")
        seen = await shown.browser.post("/diversion/start", {"id": found.id})
        assert "is taken by another run meanwhile" in seen.text


# Where else it is told


async def test_the_page_of_a_run_that_there_is_not_says_why_and_a_search_for_it_leads_there() -> None:
    async with dashboard() as shown:
        await divert(shown.client)
        missing = await shown.get("/runs/r-1")
        assert missing.status == 404
        assert "There is no run r-1: its start was dropped. At most 1 run of 'ada' starts in 1 h." in missing.text
        why = await shown.get(missing.link("Why there is no such run"))
        assert "Why it made no run of its own" in why.text
        assert "its start went into another run" in (await shown.get("/runs/i-1")).text
        found = await shown.get("/runs?jump=yes&q=i-1")
        assert found.path == why.path.partition("=")[0] + "=" + (await shown.client.diversions(id="i-1"))[0].id
        assert not (await shown.get("/runs/never-started")).has_link("Why there is no such run")
        assert (await shown.get("/runs?jump=yes&q=i-0")).path == "/runs/i-0"


async def test_the_form_that_starts_a_run_says_that_it_made_none() -> None:
    async with dashboard() as shown, hf.Worker(shown.client, SERVED, drain=0):
        for id, words in (("a-1", "The run is started."), ("a-2", "No run: the start was dropped.")):
            form = await shown.get("/start?workflow=remind")
            done = await shown.browser.send(form, "Start the run", **{"in.customer": "ada", "id": id})
            assert words in done.text
        assert "at most 1 run of 'ada' starts in 1 h" in done.text
        assert done.has_link("Start it after all")
        for id, words in (("b-1", "The run starts later: "), ("b-2", "the start went into one that is there.")):
            form = await shown.get("/start?workflow=index")
            done = await shown.browser.send(form, "Start the run", **{"in.doc": "d-1", "id": id})
            assert words in done.text
        assert (await shown.get(done.link("b-1"))).path == "/runs/b-1"


@pytest.mark.parametrize(
    ("workflow", "title"),
    [(desk, "Its start was dropped by a rule"), (quiet_desk, "let its start go into another run")],
)
async def test_an_entry_that_made_no_run_says_why_and_leads_to_its_start(
    tmp_path: Path, workflow: Any, title: str
) -> None:
    path = write(tmp_path, ORDERS.replace("desk", workflow.name))
    append(tmp_path, [{"id": f"o-{number}", "text": "x"} for number in range(3)])
    async with dashboard() as shown, hf.Worker(shown.client, [workflow], intake=path, drain=0):

        async def read() -> bool:
            return len(await shown.client.entries()) == 3

        await until(read)
        starts = []
        for number in range(3):
            [entry] = await shown.client.entries(message_id=f"o-{number}")
            seen = await shown.get(f"/entry?id={entry.id}")
            assert ("Why it made no run of its own" in seen.text) == (number > 0)
            if number:
                assert title in seen.text
                starts.append((await shown.get(seen.link("See the start"))).path)
        assert starts == [f"/diversion?id={one.id}" for one in reversed(await _none_made(shown))]


async def _none_made(shown: Dashboard) -> list[hf.DiversionView]:
    return [one for one in await shown.client.diversions() if one.way != "delayed"]


async def test_a_time_of_a_schedule_whose_start_was_dropped_says_so() -> None:
    async with dashboard() as shown, hf.Worker(shown.client, SERVED, drain=0):
        first = datetime(2026, 1, 1, tzinfo=UTC)
        await shown.client.schedule("often", remind, input=("ada",), every="1s", start_at=first)

        async def made_none() -> bool:
            return len(await shown.client.diversions(workflow="remind")) > 1

        await until(made_none)
        seen = await shown.get("/schedules/often")
        why = await shown.get(seen.link("dropped by a rule"))
        assert "Why it made no run of its own" in why.text
        assert "often/" in why.text


# Who sees what


async def test_a_viewer_looks_an_operator_starts_and_another_tenant_sees_nothing() -> None:
    async with dashboard(auth=True) as shown:
        await divert(shown.client)
        [found] = await shown.client.diversions(id="r-1")
        viewer, operator = await shown.somebody("viewer"), await shown.somebody("operator")
        theirs = await shown.somebody("admin", "acme")
        assert listed(await viewer.get("/diversions?way=dropped")) == ["c-1", "r-1"]
        page, asking = f"/diversion?id={found.id}", f"/diversion/start?id={found.id}"
        seen = await viewer.get(page)
        assert seen.status == 200
        assert not seen.has_link("Start it after all")
        assert not seen.has_link("Its changes")
        assert (await operator.get(page)).has_link("Start it after all")
        assert (await viewer.get(asking)).status == 403
        assert (await viewer.post("/diversion/start", {"id": found.id})).status == 403
        assert "No start was diverted" in (await theirs.get("/diversions")).text
        assert (await theirs.get("/diversions?run=c-0")).text.count("No diverted start is found") == 1
        for path in (page, asking):
            assert (await theirs.get(path)).status == 404, path
        assert (await theirs.post("/diversion/start", {"id": found.id})).status == 404
        missing = await theirs.get("/runs/r-1")
        assert missing.status == 404
        assert "dropped" not in missing.text
        assert await shown.client.list(workflow="remind", limit=5) == [await shown.client.get("r-0")]


async def test_what_is_hidden_is_hidden_in_the_input_of_a_start() -> None:
    async with dashboard(auth=True, redact=("card",)) as shown:
        await divert(shown.client)
        [found] = await shown.client.diversions(id="r-1")
        for path in ("/diversions", f"/diversion?id={found.id}", "/runs/r-1"):
            assert CARD not in (await (await shown.somebody("viewer")).get(path)).html, path
        assert "[redacted]" in (await (await shown.somebody("viewer")).get(f"/diversion?id={found.id}")).text
        assert CARD in (await (await shown.somebody("operator")).get(f"/diversion?id={found.id}")).html


async def test_markup_in_keys_ids_and_reasons_is_text() -> None:
    async with dashboard() as shown:
        for number in range(2):
            await shown.client.start(check.options(id=f"{MARKUP}{number}"), MARKUP)
        [found] = await shown.client.diversions()
        for path in ("/diversions", f"/diversion?id={found.id}", f"/diversion/start?id={found.id}"):
            seen = await shown.get(path)
            assert MARKUP in seen.text, path
            assert MARKUP not in seen.html, path
        missing = await shown.get((await shown.get("/diversions")).link(MARKUP + "0"))
        assert MARKUP not in missing.html


async def test_an_input_that_cannot_be_opened_says_why(tmp_path: Path) -> None:
    url, keys = f"sqlite:///{tmp_path}/shop.db", hf.AesGcm({"k1": b"1" * 32}, "k1")
    async with hf.connect(url, values=hf.Values(codec=keys)) as client:
        await client.start_many(remind, [("ada", CARD)] * 2, ids=["r-0", "r-1"])
    async with dashboard(url) as shown:
        seen = await at(shown, "r-1")
        assert seen.status == 200
        assert "sealed by key k1" in seen.text
        assert CARD not in seen.html
