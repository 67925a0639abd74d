"""What becomes of the desk's answers: policies that no mode overrides, and people who look at drafts first."""

from __future__ import annotations

import asyncio
import mailbox
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Literal, TypeVar

import pytest
from email_desk.desk import mail_desk
from email_desk.values import Outcome

import holdfast as hf
from holdfast.model.publishing import MessageStatus
from tests.examples.desk_kit import desk, incoming, letter, sample

T = TypeVar("T")

REFUSED = ("bounce", "newsletter", "legal")
ESCALATED = ("angry-vip", "leaving")
FOLDERS = (("replies", "sent"), ("old", "old"))
PLAIN = ("html-only", "thread-reply")


async def until(look: Callable[[], Awaitable[T]]) -> T:
    """What it gives as soon as that is something."""
    async with asyncio.timeout(60):
        while not (found := await look()):
            await asyncio.sleep(0.02)
    return found


@asynccontextmanager
async def working(url: str, folder: Path) -> AsyncIterator[hf.Client]:
    """A worker of the desk that sends by a folder."""
    channels = folder / "channels.toml"
    channels.write_text('[channels.replies]\ntype = "file"\nfolder = "sent"\nreview = { group = "desk" }\n')
    with desk(folder):
        async with hf.connect(url, actor="mara") as client, hf.Worker(client, [mail_desk], channels=channels, drain=0):
            yield client


async def taken(client: hf.Client, names: tuple[str, ...]) -> dict[str, Outcome]:
    runs = {name: await client.start(mail_desk.options(id=name), incoming(sample(name))) for name in names}
    return {name: await run.result(timeout=60) for name, run in runs.items()}


def sent(folder: Path) -> dict[str, EmailMessage]:
    """What went out, by the id of the message."""
    return {
        path.stem: message_from_bytes(path.read_bytes(), _class=EmailMessage, policy=policy.default)
        for path in (folder / "sent").glob("*.eml")
    }


@pytest.mark.parametrize("mode", ["off", "draft", "auto"])
async def test_no_mode_overrides_a_policy_or_an_escalation(
    disk_url: str, tmp_path: Path, mode: Literal["off", "draft", "auto"]
) -> None:
    async with working(disk_url, tmp_path) as client:
        await client.set_publish_mode(mode, workflow=mail_desk.name)
        found = await taken(client, REFUSED + ESCALATED + PLAIN)

        async def all_decided() -> bool:
            return not await client.messages(status="pending") and not await client.messages(status="sending")

        await until(all_decided)
        status = {name: (await client.message(outcome.reply)).status for name, outcome in found.items()}
        assert {status[name] for name in REFUSED + ESCALATED} == {"withheld"}
        assert {status[name] for name in PLAIN} == {"sent" if mode == "auto" else "withheld"}
        assert set(sent(tmp_path)) == {found[name].reply for name in PLAIN if mode == "auto"}
        asked = {"off": (), "draft": ESCALATED + PLAIN, "auto": ESCALATED}[mode]
        work = hf.work_queue(client)

        async def all_asked() -> bool:
            return len(await work.list(kind="ask")) == len(asked)

        await until(all_asked)
        for name in REFUSED:
            with pytest.raises(hf.MessageNotPossible):
                await client.send_again(found[name].reply)


async def test_a_person_edits_the_draft_and_the_edited_one_is_sent(disk_url: str, tmp_path: Path) -> None:
    async with working(disk_url, tmp_path) as client:
        await client.set_publish_mode("auto", workflow=mail_desk.name)
        outcome = (await taken(client, ("angry-vip",)))["angry-vip"]
        assert outcome.reason == "an angry customer who comes first: it says 'unacceptable'"
        work = hf.work_queue(client)
        [item] = await until(lambda: work.list(kind="ask"))
        item = await work.get(item.id)
        assert item.group == "desk"
        assert outcome.reason in item.text
        assert item.data["text"].startswith("Hello Ines Caro,\n")
        assert item.data["subject"] == "Re: The lamps in our lobby"
        await work.complete(item.id, {**item.data, "text": "Hello Ines Caro,\n\nI come at seven tomorrow.\n\nMara"})

        async def arrived() -> EmailMessage | None:
            return sent(tmp_path).get(outcome.reply)

        mail = await until(arrived)
        assert mail is not None
        assert "I come at seven tomorrow." in mail.get_content()
        assert mail["To"] == "Ines Caro <ines@grand-hotel.example>"
        assert mail["In-Reply-To"] == "<lobby-4@grand-hotel.example>"
        assert (await client.message(outcome.reply)).approved_by == "mara"


