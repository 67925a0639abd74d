"""Conversations: found by filters, gone through turn by turn, closed."""

from __future__ import annotations

import asyncio
from urllib.parse import parse_qs, urlsplit

import pytest

import holdfast as hf
from holdfast.web.conversation_parts import LIST_SHOWN
from tests.web.browsing import Seen
from tests.web.talk_kit import renew, talking
from tests.web.work_kit import MARKUP, as_person, item, move_clock, people, sent, work_of


def users(seen: Seen) -> list[str]:
    """Whose conversations a page of the list has, in order."""
    found = [" ".join(one.text.split()) for one in seen.links if one.href.startswith("/conversations/")]
    return [one for one in found if one]


# The list


async def test_the_list_says_of_each_whose_it_is_what_it_is_and_how_far(store_url: str) -> None:
    async with talking(store_url) as on:
        made = await item(work_of(on.shown), "Renew Obsidian")
        await on.begun("company", "date", user="ann", item=made)
        await on.begun("company", "date", "yes", user="bea")
        given_up = await on.begun(user="cleo")
        await on.desk.abandon(given_up)
        seen = await on.shown.get("/conversations")
        assert seen.status == 200
        assert users(seen) == ["cleo", "bea", "ann"]
        rows = seen.html.split("<tr data-row")[1:]
        assert ["abandoned" in rows[0], "handed over" in rows[1], "open" in rows[2]] == [True] * 3
        assert "66 %" in rows[2]
        assert seen.link("Renew Obsidian") == f"/work/{made}"
        assert "expires" in rows[2]
        assert "over since" in rows[0]


async def test_the_list_is_narrowed_down_by_what_stands_in_its_address(store_url: str) -> None:
    async with talking(store_url, many=True) as on:
        made = await item(work_of(on.shown))
        await on.begun(user="ann", item=made)
        await on.begun("hello", user="bea", definition="chat")
        await on.desk.end(await on.begun(user="cleo"))
        for query, wanted in {
            "user=ann": ["ann"], "status=ended": ["cleo"], "definition=chat": ["bea"], f"item={made}": ["ann"],
            "user=ann&status=ended": [], "status=nonsense": ["cleo", "bea", "ann"],
        }.items():  # fmt: skip
            assert users(await on.shown.get(f"/conversations?{query}")) == wanted, query
        filtered = await on.shown.get("/conversations?user=ann")
        found = await on.shown.browser.send(filtered, "Find", status="open", user="bea")
        assert users(found) == ["bea"]
        assert parse_qs(urlsplit(found.path).query) == {"user": ["bea"], "status": ["open"]}
        nothing = await on.shown.get("/conversations?user=nobody")
        assert "Nothing meets all of these filters." in nothing.text
        for query in ("user=a%00b", "before=nonsense", "before=99999999999999999999.x"):
            assert (await on.shown.get(f"/conversations?{query}")).status == 422, query


async def test_those_that_have_expired_are_shown_if_asked_for_and_said_to_be_so() -> None:
    async with talking() as on:
        id = await on.begun(user="ann")
        await move_clock(on.shown, days=2)
        seen = await on.shown.get("/conversations")
        assert users(seen) == []
        seen = await on.shown.get(seen.link("look among them"))
        assert users(seen) == ["ann"]
        assert "expired" in seen.html.split("<tr data-row")[1]
        page = await on.shown.get(f"/conversations/{id}")
        assert "It expired" in page.text
        assert not page.has_link("End it")
        refused = await on.shown.browser.post(f"/conversations/{id}?do=end", {})
        assert "has expired" in refused.text


async def test_pages_of_the_list_begin_where_the_one_before_ended_whatever_changed_since(store_url: str) -> None:
    async with talking(store_url) as on:
        ids = [await on.begun(user=f"u{number:02}") for number in range(LIST_SHOWN + 3)]
        first = await on.shown.get("/conversations")
        assert users(first) == [f"u{number:02}" for number in range(LIST_SHOWN + 2, 2, -1)]
        # The last one of the page is said more to, and so goes to the top.
        await on.desk.turn("u03", "date", conversation_id=ids[3])
        second = await on.shown.get(first.link("Next page"))
        assert users(second) == ["u02", "u01", "u00"]
        assert users(await on.shown.get(second.link("First page")))[0] == "u03"
        assert not second.has_link("Next page")


