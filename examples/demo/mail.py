"""The mail desk: mail comes into a folder, becomes runs, and is answered; what is delicate waits for a person."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import Counter
from pathlib import Path

from email_desk.crm import Crm
from email_desk.demo import SAMPLE
from email_desk.desk import mail_desk
from email_desk.settings import settings
from email_desk.specialists import CHANNEL

from .stage import Face, Stage

ENDED = ("succeeded", "failed", "cancelled")

SOURCE = "inbox"


def prepared(folder: Path, drafts: Path) -> dict[str, str]:
    """Write the files that say where mail comes in, and where it goes out; the worker's arguments for them."""
    inbox = folder / SOURCE
    inbox.mkdir(parents=True, exist_ok=True)
    files = {
        "channels": f'[channels.{CHANNEL}]\ntype = "file"\nfolder = {json.dumps(str(drafts))}\n'
        f'[channels.lookout]\ntype = "file"\nfolder = {json.dumps(str(folder / "alerts"))}\n',
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
        await stage.client.set_publish_mode("auto", workflow=mail_desk.name)
        with Crm() as crm:
            settings.crm = crm.url
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
        text="Mail becomes runs, checked before answers go out; what is delicate waits for you, with a draft to edit.",
        path="/runs?q=workflow:mail_desk",
        workflows=[mail_desk, *(settings.phases.workflows if settings.phases else ())],
        work=work,
    )


def arrive(sample: Path, inbox: Path) -> None:
    """Let a message come in: whole, under its name, at once."""
    coming = inbox / f".{sample.name}"
    coming.write_bytes(sample.read_bytes())
    coming.rename(inbox / sample.name)


async def told(stage: Stage, messages: int) -> str:
    """Wait until each message has become what it becomes, and say what."""
    client = stage.client
    while True:
        runs = await client.list(workflow=mail_desk.name, limit=1000)
        if len(runs) >= messages and all(run.status in ENDED for run in runs):
            break
        await asyncio.sleep(0.1)
    while True:
        became = Counter(one.status for one in await client.messages(channel=CHANNEL, limit=1000))
        if not became.keys() & {"pending", "sending", "failed"}:
            break
        await asyncio.sleep(0.1)
    failed = sum(run.status == "failed" for run in runs)
    return f"{messages} messages: {became['sent']} answered, {became['withheld']} held back, {failed} cannot be read"
