"""Outbox: messages found by filters, why each is not moving, sent again and discarded, one or many; who sees what."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import pytest

import holdfast as hf
from holdfast.web.pages import outbox
from tests.engine.helpers import until
from tests.engine.outbox_kit import settle
from tests.outbox.kit import channels_file
from tests.web.browsing import Dashboard, Seen, dashboard
from tests.web.publishing_kit import MARKUP, answering, careful, in_every_state

CARD = "4111-1111-1111"


@asynccontextmanager
async def desk() -> AsyncIterator[Dashboard]:
    """A dashboard with messages in every state."""
    async with dashboard() as shown, hf.Worker(shown.client, [careful], drain=0):
        await in_every_state(shown.client)
        yield shown


async def at(shown: Dashboard, id: str) -> Seen:
    return await shown.get(f"/message?id={quote(id, safe='')}")


def listed(seen: Seen) -> list[str]:
    """The ids of the messages in a page's table."""
    return [" ".join(link.text.split()) for link in seen.links if link.href.startswith("/message?id=")]


async def test_there_are_none_yet() -> None:
    async with dashboard() as shown:
        seen = await shown.get("/outbox")
        assert "No messages yet" in seen.text
        assert "Publish mode draft : a person sees each message first" in seen.text.replace("draft:", "draft :")


async def test_each_figure_links_to_what_it_counts() -> None:
    async with desk() as shown:
        seen = await shown.get("/outbox")
        assert len(listed(seen)) == 9
        for label, ids in {
            "Pending 2": ["m/later", "m/behind"],
            "Failed 1 tried again by themselves": ["m/failed"],
            "Dead 2 until somebody decides": ["m/doubt", "m/dead"],
            "May have been sent 1 dead, and nobody knows": ["m/doubt"],
            "Withheld 2 or under review": ["m/refused", "m/off"],
        }.items():
            assert listed(await shown.get(seen.link(label))) == ids, label


async def test_they_are_found_by_channel_workflow_run_and_key() -> None:
    async with desk() as shown:
        run = await shown.client.start(careful.options(id="c-1"), "o-7")
        await run.result(timeout="20s")
        for query, ids in {
            "channel=crm": ["m/gone", "m/later", "m/refused"],
            "key=ada": ["m/behind", "m/failed"],
            "workflow=careful": ["looked-at/o-7", "refused/o-7"],
            "run=c-1": ["looked-at/o-7", "refused/o-7"],
            "workflow=desk&status=sent": ["m/sent"],
            "status=sent&channel=crm": [],
        }.items():
            assert listed(await shown.get(f"/outbox?{query}")) == ids, query
        assert "No message is found" in (await shown.get("/outbox?key=nobody")).text


@pytest.mark.parametrize(
    ("query", "said"),
    [("run=nobody", "has no run 'nobody'"), ("before=x", "give the uid of a message"), ("key=%00", "NUL")],
)
async def test_filters_that_cannot_be_used_say_why(query: str, said: str) -> None:
    async with dashboard() as shown:
        seen = await shown.get(f"/outbox?{query}")
        assert seen.status == 422
        assert said in seen.text
        assert "These filters cannot be used" in seen.text


async def test_pages_follow_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "LIST_SHOWN", 2)
    async with dashboard() as shown:
        for n in range(5):
            await shown.client.publish("crm", n, id=f"m{n}")
        seen, found = await shown.get("/outbox?channel=crm"), []
        while True:
            found.append(listed(seen))
            if not seen.has_link("Next page"):
                break
            seen = await shown.get(seen.link("Next page"))
        assert found == [["m4", "m3"], ["m2", "m1"], ["m0"]]
        assert listed(await shown.get(seen.link("First page"))) == ["m4", "m3"]


async def test_counts_end_at_a_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "COUNTED", 3)
    async with dashboard() as shown:
        for n in range(5):
            await shown.client.publish("crm", n)
        assert (await shown.get("/outbox")).has_link("Pending 3+")


# One message


