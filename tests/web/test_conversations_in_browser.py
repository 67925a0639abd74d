"""Conversations in a browser: said once whatever is pressed, live, without scripts, accessible, wide and narrow."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest_asyncio
from playwright.async_api import Page, expect

import holdfast as hf
from holdfast.conversations.desk import Conversations
from holdfast.workqueue.queue import WorkQueue
from tests.web.conftest import System, assert_accessible, serving
from tests.web.talk_kit import Model, engine, other


@dataclass
class Talks:
    """A server with conversations.

    Attributes:
        desk: the conversations as somebody's program has them.
        work: the work queue.
    """

    system: System
    desk: Conversations
    work: WorkQueue
    model: Model

    async def item(self, title: str = "Renew Obsidian") -> str:
        """The address of an item's page."""
        made = await self.work.create(title=title, assignee="local")
        return f"{self.system.address}/work/{made.id}"

    async def turns(self, address: str) -> int:
        """How many turns the conversations of an item had."""
        return sum(one.turns for one in await self.desk.list(item=address.rpartition("/")[2]))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def served() -> AsyncIterator[Talks]:
    """Two definitions on SQLite; shared, so that each test has an item of its own."""
    model = Model()
    engines = [engine(model), other(model)]
    with tempfile.TemporaryDirectory(prefix="holdfast-talk-") as folder:
        async with serving(f"sqlite:///{folder}/talk.db", conversations=engines) as found:
            desk = await hf.open_conversations(found.client, engines, state_url="")
            yield Talks(found, desk, WorkQueue(found.client.core, "default", actor="local"), model)


@pytest_asyncio.fixture(loop_scope="session")
async def talks(served: Talks) -> AsyncIterator[Talks]:
    """The same, with a model that has not been asked yet, and answers."""
    served.model.asked.clear()
    served.model.fails = False
    served.model.gate.set()
    yield served
    served.model.gate.set()


async def test_a_double_click_has_one_turn_and_the_page_stays_where_it_is(talks: Talks, page: Page) -> None:
    address = await talks.item()
    await page.goto(address)
    await page.evaluate("window.stayed = true")
    await page.get_by_label("About").select_option("renewal")
    talks.model.gate.clear()
    await page.get_by_label("Your message").fill("company <img src=x onerror=alert(1)>")
    await page.get_by_role("button", name="Begin it").dblclick()
    await expect(page.get_by_text("Waiting for the answer")).to_be_visible()
    talks.model.gate.set()
    said = page.get_by_role("log")
    await expect(said).to_contain_text("When does it renew?")
    await expect(said).to_contain_text("company <img src=x onerror=alert(1)>")
    await expect(page.get_by_label("Your message")).to_be_focused()
    await expect(page.get_by_label("Your message")).to_have_value("")
    await page.keyboard.type("date")
    await page.keyboard.press("Control+Enter")
    await expect(said).to_contain_text("Shall I renew it?")
    assert talks.model.asked == ["company <img src=x onerror=alert(1)>", "date"]
    assert await talks.turns(address) == 2
    assert await page.evaluate("window.stayed")


async def test_without_scripts_a_double_click_and_a_reload_have_one_turn(talks: Talks, plain: Page) -> None:
    address = await talks.item()
    await plain.goto(address)
    await plain.get_by_label("About").select_option("renewal")
    await plain.get_by_label("Your message").fill("company")
    await plain.get_by_role("button", name="Begin it").dblclick()
    await expect(plain.get_by_role("log")).to_contain_text("When does it renew?")
    await plain.reload()
    await expect(plain.locator(".talk-turn")).to_have_count(1)
    assert await talks.turns(address) == 1
    talks.model.fails = True
    await plain.get_by_label("Your message").fill("date")
    await plain.get_by_role("button", name="Send").click()
    await expect(plain.get_by_label("Your message")).to_have_value("date")
    await expect(plain.get_by_text("nothing of it is stored")).to_be_visible()
    talks.model.fails = False
    await plain.get_by_role("button", name="Send").click()
    await expect(plain.get_by_role("log")).to_contain_text("Shall I renew it?")
    assert await talks.turns(address) == 2


