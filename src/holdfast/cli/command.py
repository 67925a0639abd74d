"""A command: the options that all share, its settings, its logs, and one way out for every error."""

from __future__ import annotations

import asyncio
import getpass
import inspect
import logging
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from holdfast.cli import logs
from holdfast.cli.output import FAILED, OK, Output, clean, exit_code
from holdfast.cli.settings import Settings, load
from holdfast.engine.secrets import REFERENCE
from holdfast.errors import BadURL, HoldfastError, UsageError
from holdfast.store.url import FORMS

if TYPE_CHECKING:
    from holdfast.engine.client import Client
    from holdfast.store.values.values import Values

log = logging.getLogger("holdfast.cli")

T = TypeVar("T")
Body = TypeVar("Body", bound=Callable[..., int | None])

COMMON: dict[str, tuple[Any, Any]] = {
    "url": (
        Annotated[
            str | None,
            typer.Option(
                "--url",
                metavar="URL",
                help="The database, sqlite:///file.db or postgresql://user@host/name; or a server, https://host.",
            ),
        ],
        None,
    ),
    "api_key": (
        Annotated[
            str | None,
            typer.Option("--api-key", metavar="REF", help=f"Where the key for a server is: {REFERENCE}."),
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
        self._values: dict[bool, Values | None] = {}

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
        """The address of the database, or of a server.

        Raises:
            BadURL: there is none.
        """
        url = self.settings()["url"]
        if url is None:
            raise BadURL(
                f"no database is named: give --url, set HOLDFAST_URL, or write url in holdfast.toml; {FORMS}, "
                "or a server, https://host"
            )
        return str(url)

    def values(self, *, serving: bool = False) -> Values | None:
        """How values are stored in the database; None as is usual, and for a server, which has that of its own.

        Args:
            serving: for a server, which may have values opened by a codec endpoint.

        Raises:
            UsageError: a key or a codec is not where it should be.
        """
        from holdfast.cli.values import make_values
        from holdfast.engine import isolation
        from holdfast.engine.remote import is_remote

        settings = self.settings()
        if settings["url"] is not None and is_remote(settings["url"]):
            return None
        if serving not in self._values:
            self._values[serving] = make_values(settings, serving=serving)
            isolation.values = ("holdfast.cli.values:in_child", self.file or "")
        return self._values[serving]

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end."""
        return asyncio.run(work)

    @asynccontextmanager
    async def client(self, *, new: bool = False, who: str | None = None) -> AsyncIterator[Client]:
        """A client of the database or the server; what it changes is recorded as this user's doing.

        Args:
            new: whether a missing SQLite file is made.
            who: as whose doing instead.

        Raises:
            Missing: there is no such SQLite file.
            UsageError: a server knows by the key who asks.
        """
        from holdfast.engine.connecting import connect
        from holdfast.engine.remote import is_remote

        remote = is_remote(self.url)
        if remote:
            logging.getLogger("httpx").setLevel(logging.WARNING)  # it tells of every request
        elif not new:
            from holdfast.cli.databases import existing

            existing(self.url)
        if remote and who is not None:
            raise UsageError("--as is for a database; a server knows by the key who asks, so leave it out")
        actor = None if remote else who or f"cli:{login()}"
        async with connect(
            self.url,
            tenant=self.tenant,
            actor=actor,
            key=self.key if remote else None,
            workspaces=self.settings()["serve.workspaces"] or (),
            values=self.values(),
        ) as client:
            yield client

    @property
    def key(self) -> str | None:
        """The key for a server.

        Raises:
            UsageError: it is not where it should be.
        """
        reference = self.settings()["key"]
        return None if reference is None else str(reference.reveal("the key"))

    def ask(self, work: Callable[[Client], Awaitable[T]], *, who: str | None = None) -> T:
        """Connect to a server, or to a database that exists, do something there, and leave it.

        Args:
            work: does it.
            who: as whose doing it is recorded; this user's unless given.

        Raises:
            Missing: there is no such SQLite file.
        """

        async def connected() -> T:
            async with self.client(who=who) as client:
                return await work(client)

        return self.run(connected())


def login() -> str:
    """The name of the user at the operating system; empty where there is none, as in some containers."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return ""


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
            flags = {"key": common["api_key"], **{key: common[key] for key in ("url", "tenant", "log_level")}}
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
