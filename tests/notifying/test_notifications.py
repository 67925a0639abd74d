"""Who is told what becomes of runs: durably, once, together where that is asked for."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import holdfast as hf
from holdfast.services.notifying import digests
from tests.engine.helpers import ONCE, serving, until, until_status
from tests.notifying.receiver import Receiver, receiving


@hf.step(retry=ONCE)
async def breaks(what: str) -> None:
    raise ValueError(f"{what} is broken")


@hf.workflow
async def order(what: str) -> None:
    await breaks(what)


@hf.workflow
async def fine(what: str) -> str:
    return what


class Turns:
    """Who executes a run, one after the other: the first is slow, and fails."""

    def __init__(self) -> None:
        self.begun = 0
        self.go_on = asyncio.Event()


turns = Turns()


@hf.workflow
async def slow() -> None:
    turns.begun += 1
    if turns.begun == 1:
        await turns.go_on.wait()
        raise ValueError("it is broken")


@hf.workflow
async def held() -> None:
    await hf.hold("look at it")


@hf.workflow
async def asks() -> bool:
    return await hf.ask("May it go?", form=bool, group="ops", text="It is large.")


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with receiving() as found:
        monkeypatch.setenv("OPS", f"json://127.0.0.1:{found.port}")
        yield found


OPS = """\
[channels.ops]
type = "apprise"
url = "env:OPS"
backoff = { initial = "10ms", maximum = "50ms" }
"""


@asynccontextmanager
async def notified(
    url: str, folder: Path, rules: str, *workflows: Any, channels: str = OPS
) -> AsyncIterator[hf.Client]:
    """A client, and a worker that tells people by some rules."""
    (folder / "notifications.toml").write_text(rules)
    (folder / "channels.toml").write_text(channels)
    files = {"notifications": folder / "notifications.toml", "channels": folder / "channels.toml"}
    async with serving(url, *workflows, **files) as client:
        yield client


async def ended(client: hf.Client, number: int, status: str = "sent") -> list[hf.MessageView]:
    """The messages of a status, the newest first, once there are so many."""

    async def there() -> bool:
        return len(await client.messages(status=status)) >= number  # type: ignore[arg-type]

    await until(there, within=30)
    return await client.messages(status=status)  # type: ignore[arg-type]


FAILED = '[[rules]]\nname = "failed"\non = "run.failed"\nchannels = "ops"\n'


async def test_a_failed_run_is_told_of_once(store_url: str, receiver: Receiver, tmp_path: Path) -> None:
    rules = FAILED + 'title = "$workflow failed"\nbody = "$run of $tenant: $text"\n'
    async with notified(store_url, tmp_path, rules, order, fine) as client:
        await client.start(fine.options(id="f-1"), "all is well")
        await client.start(order.options(id="o-1"), "the press")
        [view] = await ended(client, 1)
        assert receiver.messages == [("order failed", "o-1 of default: ValueError: the press is broken")]
        assert (view.run, view.workflow, view.verdict, view.channel) == ("o-1", "order", "send", "ops")
        assert view.id.startswith("notice/failed/")
        await client.retry("o-1")
        await ended(client, 2)
        assert len(receiver.messages) == 2, "each failure is told of"


async def test_people_are_told_whatever_the_publish_mode_is_and_of_runs_in_shadow(
    disk_url: str, receiver: Receiver, tmp_path: Path
) -> None:
    async with notified(disk_url, tmp_path, FAILED, order) as client:
        await client.set_publish_mode("off")
        await client.start(order, "it")
        await client.start(order.options(shadow=True), "it")
        await ended(client, 2)
        assert len(receiver.messages) == 2


async def test_what_is_refused_is_sent_again_until_it_is_taken(
    store_url: str, receiver: Receiver, tmp_path: Path
) -> None:
    receiver.refuse = 3
    async with notified(store_url, tmp_path, FAILED, order) as client:
        await client.start(order, "it")
        [view] = await ended(client, 1)
        assert (len(receiver.messages), receiver.asked, view.attempts) == (1, 4, 4)


async def test_a_title_is_one_line(store_url: str, receiver: Receiver, tmp_path: Path) -> None:
    rules = FAILED + 'title = "$workflow: $text"\nbody = "$text"\n'
    async with notified(store_url, tmp_path, rules, order) as client:
        await client.start(order, "a press\n  and a saw")
        await ended(client, 1)
        assert receiver.messages == [
            ("order: ValueError: a press and a saw is broken", "ValueError: a press\n  and a saw is broken")
        ]


async def test_the_same_words_are_told_once_in_a_while(store_url: str, receiver: Receiver, tmp_path: Path) -> None:
    rules = FAILED + 'title = "$workflow failed"\nbody = "$text"\ndedupe = "365d"\n'
    async with notified(store_url, tmp_path, rules, order) as client:
        for what in ("press", "press", "press", "saw"):
            run = await client.start(order, what)
            with pytest.raises(hf.RunFailed):
                await run.result("20s")
        await ended(client, 2)
        assert sorted(text for _, text in receiver.messages) == [
            "ValueError: press is broken", "ValueError: saw is broken"
        ]  # fmt: skip
        assert sorted(one.repeats for one in await client.messages()) == [0, 2]


async def test_a_digest_tells_together_what_came_up(store_url: str, receiver: Receiver, tmp_path: Path) -> None:
    async with notified(store_url, tmp_path, FAILED + 'body = "$text"\ndigest = "1s"\n', order) as client:
        for n in range(5):
            await client.start(order, f"part {n}")

        async def told() -> bool:
            said = "".join(text for _, text in receiver.messages)
            return all(f"part {n} is broken" in said for n in range(5))

        await until(told, within=30)
        assert len(receiver.messages) < 5
        said = "".join(text for _, text in receiver.messages)
        assert all(said.count(f"part {n} is broken") == 1 for n in range(5))


async def test_of_what_tells_people_nobody_is_told(store_url: str, receiver: Receiver, tmp_path: Path) -> None:
    """It would go round: each message would be the cause of the next one."""
    rules = FAILED + 'digest = "1s"\n[[rules]]\nname = "done"\non = "run.succeeded"\nchannels = "ops"\n'
    async with notified(store_url, tmp_path, rules, order) as client:
        await client.start(order, "it")
        [view] = await ended(client, 1)
        assert view.workflow == "holdfast.notifications"
        assert len(await client.messages()) == 1


async def test_a_digest_of_much_is_told_in_parts(store_url: str, receiver: Receiver, tmp_path: Path) -> None:
    rules = FAILED + f'body = "$text {"x" * 60_000}"\ndigest = "1s"\n'
    async with notified(store_url, tmp_path, rules, order) as client:
        for n in range(5):
            await client.start(order, f"part {n}")

        async def told() -> bool:
            said = "".join(text for _, text in receiver.messages)
            return all(f"part {n} is broken" in said for n in range(5))

        await until(told, within=30)
        assert max(len(text) for _, text in receiver.messages) < 2 * digests.DIGEST_CHARACTERS


async def test_a_digest_that_begins_when_its_day_is_over_tells_what_waits(
    store_url: str, receiver: Receiver, tmp_path: Path
) -> None:
    async with notified(store_url, tmp_path, FAILED, order) as client:
        late = digests.Digest("failed", ["ops"], 1.0, day=1)
        run = await client.start(digests.digest, late)
        await client.start(digests.gather, digests.Entry("failed", "it failed", "at night"))
        await run.result("30s")
        await ended(client, 1)
        [(title, text)] = receiver.messages
        assert title == "it failed"
        assert "at night" in text


async def test_a_channel_that_takes_nothing_leaves_the_others_told(
    store_url: str, receiver: Receiver, tmp_path: Path
) -> None:
    away = '[channels.away]\ntype = "apprise"\nurl = "env:HOLDFAST_NOT_SET"\nattempts = 1\n'
    rules = FAILED.replace('"ops"', '["away", "ops"]')
    async with notified(store_url, tmp_path, rules, order, channels=OPS + away) as client:
        await client.start(order, "it")
        await ended(client, 1)
        [view] = await ended(client, 1, "dead")
        assert (len(receiver.messages), view.channel) == (1, "away")


async def test_what_waits_for_a_person_is_told_of(store_url: str, receiver: Receiver, tmp_path: Path) -> None:
    rules = (
        '[[rules]]\nname = "people"\non = ["approval.wanted", "run.held"]\nchannels = "ops"\n'
        'title = "$event $about"\nbody = "$run $text"\n'
    )
    async with notified(store_url, tmp_path, rules, asks, held) as client:
        await client.start(asks.options(id="a-1"))
        await client.start(held.options(id="h-1"))
        await until_status(client, "h-1", "held")
        await ended(client, 2)
        assert sorted(receiver.messages) == [
            ("approval.wanted May it go?", "a-1 It is large."), ("run.held", "h-1 RunHeld: held: look at it")
        ]  # fmt: skip
        await client.cancel("a-1")


async def test_rules_tell_workflows_and_tenants_apart(disk_url: str, receiver: Receiver, tmp_path: Path) -> None:
    rules = (
        '[[rules]]\nname = "mine"\non = ["run.failed", "run.succeeded"]\nchannels = "ops"\nworkflows = "f*"\n'
        'tenants = ["acme"]\ntitle = "$run"\n'
    )
    async with (
        notified(disk_url, tmp_path, rules, order, fine) as client,
        hf.connect(disk_url, tenant="acme") as acme,
    ):
        await client.start(fine.options(id="another tenant"), "x")
        await acme.start(order.options(id="another workflow"), "x")
        await acme.start(fine.options(id="it"), "x")
        await ended(acme, 1)
        assert [title for title, _ in receiver.messages] == ["it"]


async def test_who_has_no_channels_records_what_others_send(disk_url: str, receiver: Receiver, tmp_path: Path) -> None:
    (tmp_path / "rules.toml").write_text(FAILED)
    async with serving(disk_url, order, notifications=tmp_path / "rules.toml") as client:
        with pytest.raises(hf.RunFailed):
            await (await client.start(order, "it")).result("20s")
        assert [one.status for one in await client.messages()] == ["pending"]
    async with notified(disk_url, tmp_path, FAILED, fine) as client:
        await ended(client, 1)
        assert len(receiver.messages) == 1


async def test_of_an_end_that_is_not_recorded_nobody_is_told(
    disk_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The worker has lost the run to another, where it ended well."""
    monkeypatch.setattr("tests.notifying.test_notifications.turns", Turns())
    (tmp_path / "rules.toml").write_text(FAILED)
    async with serving(disk_url, slow, notifications=tmp_path / "rules.toml") as client:
        run = await client.start(slow)

        async def begun() -> bool:
            return turns.begun == 1

        async def refused() -> bool:
            return any("was taken over by another worker" in record.message for record in caplog.records)

        await until(begun)
        [execution] = client.core.executions.values()
        assert await client.core.store.crashed(execution.run.uid, execution.run.epoch)
        turns.go_on.set()
        await until_status(client, run.id, "succeeded")
        await until(refused)
        assert await client.messages() == []


async def test_who_has_no_rules_tells_nobody(store_url: str) -> None:
    async with serving(store_url, order) as client:
        run = await client.start(order, "it")
        with pytest.raises(hf.RunFailed):
            await run.result("20s")
        assert [view.workflow for view in await client.list()] == ["order"]
        assert await client.messages() == []
