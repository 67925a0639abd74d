"""A command: the options that all share, its settings, its logs, and one way out for every error."""

from __future__ import annotations

import asyncio
import inspect
import logging
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from holdfast.cli import logs
from holdfast.cli.output import FAILED, OK, Output, clean, exit_code
from holdfast.cli.settings import Settings, load
from holdfast.errors import BadURL, HoldfastError
from holdfast.store.url import FORMS

if TYPE_CHECKING:
    from holdfast.engine.client import Client

log = logging.getLogger("holdfast.cli")

T = TypeVar("T")
Body = TypeVar("Body", bound=Callable[..., int | None])

COMMON: dict[str, tuple[Any, Any]] = {
    "url": (
        Annotated[
            str | None,
            typer.Option(
                "--url", metavar="URL", help="The database: sqlite:///file.db or postgresql://user@host/name."
            ),
        ],
        None,
    ),
    "tenant": (Annotated[str | None, typer.Option("--tenant", metavar="NAME", help="Whose runs.")], None),
    "config": (
        Annotated[
            str | None,
            typer.Option("--config", metavar="FILE", help="The configuration file, instead of ./holdfast.toml."),
        ],
        None,
    ),
    "log_level": (
        Annotated[
            str | None, typer.Option("--log-level", metavar="LEVEL", help="debug, info, warning or error; on stderr.")
        ],
        None,
    ),
    "as_json": (Annotated[bool, typer.Option("--json", help="Print JSON and nothing else on stdout.")], False),
}


class Context:
    """What a command is given: where to print, and the settings."""

    def __init__(self, output: Output, flags: dict[str, Any], file: str | None) -> None:
        self.output = output
        self.flags = flags
        self.file = file
        self._settings: Settings | None = None

    def settings(self, **flags: Any) -> Settings:
        """The settings; ``flags`` are the command's own, as in ``worker__lease="5s"``."""
        own = {key.replace("__", "."): value for key, value in flags.items()}
        if own or self._settings is None:
            self._settings = load({**self.flags, **own}, file=self.file)
        return self._settings

    def use(self, settings: Settings) -> None:
        """Take settings that were examined elsewhere, problems and all."""
        self._settings = settings

    @property
    def tenant(self) -> str:
        """Whose runs."""
        return str(self.settings()["tenant"])

    @property
    def url(self) -> str:
        """The database's address.

        Raises:
            BadURL: there is none.
        """
        url = self.settings()["url"]
        if url is None:
            raise BadURL(f"no database is named: give --url, set HOLDFAST_URL, or write url in holdfast.toml; {FORMS}")
        return str(url)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end."""
        return asyncio.run(work)

    def ask(self, work: Callable[[Client], Awaitable[T]]) -> T:
        """Connect to a database that exists, do something there, and leave it.

        Raises:
            Missing: there is no such SQLite file.
        """
        from holdfast.cli.databases import existing
        from holdfast.engine.client import connect

        existing(self.url)

        async def connected() -> T:
            async with connect(self.url, tenant=self.tenant) as client:
                return await work(client)

        return self.run(connected())


def command(app: typer.Typer, name: str, *, checks_settings: bool = True) -> Callable[[Body], Body]:
    """Make a function a command, with the options that every command takes.

    Args:
        app: where it belongs.
        name: what it is called.
        checks_settings: a wrong configuration ends it at once.

    The function is given a `Context` and its own options, and returns the exit code, or None for 0.
    """

    def decorate(body: Body) -> Body:
        own = list(inspect.signature(body, eval_str=True).parameters.values())[1:]
        shared = [
            inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
            for key, (annotation, default) in COMMON.items()
        ]

        def run(**given: Any) -> None:
            common = {key: given.pop(key) for key in COMMON}
            flags = {key: common[key] for key in ("url", "tenant", "log_level")}
            with Output(common["as_json"]) as output:
                context = Context(output, flags, common["config"])
                code = _run(context, body, given, checks_settings)
            raise typer.Exit(code)

        parameters = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in own] + shared
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {one.name: one.annotation for one in parameters}
        run.__doc__ = body.__doc__
        run.__name__ = body.__name__
        app.command(name)(run)
        return body

    return decorate


def _run(context: Context, body: Callable[..., int | None], given: dict[str, Any], checks_settings: bool) -> int:
    try:
        logs.configure(context.settings()["log_level"] if checks_settings else "info")
        code = body(context, **given)
        return OK if code is None else code
    except HoldfastError as error:
        log.debug("where the error was raised", exc_info=error)
        context.output.error(error)
        return exit_code(error)
    except TimeoutError as error:
        context.output.error(error)
        return FAILED
    except BrokenPipeError:
        raise
    except OSError as error:
        context.output.error(error)
        return FAILED
    except Exception as error:
        import traceback

        print(clean(logs.without_secrets("".join(traceback.format_exception(error)))), file=sys.stderr)
        context.output.error(RuntimeError(f"holdfast itself went wrong: {type(error).__name__}: {error}"))
        return FAILED