@pytest.mark.parametrize(
    ("id", "said"),
    [
        ("m/sent", "It was sent at"),
        ("m/failed", "Attempt 1 failed: it is tried again at"),
        ("m/dead", "somebody has to have it sent again, or discard it."),
        ("m/doubt", "It may have been sent: whoever sent it was lost"),
        ("m/off", "It was withheld by the publish mode of that time: the publish mode is off. The mode is auto now."),
        ("m/refused", "It is never sent: a policy forbids it."),
        ("m/later", "It is not due before"),
        ("m/behind", "It waits for one message of the same key that were published before it; the first is failed:"),
        ("m/gone", "nobody wants it."),
    ],
)
async def test_a_message_says_why_it_is_not_moving(id: str, said: str) -> None:
    async with desk() as shown:
        seen = await at(shown, id)
        assert seen.status == 200
        assert said in seen.text
        if id == "m/behind":
            assert (await shown.get(seen.link("m/failed"))).status == 200


async def test_what_the_mode_will_do_is_said_of_one_that_waits() -> None:
    async with dashboard() as shown:
        await shown.client.publish("crm", 1, id="m", workflow="desk")
        assert "It is due, and waits for a worker that sends by the channel crm." in (await at(shown, "m")).text
        assert "it will wait for a person to look at it: the publish mode is draft" in (await at(shown, "m")).text
        await shown.client.set_publish_mode("off", "desk")
        assert "it will be withheld: the publish mode is off" in (await at(shown, "m")).text
        await shown.client.set_publish_mode("auto", "desk")
        assert "When its turn comes" not in (await at(shown, "m")).text


async def test_one_of_a_run_in_shadow_says_so() -> None:
    async with dashboard() as shown, hf.Worker(shown.client, [careful], drain=0):
        run = await shown.client.start(careful.options(shadow=True), "o-1")
        await run.result(timeout="20s")
        seen = await at(shown, "shadow/looked-at/o-1")
        assert "the run that published it works in shadow" in seen.text
        assert not seen.has_link("Send it")


async def test_one_under_review_leads_to_the_work_item(tmp_path: Path) -> None:
    channels = channels_file(tmp_path, '[channels.replies]\ntype = "file"\nfolder = "out"\n')
    async with dashboard() as shown, hf.Worker(shown.client, [careful], channels=channels, drain=0):
        await (await shown.client.start(careful, "o-1")).result(timeout="20s")

        async def asked() -> bool:
            return (await at(shown, "looked-at/o-1")).has_link("the work item")

        await until(asked)
        seen = await at(shown, "looked-at/o-1")
        assert "It waits for a person to look at it: the customer threatens to leave." in seen.text
        item = await shown.get(seen.link("the work item"))
        assert item.status == 200
        assert "Review: message on replies" in item.text


async def test_a_mail_is_read_as_one_and_its_html_is_never_rendered() -> None:
    async with desk() as shown:
        seen = await at(shown, "m/dead")
        for said in (
            "To Ada <ada@shop.example>", "Cc ben@shop.example", f"Subject Your order {MARKUP}", f"It left. {MARKUP}",
            "In reply to <m-1@shop.example>", "invoice.pdf application/pdf, 9 bytes", "Its HTML form, as text",
            "<p onclick='alert(2)'>", f"550 no such mailbox {MARKUP}",
        ):  # fmt: skip
            assert said in seen.text, said
        for markup in (MARKUP, "<p onclick"):
            assert markup not in seen.html
        assert "JVBER" not in seen.html, "the content of an attachment is not shown"
        assert '"order": "o-1"' in (await at(shown, "m/refused")).text
        assert "a text" in (await at(shown, "m/gone")).text


async def test_a_dead_message_is_sent_again_after_a_question() -> None:
    async with desk() as shown:
        asked = await shown.get((await at(shown, "m/doubt")).link("Send again"))
        assert "if it was received, it is received a second time" in asked.text
        done = await shown.browser.send(asked, "Send it")
        assert done.path == "/message?id=m%2Fdoubt"
        assert "It will be sent." in done.text
        assert (await shown.client.message("m/doubt")).status == "pending"
        late = await shown.browser.send(asked, "Send it")
        assert "message 'm/doubt' is pending; only dead, failed and withheld ones are sent again" in late.text


