"""`holdfast worker`: executes runs until it is asked to stop."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Annotated, Any

import typer

from holdfast.cli.command import Context, command
from holdfast.errors import UsageError

if TYPE_CHECKING:
    from holdfast.cli.settings import Settings
    from holdfast.engine.workflow import Workflow

log = logging.getLogger("holdfast.cli")


Channels = Annotated[
    str | None, typer.Option("--channels", metavar="FILE", help="Channels by which messages are sent: a file of them.")
]

Intake = Annotated[
    str | None, typer.Option("--intake", metavar="FILE", help="Sources whose entries become runs: a file of them.")
]

Alerts = Annotated[
    str | None,
    typer.Option("--alerts", metavar="FILE", help="Rules by which people are told that something is wrong."),
]


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "worker")(worker)


def worker(
    context: Context,
    modules: Annotated[
        list[str] | None,
        typer.Argument(metavar="MODULE[:NAME]...", help="Modules with workflows, found from the current folder."),
    ] = None,
    *,
    queue: Annotated[
        list[str] | None, typer.Option("--queue", metavar="NAME", help="Claim from this queue; may be repeated.")
    ] = None,
    concurrency: Annotated[
        int | None,
        typer.Option("--concurrency", metavar="N", help="How many runs may execute at once, in each process."),
    ] = None,
    processes: Annotated[
        int | None, typer.Option("--processes", metavar="N", help="How many processes to run.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option("--threads", metavar="N", help="How many plain steps may execute at once.")
    ] = None,
    lease: Annotated[
        str | None, typer.Option("--lease", metavar="DURATION", help="How long a silent worker keeps its runs.")
    ] = None,
    beat: Annotated[
        str | None, typer.Option("--beat", metavar="DURATION", help="How often the worker says that it lives.")
    ] = None,
    drain: Annotated[
        str | None, typer.Option("--drain", metavar="DURATION", help="How long steps may go on when it is stopped.")
    ] = None,
    metrics: Annotated[
        str | None,
        typer.Option(
            "--metrics", metavar="HOST:PORT", help="Where Prometheus finds metrics; each further process one port up."
        ),
    ] = None,
    notifications: Annotated[
        str | None,
        typer.Option("--notifications", metavar="FILE", help="Rules by which people are told what becomes of runs."),
    ] = None,
    channels: Channels = None,
    intake: Intake = None,
    alerts: Alerts = None,
    supervised: Annotated[bool, typer.Option("--supervised", hidden=True)] = False,
) -> int:
    """Execute runs of the workflows in some modules until SIGTERM or Ctrl-C.

    Then it claims nothing new, lets the steps that are under way end (--drain), and hands its runs to other workers.
    """
    settings = context.settings(
        worker__modules=modules,
        worker__queues=queue,
        worker__concurrency=concurrency,
        worker__processes=processes,
        worker__threads=threads,
        worker__lease=lease,
        worker__beat=beat,
        worker__drain=drain,
        worker__metrics=metrics,
        worker__notifications=notifications,
        worker__channels=channels,
        worker__intake=intake,
        worker__alerts=alerts,
    )
    places: list[str] = settings["worker.modules"] or []
    if not places:
        raise UsageError("no module is named: give one, as in `holdfast worker shop`, or write [worker] modules")
    url = context.url
    from holdfast.cli.databases import sqlite_path
    from holdfast.cli.modules import load

    sqlite_path(url)
    workflows = list({id(one): one for place in places for one in load(place)}.values())
    if settings["worker.processes"] > 1:
        from holdfast.cli.processes import supervise

        report = report_of(settings, workflows, url)
        log.info("%s", line_of(report))
        return supervise(places, settings, url, report, context.output)
    if supervised:
        end_with_parent()
    import uvloop

    from holdfast.cli.watched import watched

    with watched(settings["worker.metrics"]), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_work(context, settings, workflows, url))
    return 0


async def _work(context: Context, settings: Settings, workflows: list[Workflow[Any, Any]], url: str) -> None:
    import holdfast as hf

    async with hf.connect(url, tenant=context.tenant, values=context.values()) as client:
        serving = hf.Worker(
            client,
            workflows,
            concurrency=settings["worker.concurrency"],
            queues=settings["worker.queues"],
            threads=settings["worker.threads"],
            lease=settings["worker.lease"],
            beat=settings["worker.beat"],
            drain=settings["worker.drain"],
            keep_audit=settings["serve.keep_audit"],
            notifications=settings["worker.notifications"],
            channels=settings["worker.channels"],
            keep_messages=settings["worker.keep_messages"],
            intake=settings["worker.intake"],
            keep_entries=settings["worker.keep_entries"],
            keep_diversions=settings["worker.keep_diversions"],
            alerts=settings["worker.alerts"],
        )
        report = report_of(settings, workflows, url)
        log.info("%s", line_of(report))
        if context.output.as_json:
            context.output.json(report)
        await serving.run()
    log.info("worker process %d has stopped", os.getpid())


def report_of(settings: Settings, workflows: list[Workflow[Any, Any]], url: str) -> dict[str, Any]:
    """What a worker serves and how, with no password."""
    from holdfast.cli.databases import shown
    from holdfast.engine.workflow import referenced

    served = set(workflows).union(*(referenced(one) for one in workflows))
    return {
        "pid": os.getpid(),
        "workflows": [
            {"name": one.name, "version": one.version}
            for one in sorted(served, key=lambda one: (one.name, one.version))
        ],
        "queues": settings["worker.queues"] or sorted({one.terms.queue for one in served}),
        "database": shown(url),
        "concurrency": settings["worker.concurrency"],
        "processes": settings["worker.processes"],
    }


def line_of(report: dict[str, Any]) -> str:
    """The same for the log, in one line."""
    workflows = ", ".join(f"{one['name']} (version {one['version']})" for one in report["workflows"])
    several = f", {report['processes']} processes" if report["processes"] > 1 else ""
    return (
        f"process {report['pid']} serves {workflows}; queues {', '.join(report['queues'])}; "
        f"database {report['database']}; concurrency {report['concurrency']}{several}"
    )


def end_with_parent() -> None:
    """Stop as at SIGTERM when the process that started this one is gone: the pipe on stdin ends then."""

    stdin = sys.stdin.fileno()

    def wait() -> None:
        # Not through sys.stdin, whose lock would be missed at the end of the interpreter.
        while os.read(stdin, 4096):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="holdfast-parent", daemon=True).start()
