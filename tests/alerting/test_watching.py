"""What people are told of alerts: once, together, again, and that it is over; by one worker at a time."""

import asyncio
import json
import os
import random
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import holdfast as hf
from holdfast.engine import counting
from holdfast.errors import StoreUnavailable
from holdfast.services.alerting import counts, watching
from holdfast.services.alerting.rules import read_alerts
from holdfast.services.alerting.watching import Watch
from tests.alerting.kit import Looked, looking, rule, rules_of
from tests.alerting.test_measures import order, worker
from tests.engine.clock import move
from tests.engine.helpers import until


async def pile(looked: Looked, queue: str, runs: int = 1) -> list[str]:
    """Runs that wait in a queue."""
    return [(await looked.client.start(order.options(queue=queue), n)).id for n in range(runs)]


async def clear(looked: Looked, runs: list[str]) -> None:
    for id in runs:
        await looked.client.cancel(id)


async def test_it_is_pending_until_it_was_so_for_long_enough(store_url: str, tmp_path: Path) -> None:
    async with looking(store_url, tmp_path, rule("queue_depth", 0, for_="5m")) as looked:
        runs = await pile(looked, "a")
        assert await looked.firing() == {}
        [view] = await looked.client.alerts("pending")
        assert (view.about, view.fired_at, view.told_at) == ("a", None, None)
        await clear(looked, runs)
        await looked.firing()
        assert await looked.client.alerts() == [], "of what never fired nothing is left"
        await pile(looked, "a")
        await looked.firing()
        await move(looked.client, 301)
        view = (await looked.firing())["a"]
        assert view.fired_at == view.told_at
        assert (view.fired_at - view.since).total_seconds() >= 300  # type: ignore[operator]
        assert await looked.told() == ["queue_depth: a"]


async def test_it_is_told_once_however_often_it_is_seen(store_url: str, tmp_path: Path) -> None:
    async with looking(store_url, tmp_path, rule("queue_depth", 0)) as looked:
        for runs in range(1, 4):
            await pile(looked, "a")
            assert (await looked.firing())["a"].value == runs, "what is measured now is shown"
        assert await looked.told() == ["queue_depth: a"]


async def test_what_fires_soon_after_is_told_in_the_same_message(store_url: str, tmp_path: Path) -> None:
    async with looking(store_url, tmp_path, rule("queue_depth", 0, group="1m")) as looked:
        runs = await pile(looked, "a")
        assert (await looked.firing())["a"].told_at is None
        await move(looked.client, 30)
        runs += await pile(looked, "b")
        await looked.firing()
        assert await looked.told() == []
        await move(looked.client, 31)
        await looked.firing()
        assert await looked.told() == ["queue_depth: 2 alerts"]
        await clear(looked, runs)
        assert await looked.firing() == {}
        assert await looked.told() == ["queue_depth: 2 alerts", "resolved: queue_depth: 2 alerts"]
        [_, message] = reversed(await looked.client.messages())
        body = (await looked.client.message(message.id)).body
        assert [one["about"] for one in body["alerts"]] == ["a", "b"]
        assert (body["state"], body["severity"], body["rule"]) == ("resolved", "warning", "queue_depth")
        assert "queue_depth: a\n1, where 0 is the most" in body["text"]


async def test_what_is_over_before_its_group_was_told_is_told_all_the_same(store_url: str, tmp_path: Path) -> None:
    async with looking(store_url, tmp_path, rule("queue_depth", 0, group="1m")) as looked:
        runs = await pile(looked, "a")
        await looked.firing()
        await clear(looked, runs)
        await looked.firing()
        assert await looked.told() == ["queue_depth: a", "resolved: queue_depth: a"]


async def test_it_is_told_again_while_it_fires(store_url: str, tmp_path: Path) -> None:
    async with looking(store_url, tmp_path, rule("queue_depth", 0, repeat="4h")) as looked:
        await pile(looked, "a")
        await looked.firing()
        for _ in range(2):
            await move(looked.client, 2 * 3600 + 1)
            await looked.firing()
        assert await looked.told() == ["queue_depth: a", "still: queue_depth: a"]
        await move(looked.client, 4 * 3600 + 1)
        await looked.firing()
        assert (await looked.told())[2:] == ["still: queue_depth: a"]


