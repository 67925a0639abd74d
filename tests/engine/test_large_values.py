"""Values that are too large to stand where they belong: every way in which a run takes and gives them."""

import os
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import pytest

import holdfast as hf
from holdfast.engine import dispatcher, isolation, recorded
from holdfast.engine.browsing import entries_at
from holdfast.model.references import is_apart
from holdfast.store.values.apart import Apart
from holdfast.store.values.store import SealedStore
from holdfast.store.values.values import Values
from holdfast.testing import Environment
from tests.engine.helpers import outcome, serving, until_status
from tests.engine.large_kit import (
    BIG,
    HUGE,
    PLACES,
    again,
    blobs,
    breaks_once,
    calls_a_child,
    echo,
    fails_first,
    goes_on_elsewhere,
    held,
    maps,
    place_of,
    sends,
    text,
    through_a_step,
    upper,
    waits,
    working,
)


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Values]:
    """A database, and where it keeps large values."""
    return place_of(request, tmp_path)


@pytest.mark.usefixtures("park_at_once")
async def test_they_go_in_and_come_out_everywhere(place: tuple[str, Values], tmp_path: Path) -> None:
    async with working(place) as client:
        assert await outcome(client, through_a_step, BIG) == [BIG.upper(), BIG[:10].upper()]
        assert await outcome(client, through_a_step, HUGE) == [HUGE.upper(), HUGE[:10].upper()]
        assert await outcome(client, calls_a_child, BIG) == (BIG + "!")[-5:]
        assert await outcome(client, maps, [BIG, HUGE, "small"]) == [BIG, HUGE, "small"]
        assert await outcome(client, again, BIG, 2) == BIG + "++"
        run = await client.start(waits)
        await client.send_event("large", HUGE)
        assert await run.result(timeout="20s") == HUGE
        run = await client.start(waits)
        assert await outcome(client, sends, BIG) is None
        assert await run.result(timeout="20s") == BIG
        held_run = await client.start(held)
        await until_status(client, held_run.id, "held")
        await client.release(held_run.id, BIG)
        assert await held_run.result(timeout="20s") == BIG
        assert len(await blobs(client)) == 2  # the inputs that the run that began again had before


@pytest.mark.usefixtures("park_at_once")
@pytest.mark.parametrize("place", ["sqlite", "sealed"], indirect=True)
async def test_what_is_too_much_to_bring_at_once_is_read_where_the_code_asks_for_it(
    place: tuple[str, Values], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorded, "FETCH_BYTES", 0)
    async with working(place) as client:
        assert await outcome(client, through_a_step, BIG) == [BIG.upper(), BIG[:10].upper()]
        assert await outcome(client, calls_a_child, BIG) == (BIG + "!")[-5:]
        run = await client.start(waits)
        await client.send_event("large", HUGE)
        assert await run.result(timeout="20s") == HUGE
        held_run = await client.start(held)
        await until_status(client, held_run.id, "held")
        await client.release(held_run.id, BIG)
        assert await held_run.result(timeout="20s") == BIG


@pytest.mark.usefixtures("park_at_once")
@pytest.mark.parametrize("place", ["folder"], indirect=True)
async def test_no_commit_waits_for_bytes_that_go_elsewhere(
    place: tuple[str, Values], monkeypatch: pytest.MonkeyPatch
) -> None:
    within: ContextVar[bool] = ContextVar("within", default=False)
    commit, put = SealedStore.commit, Apart.put
    written: list[bool] = []

    async def committing(self: SealedStore, batch: Any) -> Any:
        within.set(True)
        try:
            return await commit(self, batch)
        finally:
            within.set(False)

    async def putting(self: Apart, *given: Any) -> None:
        written.append(within.get())
        await put(self, *given)

    monkeypatch.setattr(SealedStore, "commit", committing)
    monkeypatch.setattr(Apart, "put", putting)
    async with working(place) as client:
        await outcome(client, through_a_step, BIG)
        await outcome(client, calls_a_child, BIG)
        assert await outcome(client, maps, [BIG, HUGE, "small"]) == [BIG, HUGE, "small"]
        run = await client.start(waits)
        await outcome(client, sends, BIG)
        assert await run.result(timeout="20s") == BIG
    assert len(written) > 10
    assert not any(written)


