"""What the tests of conversations over HTTP share: a dialogue, models for it, and servers of it over each store."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import httpx

import holdfast as hf
from holdfast.api import ServeConfig, create_app
from tests.api.kit import Served, memory
from tests.conversations.kit import Scripted, dialogue

CHAT = "/api/chat/orchestrate"

__all__ = ["CHAT", "Scripted", "dialogue", "said", "talking"]


@contextlib.asynccontextmanager
async def talking(
    model: Any = None,
    *,
    url: str | None = None,
    state_url: str = "",
    tenant: str = "default",
    engines: tuple[hf.TurnEngine, ...] = (),
    engine: dict[str, Any] | None = None,
    **config: Any,
) -> AsyncIterator[Served]:
    """A server with conversations that is open."""
    own = hf.TurnEngine(dialogue(), Scripted() if model is None else model, **(engine or {}))
    app = create_app(
        url or memory(), config=ServeConfig(**config), tenant=tenant, conversations=engines or (own,),
        state_url=state_url,
    )  # fmt: skip
    served = Served(app, app.state.holdfast.url)
    await served.server.open()
    try:
        yield served
    finally:
        await served.close()
        await served.server.close()


async def said(http: httpx.AsyncClient, message: str, conversation: str | None = None, **more: Any) -> httpx.Response:
    """A turn."""
    body = {"message": message, **more}
    if conversation is not None:
        body["conversationId"] = conversation
    return await http.post(CHAT, json=body)