async def test_a_dip_is_no_end_where_it_is_kept(store_url: str, tmp_path: Path) -> None:
    async with looking(store_url, tmp_path, rule("queue_depth", 0, keep_firing="1m")) as looked:
        runs = await pile(looked, "a")
        await looked.firing()
        await clear(looked, runs)
        assert list(await looked.firing()) == ["a"]
        await pile(looked, "a")
        await move(looked.client, 120)
        assert list(await looked.firing()) == ["a"]
        assert await looked.told() == ["queue_depth: a"]


async def test_each_channel_of_a_rule_is_told(store_url: str, tmp_path: Path) -> None:
    async with looking(store_url, tmp_path, rule("queue_depth", 0, to=["ops", "boss"])) as looked:
        await pile(looked, "a")
        await looked.firing()
        messages = await looked.client.messages()
        assert sorted(one.channel for one in messages) == ["boss", "ops"]
        assert {one.id.rpartition("/")[0] for one in messages} == {
            f"alert/queue_depth/a/{int((await looked.firing())['a'].fired_at.timestamp() * 1e6)}/firing"  # type: ignore[union-attr]
        }


async def test_alerts_are_of_the_tenant_that_the_file_names(store_url: str, tmp_path: Path) -> None:
    async with looking(store_url, tmp_path, 'tenant = "acme"\n' + rule("queue_depth", 0)) as looked:
        await pile(looked, "a")
        assert await looked.firing() == {}
        async with hf.connect(looked.client.core.url, tenant="acme") as acme:
            if store_url != "memory://":  # each client of it has a database of its own
                assert [one.about for one in await acme.alerts("firing")] == ["a"]
                assert len(await acme.messages()) == 1


async def test_alerts_of_a_rule_that_is_gone_are_over_and_nobody_is_told(store_url: str, tmp_path: Path) -> None:
    async with looking(store_url, tmp_path, rule("queue_depth", 0)) as looked:
        await pile(looked, "a")
        await looked.firing()
        looked.watch._rules = rules_of(tmp_path, rule("oldest_age", "1d"))
        assert await looked.firing() == {}
        assert [one.state for one in await looked.client.alerts()] == ["resolved"]
        assert await looked.told() == ["queue_depth: a"]


async def test_what_is_over_is_forgotten_after_a_while(store_url: str, tmp_path: Path) -> None:
    async with looking(store_url, tmp_path, rule("queue_depth", 0)) as looked:
        runs = await pile(looked, "a")
        await looked.firing()
        await clear(looked, runs)
        for days, left in ((89, 1), (2, 0)):
            await looked.firing()
            await move(looked.client, days * 86_400)
            await looked.firing()
            assert len(await looked.client.alerts()) == left


async def test_one_of_several_looks_and_another_when_it_is_gone(disk_url: str, tmp_path: Path) -> None:
    async with looking(disk_url, tmp_path, rule("queue_depth", 0)) as looked, hf.connect(disk_url) as other:
        next_one = Watch(other.core, rules_of(tmp_path, rule("queue_depth", 0)))
        await pile(looked, "a")
        assert await looked.watch.tick()
        assert not await next_one.tick()
        await move(other, 3600)
        assert await next_one.tick()
        assert not await looked.watch.tick()
        assert await looked.told() == ["queue_depth: a"]


async def test_what_fires_is_told_to_whoever_exports_metrics(disk_url: str, tmp_path: Path) -> None:
    def exported() -> dict[str, dict[tuple[str, ...], Any]]:
        families = counting.Counts().families()
        return {family.name: dict(family.points) for family in families if family.name.startswith("holdfast.alert.")}

    async with looking(disk_url, tmp_path, rule("queue_depth", 0) + rule("stranded", 9)) as looked:
        await pile(looked, "a")
        await looked.firing()
        found = exported()
        assert found["holdfast.alert.firing"] == {("queue_depth", "warning"): 1, ("stranded", "warning"): 0}
        assert found["holdfast.alert.look"][()] == pytest.approx(looked.client.core.now_us() / 1e6, abs=60)
        await move(looked.client, 3600)
        assert await looked.client.core.store.alerts.lead("alerts", b"somebody else 16", 60_000_000) is not None
        assert not await looked.watch.tick()
        assert exported() == {"holdfast.alert.firing": {}, "holdfast.alert.look": {}}


