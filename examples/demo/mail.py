"""The mail desk: mail comes into a folder, becomes runs, and is answered; what is delicate waits for a person."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import Counter
from pathlib import Path

from email_desk.crm import Crm
from email_desk.demo import SAMPLE, send_by_itself
from email_desk.desk import mail_desk
from email_desk.settings import settings
from email_desk.specialists import CHANNEL

from .stage import Face, Stage

ENDED = ("succeeded", "failed", "cancelled")

SOURCE = "inbox"

OUT = (CHANNEL, "warehouse")
"""The channels of the face: the second one leads to a system that is switched off."""

CHANNELS = """\
[channels.{replies}]
type = "file"
folder = {drafts}
review = {{ group = "desk", due = "1d" }}

[channels.warehouse]
type = "webhook"
url = "http://127.0.0.1:9/"
attempts = 2
backoff = {{ initial = "1s" }}

[channels.lookout]
type = "file"
folder = {alerts}
"""


def prepared(folder: Path, drafts: Path) -> dict[str, str]:
    """Write the files that say where mail comes in, and where it goes out; the worker's arguments for them."""
    inbox = folder / SOURCE
    inbox.mkdir(parents=True, exist_ok=True)
    files = {
        "channels": CHANNELS.format(
            replies=CHANNEL, drafts=json.dumps(str(drafts)), alerts=json.dumps(str(folder / "alerts"))
        ),
        "intake": f'[sources.{SOURCE}]\nkind = "directory"\npath = {json.dumps(str(inbox))}\npattern = "*.eml"\n'
        f'workflow = "{mail_desk.name}"\n',
        "alerts": 'defaults = true\nto = ["lookout"]\n',
    }
    for name, text in files.items():
        (folder / f"{name}.toml").write_text(text, encoding="utf-8")
    return {name: str(folder / f"{name}.toml") for name in files}


def face(folder: Path) -> Face:
    """The face.

    Args:
        folder: for what comes in, and for what the desk keeps.
    """
    settings.folder = folder / "desk"

    async def work(stage: Stage) -> str:
        samples = sorted(SAMPLE.glob("*.eml"))
        await send_by_itself(stage.client)
        with Crm() as crm:
            settings.crm = crm.url
            parcel = {"parcel": "48213", "hold": True}
            await stage.client.publish(OUT[1], parcel, id="parcel-48213", workflow=mail_desk.name)
            for number, sample in zip(itertools.count(1), itertools.cycle(samples), strict=False):
                if number > len(samples):
                    if stage.once:
                        break
                    await asyncio.Event().wait()  # each message is answered once, however often it comes
                arrive(sample, folder / SOURCE)
                await stage.pause(4)
            return await told(stage, len(samples))
        raise AssertionError("it goes on for ever")

    return Face(
        name="mail desk",
        title="Was this mail answered?",
        text="Mail becomes runs, checked before answers go out; what is delicate waits under My work, to be edited.",
        path="/runs?q=workflow:mail_desk",
        workflows=[mail_desk, *(settings.phases.workflows if settings.phases else ())],
        work=work,
    )


def arrive(sample: Path, inbox: Path) -> None:
    """Let a message come in: whole, under its name, at once."""
    coming = inbox / f".{sample.name}"
    coming.write_bytes(sample.read_bytes())
    coming.rename(inbox / sample.name)


async def told(stage: Stage, many: int) -> str:
    """Wait until each message has become what it becomes, and say what."""
    client = stage.client
    while True:
        runs = await client.list(workflow=mail_desk.name, limit=1000)
        if len(runs) >= many and all(run.status in ENDED for run in runs):
            break
        await asyncio.sleep(0.1)
    while True:
        messages = [one for channel in OUT for one in await client.messages(channel=channel, limit=1000)]
        if not {one.status for one in messages} & {"pending", "sending", "failed"}:
            break
        await asyncio.sleep(0.1)
    became = Counter(
        "review" if (one.status, one.verdict) == ("withheld", "review") else one.status for one in messages
    )
    return (
        f"{many} mails: {became['sent']} answered, {became['review']} wait for a person, "
        f"{became['withheld']} held back, {sum(run.status == 'failed' for run in runs)} cannot be read; "
        f"{became['dead']} message not delivered"
    )
