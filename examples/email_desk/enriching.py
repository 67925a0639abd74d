"""The sub-agents that find out what surrounds a message: side by side, each with its own time and attempts.

One that fails stops nothing: the context says what is missing, and whoever works with it is more careful.
"""

from __future__ import annotations

import asyncio
from typing import Any

from pydantic import TypeAdapter

import holdfast as hf

from . import threads
from .crm import ask
from .message import Message
from .settings import settings
from .sorting import read
from .values import Contact, Context, Deal, Earlier, Update

PATIENCE = "30s"
"""How long an attempt may take with the wait for its turn; for the CRM's answer the settings have a time."""

PAUSE_SECONDS = 0.1
twice = hf.Retry(max_attempts=2, initial=PAUSE_SECONDS)

_CONTACT: TypeAdapter[Contact | None] = TypeAdapter(Contact | None)
_DEAL: TypeAdapter[Deal | None] = TypeAdapter(Deal | None)
_UPDATES: TypeAdapter[tuple[Update, ...] | None] = TypeAdapter(tuple[Update, ...] | None)


@hf.source(optional=True, default=(), retry=twice, timeout="5s")
async def thread(message: Message) -> tuple[Earlier, ...]:
    """What the desk has seen of the conversation before; this message joins it."""
    return await asyncio.to_thread(threads.seen, settings.threads(hf.current().tenant), message)


@hf.source(optional=True, retry=twice, timeout=PATIENCE)
async def contact(address: str) -> Contact | None:
    return _CONTACT.validate_python(await _asked("contacts", address))


@hf.source(optional=True, retry=twice, timeout=PATIENCE)
async def deal(address: str) -> Deal | None:
    return _DEAL.validate_python(await _asked("deals", address))


@hf.source(optional=True, default=(), retry=twice, timeout=PATIENCE)
async def updates(address: str) -> tuple[Update, ...]:
    return _UPDATES.validate_python(await _asked("updates", address)) or ()


async def enrich(message: Message) -> Context:
    """The context of a message, of what it says itself and what the sub-agents find out."""
    known, address = read(message), message.sender_address
    return await hf.gather_context(
        Context,
        subject=known.subject,
        references=known.references,
        own=known.own,
        history=known.history,
        thread=thread(message),
        contact=contact(address),
        deal=deal(address),
        updates=updates(address),
    )


async def _asked(kind: str, address: str) -> Any:
    """What the CRM says; None if the desk has no CRM."""
    return await ask(settings.crm, kind, address, settings.crm_seconds) if settings.crm else None
