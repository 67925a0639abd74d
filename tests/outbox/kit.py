"""What the tests of sending share: a file of channels, a client with messages, and how these fare."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import holdfast as hf
from holdfast.engine.publishing import Given, new_message
from holdfast.engine.workflow import Workflow
from holdfast.model.payload import codec_of
from holdfast.model.publishing import PublishMode
from holdfast.services.outbox.channel_files import read_channels
from holdfast.services.outbox.channels import make_channel
from holdfast.services.outbox.outgoing import Channel, Outgoing
from holdfast.store.operations import Audit
from holdfast.store.outbox_rows import MessageAttempt, MessageFilter, MessageRow, PublishSettingRow

TENANT = "default"
_ANY = codec_of(Any)


@hf.workflow
async def nothing() -> None:
    """A worker serves one workflow at least."""


def channels_file(folder: Path, text: str) -> Path:
    path = folder / "channels.toml"
    path.write_text(text)
    return path


def channel_of(folder: Path, text: str) -> Channel:
    """The first channel of such a file."""
    return make_channel(next(iter(read_channels(channels_file(folder, text)).values())))


def outgoing(value: Any, id: str = "m-1", *, tenant: str = TENANT, draft: bool = False) -> Outgoing:
    plain = value.to_json() if isinstance(value, hf.Mail) else value
    return Outgoing(tenant, id, _ANY.encode(plain, "a message"), 1_700_000_000_000_000, draft)


@asynccontextmanager
async def sending(
    url: str,
    folder: Path,
    channels: str,
    *workflows: Workflow[Any, Any],
    mode: PublishMode | None = "auto",
    **options: Any,
) -> AsyncIterator[hf.Client]:
    """A client, and a worker on the same database that sends by such channels."""
    async with hf.connect(url) as client:
        if mode is not None:
            await set_mode(client, mode)
        path = channels_file(folder, channels)
        async with hf.Worker(client, workflows or [nothing], channels=path, **{"drain": 0, **options}):
            yield client


async def set_mode(client: hf.Client, mode: PublishMode | None) -> None:
    """Choose for all workflows of the tenant."""
    outbox, now = client.core.store.outbox, client.core.now_us()
    there = {row.workflow: row for row in await outbox.publish_settings(TENANT)}.get("")
    revision = 1 if there is None else there.revision + 1
    row = PublishSettingRow(TENANT, "", mode, "primary", now, 0, revision, "test", now)
    audit = Audit(now.to_bytes(16, "big"), TENANT, "test", "publish.set", "", b"{}", now)
    assert await outbox.put_publish_setting(row, audit)


async def put(client: hf.Client, channel: str, id: str, body: bytes) -> None:
    """Publish a message with such bytes, whatever they are."""
    given = Given(channel, id, None, 0, "mode", "", body, b"d" * 16)
    await client.core.committer.submit("messages", new_message(given, TENANT, client.core.now_us(), workflow=""))


async def message(client: hf.Client, id: str) -> MessageRow:
    found = await client.core.store.outbox.message(TENANT, id)
    assert found is not None, f"there is no message {id!r}"
    return found


async def attempts(client: hf.Client, id: str) -> list[MessageAttempt]:
    """The attempts to send a message, the first first."""
    row = await message(client, id)
    return (await client.core.store.outbox.attempts(TENANT, row.uid, limit=100))[::-1]


async def until_status(client: hf.Client, id: str, *statuses: str) -> MessageRow:
    """Wait until a message has one of some statuses."""

    async def reached() -> bool:
        return (await message(client, id)).status in statuses

    await until(reached)
    return await message(client, id)


async def until_all(client: hf.Client, count: int, *statuses: str, within: float = 60.0) -> None:
    """Wait until so many messages have one of some statuses."""

    async def reached() -> bool:
        which = MessageFilter(statuses=statuses)  # type: ignore[arg-type]
        return await client.core.store.outbox.count_messages(TENANT, which, cap=count) >= count

    await until(reached, within)


async def until(condition: Callable[[], Awaitable[bool]], within: float = 30.0) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(within):
        while not await condition():
            await asyncio.sleep(0.01)
