"""Threads of a channel: one that hangs holds up its own channel only, and what was not begun is in no doubt."""

import asyncio
import threading
from pathlib import Path

import pytest

from holdfast.services.outbox.channel_files import read_channels
from holdfast.services.outbox.outgoing import NOT_BEGUN, DeliveryFailed
from holdfast.services.outbox.threads import Threads
from tests.outbox.kit import channels_file


def made(tmp_path: Path, name: str, timeout: str) -> Threads:
    text = f'[channels.{name}]\ntype = "file"\nfolder = "out"\nconcurrency = 1\ntimeout = "{timeout}"\n'
    return Threads(read_channels(channels_file(tmp_path, text))[name])


async def test_what_waits_behind_one_that_hangs_was_not_begun(tmp_path: Path) -> None:
    slow, other, over = made(tmp_path, "slow", "100ms"), made(tmp_path, "other", "60s"), threading.Event()
    done: list[str] = []
    try:
        with pytest.raises(DeliveryFailed, match="there was no end") as first:
            await slow.call(over.wait)
        with pytest.raises(DeliveryFailed, match="was not begun") as second:
            await slow.call(done.append, "never")
        assert (first.value.doubt, second.value.doubt) == (True, False)
        assert await other.call(len, "abc") == 3
    finally:
        over.set()
    slow.close()
    other.close()
    assert done == []


async def test_what_is_cut_off_is_in_doubt_only_if_it_was_begun(tmp_path: Path) -> None:
    threads, begun, over = made(tmp_path, "slow", "60s"), threading.Event(), threading.Event()

    def hang() -> None:
        begun.set()
        over.wait()

    try:
        first, second = asyncio.create_task(threads.call(hang)), asyncio.create_task(threads.call(hang))
        await asyncio.to_thread(begun.wait)
        for task in (second, first):
            task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        with pytest.raises(DeliveryFailed, match=NOT_BEGUN):
            await second
    finally:
        over.set()
    threads.close()
