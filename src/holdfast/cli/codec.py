"""`holdfast codec`: keys for stored values, and the endpoint that opens them for those who have no keys."""

from __future__ import annotations

import asyncio
import logging
import os
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from holdfast.cli.command import Context, command
from holdfast.errors import UsageError

if TYPE_CHECKING:
    from holdfast.store.rows import RunRow

log = logging.getLogger("holdfast.cli")

group = typer.Typer(name="codec", help="Look after the keys of stored values.", no_args_is_help=True)

LOOK_AT_MOST = 1000

OPEN_TO_ALL = (
    "is beyond this machine, and everybody who reaches it could open values: give it a key with --key "
    "(or codec.key), as env:NAME or file:PATH; or listen at 127.0.0.1"
)


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group)


@command(group, "new-key")
def new_key(context: Context) -> None:
    """Make a key of 32 random bytes for values, and print it in base64: put it where only workers read it."""
    from holdfast.codecs import AesGcm

    key = AesGcm.new_key()
    if context.output.as_json:
        context.output.json({"key": key})
    else:
        context.output.text(key)


@command(group, "keys")
def keys(
    context: Context,
    *,
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", help="Look at so many of the newest runs, 1 to 1000.")
    ] = LOOK_AT_MOST,
) -> None:
    """Count which keys the values of the newest runs of the tenant are sealed by: their inputs and what they gave.

    A key that older runs may have is needed as long as they are kept.
    """
    if not 1 <= limit <= LOOK_AT_MOST:
        raise UsageError(f"--limit is {limit}; give 1 to {LOOK_AT_MOST}")
    from holdfast.cli.databases import reading
    from holdfast.store.values.values import Values

    async def newest() -> list[RunRow]:
        # Without the codec: what is sealed says by which key.
        async with reading(context.url, Values()) as store:
            return await store.list_runs(context.tenant, workflow=None, status=None, limit=limit, before=None)

    rows = context.run(newest())
    configured = context.settings()["values.keys"] or {}
    counts = Counter(one for row in rows for one in map(_sealed_by, (row.input, row.output)) if one is not None)
    found: list[dict[str, Any]] = [
        {"key": key, "how": how, "values": many, "here": key in configured if key is not None else None}
        for (key, how), many in sorted(counts.items(), key=lambda one: (-one[1], one[0][1], one[0][0] or ""))
    ]
    if context.output.as_json:
        context.output.json({"runs": len(rows), "keys": found})
        return
    here = {True: "yes", False: "no", None: ""}
    context.output.table(
        ("key", "how", "values", "configured here"),
        [(one["key"] or "", one["how"], str(one["values"]), here[one["here"]]) for one in found],
    )


def _sealed_by(stored: bytes | None) -> tuple[str | None, str] | None:
    """The key that stored bytes name, and how they are stored."""
    from holdfast.model.references import is_apart
    from holdfast.model.sealed import is_unopened, key_of, sealed_of

    if stored is None:
        return None
    if is_unopened(stored):
        key = key_of(sealed_of(stored)[1:])
        return key, "encrypted" if key is not None else "by another codec"
    return None, "kept apart" if is_apart(stored) else "plain"


@command(group, "serve")
def serve(
    context: Context,
    *,
    host: Annotated[str | None, typer.Option("--host", metavar="HOST", help="The address to listen at.")] = None,
    port: Annotated[int | None, typer.Option("--port", metavar="N", help="The port; 0 for any that is free.")] = None,
    key: Annotated[
        str | None,
        typer.Option("--key", metavar="REF", help="Where the key is that it asks for: env:NAME or file:PATH."),
    ] = None,
) -> int:
    """Encode and decode values for those who have no keys, until SIGTERM or Ctrl-C; print the address.

    It needs no database. Beyond this machine it wants a key.
    """
    settings = context.settings(codec__host=host, codec__port=port, codec__key=key)
    from holdfast.cli.serving import listen, needs_extra
    from holdfast.cli.values import make_codec

    codec = make_codec(settings)
    if codec is None:
        raise UsageError("no codec is configured: write [values] keys, zstd or codec in holdfast.toml")
    with needs_extra():
        import uvicorn  # noqa: F401 - what is missing is told before anything is opened

        from holdfast.api.codec_endpoint import create_codec_app
    reference = settings["codec.key"]
    revealed = None if reference is None else reference.reveal("codec.key")
    import uvloop

    with (
        listen(
            settings["codec.host"], settings["codec.port"], auth=revealed is not None, refusal=OPEN_TO_ALL
        ) as listener,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(_serve(context, create_codec_app(codec, revealed), settings["codec.host"], listener))
    return 0


async def _serve(context: Context, app: Any, host: str, listener: Any) -> None:
    from holdfast.cli.answering import answer
    from holdfast.cli.serving import address_of, signals

    stop = asyncio.Event()
    address = address_of(listener, host)

    def ready() -> None:
        log.info("process %d encodes and decodes at %s", os.getpid(), address)
        if context.output.as_json:
            context.output.json({"url": address, "pid": os.getpid()})
        else:
            context.output.text(address)

    with signals(stop):
        await answer(app, listener, stop, ready=ready)
