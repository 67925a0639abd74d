"""A worker of the mail desk that answers one message, and kills itself after a stage, before its result is recorded.

``python -m tests.examples.desk_victim URL FOLDER [STAGE]``
"""

from __future__ import annotations

import asyncio
import inspect
import os
import signal
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))

from email_desk import enriching, specialists
from email_desk.desk import mail_desk

import holdfast as hf
from tests.examples.desk_kit import desk, incoming, sample

MESSAGE = sample("html-only")
STAGES = (
    specialists.assign, specialists.intake, specialists.tier, enriching.thread, enriching.contact, enriching.deal,
    enriching.updates, specialists.context, specialists.draft, specialists.tone, specialists.fact, specialists.qa,
    specialists.policy, specialists.escalation, specialists.publish,
)  # fmt: skip


def watch(stage: hf.Step[..., Any], calls: Path, deadly: str) -> None:
    """Write down each call of a stage; of one the process dies when it has returned."""
    function = stage.fn

    def called() -> None:
        with calls.open("a") as file:
            file.write(f"{stage.name}\n")
        if stage.name == deadly:
            os.kill(os.getpid(), signal.SIGKILL)

    async def watched(*args: Any) -> Any:
        found = await function(*args)
        called()
        return found

    def watched_in_thread(*args: Any) -> Any:
        found = function(*args)
        called()
        return found

    stage.fn = watched if inspect.iscoroutinefunction(function) else watched_in_thread


async def main(url: str, folder: Path, deadly: str) -> None:
    for stage in STAGES:
        watch(stage, folder / "calls", deadly)
    channels = folder / "channels.toml"
    channels.write_text('[channels.replies]\ntype = "file"\nfolder = "sent"\n')
    with desk(folder):
        async with (
            hf.connect(url) as client,
            hf.Worker(client, [mail_desk], channels=channels, lease="1s", beat="300ms", drain=0),
        ):
            await client.set_publish_mode("auto", workflow=mail_desk.name)
            run = await client.start(mail_desk.options(id="m"), incoming(MESSAGE))
            outcome = await run.result(timeout=60)
            while (await client.message(outcome.reply)).status != "sent":
                await asyncio.sleep(0.02)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else ""))