async def test_an_empty_list_says_how_conversations_begin() -> None:
    async with talking() as on:
        assert "One begins with" in (await on.shown.get("/conversations")).text
        on.shown.server.engines = {}
        assert "the engines of your conversations" in (await on.shown.get("/conversations")).text


# One conversation


async def test_a_conversation_is_shown_turn_by_turn_with_what_each_changed_and_cost(store_url: str) -> None:
    async with talking(store_url) as on:
        made = await item(work_of(on.shown), "Renew Obsidian")
        id = await on.begun("company", "another one", "date", "hm", user="ann", item=made)
        seen = await on.shown.get(f"/conversations/{id}")
        assert seen.status == 200
        turns = seen.html.split('<li class="talk-turn"')[1:]
        assert [f"Turn {number}" in turn for number, turn in enumerate(turns, 1)] == [True] * 4
        assert "When does it renew?" in turns[0]
        assert '<span class="dim">company</span> <ins>Obsidian</ins>' in turns[0]
        assert '<span class="dim">company</span> <del>Obsidian</del> <ins>Basalt</ins>' in turns[1]
        assert "It changed nothing of the state." in turns[3]
        for words in ("model rote-1", "tokens 1,200 in, 34 out", "cost $0.0123", "waited", "model took", "in all"):
            assert words in seen.text, words
        assert "66 % 2 of 3 steps, next: Confirmation" in seen.text
        assert seen.link("Renew Obsidian") == f"/work/{made}"
        exported = await on.shown.browser.http.get(seen.link("Export"))
        assert exported.status_code == 200
        assert exported.text.count("\n") >= 4


async def test_a_conversation_that_is_over_links_to_the_run_that_it_started() -> None:
    async with talking() as on, hf.Worker(on.shown.client, [renew], drain=0):
        id = await on.begun("company", "date", "yes")
        seen = await on.shown.get(f"/conversations/{id}")
        assert "handed over" in seen.text
        run = await on.shown.get(seen.link(f"{id}/3"))
        assert "renew" in run.text


async def test_what_is_said_is_shown_and_never_run() -> None:
    async with talking() as on:
        made = await item(work_of(on.shown))
        id = await on.begun("company", f"{MARKUP} <b>bold</b>", user="local", item=made)
        await on.begun(user="<i>ann</i>")
        for path in (f"/conversations/{id}", f"/work/{made}", "/conversations"):
            seen = await on.shown.get(path)
            for tag in (MARKUP, "<b>bold</b>", "<i>ann</i>"):
                assert tag not in seen.html, path
        assert f"You said: {MARKUP} <b>bold</b>" in (await on.shown.get(f"/conversations/{id}")).text


async def test_a_long_conversation_has_its_newest_turns_first_and_the_others_on_pages() -> None:
    async with talking() as on:
        id = await on.begun("company", *(f"word {number}" for number in range(2, 120)))
        newest = await on.shown.get(f"/conversations/{id}")
        assert "70 to 119 of 119" in newest.text
        earlier = await on.shown.get(newest.link("Earlier turns"))
        assert "20 to 69 of 119" in earlier.text
        first = await on.shown.get(earlier.link("Earlier turns"))
        assert "1 to 50 of 119" in first.text
        assert not first.has_link("Earlier turns")
        later = await on.shown.get(first.link("Later turns"))
        assert "51 to 100 of 119" in later.text
        assert "70 to 119 of 119" in (await on.shown.get(later.link("Newest turns"))).text
        assert "There are none behind this number" in (await on.shown.get(f"/conversations/{id}?after=500")).text
        assert len(newest.html) < 150_000


