"""The remote client on a bad line: connections that are cut, servers that stop, keys that are refused."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path

import pytest

import holdfast as hf
from holdfast.engine.remote import transport, waiting
from holdfast.engine.remote.transport import checked_address
from tests.remote.kit import WORKFLOWS, Wire, checkout, serving, until, waits, wire


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A database in a file."""
    return f"sqlite:///{tmp_path / 'holdfast.db'}"


@pytest.fixture
async def line(url: str) -> AsyncIterator[Wire]:
    """A line to a server that can be cut."""
    async with serving(url) as address, wire(address) as made:
        yield made


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client gives up early."""
    monkeypatch.setattr(transport, "PATIENCE_SECONDS", 0.5)


def _lost_once(line: Wire, what: bytes) -> list[bytes]:
    """Cut the line in the place of the first answer that holds something; what was swallowed."""
    lost: list[bytes] = []

    def swallow(data: bytes) -> bool:
        if not lost and what in data:
            lost.append(data)
        return lost == [data]

    line.swallow = swallow
    return lost


async def test_what_was_done_before_the_line_broke_is_done_once(line: Wire, url: str) -> None:
    """The server carries each out; its answer is lost, and the client asks again."""
    async with hf.connect(line.address) as client, hf.connect(url) as local, hf.Worker(url, WORKFLOWS, drain=0):
        await until(lambda: local.workflows())
        lost = _lost_once(line, b"201 Created")
        made = await client.start(checkout, "o-1")
        assert lost
        assert made.created
        lost = _lost_once(line, b"201 Created")
        assert (await client.start(checkout.options(id="mine"), "o-2")).created
        assert lost
        lost = _lost_once(line, b'"created"')
        assert [one.created for one in await client.start_many(checkout, [("a",), ("b",)], ids=["a", "b"])] == [
            True
        ] * 2
        assert lost
        lost = _lost_once(line, b'"created"')
        assert (await client.send_event("shipped", 1, key="k")).created
        assert lost
        await client.schedule("hourly", "checkout", input={"order_id": "s"}, every="1h")
        lost = _lost_once(line, b"201 Created")
        await client.run_schedule("hourly")
        assert lost
        lost = _lost_once(line, b"201 Created")
        await client.fork("mine")
        assert lost
        assert (await local.count(workflow="checkout")).runs == 6
        lost = _lost_once(line, b"204 No Content")
        assert await client.delete_schedule("hourly")
        assert lost
        lost = _lost_once(line, b"201 Created")
        with pytest.raises(hf.HoldfastError, match="was lost on the way: revoke it") as gone:
            await client.create_key("ci")
        [key] = await local.keys()
        assert key.prefix in str(gone.value)


async def test_a_result_outlives_the_server_and_its_connections(
    url: str, monkeypatch: pytest.MonkeyPatch, impatient: None
) -> None:
    monkeypatch.setattr(waiting, "AGAIN_SECONDS", 0.05)
    async with hf.connect(url) as local, hf.Worker(url, WORKFLOWS, drain=0):
        async with serving(url) as address:
            port = int(address.rpartition(":")[2])
            client = await hf.connect(address)
            runs = [await client.start(waits, key) for key in "ab"]
            results = [asyncio.create_task(run.result("20s")) for run in runs]
            await asyncio.sleep(0.1)
            began = time.monotonic()
        assert time.monotonic() - began < 2, "the server's end waits for those that wait"
        await asyncio.sleep(0.1)
        await local.send_event("shipped", "first", key="a")
        async with serving(url, port=port):
            assert await results[0] == "first"
            await local.send_event("shipped", "second", key="b")
            assert await results[1] == "second"
            await client.close()


async def test_the_line_is_cut_while_a_result_is_waited_for(line: Wire, url: str) -> None:
    async with hf.connect(line.address) as client, hf.connect(url) as local, hf.Worker(url, WORKFLOWS, drain=0):
        run = await client.start(waits, "a")
        result = asyncio.create_task(run.result("20s"))
        for _ in range(3):
            await asyncio.sleep(0.05)
            line.cut()
        await local.send_event("shipped", [1], key="a")
        assert await result == [1]


async def test_a_client_that_is_closed_waits_no_more(line: Wire) -> None:
    client = await hf.connect(line.address)
    result = asyncio.create_task((await client.start(waits, "a")).result())
    await asyncio.sleep(0.05)
    await client.close()
    with pytest.raises(hf.StoreUnavailable, match="the client was closed"):
        await result


async def test_many_results_need_few_requests(line: Wire, url: str) -> None:
    async with hf.connect(line.address) as client, hf.Worker(url, WORKFLOWS, drain=0):
        runs = await client.start_many(checkout, [(f"o-{number}",) for number in range(200)])
        line.requests.clear()
        results = await asyncio.gather(*(run.result("30s") for run in runs))
        assert [one["receipt"] for one in results] == [f"receipt o-{number}-500" for number in range(200)]
        assert sum(data.count(b"POST ") for data in line.requests) < 60
        with pytest.raises(TimeoutError):
            await (await client.start(waits, "nothing")).result(timeout="100ms")


async def test_a_server_that_is_not_there(impatient: None) -> None:
    for address in ("http://127.0.0.1:1", "http://host.invalid"):
        began = time.monotonic()
        with pytest.raises(hf.StoreUnavailable, match=f"{address} cannot be reached .* trying again is safe"):
            await hf.connect(address)
        assert time.monotonic() - began < 5


@contextlib.asynccontextmanager
async def _other(answer: bytes | None) -> AsyncIterator[str]:
    """Something else on a port, which answers with this, or with nothing: its address."""
    ended: list[asyncio.Event] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        over = asyncio.Event()
        ended.append(over)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await (reader.read() if answer is None else reader.readuntil(b"\r\n\r\n"))
                writer.write(answer or b"")
                await writer.drain()
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
            over.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()
    for over in ended:
        await over.wait()


async def test_a_line_that_stays_silent(impatient: None) -> None:
    async with _other(None) as address:
        with pytest.raises(hf.StoreUnavailable, match="cannot be reached"):
            await hf.connect(address)


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno", hf.NotOurs, "no holdfast server"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 3\r\n\r\n<p>",
            hf.StoreError,
            "of one version",
        ),
        (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", hf.StoreUnavailable, "the server answered 502"),
        (b"HTTP/1.1 500 Internal\r\nContent-Length: 0\r\n\r\n", hf.StoreUnavailable, "the server answered 500"),
        (b"HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n", hf.NotOurs, "answered 302"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nno",
            hf.StoreUnavailable,
            "DecodingErr",
        ),
        (b"\x16\x03\x01 this is no HTTP\r\n\r\n", hf.StoreUnavailable, "cannot be reached"),
    ],
)
async def test_something_else_answers(impatient: None, answer: bytes, error: type[hf.HoldfastError], said: str) -> None:
    async with _other(answer) as address:
        with pytest.raises(error, match=said):
            await hf.connect(address)


@pytest.mark.parametrize(
    "address",
    ["http://", "https://me:secret@host", "https://me@host", "http://host:0", "http://host:x", "https://host?a=1",
     "https://host#x", "http://[::1"],
)  # fmt: skip
async def test_what_is_no_address_of_a_server(address: str) -> None:
    with pytest.raises(hf.BadURL) as refused:
        await hf.connect(address)
    assert "secret" not in str(refused.value)


def test_an_address_keeps_its_path() -> None:
    assert checked_address("HTTPS://host:8443/hold/fast/") == "HTTPS://host:8443/hold/fast"


async def test_a_server_that_is_mounted_in_another_application(url: str) -> None:
    async with (
        serving(url, below="/hold/fast") as address,
        hf.connect(address + "/") as client,
        hf.Worker(url, WORKFLOWS, drain=0),
    ):
        run = await client.start(checkout.options(id="a/b ü"), "o-1")
        assert await run.result("10s") == {"receipt": "receipt o-1-500"}
        assert [one.id for one in await client.list()] == ["a/b ü"]


async def test_a_key_says_who_asks_and_for_whom(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with hf.connect(url, tenant="north") as local, serving(url, auth=True) as address:
        keys = {role: (await local.create_key(role, role=role)).key for role in ("viewer", "operator", "admin")}
        with pytest.raises(hf.Unauthorised, match="no good credentials"):
            await hf.connect(address)
        for wrong in ("hf_00000000_" + "x" * 40, "nonsense"):
            with pytest.raises(hf.Unauthorised):
                await hf.connect(address, key=wrong)
        with pytest.raises(hf.UsageError, match="characters that none has"):
            await hf.connect(address, key="hf_ü")
        with pytest.raises(hf.Forbidden, match="the key is for tenant 'north', and tenant 'south' is asked for"):
            await hf.connect(address, key=keys["viewer"], tenant="south")
        async with hf.connect(address, key=keys["viewer"]) as client:
            assert client.tenant == "north"
            assert await client.list() == []
            with pytest.raises(hf.Forbidden, match="this takes the role operator"):
                await client.start(checkout, "o-1")
        monkeypatch.setenv("HOLDFAST_KEY", keys["operator"])
        async with hf.connect(address) as client:
            run = await client.start(checkout, "o-1")
            with pytest.raises(hf.Forbidden, match="what all tenants share"):
                await client.pause_queue("default")
            await local.revoke_key(client.actor.removeprefix("key:") if client.actor else "")
            with pytest.raises(hf.Unauthorised, match="revoked"):
                await until(lambda: _nothing(client.get(run.id)))
        async with hf.connect(address, key=keys["admin"]) as client:
            assert (await client.audit(action="run.start"))[0].target == run.id


async def _nothing(work: Awaitable[object]) -> None:
    await work
    await asyncio.sleep(0.05)


async def test_a_key_is_in_no_log_and_no_error(
    url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    async with hf.connect(url) as local, serving(url, auth=True) as address:
        key = (await local.create_key("ci", role="admin")).key
        async with hf.connect(address, key=key) as client:
            await client.list()
            with pytest.raises(hf.RunNotFound) as missing:
                await client.get("absent")
            shown = repr(client) + repr(vars(client)) + repr(missing.value) + caplog.text
        monkeypatch.setattr(transport, "PATIENCE_SECONDS", 0.2)
        with pytest.raises(hf.StoreUnavailable) as gone:
            await hf.connect("http://192.0.2.1:9", key=key)
    assert "the key is sent unencrypted" in caplog.text
    assert key not in shown + str(gone.value) + caplog.text


async def test_a_key_is_for_servers_only(url: str) -> None:
    with pytest.raises(hf.UsageError, match="key is for the address of a server"):
        await hf.connect(url, key="hf_x")


async def test_tenants_do_not_see_each_other(url: str) -> None:
    async with serving(url) as address, hf.connect(address, tenant="a") as one, hf.connect(address, tenant="b") as two:
        await one.start(checkout.options(id="o-1"), "o-1")
        assert await two.list() == []
        with pytest.raises(hf.RunNotFound, match="tenant 'b' has no run 'o-1'"):
            await two.get("o-1")
        with pytest.raises(hf.RunNotFound, match="tenant 'b' has no run 'o-1'"):
            await (await one.handle("o-1")).__class__(two, None, "o-1", b"", False).result("5s")
        with pytest.raises(hf.UsageError, match="cannot be named in a header"):
            await hf.connect(address, tenant="süd")


async def test_requests_that_are_too_many_are_asked_again(url: str) -> None:
    async with serving(url, rate=5.0) as address, hf.connect(address) as client:
        for _ in range(12):
            await client.count()


async def test_bodies_that_are_too_large_are_sent_in_parts(url: str) -> None:
    async with serving(url, max_body=20_000) as address, hf.connect(address) as client:
        handles = await client.start_many(checkout, [("x" * 3000,) for _ in range(20)], ids=map(str, range(20)))
        assert [one.id for one in handles] == [str(number) for number in range(20)]
        with pytest.raises(hf.PayloadError, match="larger than 20,000 bytes"):
            await client.start(checkout, "x" * 30_000)
