"""The codec endpoint, and the codec that asks it: who gets in, what is bounded, and what is said when it cannot be."""

import base64
import json
import logging
import os

import httpx
import pytest

from holdfast.api import codec_endpoint
from holdfast.api.codec_endpoint import create_codec_app
from holdfast.codecs import AesGcm, Chain, RemoteCodec, Zstd
from holdfast.codecs import remote as remote_codec
from holdfast.codecs.remote import Reader, reading
from holdfast.errors import CodecError, CodecUnavailable, KeyMissing
from holdfast.model.sealed import is_unopened, shown
from holdfast.store.values.codec import seal, unseal

KEYS = {"2026-10": bytes(range(32)), "2026-11": bytes(range(1, 33))}
CODEC = Chain(Zstd(), AesGcm(KEYS, "2026-11"))
HOST = "http://127.0.0.1"


def remote(app, **more):
    transport = app if isinstance(app, httpx.AsyncBaseTransport) else httpx.ASGITransport(app)
    return RemoteCodec(HOST, transport=transport, **more)


def as_payloads(*values):
    return {"payloads": [base64.b64encode(one).decode() for one in values]}


def posting(app, path, **more):
    async def post():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=HOST) as client:
            return await client.post(path, **more)

    return post()


async def test_values_go_there_and_come_back_in_their_order():
    codec = remote(create_codec_app(CODEC))
    values = [os.urandom(50) for _ in range(20)] + [b""]
    sealed = await codec.encode(values)
    assert await CODEC.decode(sealed) == values
    assert await codec.decode(sealed) == values


async def test_many_and_large_values_are_sent_in_portions(monkeypatch):
    asked = []

    class Counting(httpx.ASGITransport):
        async def handle_async_request(self, request):
            asked.append(len(json.loads(request.content)["payloads"]))
            return await super().handle_async_request(request)

    monkeypatch.setattr(remote_codec, "MOST_VALUES", 10)
    monkeypatch.setattr(remote_codec, "MOST_BYTES", 1000)
    codec = remote(Counting(create_codec_app(CODEC)))
    values = [b"x"] * 25 + [bytes(2000)] + [bytes(400)] * 5
    assert await CODEC.decode(await codec.encode(values)) == values
    assert asked == [10, 10, 5, 1, 2, 2, 1]


async def test_a_missing_key_is_told_by_the_endpoint_and_the_rest_is_opened():
    old = AesGcm({"2026-09": bytes(32)})
    codec = remote(create_codec_app(AesGcm(KEYS, "2026-11")))
    sealed = [*(await AesGcm(KEYS, "2026-10").encode([b"a"])), *(await old.encode([b"b"])), b"nonsense"]
    found = await codec.decode(sealed)
    assert found[0] == b"a"
    assert isinstance(found[1], KeyMissing)
    assert (found[1].needed, found[1].known) == ("2026-09", ("2026-10", "2026-11"))
    assert "was not sealed by hf.AesGcm" in str(found[2])


async def test_a_value_that_the_codec_refuses_is_refused():
    class Picky:
        async def encode(self, payloads):
            if any(b"bad" in one for one in payloads):
                raise CodecError("a value", "it says bad")
            return list(payloads)

        async def decode(self, payloads):
            return list(payloads)

    with pytest.raises(CodecError, match="it says bad"):
        await remote(create_codec_app(Picky())).encode([b"good", b"bad"])


async def test_with_a_key_nobody_gets_in_without_it(monkeypatch):
    app = create_codec_app(CODEC, "the-endpoint-key")
    for headers in ({}, {"Authorization": "Bearer other"}, {"Authorization": "the-endpoint-key"}):
        response = await posting(app, "/decode", json=as_payloads(b"x"), headers=headers)
        assert response.status_code == 401
    with pytest.raises(CodecUnavailable, match="answers 401"):
        await remote(app).encode([b"x"])
    monkeypatch.setenv("ENDPOINT_KEY", "the-endpoint-key")
    codec = remote(app, key="env:ENDPOINT_KEY")
    assert await codec.decode(await codec.encode([b"x"])) == [b"x"]


async def test_without_a_key_it_answers_no_page_and_no_other_name():
    app = create_codec_app(CODEC)
    for headers in ({"Origin": "http://127.0.0.1"}, {"Host": "evil.example"}):
        response = await posting(app, "/decode", json=as_payloads(b"x"), headers=headers)
        assert response.status_code == 403


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b'{"payloads": "text"}', "application/json", 400),
        (b'{"payloads": ["not base64!"]}', "application/json", 400),
        (b"[]", "application/json", 400),
        (b'{"payloads": []}', "text/plain", 415),
        (json.dumps({"payloads": [""] * 1001}).encode(), "application/json", 413),
        (b'{"payloads": []}', "application/json", 200),
    ],
)
async def test_bodies_that_are_none_are_refused(content, kind, status):
    app = create_codec_app(CODEC)
    response = await posting(app, "/decode", content=content, headers={"Content-Type": kind})
    assert response.status_code == status


