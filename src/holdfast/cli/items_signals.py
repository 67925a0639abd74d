"""`holdfast items signals`: measured facts about subjects."""

from __future__ import annotations

from typing import Annotated

import typer

from holdfast.cli.command import Context, command
from holdfast.cli.inputs import instant_of
from holdfast.cli.items_subjects import Delimiter, delimiter_of, source_of
from holdfast.cli.kinds import number
from holdfast.cli.show import instant
from holdfast.cli.work import As, ask, show_imported

signals = typer.Typer(name="signals", help="Measured facts about subjects.", no_args_is_help=True)

Subject = Annotated[str, typer.Argument(metavar="SUBJECT", help="The subject's id.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The signal's name.")]


def add_to(group: typer.Typer) -> None:
    """Add the commands to `holdfast items`."""
    group.add_typer(signals)


@command(signals, "put")
def put(
    context: Context,
    subject: Subject,
    name: Name,
    value: Annotated[float, typer.Argument(metavar="VALUE", help="A number.")],
    *,
    at: Annotated[
        str | None, typer.Option("--at", metavar="INSTANT", help="When it was measured; now unless given.")
    ] = None,
    source: Annotated[str, typer.Option("--source", metavar="TEXT", help="Where it is from.")] = "",
    who: As = None,
) -> None:
    """Tell what was measured."""
    when = None if at is None else instant_of(at, "--at")
    found = ask(context, lambda work: work.put_signal(subject, name, value, at=when, source=source), who=who)
    if context.output.as_json:
        context.output.json(found)
    else:
        context.output.text(f"{found.name} of {found.subject} is {found.value:g} since {instant(found.at)}")


@command(signals, "import")
def import_(
    context: Context,
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE", help="CSV with the columns subject, name, value, at, source; or NDJSON; - for stdin."
        ),
    ],
    *,
    form: Annotated[
        str | None, typer.Option("--form", metavar="csv|ndjson", help="As the file is called unless given.")
    ] = None,
    delimiter: Delimiter = None,
    source: Annotated[
        str, typer.Option("--source", metavar="TEXT", help="Where they are from, if they do not say.")
    ] = "",
    who: As = None,
) -> int:
    """Take in signals: the good lines are stored, the bad ones told. Ends with 1 if there are bad ones."""
    given, between = source_of(file), delimiter_of(delimiter)
    found = ask(
        context,
        lambda work: work.import_signals(given, form=form, delimiter=between, name=source),
        who=who,
    )
    return show_imported(context, found, "signals")


@command(signals, "list")
def list_(
    context: Context,
    subject: Subject,
    *,
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="Only those of this name.")] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="INSTANT", help="Only those measured from here on.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", help="At most so many, 1 to 1000.")] = 100,
) -> None:
    """List the signals of a subject, the newest first."""
    first = None if since is None else instant_of(since, "--since")
    found = ask(context, lambda work: work.signals(subject, name=name, since=first, limit=limit))
    if context.output.as_json:
        context.output.json(found)
    elif found:
        rows = [(one.name, f"{one.value:g}", instant(one.at), one.source) for one in found]
        context.output.table(("name", "value", "at", "source"), rows)
    else:
        context.output.note("there are no such signals")


@command(signals, "change")
def change(
    context: Context,
    subject: Subject,
    name: Name,
    *,
    over: Annotated[str, typer.Option("--over", metavar="DURATION", help="A period that ends now.")] = "30d",
) -> None:
    """Say how a signal changed over a period that ends now."""
    found = ask(context, lambda work: work.change(subject, name, number(over)))
    if context.output.as_json:
        context.output.json(found)
        return
    shown = [found.before, found.now, found.difference]
    before, now, difference = ("not known" if one is None else f"{one:g}" for one in shown)
    percent = None if found.percent is None else f"{found.percent:+.1f} %"
    context.output.facts(
        {"since": instant(found.since), "before": before, "now": now, "difference": difference, "percent": percent}
    )


@command(signals, "names")
def names(context: Context) -> None:
    """List the names of all signals that were ever sent."""
    found = ask(context, lambda work: work.signal_names())
    if context.output.as_json:
        context.output.json(found)
    else:
        for name in found:
            context.output.text(name)
