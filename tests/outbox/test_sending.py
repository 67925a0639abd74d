"""Workers send what was published: in order, at most so fast, so many at once, again when it failed."""

import asyncio
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

import holdfast as hf
from holdfast.services.outbox import tending
from tests.outbox.kit import attempts, channels_file, message, put, sending, set_mode, until, until_all, until_status
from tests.outbox.receivers import Reply, Request, Web, post, web

QUICK = 'backoff = { initial = "10ms", maximum = "20ms" }'


@hf.step
async def write(n: int) -> str:
    await hf.publish("crm", {"n": n}, id=f"crm/{n}")
    return await hf.publish("crm", {"n": -n}, id=f"crm/-{n}")


@hf.workflow
async def desk(n: int) -> str:
    await write(n)
    return await hf.publish("crm", {"text": "last"}, id=f"crm/last/{n}")


def hook(receiver: Web, more: str = QUICK) -> str:
    return f'[channels.crm]\ntype = "webhook"\nurl = "{receiver.url}"\n{more}\n'


async def test_what_runs_publish_is_sent_and_recorded(store_url: str, tmp_path: Path) -> None:
    async with web() as receiver, sending(store_url, tmp_path, hook(receiver), desk) as client:
        receiver.usual = lambda request: Reply(200, b'{"taken": true}')
        run = await client.start(desk, 7)
        assert await run.result(timeout="20s") == "crm/last/7"
        await client.publish("crm", {"n": 0}, id="from-outside")
        await until_all(client, 4, "sent")
        assert sorted(receiver.ids) == ["crm/-7", "crm/7", "crm/last/7", "from-outside"]
        [tried] = await attempts(client, "crm/7")
        assert (tried.attempt, tried.outcome, tried.detail) == (1, "sent", '200 {"taken": true}')
        row = await message(client, "crm/7")
        assert (row.workflow, row.run_id, row.attempts, row.doubt) == ("desk", run.id, 1, False)
        assert row.ended_at is not None
        assert tried.began_at <= tried.ended_at


async def test_what_failed_is_tried_again_until_it_is_sent_or_dead(store_url: str, tmp_path: Path) -> None:
    answers = {
        "mended": [Reply(503), Reply(200, cut_at=0), Reply(200)],
        "dead": [Reply(500, b"broken")] * 3,
        "refused": [Reply(422, b"no such order")],
        "moved": [Reply(308, headers={"location": "http://127.0.0.1:1/"})],
    }
    async with web() as receiver, sending(store_url, tmp_path, hook(receiver, f"{QUICK}\nattempts = 3")) as client:
        receiver.usual = lambda request: answers[request.headers["idempotency-key"]].pop(0)
        for id in answers:
            await client.publish("crm", {"id": id}, id=id)
        await until_status(client, "mended", "sent")
        dead, refused, moved = [await until_status(client, id, "dead") for id in ("dead", "refused", "moved")]
        tries = [(one.attempt, one.outcome, one.doubt) for one in await attempts(client, "mended")]
        assert tries == [(1, "failed", False), (2, "failed", True), (3, "sent", False)]
        assert (dead.attempts, dead.error) == (3, "it was refused for now: 500 broken (attempt 3, the last one)")
        assert (refused.attempts, refused.error) == (1, "it was refused: 422 no such order")
        assert (moved.attempts, moved.error) == (1, "it redirects (308), and redirects are not followed")
        assert not any(one.doubt for one in (dead, refused, moved))
        # A person has it sent again.
        answers["dead"].append(Reply(200))
        await client.send_again("dead")
        assert (await until_status(client, "dead", "sent")).attempts == 1


async def test_a_pause_that_is_asked_for_is_kept(store_url: str, tmp_path: Path) -> None:
    async with web() as receiver, sending(store_url, tmp_path, hook(receiver)) as client:
        receiver.script = [Reply(429, headers={"retry-after": "3000"})]
        await client.publish("crm", 1, id="m")
        row = await until_status(client, "m", "failed")
        [tried] = await attempts(client, "m")
        assert row.due_at - tried.ended_at >= 2_999_000_000
        assert "429" in (row.error or "")


async def test_a_pause_counts_for_all_messages_of_a_channel_with_a_rate(store_url: str, tmp_path: Path) -> None:
    terms = f'{QUICK}\nrate = "100/1s"'
    async with web() as receiver, sending(store_url, tmp_path, hook(receiver, terms)) as client:
        receiver.script = [Reply(429, headers={"retry-after": "3000"})]
        await client.publish("crm", 1, id="m")
        await until_status(client, "m", "failed")

        async def postponed() -> bool:
            return await client.core.store.agents.reserve("channel:crm", 1, 1) > 2_000_000_000

        await until(postponed)