async def test_a_retry_and_a_fork_keep_them(place: tuple[str, Values], tmp_path: Path) -> None:
    async with working(place) as client:
        run = await client.start(fails_first, BIG, str(tmp_path / "mark"))
        with pytest.raises(hf.RunFailed) as failed:
            await run.result(timeout="20s")
        assert str(failed.value.__cause__).startswith("the first time")
        await client.retry(run.id)
        assert await run.result(timeout="20s") == BIG.upper()
        fork = await client.handle(await client.fork(run.id, from_step=breaks_once), fails_first)
        assert await fork.result(timeout="20s") == BIG.upper()
        edited = await client.fork(run.id, from_step=upper, output=HUGE)
        assert await (await client.handle(edited, fails_first)).result(timeout="20s") == HUGE
        other = await client.fork(run.id, input={"value": HUGE})
        assert await (await client.handle(other, fails_first)).result(timeout="20s") == HUGE.upper()
        changed = await client.fork(run.id, from_step=breaks_once, input={"value": HUGE})
        assert await (await client.handle(changed, fails_first)).result(timeout="20s") == HUGE
        assert await blobs(client) == []
        # Deleting the source takes nothing from the forks.
        await client.core.store.prune([("", "succeeded", 0)], b"", 1)
        assert (await client.get(fork.id)).output == BIG.upper()


async def test_views_show_them_where_they_are_asked_for(place: tuple[str, Values]) -> None:
    async with working(place) as client:
        run = await client.start(through_a_step, HUGE)
        await run.result(timeout="20s")
        view = await client.get(run.id)
        assert (view.input, view.output) == ({"value": HUGE}, [HUGE.upper(), HUGE[:10].upper()])
        [listed] = await client.list()
        size = 2_000_012 + (1 if place[1].codec is None else 2)
        shown = {"kept_apart": "a value of 2 MB kept apart", "size_bytes": size, "where": place[1].apart}
        assert listed.input == shown
        entries = await client.history(run.id)
        assert [one.kind for one in entries] == ["step", "sleep", "step"]
        assert entries[0].output["kept_apart"] == "a value of 2 MB kept apart"
        assert entries[2].output == HUGE[:10].upper()
        [entry] = await entries_at(client, run.id, "0")
        assert entry.output == HUGE.upper()


async def test_an_id_that_is_taken_is_compared_by_value(place: tuple[str, Values]) -> None:
    async with working(place) as client:
        first = await client.start(echo.options(id="one"), HUGE)
        second = await client.start(echo.options(id="one"), HUGE)
        assert (first.created, second.created) == (True, False)
        assert await second.result(timeout="20s") == HUGE
        with pytest.raises(hf.RunExists):
            await client.start(echo.options(id="one"), HUGE + "!")


@pytest.mark.verify
@pytest.mark.parametrize("place", ["sqlite", "postgres", "folder"], indirect=True)
async def test_forty_megabytes_come_back_as_they_were(place: tuple[str, Values]) -> None:
    large = text(40_000_000)
    async with working(place) as client:
        assert await outcome(client, echo, large) == large


async def test_small_values_stand_where_they_belong(store_url: str) -> None:
    async with serving(store_url, echo) as client:
        small = text(262_000)
        run = await client.start(echo, small)
        assert await run.result(timeout="20s") == small
        [row] = await client.core.sealed.inner.find_runs("default", [run.id])
        assert not is_apart(row.input)
        assert not is_apart(row.output)


async def test_time_that_skips_skips_large_values_too() -> None:
    @hf.workflow
    async def sleeps(value: str) -> str:
        await hf.sleep("30d")
        return await upper(value)

    async with Environment([sleeps]) as env:
        assert await env.run(sleeps, BIG) == BIG.upper()


async def test_a_child_process_that_executes_a_run_alone_has_its_values(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "RESCUES_ISOLATED", 0)
    children: list[Any] = []
    begin = isolation._Child.start

    async def noted() -> Any:
        children.append(await begin())
        return children[-1]

    monkeypatch.setattr(isolation._Child, "start", noted)
    async with serving(sqlite_url, goes_on_elsewhere) as client:
        run = await client.start(goes_on_elsewhere, HUGE)
        await until_status(client, run.id, "waiting")
        await client.send_event("go")
        length, pid = await run.result("60s")
        assert length == 2 * len(HUGE)
        assert pid != os.getpid()
    assert children
    assert None not in {child._process.returncode for child in children}  # each has ended before the worker has
