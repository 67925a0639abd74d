"""Mail that comes in by itself, good and bad: each message ends in a known state, and none stops the others."""

from __future__ import annotations

import asyncio
import mailbox
from collections import Counter
from pathlib import Path

import pytest
from email_desk.desk import mail_desk

import holdfast as hf
from holdfast.intake.files import read_intake
from holdfast.services.alerting.rules import read_alerts
from holdfast.services.outbox.channel_files import read_channels
from tests.examples.desk_kit import SAMPLE, desk, letter

EXAMPLE = SAMPLE.parent
BAD = {
    "empty": b"",
    "no id": b"From: a@b.example\nSubject: One\n\nhello\n",
    "no id again": b"From: a@b.example\nSubject: One\n\nhello\n",
    "same id, other words": letter("Something else"),
    "unknown charset": letter("h\xe9llo", id="c", more="Content-Type: text/plain; charset=x-klingon\n"),
    "broken mime": letter("--b\nhello", id="d", more='Content-Type: multipart/mixed; boundary="b"; x="\n'),
    "garbage": bytes(range(256)) * 20,
    "no address": b"From: Bob\nMessage-ID: <e@x>\n\nhello\n",
    "address that is none": b"From: Bob <bob@b..example>\nMessage-ID: <f@x>\n\nhello\n",
    "injection": b"From: a@b.example\nMessage-ID: <g@x>\nSubject: =?utf-8?q?x=0D=0ABcc:_e@evil.example?=\n\nhello\n",
    "nested": letter("x", id="h", more="".join(f'Content-Type: multipart/mixed; boundary="{n}"\n' for n in range(50))),
}


async def taken(client: hf.Client, messages: int) -> Counter[str]:
    """How so many messages of the source ended, when they have."""
    async with asyncio.timeout(100):
        while True:
            for source in await client.sources():
                left = Counter(filtered=source.filtered, repeated=source.repeated, dead=source.dead)
                runs = await client.list(workflow=mail_desk.name, limit=1000)
                if left.total() + source.runs == messages and all(run.finished_at is not None for run in runs):
                    return +left + Counter(str(run.status) for run in runs)
            await asyncio.sleep(0.05)


def files(folder: Path, kind: str, more: str = "") -> dict[str, Path]:
    intake, channels = folder / "intake.toml", folder / "channels.toml"
    intake.write_text(
        f'[sources.inbox]\nkind = "{kind}"\npath = "inbox"\nworkflow = "mail_desk"\npoll = "50ms"\n{more}\n'
    )
    channels.write_text('[channels.replies]\ntype = "file"\nfolder = "sent"\n')
    return {"intake": intake, "channels": channels}


@pytest.mark.parametrize("kind", ["maildir", "mbox", "directory"])
async def test_every_message_ends_and_none_stops_the_others(sqlite_url: str, tmp_path: Path, kind: str) -> None:
    messages = [*BAD.values(), *(path.read_bytes() for path in sorted(SAMPLE.glob("*.eml")))]
    if kind == "directory":
        (tmp_path / "inbox").mkdir()
        for number, raw in enumerate(messages):
            (tmp_path / "inbox" / f"{number:02}.eml").write_bytes(raw)
    else:
        box = mailbox.Maildir(tmp_path / "inbox") if kind == "maildir" else mailbox.mbox(tmp_path / "inbox")
        for raw in messages:
            box.add(raw)
        box.close()
    with desk(tmp_path):
        async with hf.connect(sqlite_url) as client:
            await client.set_publish_mode("auto", workflow=mail_desk.name)
            more = 'settle = "100ms"' if kind in ("mbox", "directory") else ""
            async with hf.Worker(client, [mail_desk], drain=0, **files(tmp_path, kind, more)):
                ended = await taken(client, len(messages))
                replies = [one for one in await client.messages(limit=1000) if one.channel == "replies"]
                copies = 0 if kind == "directory" else 2  # one without an id, and one of the sample
                assert ended == +Counter(repeated=copies, failed=6, succeeded=len(messages) - 6 - copies)
                assert len(replies) == len(messages) - 8  # whichever way a message comes again, it is answered once
                for one in replies:
                    body = (await client.message(one.id)).body
                    assert len(body["subject"].splitlines()) == 1
                    assert "bcc" not in body


async def test_a_large_message_is_taken_and_one_that_is_too_large_is_told(sqlite_url: str, tmp_path: Path) -> None:
    box = mailbox.Maildir(tmp_path / "inbox")
    line = b"A" * 76 + b"\n"
    head = letter("", more='MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="b"\n')
    part = b"--b\nContent-Type: text/plain\n\nSee attached.\n--b\nContent-Type: image/png\n\n"
    for size in (10_000_000, 25_000_000, 27_000_000):
        box.add(head + part + line * (size // len(line)) + b"--b--\n")
    box.add(letter("And a small one", id="m2"))
    given = files(tmp_path, "maildir")
    with desk(tmp_path):
        async with hf.connect(sqlite_url) as client, hf.Worker(client, [mail_desk], drain=0, **given):
            assert await taken(client, 4) == Counter(succeeded=3, dead=1)
            [dead] = await client.entries(outcome="dead")
            assert "27,000,218 bytes, and at most 26,000,000" in dead.reason


async def test_what_the_rule_leaves_out_becomes_no_run(sqlite_url: str, tmp_path: Path) -> None:
    box = mailbox.Maildir(tmp_path / "inbox")
    box.add(letter(id="m1", subject="[test] x"))
    box.add(letter(id="m2"))
    given = files(tmp_path, "maildir", "when = \"!entry.subject.startsWith('[test]')\"")
    with desk(tmp_path):
        async with hf.connect(sqlite_url) as client, hf.Worker(client, [mail_desk], drain=0, **given):
            assert await taken(client, 2) == Counter(succeeded=1, filtered=1)


def test_the_files_of_the_example_can_be_read() -> None:
    sources = read_intake(EXAMPLE / "intake.toml")
    assert {source.kind for source in sources} == {"maildir"}
    assert {source.workflow for source in sources} == {mail_desk.name}
    channels = read_channels(EXAMPLE / "channels.toml")
    assert set(channels) == {"replies", "old-desk", "lookout"}
    assert {source.old_path for source in sources} <= {None, *channels}
    assert {channel for rule in read_alerts(EXAMPLE / "alerts.toml").rules for channel in rule.to} == {"lookout"}