async def test_messages_with_a_key_keep_their_order_whatever_fails(store_url: str, tmp_path: Path) -> None:
    failing = defaultdict(int, {"a/0": 2, "a/3": 1, "b/1": 1})
    taken: dict[str, list[str]] = defaultdict(list)

    def answer(request: Request) -> Reply:
        id = request.headers["idempotency-key"]
        if failing[id]:
            failing[id] -= 1
            return Reply(503)
        taken[id[0]].append(id)
        return Reply()

    async with web() as receiver, sending(store_url, tmp_path, hook(receiver)) as client:
        receiver.usual = answer
        for n in range(5):
            for key in "abc":
                await client.publish("crm", n, id=f"{key}/{n}", key=key)
        await client.publish("crm", 0, id="d/dead", key="d")
        await until_all(client, 16, "sent")
    assert taken == {"d": ["d/dead"], **{key: [f"{key}/{n}" for n in range(5)] for key in "abc"}}


async def test_a_dead_message_keeps_its_place_until_somebody_decides(store_url: str, tmp_path: Path) -> None:
    async with web() as receiver, sending(store_url, tmp_path, hook(receiver)) as client:
        receiver.script = [Reply(400)]
        await client.publish("crm", 1, id="first", key="k")
        await client.publish("crm", 2, id="second", key="k")
        await until_status(client, "first", "dead")
        await client.publish("crm", 3, id="other", key="other")
        await until_status(client, "other", "sent")
        assert (await message(client, "second")).status == "pending"
        await client.discard_message("first", "nobody needs it")
        await until_status(client, "second", "sent")
    assert receiver.ids == ["first", "other", "second"]


async def test_so_many_are_sent_at_once_and_no_more(store_url: str, tmp_path: Path) -> None:
    async with web() as receiver, sending(store_url, tmp_path, hook(receiver)) as client:
        receiver.held = asyncio.Event()
        for n in range(130):
            await client.publish("crm", n, id=f"m/{n}")

        async def full() -> bool:
            return receiver.at_once >= 100

        await until(full, 60)
        await until_all(client, 100, "sending")
        receiver.held.set()
        await until_all(client, 130, "sent")
    assert receiver.at_once == 100
    assert len(receiver.requests) == len(set(receiver.ids)) == 130


async def test_a_rate_holds_over_all_workers(disk_url: str, tmp_path: Path) -> None:
    came: list[float] = []

    def answer(request: Request) -> Reply:
        came.append(asyncio.get_running_loop().time())
        return Reply()

    terms = f'{QUICK}\nrate = "10/1s"\nburst = 3'
    async with web() as receiver, sending(disk_url, tmp_path, hook(receiver, terms)) as client:
        receiver.usual = answer
        async with sending(disk_url, tmp_path, hook(receiver, terms), mode=None):
            for n in range(12):
                await client.publish("crm", n, id=f"m/{n}")
            await until_all(client, 12, "sent")
    # Three at once, and nine more, one in each tenth of a second; an answer may be late, and none is early.
    assert came[-1] - came[0] >= 0.8


async def test_the_mode_counts_that_holds_when_a_messages_turn_comes(store_url: str, tmp_path: Path) -> None:
    async with web() as receiver, sending(store_url, tmp_path, hook(receiver), desk, mode=None) as client:
        await client.publish("crm", 1, id="in draft")
        row = await until_status(client, "in draft", "withheld")
        assert (row.reason, row.attempts) == ("it is a draft: a person looks at it first", 0)
        await client.set_publish_mode("off")
        await client.publish("crm", 2, id="off")
        row = await until_status(client, "off", "withheld")
        assert (row.reason, row.attempts) == ("publishing is off", 0)
        await client.set_publish_mode("auto")
        await client.publish("crm", 3, id="on")
        await until_status(client, "on", "sent")
        await client.set_publish_mode("off", workflow="desk")
        await client.publish("crm", 4, id="off for desk", workflow="desk")
        await until_status(client, "off for desk", "withheld")
        await client.publish("crm", 5, id="refused", refuse="a policy forbids it")
        assert (await until_status(client, "refused", "withheld")).reason == "a policy forbids it"
        # A person has it sent, whatever the mode says; never what is refused.
        await client.send_again(["off", "off for desk", "refused"])
        await until_status(client, "off for desk", "sent")
        await until_status(client, "off", "sent")
    assert sorted(receiver.ids) == ["off", "off for desk".replace(" ", "%20"), "on"]


async def test_drafts_go_to_the_channel_that_is_there_for_them(store_url: str, tmp_path: Path) -> None:
    async with web() as receiver, web() as box:
        channels = (
            hook(receiver, f'{QUICK}\ndrafts = "box"')
            + f'[channels.box]\ntype = "webhook"\nurl = "{box.url}"\n{QUICK}\n'
        )
        async with sending(store_url, tmp_path, channels, mode="draft") as client:
            box.script = [Reply(503), Reply(200, b"kept")]
            await client.publish("crm", {"n": 1}, id="d", delay=0)
            with pytest.raises(hf.HoldfastError):
                await client.get(f"review/{(await message(client, 'd')).uid.hex()}")
            row = await until_status(client, "d", "failed", "sent")
            row = await until_status(client, "d", "sent")
            assert [one.detail for one in await attempts(client, "d")] == [
                "it was refused for now: 503 {}",
                "as a draft through box: 200 kept",
            ]
            assert row.attempts == 2
            # What its code wants to be looked at is looked at by a person all the same.
            await client.publish("crm", 2, id="r", review="the customer threatens to leave")
            assert (await until_status(client, "r", "withheld")).reason == "the customer threatens to leave"
    assert receiver.requests == []
    assert [request.headers["x-holdfast-draft"] for request in box.requests] == ["yes", "yes"]


