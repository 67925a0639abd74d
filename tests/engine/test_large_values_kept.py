"""How long large values are kept, and what becomes of a run when they are not there."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

import holdfast as hf
from holdfast.model.ids import uuid7
from holdfast.model.references import reference_of
from holdfast.services.blob_pruner import BlobPruner
from holdfast.store.operations import Batch, BlobUse
from holdfast.store.values.places import name_of, place_at
from holdfast.store.values.values import Values
from tests.engine.helpers import outcome, until, until_status
from tests.engine.large_kit import (
    BIG,
    LAST,
    PLACES,
    blobs,
    echo,
    place_of,
    text,
    through_a_step,
    upper,
    working,
)


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Values]:
    """A database, and where it keeps large values."""
    return place_of(request, tmp_path)


async def test_bytes_that_are_gone_hold_the_run_and_break_no_list(tmp_path: Path, sqlite_url: str) -> None:
    values = Values(apart=str(tmp_path / "values"))

    @hf.workflow
    async def waits_behind(value: str) -> str:
        await hf.wait_for_event("go")
        return value[:3]

    async with hf.connect(sqlite_url, values=values) as client:
        async with hf.Worker(client, [waits_behind], drain=0):
            run = await client.start(waits_behind, BIG)
            await until_status(client, run.id, "waiting")
        [stored] = await client.core.sealed.inner.find_runs("default", [run.id])
        found = reference_of(stored.input)
        path = tmp_path / "values" / name_of(found.id)
        kept = path.read_bytes()
        for damage, said in ((None, "are not there"), (kept[:-1], "by now"), (kept[:-1] + b"?", "are not those")):
            path.unlink() if damage is None else path.write_bytes(damage)
            [listed] = await client.list()
            assert listed.input["size_bytes"] == len(kept)
            assert said in (await client.get(run.id)).input["why"]
        await client.send_event("go")
        async with hf.Worker(client, [waits_behind], drain=0):
            view = await until_status(client, run.id, "held")
            assert view.error is not None
            assert view.error["type"].endswith("ValueMissing")
            assert f"{len(kept):,} bytes" in view.error["message"]
            assert str(tmp_path / "values") in view.error["message"]
            path.write_bytes(kept)
            await client.release(run.id)
            assert await run.result(timeout="20s") == BIG[:3]


async def test_a_run_that_nobody_has_any_more_takes_its_values_with_it(place: tuple[str, Values]) -> None:
    async with working(place) as client:
        for size in (300_000, 700_000):
            await outcome(client, through_a_step, text(size))
        await client.send_event("large", BIG, keep="1ms")
        await client.core.committer.drain()
        store = client.core.sealed

        async def pruned() -> bool:
            await store.prune([("", "succeeded", 0)], b"", 100)
            return len(await blobs(client)) == 9

        await until(pruned)
        ids = await blobs(client)
        assert await BlobPruner(store, settled_seconds=0).turn() > 0  # they are too young
        assert len(await blobs(client)) == 9
        unused, _ = await store.blobs.unused_blobs(b"", LAST, 100)
        assert await store.sealing.apart.delete(unused) == 9
        assert await blobs(client) == []
        if place[1].apart != "database":
            read = place_at(place[1].apart).read
            assert [await read(name_of(id)) for id in ids] == [None] * 9


async def test_what_is_unused_for_a_day_is_deleted(place: tuple[str, Values], monkeypatch: pytest.MonkeyPatch) -> None:
    async with working(place) as client:
        store = client.core.sealed
        await store.sealing.rows("starts", [])
        now = await store.now()
        await store.sealing.payload(b"\x01" + BIG.encode(), os.urandom(16))
        assert len(await blobs(client)) == 1
        later = uuid7(now + 26 * 3600 * 1_000_000, bytes(10))
        found, _ = await store.blobs.unused_blobs(b"", later, 10)
        assert len(found) == 1

        async def tomorrow() -> int:
            return now + 26 * 3600 * 1_000_000

        monkeypatch.setattr(store, "now", tomorrow)
        pruner = BlobPruner(store, settled_seconds=0)
        await pruner.turn()
        assert len(await blobs(client)) == 1  # seen, and looked at once more before it goes
        await pruner.turn()
        assert await blobs(client) == []


async def test_what_somebody_uses_by_the_time_it_is_deleted_stays(place: tuple[str, Values]) -> None:
    """As a fork does, that read its source before it was deleted."""
    async with working(place) as client:
        store = client.core.sealed
        stored = await store.sealing.payload(b"\x01" + BIG.encode(), os.urandom(16))
        seen, _ = await store.blobs.unused_blobs(b"", LAST, 10)
        run = await client.start(echo, "small")
        await run.result(timeout="20s")
        [row] = await store.inner.find_runs("default", [run.id])
        await store.inner.commit(Batch(blob_uses=[BlobUse(row.uid, seen[0].id)]))
        assert await store.sealing.apart.delete(seen) == 0
        assert await store.sealing.plain([stored]) == [b"\x01" + BIG.encode()]


CHILD = """
import asyncio, os, signal, sys
import holdfast as hf
from holdfast.store.values import apart, places
from holdfast.store.values.values import Values
from holdfast.testing import Environment

@hf.workflow
async def echo(value: str) -> str:
    return value

async def main():
    write = places.Folder.write
    async def killed(self, name, data):
        await write(self, name, data)
        os.kill(os.getpid(), signal.SIGKILL)
    places.Folder.write = killed
    async with hf.connect(sys.argv[1], values=Values(apart=sys.argv[2])) as client:
        await client.start(echo.options(id="one"), "x" * 1_000_000)

asyncio.run(main())
"""


async def test_a_process_that_dies_between_the_bytes_and_the_commit_leaves_nothing_for_ever(
    tmp_path: Path, sqlite_url: str
) -> None:
    folder = tmp_path / "values"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", CHILD, sqlite_url, str(folder))
    assert await process.wait() == -signal.SIGKILL
    left = [path for path in folder.rglob("*") if path.is_file()]
    assert len(left) == 1
    async with hf.connect(sqlite_url, values=Values(apart=str(folder))) as client:
        assert await client.list() == []
        unused, _ = await client.core.store.blobs.unused_blobs(b"", LAST, 10)
        assert [name_of(one.id) for one in unused] == [str(left[0].relative_to(folder))]
        assert await client.core.sealed.sealing.apart.delete(unused) == 1
        assert await blobs(client) == []
    assert not left[0].exists()


async def test_a_storage_that_is_away_is_waited_for(
    tmp_path: Path, sqlite_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "values"
    folder.write_text("in the way")
    async with hf.connect(sqlite_url, values=Values(apart=str(folder))) as client:
        with pytest.raises(hf.StoreUnavailable, match="cannot be written to"):
            await client.start(echo, BIG)

        @hf.workflow
        async def makes() -> str:
            return await upper("x" * 300_000)

        async with hf.Worker(client, [makes], drain=0):
            run = await client.start(makes)

            async def tried() -> bool:
                return "waits for the database" in caplog.text

            await until(tried)
            folder.unlink()
            assert await run.result(timeout="30s") == "X" * 300_000
