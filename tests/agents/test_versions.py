"""The version of its file that a run goes by: the one in force at its first phase, while new runs go by the newest."""

import logging
from typing import Any

import pytest

import holdfast as hf
from holdfast.agents.phases import versions
from holdfast.agents.phases.registry import Phases, load_phases
from holdfast.errors import RunFailed
from tests.agents.kit import Model, PhaseFolder, serving
from tests.engine.helpers import outcome, until_status

FILE = """
    name = "orders"
    [defaults]
    model = "scripted:main"
    [phases.first]
    prompt = "{word} one"
    [phases.second]
    prompt = "{word} two"
    [tenants.acme.phases.second]
    prompt = "acme's two"
"""


@pytest.fixture(autouse=True)
def looks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file is looked at each time that a run comes to its first phase."""
    monkeypatch.setattr(versions, "LOOK_SECONDS", 0.0)


def halting(phases: Phases) -> hf.Workflow[[str], list[str]]:
    """A workflow that waits between two phases."""

    @hf.workflow(name="halting")
    async def run(key: str) -> list[str]:
        first: str = await phases.run("first")
        await hf.wait_for_event("go", key=key)
        return [first, await phases.run("second")]

    return run


async def test_a_run_under_way_keeps_its_version_and_a_new_one_has_the_new_one(
    store_url: str, folder: PhaseFolder, model: Model, park_at_once: None
) -> None:
    model.usual = lambda scene: scene.prompt
    async with serving(store_url, flow := halting(folder.load(FILE.format(word="old")))) as (client, _):
        under_way = await client.start(flow, "a")
        await until_status(client, under_way.id, "waiting")
        folder.write(FILE.format(word="new"))
        new = await client.start(flow, "b")
        await until_status(client, new.id, "waiting")
        for key in ("a", "b"):
            await client.send_event("go", key=key)
        assert await under_way.result(timeout="20s") == ["old one", "old two"]
        assert await new.result(timeout="20s") == ["new one", "new two"]
        pinned = [
            [one.output for one in await client.history(run.id) if one.name == "phases orders"]
            for run in (under_way, new)
        ]
        assert pinned[0] != pinned[1]
        assert [len(one) for one in pinned] == [1, 1]


async def test_it_keeps_it_on_another_worker_that_has_never_seen_the_old_file(
    disk_url: str, folder: PhaseFolder, model: Model
) -> None:
    model.usual = lambda scene: scene.prompt
    async with serving(disk_url, flow := halting(folder.load(FILE.format(word="old")))) as (client, _):
        run = await client.start(flow, "a")
        await until_status(client, run.id, "waiting")
    folder.write(FILE.format(word="new"))
    # Loaded anew, it knows nothing of what was there before.
    async with serving(disk_url, flow := halting(load_phases(folder.path))) as (client, _):
        await client.send_event("go", key="a")
        assert await (await client.handle(run.id)).result(timeout="20s") == ["old one", "old two"]


async def test_a_file_that_is_broken_leaves_in_force_what_was(
    folder: PhaseFolder, model: Model, caplog: pytest.LogCaptureFixture
) -> None:
    model.usual = lambda scene: scene.prompt
    phases = folder.load(FILE.format(word="old"))

    @hf.workflow
    async def flow() -> Any:
        return await phases.run("first")

    async with serving("memory://", flow) as (client, _):
        folder.write(FILE.format(word="{{ nonsense }}"))
        with caplog.at_level(logging.ERROR, "holdfast.phases"):
            assert [await outcome(client, flow) for _ in range(2)] == ["old one"] * 2
        [said] = [one.getMessage() for one in caplog.records]
        assert "phases.toml" in said
        assert "nonsense" in said
        folder.write(FILE.format(word="mended"))
        assert await outcome(client, flow) == "mended one"


async def test_another_name_is_not_taken_while_workers_run(folder: PhaseFolder, model: Model) -> None:
    phases = folder.load(FILE.format(word="old"))
    before = phases.file().version
    folder.write(FILE.format(word="new").replace('"orders"', '"mails"'))
    assert (phases.file().version, phases.name) == (before, "orders")


async def test_a_change_of_a_template_file_is_a_new_version(folder: PhaseFolder, model: Model) -> None:
    model.usual = lambda scene: scene.prompt
    template = PhaseFolder(folder.path.parent)
    template.path = folder.path.parent / "first.j2"
    template.write("old")
    phases = folder.load('[phases.first]\nmodel = "scripted:main"\nprompt_file = "first.j2"\n')
    before = phases.file().version

    @hf.workflow
    async def flow() -> Any:
        return await phases.run("first")

    async with serving("memory://", flow) as (client, _):
        assert await outcome(client, flow) == "old"
        template.write("new")
        assert await outcome(client, flow) == "new"
    assert phases.file().version != before


async def test_a_tenant_has_its_own_phases(store_url: str, folder: PhaseFolder, model: Model) -> None:
    model.usual = lambda scene: scene.prompt
    phases = folder.load(FILE.format(word="our"))
    assert phases.file("acme").version != phases.file("other").version == phases.file().version

    @hf.workflow
    async def flow() -> dict[str, str]:
        return await phases.execute()

    async with serving(store_url, flow) as (client, _):
        assert await outcome(client, flow) == {"first": "our one", "second": "our two"}
        acme = hf.Client(client.core, "acme")
        assert await outcome(acme, flow) == {"first": "our one", "second": "acme's two"}
        kept = await client.core.store.agents.phase_files("acme", limit=10)
        assert [(row.name, row.version) for row in kept] == [("orders", phases.file("acme").version)]
        assert await client.core.store.agents.phases("acme", "orders", phases.file().version) is None


async def test_branches_that_come_to_their_first_phases_side_by_side_pin_one_version(
    store_url: str, folder: PhaseFolder, model: Model, park_at_once: None
) -> None:
    model.usual = lambda scene: scene.prompt
    phases = folder.load(FILE.format(word="our"))

    @hf.workflow
    async def flow() -> list[str]:
        found = await hf.gather(phases.run("first"), phases.run("second"))
        await hf.sleep(0.01)
        return list(found)

    async with serving(store_url, flow) as (client, _):
        run = await client.start(flow)
        assert await run.result(timeout="20s") == ["our one", "our two"]
        assert [one.name for one in await client.history(run.id) if one.kind == "patch"] == ["phases orders"]


async def test_a_retry_by_a_person_keeps_the_version(store_url: str, folder: PhaseFolder, model: Model) -> None:
    model.usual = lambda scene: scene.prompt
    phases = folder.load(FILE.format(word="old"))
    broken = [True]

    @hf.step(retry=hf.Retry(max_attempts=1))
    async def check() -> None:
        if broken:
            raise ValueError("broken")

    @hf.workflow
    async def flow() -> list[str]:
        first: str = await phases.run("first")
        await check()
        return [first, await phases.run("second")]

    async with serving(store_url, flow) as (client, _):
        run = await client.start(flow)
        await until_status(client, run.id, "failed")
        folder.write(FILE.format(word="new"))
        broken.clear()
        await client.retry(run.id)
        assert await run.result(timeout="20s") == ["old one", "old two"]
    assert len(model.scenes) == 2


async def test_a_version_of_another_tenant_is_not_known(
    folder: PhaseFolder, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holdfast.agents.phases.queued.HEARD_SECONDS", 0.0)
    phases = folder.load(FILE.format(word="old") + "    [providers.scripted]\n    concurrency = 1\n")
    [calls] = phases.workflows
    version = phases.file().version
    given = {
        "version": version, "phase": "first", "model": "scripted:main", "system": None, "prompt": "Mine.", "caller": "",
    }  # fmt: skip
    async with serving("memory://", flow := halting(phases), *phases.workflows) as (client, _):
        run = await client.start(flow, "a")
        await until_status(client, run.id, "waiting")
        said = len(model.scenes)
        acme = await hf.Client(client.core, "acme").start_named(calls.name, given)
        with pytest.raises(RunFailed, match=f"goes by version {version} of orders, which is not kept"):
            await acme.result(timeout="20s")
        assert len(model.scenes) == said
