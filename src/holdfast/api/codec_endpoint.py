"""The codec endpoint: `POST /encode` and `/decode`, for those who may read values but are to have no keys.

Nothing of a request goes to the log: neither values nor keys.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Coroutine
from typing import TYPE_CHECKING

import msgspec
from fastapi import FastAPI
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from holdfast.api.gate import hostname, is_loopback
from holdfast.codecs.remote import Answer, Fault, Payloads
from holdfast.errors import CodecError, KeyMissing, StoreUnavailable
from holdfast.model.sealed import SEALED, Unopened, reason_of
from holdfast.store.values.codec import seal, unseal

if TYPE_CHECKING:
    from holdfast.store.values.codec import PayloadCodec

MOST_VALUES = 1000
MOST_BYTES = 100 * 1024 * 1024
"""Of a request's body."""


def create_codec_app(codec: PayloadCodec, key: str | None = None) -> FastAPI:
    """The endpoint of a codec.

    Args:
        codec: what encodes and decodes.
        key: what requests must bring as ``Authorization: Bearer …``; None lets everybody in who reaches it.

    Returns:
        An ASGI application.
    """
    app = FastAPI(title="holdfast codec", openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    expected = None if key is None else f"Bearer {key}".encode()

    async def payloads(request: Request) -> list[bytes] | Response:
        shown = request.headers.get("authorization", "").encode("latin-1")
        if expected is None and not _is_from_here(request):
            return _refusal(403, "without a key this answers on this machine only, and no page of a browser")
        if expected is not None and not hmac.compare_digest(shown, expected):
            return _refusal(401, "the key is missing or another one")
        if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            return _refusal(415, "the body is no application/json")
        body = bytearray()
        try:
            async for part in request.stream():
                body += part
                if len(body) > MOST_BYTES:
                    return _refusal(413, f"the body is larger than {MOST_BYTES:,} bytes")
        except ClientDisconnect:
            return _refusal(400, "the body did not come")
        try:
            given = msgspec.json.decode(body, type=Payloads).payloads
            found = [base64.b64decode(one, validate=True) for one in given]
        except (msgspec.DecodeError, binascii.Error, ValueError):
            return _refusal(400, 'the body is not {"payloads": [base64, …]}')
        if len(found) > MOST_VALUES:
            return _refusal(413, f"there are {len(found)} values, and at most {MOST_VALUES} are taken")
        return found

    @app.post("/encode")
    async def encode(request: Request) -> Response:
        given = await payloads(request)
        return given if isinstance(given, Response) else await _answer(_encoded(codec, given))

    @app.post("/decode")
    async def decode(request: Request) -> Response:
        given = await payloads(request)
        return given if isinstance(given, Response) else await _answer(_decoded(codec, given))

    return app


def _is_from_here(request: Request) -> bool:
    """Whether a request was made on this machine, and not by a page, whatever name it has for this machine."""
    return is_loopback(hostname(request.headers.get("host", ""))) and "origin" not in request.headers


async def _encoded(codec: PayloadCodec, given: list[bytes]) -> Answer:
    try:
        return Answer([_text(one[1:]) for one in await seal(codec, given)])
    except CodecError as error:
        if len(given) == 1:
            return Answer([None], {"0": _fault(error)})
    answers = [await _encoded(codec, [one]) for one in given]
    faults = {str(number): one.faults["0"] for number, one in enumerate(answers) if one.faults}
    return Answer([one.payloads[0] for one in answers], faults)


async def _decoded(codec: PayloadCodec, given: list[bytes]) -> Answer:
    found = await unseal(codec, [SEALED + one for one in given])
    faults = {str(number): _of(one) for number, one in enumerate(found) if isinstance(one, Unopened)}
    return Answer([None if isinstance(one, Unopened) else _text(one) for one in found], faults)


async def _answer(work: Coroutine[None, None, Answer]) -> Response:
    try:
        return Response(msgspec.json.encode(await work), media_type="application/json")
    except StoreUnavailable:
        # What the codec said may name what is not for whoever asks.
        return _refusal(503, "the codec cannot be used just now")


def _fault(error: CodecError) -> Fault:
    if isinstance(error, KeyMissing):
        return Fault(error.reason, error.needed, list(error.known))
    return Fault(error.reason or error.place)


def _of(payload: bytes) -> Fault:
    reason = reason_of(payload)
    return Fault(reason.why, reason.key if reason.known is not None else None, reason.known)


def _text(payload: bytes) -> str:
    return base64.b64encode(payload).decode("ascii")


def _refusal(status: int, why: str) -> Response:
    return Response(msgspec.json.encode({"error": why}), status, media_type="application/json")
