"""The conversation on the page of a work item: begun, gone on with, had once only; in a Redis that is away, too."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.redis_servers import RedisServer
from tests.web.browsing import Seen
from tests.web.talk_kit import talking
from tests.web.work_kit import as_person, item, people, sent, work_of


def turn_id(seen: Seen, button: str) -> str:
    """What the next turn that a form has calls itself."""
    return dict(seen.form(button).values)["turn"]


async def test_a_conversation_is_begun_and_gone_on_with_on_the_page_of_an_item(store_url: str) -> None:
    async with talking(store_url) as on:
        made = await item(work_of(on.shown))
        seen = await on.shown.get(f"/work/{made}")
        assert "No conversation belongs to it yet." in seen.text
        begun = await on.shown.browser.send(seen, "Begin it", message="company")
        assert urlsplit(begun.path).path == f"/work/{made}"
        assert "When does it renew?" in begun.text
        assert "33 %" in begun.text
        went_on = await on.shown.browser.send(begun, "Send", message="date\r\nof two lines")
        assert "Shall I renew it?" in went_on.text
        [view] = await on.desk.list()
        assert (view.user, view.item, view.turns) == ("local", made, 2)
        assert (await on.desk.turns(view.id))[1].message == "date\nof two lines"
        over = await on.shown.browser.send(went_on, "Send", message="yes")
        assert "It is done." in over.text
        assert "handed over" in over.text
        assert not over.has_button("Send")
        assert over.has_button("Begin it")


@pytest.mark.parametrize("id", ["queue", "..", "a/b", "ü ?&#%"])
async def test_items_of_odd_ids_have_conversations(id: str) -> None:
    async with talking() as on:
        await item(work_of(on.shown), "Odd", id=id)
        seen = await on.shown.get((await on.shown.get("/work")).link("Odd"))
        begun = await on.shown.browser.send(seen, "Begin it", message="company")
        assert "When does it renew?" in begun.text
        assert [one.item for one in await on.desk.list()] == [id]


async def test_a_form_that_is_sent_twice_has_one_turn(store_url: str) -> None:
    async with talking(store_url) as on:
        made = await item(work_of(on.shown))
        seen = await on.shown.get(f"/work/{made}")
        for button, message in (("Begin it", "company"), ("Send", "date")):
            both = await asyncio.gather(*(on.shown.browser.send(seen, button, message=message) for _ in range(2)))
            again = await on.shown.browser.send(seen, button, message=message)
            assert [one.status for one in (*both, again)] == [200] * 3
            seen = again
        assert on.model.asked == ["company", "date"]
        [view] = await on.desk.list()
        assert view.turns == 2


async def test_a_turn_that_fails_leaves_what_was_said_in_the_form_to_be_sent_again() -> None:
    async with talking() as on:
        made = await item(work_of(on.shown))
        seen = await on.shown.browser.send(await on.shown.get(f"/work/{made}"), "Begin it", message="company")
        on.model.fails = True
        failed = await on.shown.browser.send(seen, "Send", message="date & time")
        assert failed.status == 422
        assert "nothing of it is stored" in failed.text
        assert dict(failed.form("Send").values)["message"] == "date & time"
        assert turn_id(failed, "Send") == turn_id(seen, "Send")
        on.model.fails = False
        assert "Shall I renew it?" in (await on.shown.browser.send(failed, "Send")).text
        blank = await on.shown.browser.send(await on.shown.get(f"/work/{made}"), "Send", message=" ")
        assert (blank.status, "Give a message." in blank.text) == (422, True)
        # Loaded again, or gone to by hand, the address of the form is the item.
        assert (await on.shown.get(f"/work/{made}/say")).path == f"/work/{made}"


async def test_another_text_under_the_same_turn_is_told_and_gets_a_turn_of_its_own() -> None:
    async with talking() as on:
        made = await item(work_of(on.shown))
        seen = await on.shown.browser.send(await on.shown.get(f"/work/{made}"), "Begin it", message="company")
        await on.shown.browser.send(seen, "Send", message="date")
        other = await on.shown.browser.send(seen, "Send", message="hm")
        assert (other.status, "sent before, with another text" in other.text) == (422, True)
        assert turn_id(other, "Send") != turn_id(seen, "Send")
        assert "You said: hm" in (await on.shown.browser.send(other, "Send")).text


async def test_a_conversation_that_is_closed_meanwhile_leaves_the_text_for_another_one() -> None:
    async with talking() as on:
        made = await item(work_of(on.shown))
        seen = await on.shown.browser.send(await on.shown.get(f"/work/{made}"), "Begin it", message="company")
        [view] = await on.desk.list()
        await on.desk.end(view.id)
        refused = await on.shown.browser.send(seen, "Send", message="date")
        assert "That conversation is over." in refused.text
        begun = await on.shown.browser.send(refused, "Begin it")
        assert "Shall I renew it?" in begun.text
        assert len(await on.desk.list(item=made)) == 2


async def test_the_page_has_ones_own_open_conversation_else_the_newest_of_anybody_to_look_at() -> None:
    async with talking(auth=True) as on:
        await people(on.shown)
        made = await item(work_of(on.shown), assignee="grace")
        grace, vera = await as_person(on.shown, "grace"), await as_person(on.shown, "vera")
        await on.begun("company", "linus says", user="linus", item=made)
        for browser, may in ((grace, True), (vera, False)):
            seen = await browser.get(f"/work/{made}")
            assert "You said: linus says" in seen.text
            assert "it is only shown here" in seen.text
            assert (seen.has_button("Send"), seen.has_button("Begin it")) == (False, may)
        begun = await grace.send(await grace.get(f"/work/{made}"), "Begin it", message="company")
        await on.begun("linus again", user="linus", item=made)
        seen = await grace.get(f"/work/{made}")
        assert "linus" not in seen.text.partition("Conversation open")[2]
        assert seen.has_button("Send")
        # Nobody goes on with another's, and viewers with none.
        [of_grace] = await on.desk.list(user="grace")
        values = {"conversation": of_grace.id, "turn": "t", "message": "date"}
        linus = await as_person(on.shown, "linus")
        assert "not there any more" in (await sent(linus, f"/work/{made}/say", values)).text
        assert (await sent(vera, f"/work/{made}/say", values)).status == 403
        assert (await grace.post(f"/work/{made}/say", {**values, "csrf": "wrong"})).status == 403
        assert (await on.desk.get(of_grace.id)).turns == 1
        assert begun.status == 200


async def test_of_several_definitions_one_is_chosen() -> None:
    async with talking(many=True) as on:
        made = await item(work_of(on.shown))
        seen = await on.shown.get(f"/work/{made}")
        wrong = await on.shown.browser.send(seen, "Begin it", message="hello", definition="nonsense")
        assert (wrong.status, "Choose one of these." in wrong.text) == (422, True)
        await on.shown.browser.send(wrong, "Begin it", definition="chat")
        [view] = await on.desk.list()
        assert (view.definition, view.item) == ("chat", made)


async def test_where_no_turns_are_served_a_conversation_is_shown_and_none_begun() -> None:
    async with talking() as on:
        work = work_of(on.shown)
        made, other = await item(work), await item(work)
        await on.begun(user="local", item=made)
        on.shown.server.engines = {}
        seen = await on.shown.get(f"/work/{made}")
        assert "When does it renew?" in seen.text
        assert not seen.has_button("Send")
        assert not seen.has_button("Begin it")
        assert 'id="chat"' not in (await on.shown.get(f"/work/{other}")).html


@pytest.fixture
def own_redis(redis_program: str, tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis that the test may stop; it keeps what it has."""
    server = RedisServer(redis_program, tmp_path, "--appendonly", "yes")
    server.start()
    yield server
    server.stop()


