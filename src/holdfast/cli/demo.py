"""`holdfast demo`: five faces at work on one database, with the dashboard; or the mail desk on mail of one's own."""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
import time
import webbrowser
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from holdfast.cli.command import Context, command
from holdfast.cli.output import Missing
from holdfast.errors import UsageError

if TYPE_CHECKING:
    import socket

URL = "sqlite:///holdfast-demo.db"
PORT = 8700
"""Another one where it is taken."""

INTERRUPTED = 130

NEEDED = ("cel", "jinja2", "pydantic_ai", "uvicorn")
"""Packages that its faces need, of several extras."""


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "demo")(demo)


def demo(
    context: Context,
    *,
    mail: Annotated[
        str | None,
        typer.Option(
            "--mail", metavar="PATH", help="Only the mail desk, on this .eml file, folder of them, or mbox file."
        ),
    ] = None,
    out: Annotated[str, typer.Option("--out", metavar="DIR", help="Where the mail desk's replies go.")] = "drafts",
    port: Annotated[
        int | None, typer.Option("--port", metavar="N", help="Of the dashboard; 8700, or any that is free.")
    ] = None,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the dashboard in a browser.")] = True,
    exit: Annotated[
        bool, typer.Option("--exit", help="End with a summary when a fixed amount of work is done.")
    ] = False,
) -> int:
    """See holdfast work: a mail desk, orders, coding agents, a queue for people and a guided chat, on one database.

    Stop it, start it: nothing is lost. The database is sqlite:///holdfast-demo.db unless --url names another;
    HOLDFAST_URL and the file do not count here.
    """
    from holdfast.cli import logs
    from holdfast.cli.databases import no_server

    if context.settings().source("log_level") == "default":
        logs.configure("warning")  # what happens is told by the demonstration itself
    url = context.flags["url"] or URL
    no_server(url)
    folder = find_examples()
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    try:
        if mail is not None:
            return _answer(context, url, Path(mail), Path(out), once=exit)
        return _show(context, url, Path(out).absolute(), port, browser=browser, once=exit)
    except KeyboardInterrupt:  # before the demonstration listens for it, or for the second time
        return INTERRUPTED if exit else 0


def find_examples() -> Path:
    """The folder with the examples: in the installed package, else in the repository that it is installed from.

    Raises:
        Missing: it is in neither.
    """
    package = Path(__file__).parents[1]
    for folder in (package / "examples", package.parents[1] / "examples"):
        if (folder / "demo" / "driver.py").is_file():
            return folder
    raise Missing("the examples are not part of this installation")


def _answer(context: Context, url: str, mail: Path, out: Path, *, once: bool) -> int:
    """Let the mail desk answer the mail at a path."""
    desk = importlib.import_module("email_desk.demo")
    code = asyncio.run(
        desk.run_demo(
            mail=mail,
            url=url,
            out=out,
            exit_when_done=once,
            json_output=context.output.as_json,
            stdout=context.output.stream,
            stderr=sys.stderr,
        )
    )
    return int(code)


def _show(context: Context, url: str, out: Path, port: int | None, *, browser: bool, once: bool) -> int:
    """Let the five faces work, with the dashboard."""
    from holdfast.cli.serving import listen

    for package in NEEDED:
        if find_spec(package) is None:
            raise UsageError(f"{package} is not installed; the demonstration needs it: pip install 'holdfast[all]'")
    try:
        listener = listen("127.0.0.1", PORT if port is None else port, auth=False)
    except UsageError:
        if port is not None:
            raise
        listener = listen("127.0.0.1", 0, auth=False)
    import uvloop

    from holdfast.cli.watched import watched

    with listener, watched(), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_play(context, url, out, listener, browser=browser, once=once))


async def _play(context: Context, url: str, out: Path, listener: socket.socket, *, browser: bool, once: bool) -> int:
    import holdfast as hf
    from holdfast.api.config import ServeConfig, TourStop
    from holdfast.cli.answering import answer
    from holdfast.cli.serving import address_of, application, signals

    began = time.monotonic()
    driver = importlib.import_module("demo.driver")
    chats, mail = importlib.import_module("demo.chats"), importlib.import_module("demo.mail")
    work = _beside(url)
    faces = driver.faces(work)
    config = ServeConfig(
        port=listener.getsockname()[1],
        name="demo",
        tour=tuple(TourStop(*stop) for stop in driver.tour(faces)),
        workspaces=(str(work),),
    )
    address = address_of(listener, config.host)
    stop, done = asyncio.Event(), asyncio.Event()
    told: dict[str, str] = {}

    def ready() -> None:
        if not context.output.as_json:
            print(f"The dashboard is at {address}; Ctrl-C ends.", file=context.output.stream, flush=True)
        if browser and not once and sys.stdout.isatty():
            webbrowser.open(address)

    def say(name: str, what: str) -> None:
        told[name] = what
        if not context.output.as_json:
            print(f"{name:<17} {what}", file=context.output.stream, flush=True)

    async def play(client: hf.Client) -> None:
        await driver.play(client, work, faces, once=once, say=say)
        done.set()
        stop.set()

    with signals(stop):
        async with (
            hf.connect(url, tenant=context.tenant, actor="demo") as client,
            hf.Worker(client, [one for face in faces for one in face.workflows], **mail.prepared(work, out)) as worker,
        ):
            app = application(url, config, context.tenant, [chats.ENGINE])
            playing = asyncio.create_task(play(client))
            playing.add_done_callback(lambda _: stop.set())
            await answer(app, listener, stop, ready=ready)
            playing.cancel()
            trouble = (await asyncio.gather(playing, return_exceptions=True))[0]
            await worker.stop()
    if isinstance(trouble, Exception):
        raise trouble
    seconds = round(time.monotonic() - began, 1)
    report: dict[str, Any] = {"faces": told, "seconds": seconds}
    if context.output.as_json:
        print(json.dumps(report), file=context.output.stream)
    elif once and done.is_set():
        print(f"All of it in {seconds} s, in {url}: the same command goes on there.", file=context.output.stream)
    return INTERRUPTED if once and not done.is_set() else 0


def _beside(url: str) -> Path:
    """The folder for what the faces make, beside the database's file."""
    from holdfast.cli.databases import sqlite_path

    path = sqlite_path(url)
    folder = Path("holdfast-demo") if path is None else Path(path).with_suffix("")
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    return folder
