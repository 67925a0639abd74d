"""What becomes of messages when a worker stops, or when its database is away: each is sent once and told of."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import holdfast as hf
from holdfast.errors import StoreUnavailable
from holdfast.services import pruner
from holdfast.services.outbox import sender, settling
from holdfast.services.outbox.channel_files import read_channels
from holdfast.services.outbox.tending import Outbox
from holdfast.store.outbox_rows import ClaimedMessage, ClaimMessages, MessageFilter, Settlement
from tests.outbox.kit import TENANT, attempts, channels_file, message, nothing, sending, set_mode, until, until_all
from tests.outbox.receivers import Reply, Web, silent, web

QUICK = 'backoff = { initial = "10ms", maximum = "20ms" }'


def hook(receiver: Web, more: str = QUICK) -> str:
    return f'[channels.crm]\ntype = "webhook"\nurl = "{receiver.url}"\n{more}\n'


async def held(receiver: Web, count: int) -> None:
    async def there() -> bool:
        return len(receiver.requests) >= count

    await until(there)


async def test_what_is_under_way_is_given_time_to_end(store_url: str, tmp_path: Path) -> None:
    async with web() as receiver, hf.connect(store_url) as client:
        receiver.held = asyncio.Event()
        await set_mode(client, "auto")
        worker = hf.Worker(client, [nothing], channels=channels_file(tmp_path, hook(receiver)), drain=60)
        async with worker:
            for n in range(3):
                await client.publish("crm", n, id=f"m/{n}")
            await held(receiver, 3)
            stopping = asyncio.create_task(worker.stop())
            await client.publish("crm", 3, id="later")
            await asyncio.sleep(0.1)
            receiver.held.set()
            await stopping
        assert [(await message(client, f"m/{n}")).status for n in range(3)] == ["sent"] * 3
        assert (await message(client, "later")).status == "pending", "a worker that stops claims nothing"
    assert len(receiver.requests) == 3


@pytest.mark.parametrize(("resend", "status"), [("true", "failed"), ("false", "dead")])
async def test_what_is_cut_off_is_in_doubt(store_url: str, tmp_path: Path, resend: str, status: str) -> None:
    async with web() as receiver, hf.connect(store_url) as client:
        receiver.held = asyncio.Event()
        await set_mode(client, "auto")
        file = channels_file(tmp_path, hook(receiver, f"{QUICK}\nresend = {resend}"))
        async with hf.Worker(client, [nothing], channels=file, drain=0):
            await client.publish("crm", 1, id="m")
            await held(receiver, 1)
        row = await message(client, "m")
        [tried] = await attempts(client, "m")
        assert (row.status, tried.outcome, tried.doubt) == (status, status, True)
        assert tried.detail.startswith("the worker stopped before it was known what became of it")
        receiver.held.set()
        async with hf.Worker(client, [nothing], channels=file, drain=0):
            if resend == "true":
                await until_all(client, 1, "sent")


async def test_what_was_claimed_and_not_begun_is_handed_back(store_url: str, tmp_path: Path) -> None:
    async with web() as receiver, hf.connect(store_url) as client:
        await set_mode(client, "auto")
        for n in range(5):
            await client.publish("crm", n, id=f"m/{n}")
        worker = b"w" * 16
        await client.core.store.register_worker(worker, "here", 1, 1, 60_000_000, 1)
        channels = read_channels(channels_file(tmp_path, hook(receiver)))
        outbox = Outbox(client.core, channels, lambda: worker)
        real, taken = client.core.store.outbox.claim, []

        async def claim(asked: ClaimMessages) -> list[ClaimedMessage]:
            taken.extend(await real(asked))
            outbox.senders[0].stop()  # just when the answer is on its way
            return list(taken)

        client.core.store.outbox.claim = claim  # type: ignore[method-assign]
        try:
            assert not await outbox.tick()
        finally:
            client.core.store.outbox.claim = real  # type: ignore[method-assign]
        assert len(taken) == 5
        await outbox.stop(0)
        rows = [await message(client, f"m/{n}") for n in range(5)]
        assert [(row.status, row.attempts) for row in rows] == [("pending", 0)] * 5
    assert receiver.requests == []


async def test_what_was_claimed_under_a_lease_that_is_over_is_not_begun(store_url: str, tmp_path: Path) -> None:
    async with web() as receiver, hf.connect(store_url) as client:
        await set_mode(client, "auto")
        await client.publish("crm", 1, id="m")
        holds = [b"w" * 16]
        await client.core.store.register_worker(holds[0], "here", 1, 1, 60_000_000, 1)
        outbox = Outbox(client.core, read_channels(channels_file(tmp_path, hook(receiver))), lambda: holds[0])
        await outbox.tick()
        holds[0] = b""  # the process was frozen just when the claim was answered
        await outbox.stop(5)
        [tried] = await attempts(client, "m")
        assert (tried.outcome, tried.detail, tried.doubt) == ("failed", sender.LAPSED, False)
        assert receiver.requests == []
        async with hf.Worker(client, [nothing], channels=tmp_path / "channels.toml", drain=0):
            await until_all(client, 1, "sent")
    assert receiver.ids == ["m"]


async def test_what_is_cut_off_before_it_was_sent_is_in_no_doubt(store_url: str, tmp_path: Path) -> None:
    async with silent() as server, hf.connect(store_url) as client:
        await set_mode(client, "auto")
        file = channels_file(
            tmp_path,
            f'[channels.x]\ntype = "smtp"\nhost = "127.0.0.1"\nport = {server.port}\nsecurity = "none"\n'
            f'sender = "d@b.example"\nto = "a@b.example"\n{QUICK}\n',
        )
        async with hf.Worker(client, [nothing], channels=file, drain=0):
            await client.publish("x", "text", id="m")
            await server.came.wait()
        [tried] = await attempts(client, "m")
        assert (tried.outcome, tried.detail, tried.doubt) == ("failed", "the worker stopped before it was sent", False)


class Away:
    """A database whose answers are lost, or that does nothing, for some calls of a verb."""

    def __init__(self, client: hf.Client, verb: str, plan: list[str]) -> None:
        self._outbox: Any = client.core.store.outbox
        self._verb, self._plan = verb, plan
        self._real: Callable[..., Any] = getattr(self._outbox, verb)
        self.calls = 0

    def __enter__(self) -> "Away":
        setattr(self._outbox, self._verb, self._call)
        return self

    def __exit__(self, *_: object) -> None:
        delattr(self._outbox, self._verb)

    async def _call(self, *given: Any) -> Any:
        self.calls += 1
        what = self._plan.pop(0) if self._plan else "works"
        if what == "is away":
            raise StoreUnavailable("the database is away")
        result = await self._real(*given)
        if what == "answer lost":
            raise StoreUnavailable("the connection is lost")
        return result


async def test_an_end_that_cannot_be_recorded_is_kept_and_the_message_not_sent_again(
    store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling, "REST_SECONDS", 0.02)
    async with web() as receiver, sending(store_url, tmp_path, hook(receiver)) as client:
        plan = ["is away", "answer lost", "is away", "works", "answer lost", "answer lost"]
        with Away(client, "settle", plan) as away:
            for n in range(20):
                await client.publish("crm", n, id=f"m/{n}")
            await until_all(client, 20, "sent")
            await client.publish("crm", 20, id="m/20")
            await until_all(client, 21, "sent")
            assert away.calls >= 3
        for n in range(21):
            assert [one.outcome for one in await attempts(client, f"m/{n}")] == ["sent"]
    assert len(receiver.requests) == len(set(receiver.ids)) == 21


async def test_a_claim_whose_answer_is_lost_is_asked_again(
    store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sender, "TROUBLE_SECONDS", 0.02)
    async with web() as receiver, sending(store_url, tmp_path, hook(receiver)) as client:
        with Away(client, "claim", ["answer lost", "is away", "answer lost"]), caplog.at_level(logging.WARNING):
            for n in range(10):
                await client.publish("crm", n, id=f"m/{n}")
            await until_all(client, 10, "sent")
        for n in range(10):
            assert [one.attempt for one in await attempts(client, f"m/{n}")] == [1]
    assert len(receiver.requests) == len(set(receiver.ids)) == 10
    assert "cannot be claimed just now: the connection is lost" in caplog.text


async def test_one_end_that_cannot_be_stored_does_not_keep_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with web() as receiver, sending("memory://", tmp_path, hook(receiver)) as client:
        outbox: Any = client.core.store.outbox
        real = outbox.settle

        async def settle(settlements: list[Settlement]) -> list[bool]:
            if any(one.detail == "200 poison" for one in settlements):
                raise hf.PayloadError("detail", "cannot be stored")
            return list(await real(settlements))

        outbox.settle = settle
        receiver.held = asyncio.Event()
        receiver.usual = lambda request: Reply(200, b"poison" if request.json == "bad" else b"")
        for id in ("a", "bad", "b"):
            await client.publish("crm", id, id=id)
        await held(receiver, 3)
        receiver.held.set()
        await until_all(client, 2, "sent")
        del outbox.settle
        await until_all(client, 1, "dead")
        row = await message(client, "bad")
        assert (row.error, row.doubt) == (settling.NOT_RECORDED, True)
    assert "cannot be recorded" in caplog.text


async def test_messages_are_kept_for_a_time_and_dead_ones_until_somebody_decides(
    store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruner, "START_WITHIN_SECONDS", 0.01)
    monkeypatch.setattr(pruner, "TIDY_SECONDS", 0.02)
    monkeypatch.setattr(pruner, "PORTION", 2)
    async with web() as receiver, sending(store_url, tmp_path, hook(receiver)) as client:
        receiver.script = [Reply(400)]
        await client.publish("crm", 0, id="dead")
        await until_all(client, 1, "dead")
        for n in range(5):
            await client.publish("crm", n, id=f"m/{n}")
        await client.publish("crm", 9, id="refused", refuse="never")
        await until_all(client, 5, "sent")
        async with hf.Worker(client, [nothing], keep_messages=0, drain=0):

            async def pruned() -> bool:
                left = await client.core.store.outbox.messages(TENANT, MessageFilter(), limit=10)
                return [row.id for row in left] == ["dead"]

            await until(pruned)
    with pytest.raises(hf.UsageError, match="keep_messages"):
        hf.Worker("memory://", [nothing], keep_messages="long")
