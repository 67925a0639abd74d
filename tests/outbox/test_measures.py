"""What is counted of messages is what happened to them."""

from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from holdfast.engine import counting
from holdfast.engine.counting import Histogram
from holdfast.services.outbox import measures
from tests.outbox.kit import sending, until_all, until_status
from tests.outbox.receivers import Reply, web


@pytest.fixture(autouse=True)
def counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "on", None)
    counting.begin()
    monkeypatch.setattr(measures._counts, "attempts", defaultdict(counting.new_numbers))
    monkeypatch.setattr(measures._counts, "ends", defaultdict(int))
    monkeypatch.setattr(measures._counts, "backlog", {})


def shown() -> dict[str, Any]:
    """The families of messages by name, without those that have no points; of histograms how many values."""
    return {
        family.name.removeprefix("holdfast.message."): {
            labels: value.total if isinstance(value, Histogram) else value for labels, value in family.points
        }
        for family in measures._counts.families()
        if family.points
    }


async def test_ends_and_attempts_are_counted_by_channel(tmp_path: Path) -> None:
    async with web() as receiver:
        channels = (
            f'[channels.crm]\ntype = "webhook"\nurl = "{receiver.url}"\nbackoff = {{ initial = "10ms" }}\n'
            '[channels.pages]\ntype = "file"\nfolder = "out"\n'
        )
        receiver.script = [Reply(503), Reply(200), Reply(400)]
        async with sending("memory://", tmp_path, channels) as client:
            await client.publish("crm", 1, id="again")
            await until_status(client, "again", "sent")
            await client.publish("crm", 2, id="dead")
            await until_status(client, "dead", "dead")
            for n in range(3):
                await client.publish("pages", n)
            await until_all(client, 4, "sent")
            await client.set_publish_mode("off")
            await client.publish("pages", 4, id="off")
            await until_status(client, "off", "withheld")
    found = shown()
    assert found["sent"] == {("crm",): 1, ("pages",): 3}
    assert found["failed"] == found["dead"] == {("crm",): 1}
    assert found["withheld"] == {("pages",): 1}
    assert found["duration"] == {("crm", "failed"): 1, ("crm", "sent"): 1, ("crm", "dead"): 1, ("pages", "sent"): 3}


async def test_what_waits_is_told_and_an_empty_channel_too(store_url: str, tmp_path: Path) -> None:
    channels = '[channels.pages]\ntype = "file"\nfolder = "out"\n'
    async with sending(store_url, tmp_path, channels) as client:
        for n in range(3):
            await client.publish("nowhere", n)
        await client.publish("nowhere", 4, delay="1h")
        await measures.look_at_backlog(client.core, ["pages"])
        found = shown()
        assert found["pending"] == {("pages",): 0, ("nowhere",): 4}
        assert found["sending"] == {("pages",): 0, ("nowhere",): 0}
        assert found["oldest"]["pages",] == 0
        assert found["oldest"]["nowhere",] > 0
