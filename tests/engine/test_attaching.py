"""What an attempt of a step attaches is committed with what becomes of it."""

import hashlib

import pytest

import holdfast as hf
from holdfast.agents.recording import Request, record_artifact, record_requests
from holdfast.engine.attaching import attempt
from holdfast.model.ids import MAX_ID_CHARACTERS
from tests.engine.helpers import ONCE, outcome, serving

QUICK = hf.Retry(max_attempts=3, initial=0.001)
tries: list[int] = []


def request(outcome: str, cost: int) -> Request:
    return Request("scripted:one", outcome, None, 10, 0, 5, cost, 1, 2)


def made(name: str, content: bytes) -> None:
    record_artifact(name, "text/plain", len(content), hashlib.sha256(content).digest(), content=content)


@hf.step(retry=QUICK)
async def unlucky() -> str:
    tries.append(len(tries))
    last = len(tries) == 3
    record_requests("talk", [request("ok" if last else "timeout", 100), request("ok", 1)])
    made("said.txt", b"%d" % len(tries))
    if not last:
        raise ValueError("not yet")
    return "done"


@hf.step(retry=ONCE)
async def refused() -> str:
    record_requests("talk", [request("ok", 7)])
    made("x" * (MAX_ID_CHARACTERS + 1), b"")
    return "done"


@hf.workflow
async def talks() -> str:
    return await unlucky()


@hf.workflow
async def is_refused() -> str:
    return await refused()


async def test_each_attempt_has_its_own_requests_and_the_last_has_the_artifact(store_url: str) -> None:
    tries.clear()
    async with serving(store_url, talks) as client:
        run = await client.start(talks)
        assert await run.result("20s") == "done"
        agents = client.core.store.agents
        [row] = await client.core.store.find_runs("default", [run.id])
        calls = await agents.model_calls("default", row.uid, limit=10)
        assert [(one.attempt, one.number, one.outcome, one.cost) for one in calls] == [
            (1, 0, "timeout", 100), (1, 1, "ok", 1), (2, 0, "timeout", 100), (2, 1, "ok", 1), (3, 0, "ok", 100),
            (3, 1, "ok", 1),
        ]  # fmt: skip
        [artifact] = await agents.artifacts("default", row.uid, limit=10)
        found = await agents.artifact("default", row.uid, artifact.position, artifact.generation, artifact.name)
        assert found is not None
        assert (artifact.name, found[1]) == ("said.txt", b"3")


async def test_what_was_paid_is_kept_of_a_result_that_the_database_refuses(store_url: str) -> None:
    async with serving(store_url, is_refused) as client:
        run = await client.start(is_refused)
        with pytest.raises(hf.RunFailed, match="the database refuses a value"):
            await run.result("20s")
        [row] = await client.core.store.find_runs("default", [run.id])
        calls = await client.core.store.agents.model_calls("default", row.uid, limit=10)
        assert [one.cost for one in calls] == [7]
        assert await client.core.store.agents.artifacts("default", row.uid, limit=10) == []


async def test_outside_a_step_nothing_is_attached(store_url: str) -> None:
    @hf.workflow
    async def plain() -> bool:
        record_requests("talk", [request("ok", 7)])
        made("said.txt", b"")
        return attempt() is None

    async with serving(store_url, plain) as client:
        assert await outcome(client, plain)
    record_requests("talk", [request("ok", 7)])
    assert attempt() is None


@hf.step(retry=ONCE)
async def steady() -> str:
    record_requests("talk", [request("ok", 7)])
    made("said.txt", b"again")
    return "done"


@hf.workflow
async def steadily() -> str:
    return await steady()


async def test_a_step_that_is_tried_aside_records_nothing(store_url: str) -> None:
    async with serving(store_url, steadily) as client:
        run = await client.start(steadily)
        assert await run.result(timeout="60s") == "done"
        again = await client.replay_step(run.id, steady)
        assert (again.output, again.error, again.difference) == ("done", None, "")
        assert len(await client.model_calls(run.id)) == 1
        assert len(await client.artifacts(run.id)) == 1
