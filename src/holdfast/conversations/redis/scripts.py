"""Runs the scripts in the lua folder; a server that has not got one yet is sent it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from hashlib import sha1
from importlib.resources import files
from typing import Any, NamedTuple

from redis.exceptions import NoScriptError

from holdfast.conversations.redis.link import Link


class Call(NamedTuple):
    """Run a script.

    Attributes:
        script: the name of its file.
        keys: what it reads and writes; of one slot.
        arguments: as it says; the clock's offset is put before them.
    """

    script: str
    keys: Sequence[str]
    arguments: Sequence[str | bytes | int] = ()


class Script(NamedTuple):
    """A script, and what a server knows it by."""

    text: str
    digest: str


@cache
def script(name: str) -> Script:
    """A script with what all begin with."""
    folder = files("holdfast.conversations.redis").joinpath("lua")
    text = "\n".join(folder.joinpath(f"{part}.lua").read_text("utf-8") for part in ("begin", name))
    return Script(text, sha1(text.encode(), usedforsecurity=False).hexdigest())


async def run(link: Link, offset_us: int, calls: Sequence[Call]) -> list[Any]:
    """Run scripts, in one round trip where the server knows them.

    Args:
        offset_us: what is added to the server's clock.

    Returns:
        What each replied, in the order of the calls. They are no transaction: each is one of its own.

    Raises:
        StoreError: one failed; the others may have been run.
    """
    replies = await link.send([("EVALSHA", script(call.script).digest, *_rest(call, offset_us)) for call in calls])
    # A script that is not known has not been run. The servers of a cluster know different ones.
    missing = [n for n, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
    if not missing:
        return replies
    sent = await link.send([("EVAL", script(calls[n].script).text, *_rest(calls[n], offset_us)) for n in missing])
    for n, reply in zip(missing, sent, strict=True):
        replies[n] = reply
    return replies


def _rest(call: Call, offset_us: int) -> tuple[str | bytes | int, ...]:
    return len(call.keys), *call.keys, offset_us, *call.arguments
