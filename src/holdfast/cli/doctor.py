"""`holdfast doctor`: what is wrong here, in words, with an advice for each problem."""

from __future__ import annotations

import typer

from holdfast.cli.command import Context, command
from holdfast.cli.output import FAILED

MARKS = {"ok": ("✓", "green"), "note": ("·", "blue"), "problem": ("✗", "red")}


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "doctor", checks_settings=False)(doctor)


def doctor(context: Context) -> int:
    """Examine this installation and the database. Changes nothing; ends with 1 when there is a problem."""
    from holdfast.cli.diagnosis import diagnose

    findings = context.run(diagnose(context))
    problems = [finding for finding in findings if finding.status == "problem"]
    if context.output.as_json:
        context.output.json({"ok": not problems, "checks": findings})
        return FAILED if problems else 0
    from rich.text import Text

    from holdfast.cli.output import clean

    for finding in findings:
        mark, colour = MARKS[finding.status]
        text = Text(f"{mark} ", style=colour)
        text.append(f"{finding.name}: ", style="bold")
        text.append(clean(finding.text), style="default")
        context.output.rich(text)
        if finding.advice:
            context.output.rich(Text(f"    → {clean(finding.advice)}"))
    count = len(problems)
    context.output.text("no problem found" if not count else f"{count} problem{'s' if count > 1 else ''} found")
    return FAILED if problems else 0
