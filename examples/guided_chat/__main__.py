"""``python -m examples.guided_chat``: renew a contract in a chat, or watch guests do it."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys

import holdfast as hf

from .desk import engine, renewal
from .guests import GUESTS, talk


async def main(given: argparse.Namespace) -> int:
    async with hf.connect(given.url) as client, hf.Worker(client, [renewal]):
        chats = await hf.open_conversations(client, [engine])
        if given.guests:
            for turn in await asyncio.gather(*(talk(chats, user, said) for user, said in GUESTS.items())):
                print(f"{turn.messages[-1].content}  ({turn.progress.percent_complete} %)")
                await show(client, turn)
            return 0
        conversation: str | None = None
        while line := await asyncio.to_thread(read_line):
            try:
                turn = await chats.turn("you", line, conversation_id=conversation)
            except hf.ConversationError as error:
                print(error, file=sys.stderr)
                return 1
            conversation = turn.conversation_id
            print(f"{turn.messages[-1].content}  ({turn.progress.percent_complete} %)")
            if turn.started:
                await show(client, turn)
                return 0
    return 0


def read_line() -> str:
    """What is typed; empty at the end."""
    try:
        return input("> ").strip() or read_line()
    except EOFError:
        return ""


async def show(client: hf.Client, turn: hf.TurnResult) -> None:
    """Tell what became of the run that a dialogue handed over to."""
    for id in turn.started:
        run = await client.handle(id, renewal)
        try:
            print(f"    {await run.result(timeout='2s')}")
        except TimeoutError:
            print(f"    {(await client.explain(id)).partition(';')[0]}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="guided_chat", description="Renew a contract in a guided chat.")
    parser.add_argument("--url", default=os.environ.get("HOLDFAST_URL", "sqlite:///chat.db"), help="the database")
    parser.add_argument("--guests", action="store_true", help="let four guests talk, rather than you")
    try:
        sys.exit(asyncio.run(main(parser.parse_args())))
    except hf.HoldfastError as error:
        sys.exit(f"guided chat: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
