"""`holdfast dev`: worker, API and dashboard in one process, which begins again when the code changes."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from holdfast.cli.changes import tell
from holdfast.cli.command import Context, command
from holdfast.cli.serve import Port, announce, describe
from holdfast.cli.serving import StateUrl
from holdfast.cli.worker import Alerts, Channels, Intake
from holdfast.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from holdfast.api.config import ServeConfig
    from holdfast.cli.settings import Settings
    from holdfast.conversations.engine import TurnEngine
    from holdfast.engine.workflow import Workflow

log = logging.getLogger("holdfast.cli")

URL = "sqlite:///holdfast.db"
"""The database where none is named."""

HOST = "127.0.0.1"

FILES = ("worker.notifications", "worker.channels", "worker.intake", "worker.alerts")
"""Files that the worker is given."""

DRAIN_SECONDS = 1.0
"""How long steps may go on when the code has changed, unless it is set: somebody waits for it."""


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "dev")(dev)


def dev(
    context: Context,
    modules: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="MODULE[:NAME]...", help="Modules with workflows and turn engines, found from the current folder."
        ),
    ] = None,
    *,
    port: Port = None,
    reload: Annotated[
        bool, typer.Option("--reload/--no-reload", help="Begin again when something that was read changes.")
    ] = True,
    channels: Channels = None,
    intake: Intake = None,
    alerts: Alerts = None,
    state_url: StateUrl = None,
    listening: Annotated[int | None, typer.Option("--listening", hidden=True)] = None,
    telling: Annotated[int | None, typer.Option("--telling", hidden=True)] = None,
) -> int:
    """Work on workflows and conversations: worker, API and dashboard in one process, for this machine only.

    When the code changes, the process ends in order and begins again with the new code; runs go on. The database is
    sqlite:///holdfast.db unless one is named.
    """
    context.flags["state_url"] = state_url
    context.flags["worker.channels"] = channels
    context.flags["worker.intake"] = intake
    context.flags["worker.alerts"] = alerts
    settings = context.settings(worker__modules=modules, serve__port=port)
    places: list[str] = settings["worker.modules"] or []
    if not places:
        raise UsageError("no module is named: give one, as in `holdfast dev shop`, or write [worker] modules")
    url: str = settings["url"] or URL
    from holdfast.cli.databases import sqlite_path
    from holdfast.cli.serving import listen, needs_extra, serve_config

    sqlite_path(url)
    with needs_extra():
        import uvicorn  # noqa: F401 - what is missing is told before anything is opened
        import watchfiles  # noqa: F401
    if listening is not None:
        from holdfast.cli.worker import end_with_parent

        end_with_parent()
    made = listen(HOST, settings["serve.port"], auth=False) if listening is None else socket.socket(fileno=listening)
    with made as listener:
        config = serve_config(settings)
        taken = config.intake or settings["worker.intake"]
        config = replace(config, host=HOST, port=listener.getsockname()[1], auth=False, intake=taken)
        if listening is None:
            announce(context, describe(config, url, listener))
            if reload:
                from holdfast.cli.reloading import keep_going

                return keep_going(context, places, url, listener)
        from holdfast.cli.modules import load_all

        loaded = False
        try:
            workflows, engines = load_all(places)
            loaded = True
        finally:
            if telling is not None:
                tell(telling, _files(settings, loaded))
        import uvloop

        from holdfast.cli.watched import watched

        with watched(), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_work(context, settings, config, workflows, engines, url, listener))
    return 0


def _files(settings: Settings, loaded: bool) -> list[str | Path]:
    """What this process has read, or will read once, besides its code and its settings.

    Args:
        settings: with the files that the worker is given.
        loaded: everything could be read; else whatever was tried counts, since the fault is in one of them.
    """
    from holdfast.conversations.definition_files import read_files
    from holdfast.services.alerting.rules import DEFAULT
    from holdfast.store import text_files

    read = read_files if loaded else text_files.read_files
    given = [settings[key] for key in FILES]
    return [*read, *(one for one in given if one is not None and one != DEFAULT)]


async def _work(
    context: Context,
    settings: Settings,
    config: ServeConfig,
    workflows: list[Workflow[Any, Any]],
    engines: list[TurnEngine],
    url: str,
    listener: socket.socket,
) -> None:
    import holdfast as hf
    from holdfast.cli.answering import answer
    from holdfast.cli.serving import application, check_state, signals
    from holdfast.cli.worker import line_of, report_of
    from holdfast.services.bulk import bulk

    # Where there are conversations alone, the worker does what every worker does besides.
    workflows = workflows or [bulk]
    values = context.values()
    stop = asyncio.Event()
    drain = settings["worker.drain"] if settings.source("worker.drain") != "default" else DRAIN_SECONDS
    with signals(stop):
        async with hf.connect(url, tenant=context.tenant, values=values) as client:
            await check_state(client, settings["state_url"])
            worker = hf.Worker(
                client,
                workflows,
                concurrency=settings["worker.concurrency"],
                queues=settings["worker.queues"],
                threads=settings["worker.threads"],
                lease=settings["worker.lease"],
                beat=settings["worker.beat"],
                drain=drain,
                keep_audit=settings["serve.keep_audit"],
                notifications=settings["worker.notifications"],
                channels=settings["worker.channels"],
                keep_messages=settings["worker.keep_messages"],
                intake=settings["worker.intake"],
                keep_entries=settings["worker.keep_entries"],
                keep_diversions=settings["worker.keep_diversions"],
                alerts=settings["worker.alerts"],
            )
            async with worker:
                app = application(url, config, context.tenant, engines, settings["state_url"], values)
                served = line_of(report_of(settings, workflows, url))
                if engines:
                    served += f"; turns of {', '.join(engine.definition.id for engine in engines)}"
                await answer(
                    app,
                    listener,
                    stop,
                    ready=lambda: log.info("%s", served),
                    debug=settings["log_level"] == "debug",
                )
    log.info("process %d has stopped", os.getpid())
