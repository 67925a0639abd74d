"""Who is told what becomes of runs: durably, once, together where that is asked for."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import apprise
import pytest

import holdfast as hf
from holdfast.services.notifying import sending
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


@hf.workflow
async def held() -> None:
    await hf.hold("look at it")


@hf.workflow
async def asks() -> bool:
    return await hf.ask("May it go?", form=bool, group="ops", text="It is large.")


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with receiving() as found:
        monkeypatch.setenv("OPS", f"json://127.0.0.1:{found.port}/s3cret-path")
        monkeypatch.setattr(sending.send, "retry", replace(sending.PATIENT, initial=0.01, maximum=0.05))
        yield found


def rules(folder: Path, text: str) -> Path:
    path = folder / "notifications.toml"
    path.write_text(f'[channels.ops]\nurl = "env:OPS"\n{text}')
    return path


async def notified(client: hf.Client, number: int) -> list[hf.RunView]:
    """The runs that tell people, once so many have ended."""

    async def ended() -> bool:
        return len([view for view in await client.list(workflow="holdfast.notify") if view.finished_at]) >= number

    await until(ended, within=20)
    return await client.list(workflow="holdfast.notify")


FAILED = '[[rules]]\nname = "failed"\non = "run.failed"\nchannels = "ops"\n'


async def test_a_failed_run_is_told_of_once(store_url: str, receiver: Receiver, tmp_path: Path) -> None:
    file = rules(tmp_path, FAILED + 'title = "$workflow failed"\nbody = "$run of $tenant: $text"\n')
    async with serving(store_url, order, fine, notifications=file) as client:
        await client.start(fine.options(id="f-1"), "all is well")
        await client.start(order.options(id="o-1"), "the press")
        [view] = await notified(client, 1)
        assert receiver.messages == [("order failed", "o-1 of default: ValueError: the press is broken")]
        assert (view.status, view.parent) == ("succeeded", "o-1")
        await client.retry("o-1")
        await notified(client, 2)
        assert len(receiver.messages) == 2, "each failure is told of"


async def test_what_is_refused_is_sent_again_until_it_is_taken(
    store_url: str, receiver: Receiver, tmp_path: Path
) -> None:
    receiver.refuse = 3
    async with serving(store_url, order, notifications=rules(tmp_path, FAILED)) as client:
        await client.start(order, "it")
        [view] = await notified(client, 1)
        assert (len(receiver.messages), receiver.asked, view.status) == (1, 4, "succeeded")
        [entry] = [entry for entry in await client.history(view.id) if entry.name == "send"]
        assert entry.attempts == 4
        assert "503" in entry.failed_attempts[0].error["message"]


async def test_an_address_is_in_no_error(
    store_url: str, receiver: Receiver, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.refuse = 1
    async with serving(store_url, order, notifications=rules(tmp_path, FAILED)) as client:
        await client.start(order, "it")
        [view] = await notified(client, 1)
        said = str(await client.history(view.id))
        assert "s3cret-path" not in said + caplog.text
        assert str(receiver.port) not in said


def test_what_an_address_holds_is_in_no_error_however_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    class Tells:
        """A channel of apprise that says too much."""

        def notify(self, **_: object) -> bool:
            logging.getLogger("apprise").warning("refused: %s", "p@ss/word is p%40ss%2Fword")
            return False

    monkeypatch.setattr(apprise.Apprise, "instantiate", lambda *_, **__: Tells())
    with pytest.raises(hf.HoldfastError, match="did not take the message") as caught:
        sending.deliver("ops", "tells://me:p%40ss%2Fword@host", "A title", "A text")
    assert str(caught.value).endswith("refused: … is …")


async def test_a_title_is_one_line(store_url: str, receiver: Receiver, tmp_path: Path) -> None:
    file = rules(tmp_path, FAILED + 'title = "$workflow: $text"\nbody = "$text"\n')
    async with serving(store_url, order, notifications=file) as client:
        await client.start(order, "a press\n  and a saw")
        await notified(client, 1)
        assert receiver.messages == [
            ("order: ValueError: a press and a saw is broken", "ValueError: a press\n  and a saw is broken")
        ]


async def test_the_same_words_are_told_once_in_a_while(store_url: str, receiver: Receiver, tmp_path: Path) -> None:
    file = rules(tmp_path, FAILED + 'title = "$workflow failed"\nbody = "$text"\ndedupe = "365d"\n')
    async with serving(store_url, order, notifications=file) as client:
        for what in ("press", "press", "press", "saw"):
            await client.start(order, what)
        await notified(client, 2)

        async def all_ended() -> bool:
            return all(view.finished_at for view in await client.list(limit=100))

        await until(all_ended, within=20)
        assert sorted(text for _, text in receiver.messages) == [
            "ValueError: press is broken", "ValueError: saw is broken"
        ]  # fmt: skip


async def test_a_digest_tells_together_what_came_up(store_url: str, receiver: Receiver, tmp_path: Path) -> None:
    file = rules(tmp_path, FAILED + 'body = "$text"\ndigest = "1s"\n')
    async with serving(store_url, order, notifications=file) as client:
        for n in range(5):
            await client.start(order, f"part {n}")

        async def told() -> bool:
            said = "".join(text for _, text in receiver.messages)
            return all(f"part {n} is broken" in said for n in range(5))

        await until(told, within=30)
        assert len(receiver.messages) < 5
        said = "".join(text for _, text in receiver.messages)
        assert all(said.count(f"part {n} is broken") == 1 for n in range(5))


async def test_a_digest_of_much_is_told_in_parts(store_url: str, receiver: Receiver, tmp_path: Path) -> None:
    much = "x" * 60_000
    file = rules(tmp_path, FAILED + f'body = "$text {much}"\ndigest = "1s"\n')
    async with serving(store_url, order, notifications=file) as client:
        for n in range(5):
            await client.start(order, f"part {n}")

        async def told() -> bool:
            said = "".join(text for _, text in receiver.messages)
            return all(f"part {n} is broken" in said for n in range(5))

        await until(told, within=20)
        assert max(len(text) for _, text in receiver.messages) < 2 * sending.DIGEST_CHARACTERS


async def test_a_channel_that_takes_nothing_leaves_the_others_told(
    store_url: str, receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOWHERE", "nosuchservice://somebody:hidden-word@host")
    file = rules(
        tmp_path,
        '[channels.nowhere]\nurl = "env:NOWHERE"\n[channels.unset]\nurl = "env:HOLDFAST_NOT_SET"\n'
        + FAILED.replace('"ops"', '["nowhere", "unset", "ops"]'),
    )
    async with serving(store_url, order, notifications=file) as client:
        await client.start(order, "it")
        [view] = await notified(client, 1)
        assert len(receiver.messages) == 1
        assert view.status == "failed", "that it was not told everywhere is seen among the dead letters"
        said = str(await client.history(view.id))
        assert "none that apprise knows" in said
        assert "HOLDFAST_NOT_SET is not set" in said
        assert "hidden-word" not in said


async def test_what_waits_for_a_person_is_told_of(store_url: str, receiver: Receiver, tmp_path: Path) -> None:
    file = rules(
        tmp_path,
        '[[rules]]\nname = "people"\non = ["approval.wanted", "run.held"]\nchannels = "ops"\n'
        'title = "$event $about"\nbody = "$run $text"\n',
    )
    async with serving(store_url, asks, held, notifications=file) as client:
        await client.start(asks.options(id="a-1"))
        await client.start(held.options(id="h-1"))
        await until_status(client, "h-1", "held")
        await notified(client, 2)
        assert sorted(receiver.messages) == [
            ("approval.wanted May it go?", "a-1 It is large."), ("run.held", "h-1 RunHeld: held: look at it")
        ]  # fmt: skip
        await client.cancel("a-1")


async def test_rules_tell_workflows_and_tenants_apart(disk_url: str, receiver: Receiver, tmp_path: Path) -> None:
    file = rules(
        tmp_path,
        '[[rules]]\nname = "mine"\non = ["run.failed", "run.succeeded"]\nchannels = "ops"\nworkflows = "f*"\n'
        'tenants = ["acme"]\ntitle = "$run"\n',
    )
    async with (
        serving(disk_url, order, fine, notifications=file) as client,
        hf.connect(disk_url, tenant="acme") as acme,
    ):
        await client.start(fine.options(id="another tenant"), "x")
        await acme.start(order.options(id="another workflow"), "x")
        await acme.start(fine.options(id="it"), "x")
        await notified(acme, 1)
        assert [title for title, _ in receiver.messages] == ["it"]


async def test_who_has_no_rules_tells_nobody(store_url: str) -> None:
    async with serving(store_url, order) as client:
        run = await client.start(order, "it")
        with pytest.raises(hf.RunFailed):
            await run.result("20s")
        assert [view.workflow for view in await client.list()] == ["order"]
