"""References that users write themselves are values like any other: nobody reads what others had kept apart."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

import holdfast as hf
from holdfast.model.references import is_apart
from tests.api.kit import V1, Served, serving
from tests.engine.helpers import until_status

LARGE = "a secret of one tenant " * 20_000


@hf.workflow
async def echo(value: Any) -> Any:
    return value


@hf.workflow
async def waits() -> Any:
    return await hf.wait_for_event("told")


@hf.workflow
async def holds() -> Any:
    return await hf.hold("for a value")


@pytest.fixture
async def server(disk_url: str) -> AsyncIterator[Served]:
    async with (
        serving(disk_url, auth=True, shared_tenants=("acme",)) as made,
        hf.Worker(made.url, [echo, waits, holds], drain=0),
    ):
        yield made


async def forged(server: Served) -> bytes:
    """What stands in the database for a value of the other tenant."""
    run = await server.local("acme").start(echo.options(id="theirs"), LARGE)
    await run.result(timeout="20s")
    [row] = await server.server.core.sealed.inner.find_runs("acme", ["theirs"])
    assert is_apart(row.output)
    return bytes(row.output)


async def stored(server: Served) -> list[bytes]:
    """The payloads of the tenant's runs, as they are stored."""
    inner = server.server.core.sealed.inner
    rows = await inner.list_runs("default", workflow=None, status=None, limit=100, before=None)
    entries, _ = await inner.load_journals([row.uid for row in rows])
    found = [one for row in [*rows, *entries] for one in (row.input, row.output) if one]
    assert found
    return found


async def test_a_reference_in_a_value_is_text(server: Served) -> None:
    reference = await forged(server)
    text = reference.decode()
    client = server.local()
    assert await (await client.start(echo, text)).result(timeout="20s") == text
    assert await (await client.start(echo, json.loads(text[1:]))).result(timeout="20s") == json.loads(text[1:])
    run = await client.start(waits)
    await client.send_event("told", text)
    assert await run.result(timeout="20s") == text
    run = await client.start(holds)
    await until_status(client, run.id, "held")
    await client.release(run.id, text)
    assert await run.result(timeout="20s") == text
    fork = await client.fork((await client.list(workflow="echo"))[0].id, input={"value": text})
    assert await (await client.handle(fork, echo)).result(timeout="20s") == text
    await client.schedule("later", echo, input=[text], every="100d")
    assert (await client.schedules())[0].input == {"value": text}
    assert not any(is_apart(one) for one in await stored(server))


async def test_a_reference_as_the_body_of_a_request_is_refused_or_text(server: Served) -> None:
    reference = await forged(server)
    http = server.http(await server.key())
    run = await server.local().start(waits)
    for place in ("workflows/echo/runs", "events"):
        answer = await http.post(f"{V1}/{place}", content=reference, headers={"Content-Type": "application/json"})
        assert answer.status_code in (400, 422), (place, answer.text)
    started = await http.post(f"{V1}/workflows/echo/runs", json={"id": "mine", "input": {"value": reference.decode()}})
    assert started.status_code == 201, started.text
    # The data of a CloudEvent in binary form may be any bytes.
    headers = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "x", "ce-type": "told"}
    headers["Content-Type"] = "application/octet-stream"
    sent = await http.post(f"{V1}/events", content=reference, headers=headers)
    assert sent.status_code == 200, sent.text
    assert "kept_apart" not in str(await run.result(timeout="20s"))
    [end] = (await http.post(f"{V1}/runs:outcomes", json={"ids": ["mine"], "wait": 20})).json()["items"]
    assert end["output"] == reference.decode()
    assert not any(is_apart(one) for one in await stored(server))
    assert LARGE[:23] not in (await http.get(f"{V1}/runs/mine")).text
