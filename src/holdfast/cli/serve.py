"""`holdfast serve`: the API and the dashboard."""

from __future__ import annotations

import asyncio
import logging
import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

from holdfast.cli.command import Context, command
from holdfast.cli.serving import StateUrl

if TYPE_CHECKING:
    import socket

    from holdfast.api.config import ServeConfig
    from holdfast.cli.settings import Settings
    from holdfast.conversations.engine import TurnEngine

log = logging.getLogger("holdfast.cli")

Host = Annotated[str | None, typer.Option("--host", metavar="HOST", help="The address to listen at.")]
Port = Annotated[int | None, typer.Option("--port", metavar="N", help="The port; 0 for any that is free.")]


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "serve")(serve)


def serve(
    context: Context,
    *,
    host: Host = None,
    port: Port = None,
    auth: Annotated[
        bool | None, typer.Option("--auth/--no-auth", help="Whether everybody has to sign in or show a key.")
    ] = None,
    conversations: Annotated[
        list[str] | None,
        typer.Option(
            "--conversations", metavar="MODULE[:NAME]", help="Have turns of this module's engines; may be repeated."
        ),
    ] = None,
    intake: Annotated[
        str | None, typer.Option("--intake", metavar="FILE", help="Sources that take requests: a file of them.")
    ] = None,
    state_url: StateUrl = None,
) -> int:
    """Serve the API and the dashboard until SIGTERM or Ctrl-C, and print the address.

    Beyond this machine it serves with --auth only.
    """
    settings = context.settings(
        serve__host=host, serve__port=port, serve__auth=auth, serve__conversations=conversations, serve__intake=intake,
        state_url=state_url,
    )  # fmt: skip
    url = context.url
    from holdfast.cli.databases import sqlite_path
    from holdfast.cli.serving import listen, needs_extra, serve_config

    sqlite_path(url)
    with needs_extra():
        import uvicorn  # noqa: F401 - what is missing is told before anything is opened
    config = serve_config(settings)
    from holdfast.cli.modules import load_engines

    engines = load_engines(settings["serve.conversations"] or [])
    import uvloop

    from holdfast.cli.watched import watched

    with (
        watched(),
        listen(config.host, config.port, auth=config.auth) as listener,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(_serve(context, settings, config, engines, url, listener))
    return 0


async def _serve(
    context: Context,
    settings: Settings,
    config: ServeConfig,
    engines: list[TurnEngine],
    url: str,
    listener: socket.socket,
) -> None:
    import holdfast as hf
    from holdfast.cli.answering import answer
    from holdfast.cli.serving import application, check_state, signals

    stop = asyncio.Event()
    values = context.values(serving=True)
    # Open before requests come: a database that cannot be used ends the command, with its reason.
    async with hf.connect(url, tenant=context.tenant, values=values) as client:
        if config.auth and config.oidc is None:
            await _somebody(context, client)
        await check_state(client, settings["state_url"])
        app = application(url, config, context.tenant, engines, settings["state_url"], values)
        report = describe(config, url, listener)
        if engines:
            report["conversations"] = [engine.definition.id for engine in engines]
        with signals(stop):
            await answer(
                app,
                listener,
                stop,
                ready=lambda: announce(context, report),
                debug=settings["log_level"] == "debug",
            )
    log.info("server process %d has stopped", os.getpid())


def describe(config: ServeConfig, url: str, listener: socket.socket) -> dict[str, Any]:
    """Where a server answers, and for what, with no password."""
    from holdfast.cli.databases import shown
    from holdfast.cli.serving import address_of

    return {
        "url": address_of(listener, config.host),
        "pid": os.getpid(),
        "auth": config.auth,
        "database": shown(url),
    }


def announce(context: Context, report: dict[str, Any]) -> None:
    """Print the address, on a line of its own."""
    log.info("process %d answers at %s; database %s", report["pid"], report["url"], report["database"])
    if "conversations" in report:
        log.info("process %d has turns of %s", report["pid"], ", ".join(report["conversations"]))
    if context.output.as_json:
        context.output.json(report)
    else:
        context.output.text(report["url"])


async def _somebody(context: Context, client: Any) -> None:
    """Say how to get in where nobody could."""
    if not await client.users(limit=1) and not await client.keys(limit=1):
        context.output.note(
            "nobody can sign in yet: make a first admin with `holdfast users add ID --role admin --password`, or a "
            "key with `holdfast keys create NAME --role admin`"
        )
