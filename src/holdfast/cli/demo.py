"""`holdfast demo`: the e-mail desk example, on the samples that come with it."""

from __future__ import annotations

import asyncio
import importlib
import sys
from pathlib import Path
from typing import Annotated

import typer

from holdfast.cli.command import Context, command
from holdfast.cli.output import Missing

EXAMPLE = "email_desk"
URL = "sqlite:///holdfast-demo.db"


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "demo")(demo)


def demo(
    context: Context,
    *,
    mail: Annotated[
        str | None, typer.Option("--mail", metavar="PATH", help="An .eml file, a folder of them, or an mbox file.")
    ] = None,
    out: Annotated[str, typer.Option("--out", metavar="DIR", help="Where drafts go.")] = "drafts",
    exit: Annotated[bool, typer.Option("--exit", help="End when all is done, rather than watch for new mail.")] = False,
) -> int:
    """Run the e-mail desk: messages are read, sorted and answered; stop it, start it, nothing is lost.

    The database is sqlite:///holdfast-demo.db unless --url names another; HOLDFAST_URL and the file do not count here.
    """
    from holdfast.cli.databases import no_server

    no_server(context.flags["url"] or URL)
    folder = find_examples()
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    desk = importlib.import_module(f"{EXAMPLE}.demo")
    code = asyncio.run(
        desk.run_demo(
            mail=Path(mail) if mail is not None else desk.SAMPLE,
            url=context.flags["url"] or URL,
            out=Path(out),
            exit_when_done=exit,
            json_output=context.output.as_json,
            stdout=context.output.stream,
            stderr=sys.stderr,
        )
    )
    return int(code)


def find_examples() -> Path:
    """The folder with the example: in the installed package, else in the repository that it is installed from.

    Raises:
        Missing: it is in neither.
    """
    package = Path(__file__).parents[1]
    for folder in (package / "examples", package.parents[1] / "examples"):
        if (folder / EXAMPLE / "demo.py").is_file():
            return folder
    raise Missing(f"the example {EXAMPLE!r} is not part of this installation")