async def test_a_conversation_is_ended_or_given_up_after_a_question(store_url: str) -> None:
    async with talking(store_url) as on:
        for label, said, status in (("End it", "is ended", "ended"), ("Abandon it", "is abandoned", "abandoned")):
            id = await on.begun()
            asked = await on.shown.get((await on.shown.get(f"/conversations/{id}")).link(label))
            assert "no further turn" in asked.text
            done = await on.shown.browser.send(asked, label)
            assert f"The conversation {said}." in done.text
            assert (await on.desk.get(id)).status == status
            assert not done.has_link("End it")
            other = {"ended": "abandon", "abandoned": "end"}[status]
            again = await on.shown.browser.post(f"/conversations/{id}?do={other}", {})
            assert f"The conversation was {status} before." in again.text
        with pytest.raises(hf.ConversationEnded):
            await on.desk.turn("ann", "date", conversation_id=id)
        assert (await on.shown.get(f"/conversations/{id}?do=fly")).status == 422


async def test_a_conversation_with_a_turn_in_progress_is_ended_behind_it() -> None:
    async with talking() as on:
        id = await on.begun()
        on.model.gate.clear()
        turn = asyncio.create_task(on.desk.turn("ann", "date", conversation_id=id))
        while len(on.model.asked) < 2:
            await asyncio.sleep(0.01)
        ending = asyncio.create_task(on.shown.browser.post(f"/conversations/{id}?do=end", {}))
        while not on.desk._holding.waiting:
            await asyncio.sleep(0.01)
        on.model.gate.set()
        assert (await turn).number == 2
        assert "The conversation is ended." in (await ending).text
        assert (await on.desk.get(id)).turns == 2


async def test_who_may_close_a_conversation_is_who_has_it_or_an_operator_with_the_token_of_the_session() -> None:
    async with talking(auth=True) as on:
        await people(on.shown)
        mine, others = await on.begun(user="grace"), await on.begun(user="linus")
        grace, ada, vera = [await as_person(on.shown, one) for one in ("grace", "ada", "vera")]
        assert (await vera.get(f"/conversations/{mine}")).status == 200
        assert not (await vera.get(f"/conversations/{mine}")).has_link("End it")
        assert (await vera.get(f"/conversations/{mine}?do=end")).status == 403
        assert (await grace.get(f"/conversations/{mine}")).has_link("End it")
        assert (await sent(grace, f"/conversations/{others}?do=end", {})).status == 403
        assert (await ada.post(f"/conversations/{others}?do=end", {"csrf": "wrong"})).status == 403
        assert (await on.desk.get(others)).status == "open"
        await sent(ada, f"/conversations/{others}?do=end", {})
        await sent(grace, f"/conversations/{mine}?do=abandon", {})
        assert [(await on.desk.get(one)).status for one in (mine, others)] == ["abandoned", "ended"]


async def test_a_conversation_of_nobody_or_of_another_tenant_is_not_found() -> None:
    async with talking(auth=True) as on:
        id = await on.begun()
        stranger = await on.shown.somebody("admin", tenant="other")
        assert (await (await on.shown.somebody("viewer")).get(f"/conversations/{id}")).status == 200
        for path in (f"/conversations/{id}", f"/conversations/{id}?do=end", "/conversations/none"):
            lost = await stranger.get(path)
            assert (lost.status, lost.link("All conversations")) == (404, "/conversations?expired=yes"), path
        assert (await stranger.post(f"/conversations/{id}?do=end", {})).status == 404
        assert users(await stranger.get("/conversations")) == []


async def test_what_is_hidden_from_viewers_is_hidden_in_conversations_too() -> None:
    async with talking(auth=True, redact=("company",)) as on:
        made = await item(work_of(on.shown))
        id = await on.begun("company", "another one", "I said Basalt", item=made)
        viewer, operator = await on.shown.somebody("viewer"), await on.shown.somebody("operator")
        for path in (f"/conversations/{id}", f"/work/{made}"):
            assert "Basalt" not in (await viewer.get(path)).html, path
        assert "<ins>Basalt</ins>" in (await operator.get(f"/conversations/{id}")).html
