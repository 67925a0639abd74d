"""`holdfast items settings`, `preset`, `demo`, and what the daily job does, on demand."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

import typer

from holdfast.cli.command import Context, command
from holdfast.cli.inputs import json_object
from holdfast.cli.show import short
from holdfast.cli.work import NONE, As, ask
from holdfast.errors import UsageError

if TYPE_CHECKING:
    from holdfast.workqueue.views import SettingsView

settings = typer.Typer(name="settings", help="How the work queue is set up.", no_args_is_help=True)
demo = typer.Typer(name="demo", help="The demo sequence, apart from all that is real.", no_args_is_help=True)

Assignee = Annotated[str | None, typer.Option("--assignee", metavar="ID", help="Whose; of whoever asks unless given.")]


def add_to(group: typer.Typer) -> None:
    """Add the commands to `holdfast items`."""
    group.add_typer(settings)
    group.add_typer(demo)
    for name, body in (("preset", preset), ("recompute", recompute), ("interpret", interpret), ("daily", daily)):
        command(group, name)(body)


@command(settings, "show")
def show(context: Context) -> None:
    """Show how the work queue is set up."""
    _print(context, ask(context, lambda work: work.get_settings()))


@command(settings, "set")
def set_(
    context: Context,
    *,
    zone: Annotated[
        str | None, typer.Option("--zone", metavar="ZONE", help="Of its days, such as Europe/Berlin.")
    ] = None,
    country: Annotated[
        str | None, typer.Option("--country", metavar="CODE|none", help="Whose holidays count, such as DE or DE-BY.")
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option("--policy", metavar="JSON|none", help="Scores and priorities of its own; @file, or - for stdin."),
    ] = None,
    revision: Annotated[
        int | None, typer.Option("--revision", metavar="N", help="Only if they stand at this revision.")
    ] = None,
    who: As = None,
) -> None:
    """Set up the work queue. What is not given stays as it is."""
    given: dict[str, Any] = {} if zone is None else {"zone": zone}
    if country is not None:
        given["country"] = None if country == NONE else country
    if policy is not None:
        given["policy"] = None if policy == NONE else json_object(policy, "--policy")
    if not given:
        raise UsageError("nothing is given to change: give --zone, --country or --policy")
    _print(context, ask(context, lambda work: work.put_settings(revision=revision, **given), who=who))


def preset(
    context: Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Such as customer_success.")],
    *,
    who: As = None,
) -> None:
    """Take a preset as it is: its scores and priorities."""
    _print(context, ask(context, lambda work: work.use_preset(name), who=who))


def recompute(context: Context, *, who: As = None) -> None:
    """Compute the priority of every open item anew."""
    found = ask(context, lambda work: work.recompute(), who=who)
    if context.output.as_json:
        context.output.json({"items": found})
    else:
        context.output.text(f"{found} items got their priority anew")


def interpret(context: Context, *, who: As = None) -> None:
    """Make the items that the active definitions call for today, and print their ids."""
    found = ask(context, lambda work: work.interpret(), who=who)
    if context.output.as_json:
        context.output.json({"ids": found})
        return
    for id in found:
        context.output.text(id)
    context.output.note(f"{len(found)} items are made")


def daily(
    context: Context,
    *,
    day: Annotated[
        str | None,
        typer.Option("--day", metavar="DATE", help="That of a day that was missed: only what its date triggers."),
    ] = None,
    who: As = None,
) -> None:
    """Do what is done each day at 06:00: scores, items, priorities."""
    of = None if day is None else _day(day)
    found = ask(context, lambda work: work.daily(of), who=who)
    if context.output.as_json:
        context.output.json(found)
    else:
        context.output.text(
            f"{found.day}: {found.scored} subjects got scores, {found.created} items are made, "
            f"{found.recomputed} got their priority anew"
        )


@command(demo, "start")
def start(
    context: Context,
    subject: Annotated[str, typer.Argument(metavar="SUBJECT", help="Whom it is about; made if it is not there.")],
    *,
    assignee: Assignee = None,
    who: As = None,
) -> None:
    """Make the items of the demo sequence, once, and print their ids."""
    found = ask(context, lambda work: work.demo_initialize(subject, assignee), who=who)
    if context.output.as_json:
        context.output.json(found)
        return
    for id in found.items:
        context.output.text(id)
    if not found.created:
        context.output.note("they were there")


@command(demo, "status")
def status(context: Context, *, assignee: Assignee = None, who: As = None) -> None:
    """Show how far the demo sequence is."""
    found = ask(context, lambda work: work.demo_status(assignee), who=who)
    if context.output.as_json:
        context.output.json(found)
        return
    context.output.facts(
        {
            "completed": f"{found.completed} of {found.total}",
            "underway": None if found.current is None else f"{found.current.title} ({found.current.id})",
            "next": None if found.next is None else f"{found.next.title} ({found.next.id})",
        }
    )


@command(demo, "reset")
def reset(
    context: Context,
    *,
    assignee: Annotated[str | None, typer.Option("--assignee", metavar="ID", help="Only this person's.")] = None,
    who: As = None,
) -> None:
    """Take the items of the demo away."""
    found = ask(context, lambda work: work.demo_reset(assignee), who=who)
    if context.output.as_json:
        context.output.json({"items": found})
    else:
        context.output.text(f"{found} items are taken away")


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--day is {text!r}; give a date, such as 2026-03-01") from None


def _print(context: Context, one: SettingsView) -> None:
    if context.output.as_json:
        context.output.json(one)
        return
    context.output.facts(
        {
            "zone": one.zone,
            "country": one.country or "none",
            "preset": one.preset or "a policy of its own",
            "policy": short(one.policy, 1000),
            "revision": one.revision,
        }
    )
