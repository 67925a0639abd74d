"""`holdfast runs stream` and `streams`: what a run produces while it executes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from holdfast.cli.command import Context, command
from holdfast.cli.output import as_json

if TYPE_CHECKING:
    from holdfast.model.streams import StreamChunk, StreamView

Run = Annotated[str, typer.Argument(metavar="ID", help="The run's id.")]


def add_to(group: typer.Typer) -> None:
    """Add the commands to `holdfast runs`."""
    command(group, "streams")(streams)
    command(group, "stream")(stream)


def streams(
    context: Context,
    run: Run,
    *,
    limit: Annotated[int, typer.Option("--limit", metavar="N", help="At most so many, 1 to 1000.")] = 100,
) -> None:
    """List the streams of a run."""
    found = context.ask(lambda client: client.streams(run, limit=limit))
    if context.output.as_json:
        context.output.json(found)
    elif found:
        rows = [(one.name, f"{one.next_offset:,}", "ended" if one.ended else "open") for one in found]
        context.output.table(("stream", "chunks", "state"), rows)
    else:
        context.output.note("the run has written to no stream")


def stream(
    context: Context,
    run: Run,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The stream's name.")],
    *,
    after: Annotated[
        int, typer.Option("--after", metavar="N", help="The offset of the last chunk that is known; -1 for none.")
    ] = -1,
    no_follow: Annotated[
        bool, typer.Option("--no-follow", help="Print what is there, and wait for nothing more.")
    ] = False,
) -> None:
    """Print a stream of a run as it is written, a value on each line; with --json whole chunks."""
    context.run(_print(context, run, name, after, follow=not no_follow))


async def _print(context: Context, run: str, name: str, after: int, *, follow: bool) -> None:
    output = context.output
    last = after
    async with context.client() as client:
        async for chunk in client.read_stream(run, name, after=after, follow=follow):
            last = chunk.offset
            if output.as_json:
                output.text(as_json(chunk))
            elif chunk.kind == "data":
                output.text(_shown(chunk))
            elif chunk.kind == "reset":
                output.note(f"withdrawn: {', '.join(_range(first, last) for first, last in chunk.value)}")
            output.stream.flush()
        if last == after:
            output.note(_nothing(name, await client.streams(run), after))


def _nothing(name: str, streams: list[StreamView], after: int) -> str:
    """Why nothing was printed."""
    for one in streams:
        if one.name == name:
            return f"nothing stands behind offset {after}: the stream has {one.next_offset:,} chunks"
    names = ", ".join(one.name for one in streams)
    return f"the run has written to no stream {name!r}" + (f", but to {names}" if names else "")


def _shown(chunk: StreamChunk) -> str:
    return chunk.value if isinstance(chunk.value, str) else json.dumps(chunk.value, ensure_ascii=False)


def _range(first: int, last: int) -> str:
    return str(first) if first == last else f"{first} to {last}"