async def test_who_does_not_lead_any_more_writes_nothing(
    store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with looking(store_url, tmp_path, rule("queue_depth", 0)) as looked:
        await looked.firing()
        await pile(looked, "a")
        alerts: Any = looked.client.core.store.alerts
        open_alerts = alerts.open_alerts

        async def overtaken() -> Any:
            """While it looks, its lease ends and another begins to lead."""
            found = await open_alerts()
            await move(looked.client, 3600)
            assert await alerts.lead("alerts", b"another" * 2, 60_000_000) is not None
            return found

        monkeypatch.setattr(alerts, "open_alerts", overtaken)
        assert not await looked.watch.tick()
        assert await looked.client.alerts() == []
        assert await looked.client.messages() == []
        assert looked.watch not in counts._known


async def test_a_measure_that_cannot_be_taken_keeps_no_other_from_being_told(
    store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    text = rule("stranded", 0) + rule("queue_depth", 0)
    async with looking(store_url, tmp_path, text) as looked:
        await pile(looked, "a")
        assert len(await looked.firing()) == 2

        async def broken(_: int) -> Any:
            raise ValueError("no")

        monkeypatch.setattr(looked.client.core.store, "stranded", broken)
        await pile(looked, "b")
        assert sorted(await looked.firing()) == ["a", "b", "order 1 in a"]
        await looked.firing()
        assert [one.message for one in caplog.records if one.levelname == "ERROR"] == [
            "stranded of alert 'stranded' cannot be measured"
        ], "it is said once"


async def test_a_worker_looks_by_itself_and_tells_by_its_channels(disk_url: str, tmp_path: Path) -> None:
    (tmp_path / "channels.toml").write_text('[channels.ops]\ntype = "file"\nfolder = "told"\n')
    rules_of(tmp_path, 'every = "100ms"\n' + rule("stranded", 0))

    def told() -> list[str]:
        return sorted(json.loads(one.read_text())["title"] for one in (tmp_path / "told").glob("*.json"))

    async def one() -> bool:
        return told() == ["stranded: order 1 in a"]

    async def both() -> bool:
        return told() == ["resolved: stranded: order 1 in a", "stranded: order 1 in a"]

    async with hf.connect(disk_url) as client:
        files: dict[str, Any] = {"alerts": tmp_path / "alerts.toml", "channels": tmp_path / "channels.toml"}
        async with hf.Worker(client, [order], queues=["b"], drain=0, **files):
            run = await client.start(order.options(queue="a"))
            await until(one)
            async with hf.Worker(client, [order], queues=["a"], drain=0):
                await run.result("20s")
            await until(both)


async def test_a_worker_is_told_of_a_channel_that_it_has_not(tmp_path: Path) -> None:
    (tmp_path / "channels.toml").write_text('[channels.other]\ntype = "file"\nfolder = "told"\n')
    rules_of(tmp_path, rule("stranded", 0))
    with pytest.raises(
        hf.UsageError, match=r"alerts\.toml, line 1: to names channel 'ops', which there is not; there are other"
    ):
        hf.Worker("memory://", [order], alerts=tmp_path / "alerts.toml", channels=tmp_path / "channels.toml")


async def test_a_worker_that_stops_lets_another_look_at_once(disk_url: str, tmp_path: Path) -> None:
    async with looking(disk_url, tmp_path, rule("queue_depth", 0)) as looked:
        async with worker(looked.client, order, alerts="default"):

            async def led() -> bool:
                # If it does not yet, this holds the duty for no longer than a moment.
                return await looked.client.core.store.alerts.lead("alerts", b"somebody else 16", 1) is None

            await until(led)
        assert await looked.watch.tick()


async def test_a_database_that_is_away_is_looked_at_again(
    store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with looking(store_url, tmp_path, 'every = "10ms"\n' + rule("queue_depth", 0)) as looked:
        await pile(looked, "a")
        alerts: Any = looked.client.core.store.alerts
        lead, tries = alerts.lead, iter([StoreUnavailable("away")] * 3)

        async def away(*asked: Any) -> Any:
            for error in tries:
                raise error
            return await lead(*asked)

        monkeypatch.setattr(alerts, "lead", away)
        task = asyncio.create_task(looked.watch.forever())

        async def fires() -> bool:
            return bool(await looked.client.alerts("firing"))

        await until(fires)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_what_was_written_is_not_told_again_where_the_answer_to_it_was_lost(
    store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with looking(store_url, tmp_path, rule("queue_depth", 0)) as looked:
        alerts: Any = looked.client.core.store.alerts
        put = alerts.put_alerts

        async def lost(*asked: Any) -> bool:
            assert await put(*asked)
            raise StoreUnavailable("the answer is lost")

        runs = await pile(looked, "a")
        for so in (True, False):
            monkeypatch.setattr(alerts, "put_alerts", lost)
            with pytest.raises(StoreUnavailable):
                await looked.watch.tick()
            monkeypatch.setattr(alerts, "put_alerts", put)
            assert bool(await looked.firing()) == so
            await clear(looked, runs if so else [])
        assert await looked.told() == ["queue_depth: a", "resolved: queue_depth: a"]


async def test_what_is_over_is_so_since_it_was_seen_although_that_could_not_be_written(
    store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with looking(store_url, tmp_path, rule("queue_depth", 0, keep_firing="1m")) as looked:
        runs = await pile(looked, "a")
        await looked.firing()
        await clear(looked, runs)
        await looked.firing()
        await move(looked.client, 61)
        alerts: Any = looked.client.core.store.alerts

        async def away(*_: Any) -> bool:
            raise StoreUnavailable("away")

        with monkeypatch.context() as patched:
            patched.setattr(alerts, "put_alerts", away)
            with pytest.raises(StoreUnavailable):
                await looked.watch.tick()
        assert await looked.firing() == {}
        assert await looked.told() == ["queue_depth: a", "resolved: queue_depth: a"]


async def test_who_is_to_be_told_later_hears_that_it_fires(store_url: str, tmp_path: Path) -> None:
    async with looking(store_url, tmp_path, rule("queue_depth", 0, to=[])) as looked:
        await pile(looked, "a")
        assert (await looked.firing())["a"].told_at is None
        looked.watch._rules = rules_of(tmp_path, rule("queue_depth", 0))
        told_at = (await looked.firing())["a"].told_at
        assert told_at is not None
        looked.watch._rules = rules_of(tmp_path, rule("queue_depth", 0, to=[]))
        assert (await looked.firing())["a"].told_at == told_at
        assert await looked.told() == ["queue_depth: a"]


async def test_messages_of_names_that_look_alike_together_are_told_apart(store_url: str, tmp_path: Path) -> None:
    """Of one look, a rule ``a`` about ``b/c``, and a rule ``a/b`` about ``c``."""
    text = rule("queue_depth", 0, name="a", queues=["b/c"]) + rule("queue_depth", 0, name="a/b", queues=["c"])
    async with looking(store_url, tmp_path, text) as looked:
        await pile(looked, "b/c")
        await pile(looked, "c")
        assert len(await looked.firing()) == 2
        assert sorted(await looked.told()) == ["a/b: c", "a: b/c"]


async def test_what_is_told_is_no_longer_than_it_can_be(store_url: str, tmp_path: Path) -> None:
    long = rule("queue_depth", 0, title="$about" * 15_000, text="$about " * 14_000)
    async with looking(store_url, tmp_path, long) as looked:
        await pile(looked, "q" * 200)
        [view] = (await looked.firing()).values()
        assert view.text == "q" * 1_000
        [told] = await looked.client.messages()
        assert len((await looked.client.message(told.id)).body["text"]) < 11_100


async def test_who_looks_long_leads_for_longer(store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else its lease would end while it rests, and what is kept firing would be counted anew by each that follows."""
    monkeypatch.setattr(watching, "LEASE_SECONDS", 0.001)
    async with looking(store_url, tmp_path, 'every = "1ms"\n' + rule("stranded", 0)) as looked:
        core: Any = looked.client.core
        lead, leases, looks = core.store.alerts.lead, list[int](), 0

        async def leading(duty: str, holder: bytes, lease_us: int) -> Any:
            leases.append(lease_us)
            return await lead(duty, holder, lease_us)

        async def long(_: int) -> Any:
            nonlocal looks
            looks += 1
            await asyncio.sleep(0.1)
            return []

        async def again() -> bool:
            return looks > 1

        monkeypatch.setattr(core.store.alerts, "lead", leading)
        monkeypatch.setattr(core.store, "stranded", long)
        task = asyncio.create_task(looked.watch.forever())
        await until(again)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert leases[1] >= 3 * 100_000, "a look, and the rest after it, which is twice as long"


WATCHER = """
import asyncio, sys
import holdfast as hf

async def main():
    async with hf.connect(sys.argv[1]) as client:
        from holdfast.services.alerting import watching
        from holdfast.services.alerting.rules import read_alerts
        watching.LEASE_SECONDS = 0.3
        print("ready", flush=True)
        await watching.Watch(client.core, read_alerts(sys.argv[2])).forever()

asyncio.run(main())
"""


async def test_each_is_told_once_although_who_looks_is_killed_at_any_time(disk_url: str, tmp_path: Path) -> None:
    """Watchers look all the time, and are killed at random, while queues fill and are emptied."""
    text = 'every = "20ms"\n' + rule("queue_depth", 0, group="50ms")
    random_ = random.Random(8)

    async def watcher() -> Process:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-c", WATCHER, disk_url, str(tmp_path / "alerts.toml"), stdout=PIPE
        )

    async with looking(disk_url, tmp_path, text) as looked:
        watchers = [await watcher() for _ in range(2)]
        try:
            for one in watchers:
                assert one.stdout is not None
                await one.stdout.readline()
            for round_ in range(4):
                watchers.append(await watcher())
                runs = [id for queue in "abc" for id in await pile(looked, queue)]

                async def all_fire() -> bool:
                    return len(await looked.client.alerts("firing")) == 3

                async def none_open() -> bool:
                    return {one.state for one in await looked.client.alerts()} == {"resolved"}

                await asyncio.sleep(random_.random() / 20)
                os.kill(watchers[round_].pid, signal.SIGKILL)
                await until(all_fire, within=60)
                await clear(looked, runs)
                await until(none_open, within=60)
        finally:
            for one in watchers:
                if one.returncode is None:
                    one.kill()
                await one.communicate()
        ended = await looked.client.alerts("resolved")
        assert len(ended) == 12
        told: Counter[tuple[str, str, str]] = Counter()
        for view in await looked.client.messages(limit=1000):
            body = (await looked.client.message(view.id)).body
            told.update((body["state"], one["about"], one["since"]) for one in body["alerts"])
        kinds = Counter(state for state, _, _ in told.elements())
        assert kinds == {"firing": 12, "resolved": 12}
        assert all(one.told_at is not None for one in ended)


async def test_what_is_shipped_looks_at_an_empty_database_and_finds_nothing(store_url: str) -> None:
    async with hf.connect(store_url) as client:
        looked = Looked(client, read_alerts("default"))
        assert await looked.firing() == {}
        assert await client.alerts() == []


async def test_what_is_shipped_fires(store_url: str) -> None:
    async with hf.connect(store_url) as client:
        looked = Looked(client, read_alerts("default"))
        await pile(looked, "a")
        await looked.firing()
        await move(client, 3600)
        await looked.firing()
        await move(client, 600)
        firing = {one.rule: one.text for one in (await looked.firing()).values()}
        assert firing["stranded runs"] == "no worker serves order 1 in a: 1 runs wait"
        assert firing["queue not served in time"] == "queue a: the first run waits for 1 h"
        assert await client.messages() == []