async def test_a_message_is_discarded_with_a_reason() -> None:
    async with desk() as shown:
        asked = await shown.get((await at(shown, "m/dead")).link("Discard"))
        without = await shown.browser.send(asked, "Discard it", reason=" ")
        assert without.status == 422
        assert "Give a reason." in without.text
        done = await shown.browser.send(without, "Discard it", reason="they left")
        assert "It is discarded." in done.text
        assert "they left." in done.text
        assert not done.has_link("Discard")
        assert not done.has_link("Send again")
        view = await shown.client.message("m/dead")
        assert (view.status, view.reason) == ("discarded", "they left")


async def test_those_that_were_ticked_are_sent_or_discarded_together() -> None:
    async with desk() as shown:
        seen = await shown.get("/outbox?channel=mail")
        form = seen.form("Discard")
        ticked = [*form.values, ("action", "discard"), ("id", "m/dead"), ("id", "m/doubt"), ("id", "m/sent")]
        asked = await shown.browser.post(form.action, ticked, method="get")
        assert "Discard 3 messages?" in asked.text
        without = await shown.browser.send(asked, "Discard them")
        assert without.status == 422
        done = await shown.browser.send(without, "Discard them", reason="not needed")
        assert done.path == "/outbox?channel=mail"
        assert "2 discarded; 1 could not be, and stay as they are." in done.text
        asked = await shown.get("/outbox/bulk?action=send&id=m/off&id=m/failed")
        assert "2 will be sent." in (await shown.browser.send(asked, "Send them")).text
        assert [(await shown.client.message(id)).status for id in ("m/dead", "m/off", "m/failed")] == [
            "discarded", "pending", "pending",
        ]  # fmt: skip
        assert "No message is ticked" in (await shown.get("/outbox/bulk?action=send")).text
        assert (await shown.get("/outbox/bulk?action=burn")).status == 422


async def test_a_message_that_is_not_there_is_told_as_one() -> None:
    async with dashboard() as shown:
        for path in ("/message?id=none", "/message", "/message/send?id=none", "/message/discard?id=none"):
            assert (await shown.get(path)).status == 404, path


# Who sees what


async def test_a_viewer_has_no_levers_and_another_tenant_sees_nothing() -> None:
    async with dashboard(auth=True) as shown, hf.Worker(shown.client, [careful], drain=0):
        await in_every_state(shown.client)
        viewer, theirs = await shown.somebody("viewer"), await shown.somebody("admin", "acme")
        seen = await viewer.get("/outbox")
        assert "m/dead" in listed(seen)
        assert 'name="id"' not in seen.html
        one = await viewer.get("/message?id=m/dead")
        assert one.status == 200
        assert not one.has_link("Send again")
        assert not one.has_link("Discard")
        for path in ("/message/send?id=m/dead", "/message/discard?id=m/dead", "/outbox/bulk?action=send&id=m/dead"):
            assert (await viewer.get(path)).status == 403, path
        for path in ("/message/send", "/message/discard", "/outbox/bulk?action=send"):
            assert (await viewer.post(path, {"id": "m/dead", "reason": "x"})).status == 403, path
        assert (await shown.client.message("m/dead")).status == "dead"
        assert "No messages yet" in (await theirs.get("/outbox")).text
        assert (await theirs.get("/message?id=m/dead")).status == 404
        await theirs.post("/outbox/bulk?action=discard", {"id": "m/dead", "reason": "x"})
        assert (await shown.client.message("m/dead")).status == "dead"


async def test_what_a_run_hides_is_hidden_in_its_messages() -> None:
    async with dashboard(auth=True, redact=("card",)) as shown, hf.Worker(shown.client, [answering], drain=0):
        await (await shown.client.start(answering.options(id="a-1"), CARD)).result(timeout="20s")
        await settle(shown.client, "mail", "dead", f"cannot charge {CARD}")
        viewer, operator = await shown.somebody("viewer"), await shown.somebody("operator")
        for path in ("/message?id=answer/1", "/outbox", "/runs/a-1", "/dead-letters"):
            assert CARD not in (await viewer.get(path)).html, path
            if path != "/dead-letters":
                assert CARD in (await operator.get(path)).html, path
        assert "Pay with [redacted]." in (await viewer.get("/message?id=answer/1")).text
