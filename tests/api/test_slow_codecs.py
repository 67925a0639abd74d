"""A codec endpoint that takes too long: lists are made smaller, and a value that is too slow is told."""

import asyncio
import base64
import json

import httpx
import pytest

import holdfast as hf
from holdfast.api.codec_endpoint import create_codec_app
from holdfast.codecs import AesGcm, Chain, RemoteCodec, Zstd
from holdfast.errors import CodecError, CodecUnavailable
from holdfast.model.sealed import SEALED, is_unopened, shown
from holdfast.store.values.codec import seal, unseal
from holdfast.store.values.values import Values
from tests.engine.codec_kit import sealed
from tests.engine.helpers import ONCE, until_status

INNER = AesGcm({"2026-11": bytes(range(32))})
SLOW = b"\x01" + b'"slow"'


class Endpoint(httpx.ASGITransport):
    """An endpoint that answers in time while a request is short enough and has no value in it that takes for ever."""

    def __init__(self) -> None:
        super().__init__(create_codec_app(INNER))
        self.most = 1_000_000
        self.slow: bytes | None = None
        self.away = False
        self.asked: list[int] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        values = [base64.b64decode(one) for one in json.loads(request.content)["payloads"]]
        self.asked.append(len(values))
        if self.away or len(values) > self.most or (self.slow is not None and any(map(self.is_slow, values))):
            raise httpx.ReadTimeout("", request=request)
        return await super().handle_async_request(request)

    def is_slow(self, value: bytes) -> bool:
        """Also when it is sealed."""
        given = INNER._decode([value])[0] if value.startswith(b"hfA1") else value
        return isinstance(given, bytes) and self.slow is not None and self.slow in given


class Hangs:
    """A codec of one's own that takes for ever for a value, or for all."""

    def __init__(self, slow: bytes = b"slow", *, away: bool = False) -> None:
        self.slow = slow
        self.away = away

    async def encode(self, payloads: list[bytes]) -> list[bytes]:
        if self.away or any(self.slow in one for one in payloads):
            await asyncio.Event().wait()
        return list(payloads)

    decode = encode


@pytest.fixture
def endpoint() -> Endpoint:
    return Endpoint()


@pytest.fixture
def codec(endpoint: Endpoint) -> RemoteCodec:
    return RemoteCodec("http://127.0.0.1", transport=endpoint)


async def test_a_list_that_takes_too_long_is_asked_for_in_parts(endpoint: Endpoint, codec: RemoteCodec) -> None:
    values = [b"\x01%d" % number for number in range(50)]
    endpoint.most = 7
    stored = await seal(codec, values)
    assert await unseal(codec, stored) == values
    assert max(endpoint.asked) == 50
    assert len(endpoint.asked) < 60


@pytest.mark.parametrize("chained", [False, True])
async def test_a_value_that_takes_too_long_is_told_and_the_others_are_opened(
    endpoint: Endpoint, codec: RemoteCodec, chained: bool
) -> None:
    used = Chain(codec) if chained else codec
    values = [b"\x01%d" % number for number in range(20)]
    values[7] = SLOW
    stored = await seal(used, values)
    endpoint.slow = b"slow"
    found = await unseal(used, stored)
    assert [one for one in found if not is_unopened(one)] == values[:7] + values[8:]
    why = (
        "it is sealed by key '2026-11', and the codec endpoint http://127.0.0.1/decode does not answer within 10 s for "
        "a value, 3 times in a row"
    )
    assert shown(found[7])["why"] == why
    [alone] = await unseal(used, stored[7:8])
    assert shown(alone)["why"] == why
    with pytest.raises(CodecError, match="encode does not answer within 10 s for a value, 3 times in a row"):
        await seal(used, values)
    assert len(await unseal(used, [stored[7]] * 3)) == 3


async def test_an_endpoint_that_answers_nothing_is_trouble_that_may_pass(
    endpoint: Endpoint, codec: RemoteCodec
) -> None:
    stored = await seal(codec, [b"\x01%d" % number for number in range(20)])
    endpoint.away = True
    endpoint.asked.clear()
    for work in (unseal(codec, stored), unseal(codec, stored[:1]), seal(codec, stored)):
        with pytest.raises(CodecUnavailable, match="does not answer within 10 s"):
            await work
    assert endpoint.asked == [20, 0, 1, 0, 20, 0]


@pytest.mark.slow
async def test_a_codec_of_ones_own_is_taken_to_be_there_when_it_answers_to_another_value() -> None:
    values = [b"\x01%d" % number for number in range(8)]
    values[2] = SLOW
    stored = [SEALED + one for one in values]
    found = await unseal(Hangs(), stored, 0.02)
    assert [is_unopened(one) for one in found] == [number == 2 for number in range(8)]
    with pytest.raises(CodecError, match=r"did not encode a value within 0\.02 s, 3 times"):
        await seal(Hangs(), values, 0.02)
    for given in (stored, stored[2:3]):
        with pytest.raises(CodecUnavailable):
            await unseal(Hangs(away=True), given, 0.02)
    with pytest.raises(CodecUnavailable):
        await unseal(Hangs(), stored[2:3], 0.02)


async def test_a_codec_whose_answer_about_itself_fails_is_away() -> None:
    class Broken(Hangs):
        async def answers(self) -> bool:
            raise OSError("no route")

    with pytest.raises(CodecUnavailable):
        await unseal(Broken(), [SEALED + SLOW, SEALED + b"1"], 0.02)
    assert await Chain(Zstd(), INNER).answers() is None


@hf.step(retry=ONCE)
async def says(word: str) -> str:
    return f"said {word}"


@hf.workflow
async def speaks(word: str) -> str:
    return await says(word)


@hf.workflow
async def waits() -> str:
    told: str = await hf.wait_for_event("told", key="w")
    return told


@pytest.mark.slow
async def test_a_run_does_not_wait_for_a_value_that_is_never_opened(
    disk_url: str, endpoint: Endpoint, codec: RemoteCodec
) -> None:
    how = Values(codec=codec)
    async with sealed(disk_url, how, speaks, waits) as client:
        run = await client.start(waits)
        await until_status(client, run.id, "waiting")
    async with hf.connect(disk_url, values=how) as client:
        await client.send_event("told", "slow", key="w")
    endpoint.slow = b"slow"
    async with sealed(disk_url, how, speaks, waits) as client:
        view = await until_status(client, run.id, "held")
        assert "decode does not answer within 10 s for a value, 3 times in a row" in view.error["message"]  # type: ignore[index]
        # What is written with it waits no longer than it does.
        with pytest.raises(CodecError, match="encode does not answer"):
            await client.start(speaks, "slow")
        assert await (await client.start(speaks, "fast")).result("60s") == "said fast"
        endpoint.slow = b"said slowly"
        failed = await client.start(speaks, "slowly")
        with pytest.raises(hf.RunFailed, match="refused by the codec"):
            await failed.result("60s")
        endpoint.slow = None
        await client.release(run.id)
        assert (await until_status(client, run.id, "succeeded")).output == "slow"