async def test_nobody_is_sent_twice_what_may_have_been_sent(store_url: str, tmp_path: Path) -> None:
    async with web() as receiver, post() as mails:
        channels = hook(receiver, f"{QUICK}\nresend = false") + (
            f'[channels.mail]\ntype = "smtp"\nhost = "127.0.0.1"\nport = {mails.port}\nsecurity = "none"\n'
            f'sender = "d@shop.example"\n{QUICK}\n'
        )
        async with sending(store_url, tmp_path, channels) as client:
            mails.on_data = lambda envelope: "drop"
            receiver.script = [Reply(503), Reply(200, cut_at=0)]
            await client.publish("mail", hf.Mail(to="a@b.example", subject="s", text="t"), id="mail")
            await client.publish("crm", 1, id="hook")
            mail, posted = await until_status(client, "mail", "dead"), await until_status(client, "hook", "dead")
            assert (mail.doubt, posted.doubt) == (True, True)
            assert (mail.attempts, posted.attempts) == (1, 2)
            await client.send_again("hook")
            assert not (await until_status(client, "hook", "sent")).doubt
    assert len(mails.taken) == 1


async def test_what_cannot_be_read_is_dead_and_holds_up_nobody(store_url: str, tmp_path: Path) -> None:
    async with web() as receiver, post() as mails:
        channels = hook(receiver) + (
            f'[channels.mail]\ntype = "smtp"\nhost = "127.0.0.1"\nport = {mails.port}\nsecurity = "none"\n'
            f'sender = "d@shop.example"\nto = "a@b.example"\n'
        )
        async with sending(store_url, tmp_path, channels) as client:
            for channel in ("crm", "mail"):
                for id, body in (("format", b"\7{}"), ("cut", b'\1{"n": ')):
                    await put(client, channel, f"{channel}/{id}", body)
                await client.publish(channel, "good", id=f"{channel}/good")
            rows = [await until_status(client, f"{channel}/format", "dead") for channel in ("crm", "mail")]
            rows.append(await until_status(client, "mail/cut", "dead"))
            await until_status(client, "crm/good", "sent")
            await until_status(client, "mail/good", "sent")
    assert {(row.attempts, row.doubt) for row in rows} == {(1, False)}
    assert all((row.error or "").startswith("it cannot be read: a message: the stored bytes") for row in rows)


async def test_what_is_sealed_by_a_key_that_is_not_here_is_tried_again(store_url: str, tmp_path: Path) -> None:
    async with web() as receiver, sending(store_url, tmp_path, hook(receiver)) as client:
        await put(client, "crm", "sealed", b"\2hfA1\7another...")
        row = await until_status(client, "sealed", "failed")
        assert row.error == "it cannot be read: a message: it is sealed by key 'another', and no key is configured here"
        await client.publish("crm", "good", id="good")
        await until_status(client, "good", "sent")


async def test_channels_that_wait_ask_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tending, "POLL_SECONDS", 0.02)
    names = sorted(f"c{n}" for n in range(20))
    channels = "".join(f'[channels.{name}]\ntype = "file"\nfolder = "out"\n' for name in names)
    asked: list[list[str]] = []
    async with hf.connect("memory://") as client:
        outbox: Any = client.core.store.outbox
        real = outbox.next_due

        async def next_due(channels: list[str]) -> dict[str, int]:
            asked.append(channels)
            return dict(await real(channels))

        outbox.next_due = next_due
        try:
            await set_mode(client, "auto")
            async with hf.Worker(client, [desk], channels=channels_file(tmp_path, channels), drain=0):

                async def together() -> bool:
                    return asked.count(names) >= 3

                await until(together)
                await client.publish("c7", 1, id="m")
                await until_status(client, "m", "sent")
        finally:
            del outbox.next_due


async def test_a_message_for_a_channel_that_is_not_there_waits(store_url: str, tmp_path: Path) -> None:
    async with web() as receiver, sending(store_url, tmp_path, hook(receiver)) as client:
        await client.publish("nowhere", 1, id="waits")
        await client.publish("crm", 1, id="goes")
        await until_status(client, "goes", "sent")
        assert (await message(client, "waits")).status == "pending"


async def test_a_fault_of_a_channel_is_told_without_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from holdfast.services.outbox.webhook import WebhookChannel

    async def broken(self: Any, message: Any) -> str:
        raise KeyError("hunter2")

    monkeypatch.setattr(WebhookChannel, "send", broken)
    async with web() as receiver, sending("memory://", tmp_path, hook(receiver, f"{QUICK}\nattempts = 2")) as client:
        await client.publish("crm", 1, id="m")
        row = await until_status(client, "m", "dead")
        assert row.error == "a fault: KeyError (attempt 2, the last one)"
        assert row.doubt
    assert "hunter2" not in caplog.text