async def test_conversations_in_a_redis_have_the_same_pages_and_one_that_is_away_is_told(
    own_redis: RedisServer,
) -> None:
    async with talking(state_url=own_redis.url) as on:
        made = await item(work_of(on.shown))
        seen = await on.shown.browser.send(await on.shown.get(f"/work/{made}"), "Begin it", message="company")
        assert "local" in (await on.shown.get("/conversations")).text
        [view] = await on.desk.list()
        one = await on.shown.get(f"/conversations/{view.id}")
        assert "<ins>Obsidian</ins>" in one.html
        own_redis.stop()
        for path in ("/conversations", f"/conversations/{view.id}"):
            lost = await on.shown.get(path)
            assert (lost.status, "Nothing is lost, and trying again is safe." in lost.text) == (503, True), path
        beside = await on.shown.get(f"/work/{made}")
        assert (beside.status, "Conversations cannot be reached just now" in beside.text) == (200, True)
        away = await on.shown.browser.send(seen, "Send", message="date")
        assert (away.status, "Your text is still here" in away.text) == (422, True)
        assert dict(away.form("Send").values)["message"] == "date"
        own_redis.start()
        async with asyncio.timeout(20):
            while (back := await on.shown.browser.send(away, "Send")).status != 200:
                await asyncio.sleep(0.05)
        assert "Shall I renew it?" in back.text
        assert (await on.desk.get(view.id)).turns == 2