async def test_what_is_wrong_stands_at_the_form_and_a_lost_answer_is_had_once(talks: Talks, page: Page) -> None:
    address = await talks.item()
    await page.goto(address)
    await page.get_by_label("About").select_option("renewal")
    message = page.get_by_label("Your message")
    talks.model.fails = True
    await message.fill("company")
    await page.get_by_role("button", name="Begin it").click()
    await expect(page.get_by_text("nothing of it is stored")).to_be_visible()
    await expect(message).to_have_value("company")
    talks.model.fails = False

    async def lose(route: object) -> None:
        await route.fetch()  # type: ignore[attr-defined]
        await route.abort()  # type: ignore[attr-defined]

    # The server has the turn, and its answer is lost on the way.
    await page.route("**/say", lose)
    await page.get_by_role("button", name="Begin it").click()
    await expect(page.get_by_text("it is had once only")).to_be_visible()
    await expect(message).to_have_value("company")
    await page.unroute("**/say")
    await page.get_by_role("button", name="Begin it").click()
    await expect(page.get_by_role("button", name="Send")).to_be_visible()
    await expect(page.locator(".talk-turn")).to_have_count(1)
    assert await talks.turns(address) == 1


async def test_the_pages_follow_what_others_say_and_keep_what_is_being_typed(talks: Talks, page: Page) -> None:
    address = await talks.item()
    made = address.rpartition("/")[2]
    begun = await talks.desk.turn("local", "company", definition="renewal", item=made)
    await page.goto(address)
    await page.get_by_label("Your message").fill("half a sen")
    await talks.desk.turn("local", "date", conversation_id=begun.conversation_id)
    await expect(page.get_by_role("log")).to_contain_text("Shall I renew it?")
    await expect(page.get_by_label("Your message")).to_have_value("half a sen")
    await page.goto(f"{talks.system.address}/conversations?item={made}")
    await expect(page.locator("tbody tr")).to_have_count(1)
    await talks.desk.turn("bea", "hello", definition="chat", item=made)
    await expect(page.locator("tbody tr")).to_have_count(2)
    await page.goto(f"{talks.system.address}/conversations/{begun.conversation_id}")
    await talks.desk.turn("local", "hm", conversation_id=begun.conversation_id)
    await expect(page.locator(".talk-turn")).to_have_count(3)
    await page.get_by_role("link", name="Abandon it").click()
    await page.get_by_role("dialog").get_by_role("button", name="Abandon it").click()
    await expect(page.get_by_role("status").filter(has_text="The conversation is abandoned.")).to_be_visible()
    assert (await talks.desk.get(begun.conversation_id)).status == "abandoned"


async def test_the_pages_are_accessible_wide_and_narrow(talks: Talks, page: Page) -> None:
    address = await talks.item("Accessible " + "x" * 60)
    made = address.rpartition("/")[2]
    begun = await talks.desk.turn("local", "company " + "w" * 300, definition="renewal", item=made)
    for message in ("another one", "date", "hm"):
        await talks.desk.turn("local", message, conversation_id=begun.conversation_id)
    for user, how in (("ended", talks.desk.end), ("given-up", talks.desk.abandon)):
        one = await talks.desk.turn(user, "company", definition="renewal")
        await how(one.conversation_id)
    root = talks.system.address
    for where in (address, f"{root}/conversations", f"{root}/conversations/{begun.conversation_id}"):
        await page.set_viewport_size({"width": 390, "height": 800})
        await page.goto(where)
        await assert_accessible(page, schemes=("light",))
        assert await page.evaluate("document.documentElement.scrollWidth") <= 390, where
        await page.set_viewport_size({"width": 1440, "height": 900})
        await assert_accessible(page, schemes=("dark",))
