"""What rooms above the engine make of their steps and events fits too: phases of models, and what people are asked."""

import holdfast as hf
from holdfast.engine.histories import History
from holdfast.engine.replaying.files import replay_histories
from tests.engine.helpers import until_status
from tests.web.agent_kit import AGENTS, offer, run
from tests.web.browsing import dashboard


@hf.workflow
async def asks(name: str) -> str:
    said = await hf.ask(f"May {name} come in?", assignee="ada")
    return str(said["answer"])


async def fit(client: hf.Client, code: list[hf.Workflow[..., object]], id: str) -> list[str]:
    """How a run's replay ends, out of the database and out of a file."""
    found = [one async for one in client.replay_runs(code, runs=[id])]
    history = History.from_json((await client.export_history(id)).to_json())
    found += [one async for one in replay_histories(code, [history])]
    for one in found:
        assert one.outcome != "breaks", str(one)
    return [one.outcome for one in found]


async def test_phases_fit_by_the_file_that_they_were_run_by(disk_url: str) -> None:
    async with dashboard(disk_url) as shown, hf.Worker(shown.client, AGENTS):
        await run(shown, offer, "ada", id="o-1")
        calls = len(await shown.client.model_calls("o-1"))
        assert await fit(shown.client, list(AGENTS), "o-1") == ["fits", "fits"]
        assert len(await shown.client.model_calls("o-1")) == calls


async def test_what_a_person_is_asked_fits_open_answered_and_cancelled(disk_url: str) -> None:
    async with hf.connect(disk_url, actor="ada") as client, hf.Worker(client, [asks], drain=0):
        queue = hf.work_queue(client)

        async def state() -> list[tuple[str, str, int]]:
            return [(one.id, one.status, one.revision) for one in await queue.list(kind="ask")]

        for id in ("answered", "cancelled", "open"):
            await client.start(asks.options(id=id), id)
            await until_status(client, id, "waiting")
        [item] = [one.id for one in await queue.list(kind="ask") if one.run == "answered"]
        await queue.complete(item, {"answer": "yes"})
        await client.cancel("cancelled")
        await until_status(client, "answered", "succeeded")
        await until_status(client, "cancelled", "cancelled")
        before = await state()
        assert await fit(client, [asks], "answered") == ["fits", "fits"]
        assert await fit(client, [asks], "cancelled") == ["fits", "fits"]
        assert await fit(client, [asks], "open") == ["goes on", "goes on"]
        assert await state() == before
