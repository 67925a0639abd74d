"""A run that goes on while it is read is read again, and not told to break."""

from collections.abc import Sequence

import pytest

import holdfast as hf
from holdfast.engine.replaying.reading import Reader
from holdfast.store.rows import RecordedRows
from tests.engine.helpers import until, until_status


@hf.workflow
async def turns(left: int) -> None:
    if left:
        await hf.wait_for_event("go")
        hf.continue_as_new(left - 1)
    await hf.sleep("1d")


async def test_a_run_that_begins_again_while_it_is_read_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    loads: list[int] = []
    load = Reader._load

    async with hf.connect("memory://") as client, hf.Worker(client, [turns], drain=0):
        run = await client.start(turns, 1)
        await until_status(client, run.id, "waiting")

        async def sleeps() -> bool:
            return any(one.kind == "sleep" for one in await client.history(run.id))

        async def late(self: Reader, uids: Sequence[bytes]) -> RecordedRows:
            loads.append(len(uids))
            rows = await load(self, uids)
            if len(loads) == 1:
                # The run as it was, and its journal a little later: on PostgreSQL each is read by itself.
                await client.send_event("go")
                await until(sleeps)
                rows = (await load(self, uids))._replace(runs=rows.runs)
            return rows

        monkeypatch.setattr(Reader, "_load", late)
        [found] = [one async for one in client.replay_runs([turns])]
        assert found.outcome == "goes on", str(found)
        assert loads == [1, 1]
