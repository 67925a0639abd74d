"""`holdfast config`: whether the configuration is right, and what holds."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import typer

from holdfast.cli.command import Context, command
from holdfast.cli.output import FAILED, as_json
from holdfast.cli.settings import ADDRESSES, Problem, Settings, examine, unknown_variables
from holdfast.engine.secrets import Secret
from holdfast.errors import UsageError

group = typer.Typer(name="config", help="Check and show the configuration.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group)


@command(group, "check", checks_settings=False)
def check(context: Context) -> int:
    """Check holdfast.toml, the HOLDFAST_ variables, and the files that they name; say everything that is wrong in them.

    Those are the files of channels, notifications, alerts and sources. Ends with 1 when something is wrong.
    """
    from holdfast.cli.named_files import problems_of_files

    settings, problems = examine(context.flags, file=context.file)
    problems += unknown_variables()
    problems += _address(settings)
    problems += _secrets(settings)
    problems += problems_of_files(settings)
    if context.output.as_json:
        context.output.json(
            {"ok": not problems, "file": str(settings.file) if settings.file else None, "problems": problems}
        )
    elif problems:
        for problem in problems:
            context.output.note(f"error: {problem}")
    else:
        read = f"{settings.file} and the environment are" if settings.file else "the environment is"
        context.output.text(f"{read} fine" if settings.file else f"there is no holdfast.toml here; {read} fine")
    return FAILED if problems else 0


def _address(settings: Settings) -> list[Problem]:
    from holdfast.engine.remote import is_remote
    from holdfast.errors import BadURL
    from holdfast.store.url import make_store

    url, source = settings["url"], settings.source("url")
    if url is None or is_remote(url):
        return []
    try:
        make_store(url)
    except BadURL as error:
        return [Problem(source, None, "url", str(error))]
    return []


def _secrets(settings: Settings) -> list[Problem]:
    """Secrets that are not where they are said to be."""
    references = {key: (one.value, one.source) for key, one in settings.values.items() if isinstance(one.value, Secret)}
    for id, secret in (settings["values.keys"] or {}).items():
        references[f"values.keys.{id}"] = secret, settings.source("values.keys")
    for name, hook in settings.webhooks.items():
        references[f"webhooks.{name}.secret"] = hook.secret, str(settings.file)
    problems = []
    for key, (secret, source) in references.items():
        try:
            secret.reveal("the secret")
        except UsageError as error:
            problems.append(Problem(source, None, key, str(error)))
    return problems or _codec(settings)


def _codec(settings: Settings) -> list[Problem]:
    """Keys that are none, a codec that is not where it is said to be, or what is not installed for them."""
    from holdfast.cli.values import make_codec

    try:
        make_codec(settings)
    except UsageError as error:
        return [Problem(str(settings.file or "the environment"), None, "values", str(error))]
    return []


@command(group, "show")
def show(context: Context) -> None:
    """Show each setting, its value, and where that comes from: a flag, a variable, the file, or the default."""
    settings = context.settings()
    found: dict[str, dict[str, Any]] = {
        key: {"value": _hidden(key, one.value), "source": one.source} for key, one in settings.values.items()
    }
    for name, hook in settings.webhooks.items():
        said = {key: value for key, value in asdict(hook).items() if value is not None}
        found[f"webhooks.{name}"] = {"value": said | {"secret": str(hook.secret)}, "source": str(settings.file)}
    if context.output.as_json:
        context.output.json(found)
    else:
        context.output.table(
            ("setting", "value", "from"),
            [(key, "" if one["value"] is None else _cell(one["value"]), one["source"]) for key, one in found.items()],
        )


def _hidden(key: str, value: Any) -> Any:
    from holdfast.cli.logs import without_secrets
    from holdfast.store.url import hide_password

    if isinstance(value, Secret):
        return str(value)
    if isinstance(value, dict):
        return {name: str(one) for name, one in value.items()}
    return without_secrets(hide_password(value)) if key in ADDRESSES and value is not None else value


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(value)
    if isinstance(value, dict):
        return as_json(value)
    return f"{value:g}" if isinstance(value, float) else str(value)