async def test_a_draft_that_a_person_rejects_is_discarded_with_the_reason(sqlite_url: str, tmp_path: Path) -> None:
    async with working(sqlite_url, tmp_path) as client:
        await client.set_publish_mode("auto", workflow=mail_desk.name)
        outcome = (await taken(client, ("leaving",)))["leaving"]
        work = hf.work_queue(client)
        [item] = await until(lambda: work.list(kind="ask"))
        await work.skip(item.id, reason="I call him")

        async def discarded() -> bool:
            return (await client.message(outcome.reply)).status == "discarded"

        await until(discarded)
        assert (await client.message(outcome.reply)).reason == "I call him"
        assert sent(tmp_path) == {}


async def test_answers_of_a_conversation_go_out_in_order(sqlite_url: str, tmp_path: Path) -> None:
    async with working(sqlite_url, tmp_path) as client:
        await client.set_publish_mode("off", workflow=mail_desk.name)
        replies = []
        for number in range(2):
            more = "References: <first@letters.example>\n"
            run = await client.start(mail_desk, incoming(letter(f"Part {number}", id=f"m{number}", more=more)))
            replies.append((await run.result(timeout=60)).reply)
        keys = {(await client.message(reply)).key for reply in replies}
        assert keys == {"first@letters.example"}


async def test_nothing_is_sent_in_shadow_and_all_of_it_can_be_compared(sqlite_url: str, tmp_path: Path) -> None:
    inbox = mailbox.Maildir(tmp_path / "inbox")
    for name in ("html-only", "legal", "leaving"):
        inbox.add(sample(name))
    intake = tmp_path / "intake.toml"
    intake.write_text(
        '[sources.inbox]\nkind = "maildir"\npath = "inbox"\nworkflow = "mail_desk"\nold_path = "old"\npoll = "50ms"\n'
    )
    channels = tmp_path / "channels.toml"
    channels.write_text("".join(f'[channels.{name}]\ntype = "file"\nfolder = "{folder}"\n' for name, folder in FOLDERS))
    with desk(tmp_path):
        async with hf.connect(sqlite_url, actor="mara") as client:
            await client.set_publish_mode("auto", workflow=mail_desk.name)
            await client.roll_back(mail_desk.name)
            async with hf.Worker(client, [mail_desk], channels=channels, intake=intake, drain=0):

                async def counted(status: MessageStatus, channel: str) -> int:
                    return len(await client.messages(status=status, channel=channel))

                async def all_done() -> bool:
                    return (await counted("withheld", "replies"), await counted("sent", "old")) == (3, 3)

                await until(all_done)
                assert sent(tmp_path) == {}
                ours = {one.key: one for one in await client.messages(channel="replies")}
                assert {one.verdict for one in ours.values()} == {"shadow"}
                text = (await client.message(ours["hall-7@harbour-museum.example"].id)).body["text"]
                await client.record_outcomes(mail_desk.name, [
                    {"message_id": "<hall-7@harbour-museum.example>", "decided": "sent", "text": text},
                    {"message_id": "<late-3@blue-mill.example>", "decided": "sent", "text": "We are sorry."},
                ])  # fmt: skip
                compared = {one.message_id: one for one in await client.compare(mail_desk.name)}
                assert compared["<hall-7@harbour-museum.example>"].comparison == "same"
                late = compared["<late-3@blue-mill.example>"]
                assert (late.comparison, late.ours, late.theirs) == ("different", "review", "sent")
                await client.cut_over(mail_desk.name)
                inbox.add(sample("thread-reply"))
                await until(lambda: client.messages(status="sent", channel="replies"))
                assert [mail["Subject"] for mail in sent(tmp_path).values()] == ["Re: Broken lamp"]
