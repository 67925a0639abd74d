"""The `holdfast` command: its parts put together, and its end."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated, Any, NoReturn

import typer

from holdfast.cli.output import INTERRUPTED, USAGE, Output

# In which file each command is, in the order of the help.
PLACES = {
    "worker": "worker",
    "serve": "serve",
    "dev": "dev",
    "run": "run",
    "start": "start",
    "runs": "runs",
    "replay": "replay",
    "events": "events",
    "schedules": "schedules",
    "items": "items",
    "conversations": "conversations",
    "phases": "phases",
    "costs": "costs",
    "intake": "intake",
    "outbox": "outbox",
    "diversions": "diversions",
    "publishing": "publishing",
    "alerts": "alerts",
    "notifications": "notifications",
    "queues": "queues",
    "workflows": "queues",
    "lanes": "queues",
    "workers": "workers",
    "retention": "retention",
    "users": "users",
    "keys": "keys",
    "codec": "codec",
    "audit": "audit",
    "db": "database",
    "config": "config",
    "doctor": "doctor",
    "demo": "demo",
}


def build(arguments: Sequence[str] = ()) -> typer.Typer:
    """What reads the command line.

    Args:
        arguments: only the part that these name is loaded; without one that is known, every part.
    """
    app = typer.Typer(
        name="holdfast",
        help="Durable workflows: start workers and runs, look at them, steer them, and look after their database.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    wanted = PLACES.get(next((one for one in arguments if not one.startswith("-")), ""))
    for place in [wanted] if wanted else dict.fromkeys(PLACES.values()):
        import_module(f"holdfast.cli.{place}").add_to(app)
    return app


def _version(wanted: bool) -> None:
    if wanted:
        import holdfast

        print(f"holdfast {holdfast.__version__}")
        raise typer.Exit(0)


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    pass


def main() -> NoReturn:
    """The entry point. Ends the process."""
    code = _main(sys.argv[1:])
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        code = _closed()
    sys.exit(code)


def _main(arguments: list[str]) -> int:
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = build(arguments)(arguments, prog_name="holdfast", standalone_mode=False)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return _closed()
    except Exception as error:
        # Typer's errors have no public base. A command lets no other error out.
        if not hasattr(error, "format_message"):
            raise
        return _misused(error, "--json" in arguments)
    return code if isinstance(code, int) else 0


def _misused(error: Any, as_json: bool) -> int:
    message = str(error.format_message())
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        print(message, file=sys.stderr)
        return USAGE
    hint = f" See `{context.command_path} --help`." if context is not None else ""
    output = Output(as_json)
    if as_json:
        output.json({"error": {"type": "UsageError", "message": message}})
    else:
        output.note(f"error: {message}{'' if message.endswith('.') else '.'}{hint}")
    return USAGE


def _closed() -> int:
    """Whoever read our output has left; nothing more can be printed."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1


if __name__ == "__main__":
    main()
