"""Messages as those may see them who may only look: what a run hides is hidden in what it publishes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from holdfast.api.redaction import HIDDEN, Redactor
from holdfast.engine.client import Client
from holdfast.engine.messages import MessageView
from holdfast.errors import RunNotFound


async def seen(client: Client, view: MessageView, redactor: Redactor | None) -> MessageView:
    """A message without what the run that published it hides.

    Args:
        client: of whoever asks.
        view: the message.
        redactor: hides fields; None for whom nothing is hidden.
    """
    if redactor is None:
        return view
    secrets: set[str] = set()
    if view.run is not None:
        try:
            redactor.view(await client.get(view.run), secrets)
            for entry in await client.history(view.run):
                redactor.view(entry, secrets)
        except RunNotFound:  # deleted meanwhile: what the message itself says is hidden all the same
            pass
    return redactor.view(view, secrets)


def listed(views: Sequence[MessageView], redactor: Redactor | None) -> list[MessageView]:
    """Messages of a list: without texts that may repeat what is hidden, since a list does not read what that is."""
    if redactor is None:
        return list(views)
    return [
        replace(view, reason=HIDDEN if view.reason else "", error=None if view.error is None else HIDDEN)
        for view in views
    ]
