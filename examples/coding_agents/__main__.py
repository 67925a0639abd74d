"""``python -m examples.coding_agents``: mend a repository, here and now or as a durable run."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path

import holdfast as hf

from .crew import Crew, pipeline
from .repository import SAMPLE, Repository
from .results import Patch
from .scripted import Script

LEASE, BEAT = "3s", "0.5s"
"""Short: if the process was killed, the next one takes its run over so soon."""


async def main(given: argparse.Namespace) -> int:
    repository = Repository(given.repository)
    task = (given.repository / "TASK.md").read_text(encoding="utf-8")
    crew = pipeline(_crew(given, repository), repository, given.workspace)
    try:
        if given.url is None:
            # What lies in the workspace of an earlier start is gone on with.
            result = await crew.run(task, resume=not given.fresh)
        else:
            coding = crew.workflow(timeout="1h")
            async with hf.connect(given.url) as client, hf.Worker(client, [coding], lease=LEASE, beat=BEAT):
                run = await client.start(coding.options(id=given.id), task)
                result = await run.result()
    except (hf.AgentFailed, hf.RunFailed) as error:
        print(f"coding agents: {error}", file=sys.stderr)
        return 1
    show(result)
    return 0 if result.accepted else 1


def show(result: hf.PipelineResult) -> None:
    """Print what each agent did, and the change that came of it."""
    for step in result.steps:
        print(f"{step.round}  {step.name:<8}  {step.status}  {step.artifact}")
    print(f"\n{result.output('apply', Patch).diff}")
    print("accepted" if result.accepted else f"not accepted: {result.review}")
    print(f"The results are in {Path(result.artifacts[0].location).parent}.")
    for warning in result.warnings:
        print(warning, file=sys.stderr)


def _crew(given: argparse.Namespace, repository: Repository) -> Crew:
    if given.model is None:
        return Script(repository, given.pace, given.calls).crew()
    try:
        from .real import crew  # which takes longer to import than all else takes to run
    except ImportError as error:
        raise hf.UsageError(
            f'real models are asked by pydantic-ai: pip install "holdfast[agents]" ({error})'
        ) from error
    return crew(given.model, repository)


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="coding_agents", description="Mend a small repository with three agents.")
    parser.add_argument("--repository", type=Path, default=SAMPLE, help="a folder with a TASK.md and tests")
    parser.add_argument("--workspace", type=Path, default=Path("work"), help="where results and the copy are put")
    parser.add_argument("--fresh", action="store_true", help="begin anew, whatever lies in the workspace")
    parser.add_argument("--url", default=os.environ.get("HOLDFAST_URL"), help="run it durably, on this database")
    parser.add_argument("--id", default="coding-1", help="of the run; the same id is the same run")
    parser.add_argument("--model", metavar="PROVIDER:NAME", help="a real model for all three agents")
    parser.add_argument("--pace", type=float, default=0.0, metavar="SECONDS", help="how long scripted agents take")
    parser.add_argument("--calls", type=Path, metavar="FILE", help="write down each call of a scripted agent")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        sys.exit(asyncio.run(main(arguments())))
    except (hf.HoldfastError, OSError) as error:
        sys.exit(f"coding agents: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
