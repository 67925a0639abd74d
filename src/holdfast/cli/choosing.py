"""Options by which commands choose recorded runs: by their ids, or among all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from holdfast.cli.kinds import number
from holdfast.errors import UsageError

Failed = Annotated[bool, typer.Option("--failed", help="All runs that failed.")]
All = Annotated[bool, typer.Option("--all", help="All runs.")]
OfWorkflow = Annotated[
    str | None, typer.Option("--workflow", metavar="NAME", help="With --failed or --all: only of this workflow.")
]
Since = Annotated[
    str | None,
    typer.Option(
        "--since", metavar="DURATION", help="With --failed or --all: only made in so long a time before now, as in 7d."
    ),
]
AtMost = Annotated[
    int | None, typer.Option("--limit", metavar="N", help="With --failed or --all: at most so many, the newest.")
]


def choice(
    ids: Sequence[str],
    what: str,
    *,
    failed: bool,
    all: bool,
    workflow: str | None,
    since: str | None,
    limit: int | None,
) -> dict[str, Any]:
    """What is chosen, as a client takes it.

    Args:
        ids: of runs.
        what: how the command is given ids, for messages.
        failed: those that failed.
        all: all.
        workflow: of this one.
        since: so old.
        limit: so many.

    Raises:
        UsageError: nothing is chosen, or in two ways.
    """
    if bool(ids) + failed + all != 1:
        raise UsageError(f"say which runs: give {what}, or --failed, or --all, and one of these")
    if ids:
        if workflow is not None or since is not None or limit is not None:
            raise UsageError("--workflow, --since and --limit choose among runs; leave them out with ids")
        return {"runs": list(ids)}
    return {
        "workflow": workflow,
        "status": "failed" if failed else None,
        "since": None if since is None else number(since),
        "limit": limit,
    }
