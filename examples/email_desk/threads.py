"""The conversations that the desk has seen: a folder for each, with a file for each message."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
from dataclasses import asdict
from pathlib import Path

from .message import Message
from .sorting import conversation, read
from .values import Earlier

MOST_TEXT = 2_000
"""Characters that are kept of what somebody wrote."""

MOST_MESSAGES = 50
"""So many of a conversation are read, the latest."""


def seen(folder: Path, message: Message) -> tuple[Earlier, ...]:
    """The other messages of a message's conversation, oldest first; it is kept for those that come later.

    Args:
        folder: of all conversations.
    """
    context = read(message)
    inside = folder / _name(conversation(context, message))
    path = inside / f"{_name(message.key)}.json"
    if not path.exists():
        one = Earlier(
            message.message_id, message.sender_address, message.date, context.subject, context.own[:MOST_TEXT]
        )  # fmt: skip
        inside.mkdir(parents=True, exist_ok=True)
        _write(path, json.dumps(asdict(one), ensure_ascii=False))
    others = (one for one in inside.glob("*.json") if one != path)
    found = [Earlier(**json.loads(one.read_text(encoding="utf-8"))) for one in others]
    return tuple(sorted(found, key=lambda one: (one.date, one.message_id))[-MOST_MESSAGES:])


def _write(path: Path, text: str) -> None:
    """Whole or not at all."""
    temporary = path.parent / f".{secrets.token_hex(8)}.tmp"
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def _name(of: str) -> str:
    return hashlib.sha256(of.encode("utf-8", "surrogatepass")).hexdigest()[:32]
