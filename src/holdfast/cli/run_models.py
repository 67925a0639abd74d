"""`holdfast runs model-calls` and `artifacts`: what a run asked of models, and what it made."""

from __future__ import annotations

import base64
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from holdfast.cli.command import Context, command
from holdfast.cli.costs import money
from holdfast.cli.show import between, coloured, instant, short, size
from holdfast.errors import UsageError

if TYPE_CHECKING:
    from holdfast.engine.artifacts import ArtifactContent

ERROR_CHARACTERS = 60

CALL_COLUMNS = ("position", "phase", "attempt", "model", "outcome", "in", "out", "cost", "took", "error")
ARTIFACT_COLUMNS = ("position", "name", "type", "size", "made", "where")

Run = Annotated[str, typer.Argument(metavar="RUN", help="The run's id.")]


def add_to(group: typer.Typer) -> None:
    """Add the commands to `holdfast runs`."""
    command(group, "model-calls")(model_calls)
    command(group, "artifacts")(artifacts)


def model_calls(
    context: Context,
    run: Run,
    *,
    limit: Annotated[int, typer.Option("--limit", metavar="N", help="At most so many, 1 to 100000.")] = 1000,
) -> None:
    """List the requests to models that a run made, in the order of its journal."""
    found = context.ask(lambda client: client.model_calls(run, limit=limit))
    if context.output.as_json:
        context.output.json(found)
    elif found:
        context.output.table(
            CALL_COLUMNS,
            [
                (
                    one.position, one.phase, one.attempt, one.model, coloured(one.outcome), f"{one.input_tokens:,}",
                    f"{one.output_tokens:,}", money(one.cost), between(one.began_at, one.ended_at),
                    short(one.error or "", ERROR_CHARACTERS),
                )
                for one in found
            ],
        )  # fmt: skip
    else:
        context.output.note("the run has asked no model")


def artifacts(
    context: Context,
    run: Run,
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Print this artifact, as in draft/prompt.md.")
    ] = None,
    *,
    position: Annotated[
        str | None,
        typer.Option(
            "--position", metavar="POSITION", help="With NAME: of the step that made it; the last unless given."
        ),
    ] = None,
    out: Annotated[str | None, typer.Option("--out", metavar="FILE", help="With NAME: write it there instead.")] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", help="Without NAME: at most so many.")] = 1000,
) -> None:
    """List what a run made, or print one of its artifacts."""
    if name is None:
        if position is not None or out is not None:
            raise UsageError("--position and --out are for one artifact; name it")
        _list(context, run, limit)
        return
    found = context.ask(lambda client: client.artifact(run, name, position))
    if out is not None:
        try:
            Path(out).write_bytes(found.content)
        except OSError as error:
            raise UsageError(f"{out} cannot be written: {error.strerror}") from None
    if context.output.as_json:
        context.output.json({**asdict(found.artifact), **({"file": out} if out is not None else _body(found))})
    elif out is None:
        _print(context, found.content)


def _list(context: Context, run: str, limit: int) -> None:
    found = context.ask(lambda client: client.artifacts(run, limit=limit))
    if context.output.as_json:
        context.output.json(found)
    elif found:
        context.output.table(
            ARTIFACT_COLUMNS,
            [
                (
                    one.position, one.name, one.media_type, size(one.size_bytes), instant(one.at),
                    one.location or "the database",
                )
                for one in found
            ],
        )  # fmt: skip
    else:
        context.output.note("the run has made nothing")


def _body(found: ArtifactContent) -> dict[str, Any]:
    """The bytes as JSON has them: as text where they are one."""
    try:
        return {"text": found.content.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(found.content).decode()}


def _print(context: Context, content: bytes) -> None:
    """Bytes as they are; on a terminal, without what could steer it."""
    stream = context.output.stream
    if stream.isatty():
        context.output.text(content.decode(errors="replace").removesuffix("\n"))
        return
    stream.flush()
    stream.buffer.write(content)
    stream.flush()
