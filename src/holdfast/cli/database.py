"""`holdfast db`: the schema, backups, and putting them back."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from holdfast.cli.command import Context, command
from holdfast.cli.output import FAILED
from holdfast.cli.show import size
from holdfast.errors import UsageError

group = typer.Typer(name="db", help="Look after the database.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group)


@command(group, "status")
def status(context: Context) -> int:
    """Tell the schema's version, how commits reach the disk, sizes, and how many runs are under way.

    Ends with 1 when migrations are pending or the schema is newer than this holdfast.
    """
    found = context.run(_status(context.url))
    if context.output.as_json:
        context.output.json(found)
    else:
        pending = found["pending"]
        version = "none yet: the first worker or client makes it" if found["version"] == 0 else found["version"]
        facts: dict[str, object] = {"database": found["database"], "schema version": version, "wanted": found["wanted"]}
        facts["pending"] = ", ".join(pending) if pending and found["version"] else None
        facts["durable"] = found["durable"]
        facts |= {f"{name} size": size(count) for name, count in found["size_bytes"].items()}
        facts |= {f"runs {name}": f"{count:,}" for name, count in found["runs"].items()}
        facts["workers"] = found["workers"]
        context.output.facts(facts)
        if found["version"] > found["wanted"]:
            context.output.note("The schema is newer than this holdfast: upgrade holdfast.")
        elif pending and found["version"]:
            context.output.note("Run `holdfast db migrate`.")
    return FAILED if found["version"] not in (0, found["wanted"]) else 0


async def _status(url: str) -> dict[str, Any]:
    from holdfast.cli.databases import reading, schema_of, shown, size_bytes

    schema = await schema_of(url)
    found: dict[str, Any] = {
        "database": shown(url),
        "version": schema.version,
        "wanted": schema.wanted,
        "pending": list(schema.pending),
        "durable": None,
        "size_bytes": await size_bytes(url),
        "runs": {},
        "workers": None,
    }
    if schema.version == schema.wanted:
        async with reading(url) as store:
            found["durable"] = store.durable
            found["runs"] = await store.counts()
            found["workers"] = len(await store.list_workers())
    return found


@command(group, "migrate")
def migrate(context: Context) -> None:
    """Bring the schema to this version of holdfast; make it in an empty database.

    An SQLite file is copied beside itself before it is changed.
    """
    from holdfast.cli.databases import migrate as bring

    done = context.run(bring(context.url))
    if context.output.as_json:
        context.output.json(done)
    elif done.before == 0:
        context.output.text(f"made the schema, version {done.after}")
    elif not done.applied:
        context.output.text(f"nothing to do: the schema has version {done.after}")
    else:
        copied = f"; the file as it was is in {done.backup}" if done.backup else ""
        context.output.text(f"applied {', '.join(done.applied)}: version {done.before} to {done.after}{copied}")


@command(group, "backup")
def backup(
    context: Context,
    target: Annotated[str, typer.Argument(metavar="TARGET", help="The file to make.")],
    *,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
) -> None:
    """Copy an SQLite database to a new file while it is in use."""
    from holdfast.cli.databases import existing

    path = existing(context.url)
    if path is None:
        raise UsageError(
            _with_tools(
                context.url,
                f"pg_dump --format=custom --schema=holdfast --enable-row-security --file={shlex.quote(target)}",
            )
        )
    from holdfast.cli.backups import backup as copy

    written = copy(path, Path(target), force=force)
    if context.output.as_json:
        context.output.json({"database": str(path), "backup": target, "size_bytes": written})
    else:
        context.output.text(f"copied {path} to {target}, {size(written)}, checked")


@command(group, "restore")
def restore(
    context: Context,
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="A file that `db backup` made.")],
    *,
    force: Annotated[bool, typer.Option("--force", help="Also in place of a file that cannot be read.")] = False,
) -> None:
    """Put a backup in the place of the SQLite database, which nobody may be using.

    The present file is kept beside it under a name that ends in .replaced.
    """
    from holdfast.cli.databases import sqlite_path

    path = sqlite_path(context.url)
    if path is None:
        raise UsageError(
            _with_tools(context.url, "pg_restore --clean --if-exists --single-transaction", f" {shlex.quote(source)}")
            + ", with all workers stopped"
        )
    from holdfast.cli.backups import restore as put

    aside = put(path, Path(source), force=force)
    if context.output.as_json:
        context.output.json({"database": str(path), "restored": source, "replaced": str(aside) if aside else None})
    else:
        kept = f"; the file that was there is now {aside}" if aside else ""
        context.output.text(f"restored {path} from {source}{kept}")


def _with_tools(url: str, tool: str, last: str = "") -> str:
    """What to run instead on PostgreSQL; the password is not shown, and our own options are left out."""
    parts = urlsplit(url)
    netloc = parts.netloc
    if parts.password is not None:
        netloc = netloc.replace(f":{parts.password}@", "@")
    query = "&".join(
        part
        for part in parts.query.split("&")
        if part and part.partition("=")[0] not in ("notify", "migrate", "password")
    )
    address = shlex.quote(parts._replace(netloc=netloc, query=query).geturl())
    return f"PostgreSQL has tools of its own for this; run: {tool} --dbname={address}{last}"