async def test_a_body_that_is_too_large_is_not_read_to_its_end(monkeypatch):
    monkeypatch.setattr(codec_endpoint, "MOST_BYTES", 100)
    response = await posting(create_codec_app(CODEC), "/encode", json=as_payloads(bytes(1000)))
    assert response.status_code == 413


async def test_a_codec_that_fails_is_told_without_its_words():
    class Failing:
        async def encode(self, payloads):
            raise OSError("the vault at 10.0.0.7 is away")

        decode = encode

    response = await posting(create_codec_app(Failing()), "/decode", json=as_payloads(b"x"))
    assert response.status_code == 503
    assert "10.0.0.7" not in response.text


def answering(status=200, body=b"", headers=None):
    return httpx.MockTransport(lambda request: httpx.Response(status, content=body, headers=headers))


@pytest.mark.parametrize(
    ("transport", "said"),
    [
        (answering(500), "answers 500"),
        (answering(307, headers={"Location": "http://127.0.0.1:1/decode"}), "answers 307"),
        (answering(200, b"{}"), "no answer that can be read"),
        (answering(200, b'{"payloads": []}'), "given 1 values and gave 0"),
        (answering(200, b'{"payloads": ["?"]}'), "no base64"),
    ],
)
async def test_an_endpoint_that_does_not_answer_as_it_should_is_told(transport, said):
    with pytest.raises(CodecUnavailable, match=said):
        await remote(transport).decode([b"x"])
    # For a page it is a value that cannot be opened, with the reason.
    [found] = await remote(transport, patient=False).decode([b"x"])
    assert isinstance(found, CodecError)
    assert said in str(found)


async def test_an_endpoint_that_nobody_serves_is_told():
    codec = RemoteCodec("http://127.0.0.1:1", patient=False)
    [stored] = await seal(AesGcm(KEYS, "2026-11"), [b"\x011"])
    [found] = await unseal(codec, [stored])
    assert is_unopened(found)
    assert shown(found)["sealed_by"] == "2026-11"
    assert "cannot be used" in shown(found)["why"]


async def test_answers_without_end_are_not_read(monkeypatch):
    monkeypatch.setattr(remote_codec, "LARGEST_ANSWER_BYTES", 1000)
    [found] = await remote(answering(200, bytes(10_000))).decode([b"x"])
    assert isinstance(found, CodecError)
    assert "too many for the codec endpoint" in str(found)


async def test_a_value_that_is_too_large_for_the_endpoint_is_refused_and_the_rest_is_not(monkeypatch):
    monkeypatch.setattr(codec_endpoint, "MOST_BYTES", 4000)
    codec = remote(create_codec_app(CODEC))
    small = [os.urandom(1000) for _ in range(5)]  # together they are too large too
    assert await CODEC.decode(await codec.encode(small)) == small
    with pytest.raises(CodecError, match=r"its 9,000 bytes.* are too many for the codec endpoint"):
        await codec.encode([small[0], bytes(9000)])
    large, *others = await CODEC.encode([os.urandom(9000), *small])
    refused, *opened = await codec.decode([large, *others])
    assert isinstance(refused, CodecError)
    assert opened == small


async def test_the_authorisation_of_the_reader_is_forwarded_and_of_nobody_else(monkeypatch):
    monkeypatch.setenv("ENDPOINT_KEY", "own")
    seen = []

    def look(request):
        seen.append({name: request.headers.get(name) for name in ("authorization", "holdfast-reader")})
        return httpx.Response(200, json={"payloads": [""]})

    codec = remote(httpx.MockTransport(look), key="env:ENDPOINT_KEY", forward=True)
    [found] = await codec.decode([b"x"])
    assert "load this anew" in str(found)  # nobody in particular reads
    before = reading.set(Reader("ann é", "north", None))
    [found] = await codec.decode([b"x"])
    assert "no Authorization" in str(found)
    assert not seen
    reading.set(Reader("ann é", "north", "Bearer hers"))
    assert await codec.decode([b"x"]) == [b""]
    await codec.encode([b"x"])
    own = remote(httpx.MockTransport(look), key="env:ENDPOINT_KEY")
    assert await own.decode([b"x"]) == [b""]
    reading.reset(before)
    assert seen == [
        {"authorization": "Bearer hers", "holdfast-reader": "ann%20%C3%A9"},
        {"authorization": "Bearer own", "holdfast-reader": "ann%20%C3%A9"},
        {"authorization": "Bearer own", "holdfast-reader": "ann%20%C3%A9"},
    ]


async def test_no_value_and_no_key_is_logged(monkeypatch, caplog):
    monkeypatch.setenv("ENDPOINT_KEY", "the-endpoint-key")
    caplog.set_level(logging.DEBUG)
    app = create_codec_app(CODEC, "the-endpoint-key")
    codec = remote(app, key="env:ENDPOINT_KEY")
    await codec.decode(await codec.encode([b"a secret word"]))
    with pytest.raises(CodecUnavailable):
        await remote(app).encode([b"a secret word"])
    for word in ("secret word", base64.b64encode(b"a secret word").decode()[:12], "the-endpoint-key"):
        assert word not in caplog.text
