"""Workers: who is there, what each serves; draining one; runs that nobody serves."""

import secrets

import holdfast as hf
from holdfast.model.run import PROTOCOL
from holdfast.store.rows import WorkflowRow
from tests.web.browsing import dashboard


@hf.workflow
async def served(n: int) -> int:
    return n


@hf.workflow(version="9")
async def unserved() -> None:
    pass


async def test_none_is_there() -> None:
    async with dashboard() as shown:
        assert "No worker is there" in (await shown.get("/workers")).text


async def test_a_worker_shows_what_it_serves_and_is_drained_after_a_question(sqlite_url: str) -> None:
    async with dashboard(sqlite_url) as shown, hf.Worker(sqlite_url, [served], drain=0, concurrency=7):
        seen = await shown.get("/workers")
        assert "alive" in seen.text
        assert "served 1" in seen.text
        assert "0 of 7" in seen.text
        assert "holdfast.bulk" not in seen.text
        asked = await shown.get(seen.link("Drain"))
        assert "claims no more" in asked.text
        done = await shown.browser.send(asked, "Drain it")
        assert "hands its runs over and ends" in done.text
        assert (await shown.client.workers())[0].draining
        again = await shown.get("/workers")
        assert "draining" in again.text
        assert not again.has_link("Drain")


async def test_a_lost_worker_comes_first_and_is_not_drained(sqlite_url: str) -> None:
    async with dashboard(sqlite_url) as shown:
        for host, lease_us in (("there", 60_000_000), ("gone<b>", -1)):
            worker = secrets.token_bytes(16)
            await shown.client.core.store.register_worker(worker, host, 1, PROTOCOL, lease_us)
        seen = await shown.get("/workers")
        assert seen.text.index("gone<b>") < seen.text.index("there process")
        assert "gone<b>" not in seen.html
        assert sum(one.text.strip() == "Drain" for one in seen.links) == 1
        assert "1 lost worker" in (await shown.get("/")).text


async def test_runs_that_nobody_serves_are_listed() -> None:
    async with dashboard() as shown:
        await shown.client.core.store.register_workflows([WorkflowRow("unserved", "9", b"{}")])
        await shown.client.start(unserved)
        seen = await shown.get("/workers")
        assert "Runs that no living worker serves" in seen.text
        assert (await shown.get(seen.link("1"))).status == 200


async def test_one_that_has_left_is_not_drained() -> None:
    async with dashboard() as shown:
        for id in ("", "zz", "00" * 16):
            assert (await shown.get(f"/worker/drain?id={id}")).status == 404, id
            assert (await shown.browser.post("/worker/drain", {"id": id})).status == 404, id


async def test_a_viewer_sees_no_lever_and_has_none(sqlite_url: str) -> None:
    async with dashboard(sqlite_url, auth=True) as shown, hf.Worker(sqlite_url, [served], drain=0):
        [worker] = await shown.client.workers()
        for who in (await shown.somebody("viewer"), await shown.somebody("admin", "acme")):
            assert not (await who.get("/workers")).has_link("Drain")
            assert (await who.get(f"/worker/drain?id={worker.id}")).status == 403
            assert (await who.post("/worker/drain", {"id": worker.id})).status == 403
        assert not (await shown.client.workers())[0].draining
