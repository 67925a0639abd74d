"""Processes that have a turn and are ended in the middle of it: ``python -m tests.crash.turn_victims LOG ORDER…``.

Each order is JSON: url, state (its address, "" for the database), conversation (null for a new one), turn, word, point
(where it ends: see `POINTS`), seconds (to that point from the one before, if it is ``with save``). Each is carried out
by a process of its own, forked from this one, which appends lines to LOG: the turn, and the point that it came to, or
its result.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
import time
from typing import Any

import holdfast as hf
from holdfast.conversations.states import holding_of
from holdfast.conversations.tending import ConversationTender
from holdfast.store.postgres import conversations as postgres
from holdfast.store.sqlite import conversations as sqlite
from tests.crash.turn_dialogue import ANSWERS, DIALOGUE, hand_over

POINTS = (
    "before take", "after take", "in the model", "after the model", "before save", "inside save", "with save",
    "after save",
)  # fmt: skip
"""Where a process can end: ``inside save`` between the statements and the commit, in a database; ``with save`` just as
it is sent, so that it is done or not."""

HANDOVER = ("before commit", "after commit", "before put_items", "after put_items", "before settle", "after settle")
"""Likewise where what is handed over is in another database than the conversation."""


class Victim:
    """Comes to its end at a point.

    Args:
        order: as above.
        log: where it says so.
    """

    def __init__(self, order: dict[str, Any], log: str) -> None:
        self.order = order
        self.log = log

    def note(self, line: str) -> None:
        with open(self.log, "a") as file:
            file.write(f"{self.order['turn']} {line}\n")

    def come(self, point: str) -> None:
        """End here, if it is the point; or stand still until somebody has it go on."""
        if point == self.order["point"]:
            self.note(point)
            os.kill(os.getpid(), signal.SIGSTOP if self.order.get("freezes") else signal.SIGKILL)
            time.sleep(0.2)  # Another thread may be told of the signal first, and this one go on for a moment.

    async def model(self, query: hf.Query) -> Any:
        """Answer the word that was said."""
        self.note("asked the model")
        self.come("in the model")
        await asyncio.sleep(0.05)
        self.come("after the model")
        word = query.messages[-1].content
        return {"message": f"You said {word}.", "extracted": ANSWERS.get(word, {})}

    def watch(self, owner: Any, verb: str) -> None:
        """Come to a point before and after each call of a verb."""
        real, name = getattr(owner, verb), verb.removeprefix("_")

        async def call(*given: Any, **named: Any) -> Any:
            self.come(f"before {name}")
            if self.order["point"] == f"with {name}":
                threading.Timer(self.order["seconds"], self.come, [f"with {name}"]).start()
            result = await real(*given, **named)
            self.come(f"after {name}")
            return result

        setattr(owner, verb, call)

    def watch_inside(self) -> None:
        """Come to a point between what a save writes and its commit."""
        real_sqlite, real_postgres = sqlite._save, postgres._save

        def save_in_sqlite(*given: Any) -> bool:
            stored = real_sqlite(*given)
            self.come("inside save")
            return stored

        async def save_in_postgres(*given: Any) -> list[bool]:
            stored = await real_postgres(*given)
            self.come("inside save")
            return stored

        sqlite._save = save_in_sqlite  # type: ignore[assignment]
        postgres._save = save_in_postgres  # type: ignore[assignment]

    async def have(self) -> None:
        """Have the turn."""
        order = self.order
        self.watch_inside()
        # Each does what is its own.
        ConversationTender.forever = lambda _: asyncio.sleep(3600)  # type: ignore[method-assign,assignment]
        async with hf.connect(order["url"]) as client:
            engine = hf.TurnEngine(DIALOGUE, self.model, hand_over=hand_over)
            desk = await hf.open_conversations(client, [engine], state_url=order["state"])
            store: Any = (await holding_of(client.core, order["state"])).store
            for owner, verbs in ((desk._holding, ("_take", "_save")), (store, ("settle",))):
                for verb in verbs:
                    self.watch(owner, verb)
            self.watch(client.core.store, "commit")
            self.watch(client.core.store.work, "put_items")
            try:
                result = await desk.turn(
                    "ann", order["word"], turn_id=order["turn"], conversation_id=order["conversation"]
                )
                self.note(f"had {result.number} {result.repeated}")
            except hf.HoldfastError as error:
                self.note(f"raised {type(error).__name__}")


def main() -> None:
    log, *orders = sys.argv[1:]
    for order in orders:
        if os.fork() == 0:
            asyncio.run(Victim(json.loads(order), log).have())
            os._exit(0)
    for _ in orders:
        os.wait()


if __name__ == "__main__":
    main()
