"""Journals read piece by piece, from every store, and under a tenant's policy."""

from datetime import timedelta

import pytest

import holdfast as hf
from holdfast.engine.browsing import entries_at, journal_part
from tests.engine.helpers import serving

RETRY = hf.Retry(max_attempts=3, initial=0.05, factor=1.0, maximum=0.05, jitter=0.0)


@hf.step(retry=RETRY)
async def number(n: int) -> int:
    return n


@hf.step(retry=RETRY)
async def third_time(text: str) -> str:
    if hf.current().attempt < 3:
        raise ConnectionError("not yet")
    return text


@hf.workflow
async def many(width: int) -> str:
    await hf.map(number, range(width))
    return await third_time("x" * 500)


@hf.workflow
async def impatient() -> None:
    await number(1)
    await hf.gather(hf.wait_for_event("never"), hf.sleep("1d"))


async def test_parts_follow_one_another_without_gap_or_repetition(store_url: str) -> None:
    async with serving(store_url, many) as client:
        run = await client.start(many, 25)
        await run.result("20s")
        confined = hf.Client(client.core, "default", reads=client.core.store.under_policy("default"))
        whole = await client.history(run.id)
        for looking in (client, confined):
            found: list[str] = []
            after = None
            while part := await journal_part(looking, run.id, limit=10, after=after):
                assert len(part) <= 10
                found += [entry.position for entry in part]
                after = part[-1].position
            assert found == [entry.position for entry in whole]


async def test_long_values_are_left_out_and_had_by_position(store_url: str) -> None:
    async with serving(store_url, many) as client:
        run = await client.start(many, 2)
        await run.result("20s")
        [*_, last] = await journal_part(client, run.id)
        assert (last.name, last.output, last.attempts, len(last.failed_attempts)) == ("third_time", None, 3, 2)
        [entry] = await entries_at(client, run.id, last.position)
        assert entry.output == "x" * 500
        assert [one.attempt for one in entry.failed_attempts] == [1, 2]
        assert await entries_at(client, run.id, "99") == []


async def test_a_stretch_of_time_has_what_lies_in_it(store_url: str) -> None:
    async with serving(store_url, many) as client:
        run = await client.start(many, 3)
        await run.result("20s")
        last = (await client.history(run.id))[-1]
        first_failure = last.failed_attempts[0].finished_at
        before, behind = first_failure - timedelta(days=1), last.finished_at + timedelta(seconds=1)
        assert await journal_part(client, run.id, until=before) == []
        assert await journal_part(client, run.id, since=behind) == []
        early = await journal_part(client, run.id, until=first_failure)
        assert [entry.name for entry in early] == ["number", "number", "number", "third_time"]
        assert early[-1].outcome == "ok"
        late = await journal_part(client, run.id, since=last.failed_attempts[1].finished_at)
        assert [entry.name for entry in late] == ["third_time"]


async def test_another_tenants_journal_is_not_there(store_url: str) -> None:
    async with serving(store_url, many) as client:
        run = await client.start(many, 1)
        await run.result("20s")
        other = hf.Client(client.core, "other", reads=client.core.store.under_policy("other"))
        uid = (await client._find(run.id)).uid
        assert await other.reads.browse_journal(uid, after=b"", limit=10) == ([], [])
        assert await other.reads.read_entries(uid, [b"\x00"]) == ([], [])
        assert await other.reads.read_open(uid, 10) == ([], [])
        with pytest.raises(hf.RunNotFound):
            await journal_part(other, run.id)


async def test_what_is_open_is_read_apart(store_url: str) -> None:
    async with serving(store_url, impatient) as client:
        run = await client.start(impatient)
        while (await client.get(run.id)).status != "waiting":
            pass
        rows, attempts = await client.reads.read_open((await client._find(run.id)).uid, 10)
        assert ([row.kind for row in rows], attempts) == (["event", "sleep"], [])
        assert "waits for event never" in await client.explain(run.id)


@pytest.mark.parametrize("position", ["", "a", "1.", "-1", "1 2", "9" * 50, ".".join("1" * 200)])
async def test_what_is_no_position_is_refused(position: str) -> None:
    async with hf.connect("memory://") as client:
        with pytest.raises(hf.UsageError, match="position"):
            await entries_at(client, "x", position)
